/* Exchanges, over any transport (comm.h). */
#include "comm/comm.h"

#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/memory.h"

enum { TAGS = 1 << 14 }; /* MPI promises 2^15 - 1 */

void comm_start(struct comm *comm, const struct comm_message *messages, int count)
{
    comm->table->start(comm, (int)(comm->exchanges++ % TAGS), messages, count);
}

static bool fail_late(struct comm *comm, const struct comm_message *messages, int count, const char *what,
                      struct status *status)
{
    int missing = 0;
    comm->broken = true;
    while (missing < count - 1 && comm->table->is_done(comm, missing)) missing++;
    return status_fail(
        status, STATUS_RUNTIME,
        "rank %d of %d (%s): no answer from rank %d for %g s (backend.exchange_timeout) in the exchange of "
        "%s",
        comm->rank, comm->size, comm->host, messages[missing].rank, comm->timeout, what);
}

bool comm_finish(struct comm *comm, const struct comm_message *messages, int count, const char *what,
                 struct status *status)
{
    double start = clock_seconds();
    while (!comm->table->test(comm))
        if (comm->timeout > 0 && clock_seconds() - start > comm->timeout)
            return fail_late(comm, messages, count, what, status);
    return true;
}

bool comm_exchange(struct comm *comm, const struct comm_message *messages, int count, const char *what,
                   struct status *status)
{
    comm_start(comm, messages, count);
    return comm_finish(comm, messages, count, what, status);
}

bool comm_gather(struct comm *comm, void *parts, size_t bytes, const char *what, struct status *status)
{
    struct comm_message *messages = memory_alloc((size_t)comm->size, sizeof *messages);
    char *all = parts;
    int count = 0;
    for (int k = 1; k < comm->size; k++) {
        int other = (comm->rank + k) % comm->size;
        messages[count++] =
            (struct comm_message){other, all + (size_t)comm->rank * bytes, bytes, all + (size_t)other * bytes, bytes};
    }
    bool good = comm_exchange(comm, messages, count, what, status);
    free(messages);
    return good;
}

bool comm_broadcast(struct comm *comm, void *data, size_t bytes, const char *what, struct status *status)
{
    struct comm_message *messages = memory_alloc((size_t)comm->size, sizeof *messages);
    int count = 0;
    if (comm->rank > 0) messages[count++] = (struct comm_message){.rank = 0, .receive = data, .receive_bytes = bytes};
    for (int k = 1; k < comm->size && comm->rank == 0; k++)
        messages[count++] = (struct comm_message){.rank = k, .send = data, .send_bytes = bytes};
    bool good = comm_exchange(comm, messages, count, what, status);
    free(messages);
    return good;
}

void comm_abort(struct comm *comm, int code)
{
    if (comm) comm->table->abort(comm, code);
}

void comm_destroy(struct comm *comm)
{
    if (comm) comm->table->destroy(comm);
}
