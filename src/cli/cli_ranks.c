/* The beginning and the end of a subcommand that several ranks do together. */
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli_private.h"
#include "util/streams.h"
#include "util/warning.h"

bool cli_join_ranks(struct comm **comm, struct status *status)
{
    if (!comm_create(comm, status)) return false;
    if (*comm && (*comm)->rank > 0) warning_collect();
    return true;
}

/* After a failed exchange no rank can be waited for, and one that still answers says why and ends all. Another one does it
 * where that one cannot. */
static void abort_all(struct comm *comm, const struct status *status)
{
    enum { SECONDS = 4 };
    if (!comm->reports) sleep(SECONDS);
    warning_print("%s", status->message);
    streams_flush(stdout);
    comm_abort(comm, (int)status->code);
}

void cli_leave_ranks(struct comm *comm, bool good, struct status *status)
{
    char end = 0;
    struct status broken;
    if (!comm) return;
    free(warning_take());
    if (!comm->broken) {
        if (!good && comm->rank == 0 && status->message[0]) warning_print("%s", status->message);
        streams_flush(stdout);
        status->message[0] = '\0';
        if (!comm_broadcast(comm, &end, sizeof end, "the end", &broken)) *status = broken;
    }
    if (comm->broken) abort_all(comm, status);
    comm_destroy(comm);
}
