/* The end of a subcommand that several ranks do together. */
#include <unistd.h>

#include "cli/cli_private.h"
#include "util/streams.h"
#include "util/warning.h"

void cli_leave_ranks(struct comm *comm, struct status *status)
{
    enum { SECONDS = 1 };
    if (!comm) return;
    bool silent = comm->rank > 0;
    if (comm->broken) {
        if (silent) sleep(SECONDS); /* rank 0 may say why before all end */
        warning_print("%s", status->message);
        streams_flush(stdout);
        comm_abort(comm, (int)status->code);
    }
    comm_destroy(comm);
    if (silent) status->message[0] = '\0'; /* rank 0 says it */
}
