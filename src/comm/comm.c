/* Exchanges, over any transport (comm.h). */
#include "comm/comm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/memory.h"

enum { TAGS = COMM_TAG_ROLL }; /* of exchanges, again and again */

void comm_start(struct comm *comm, struct comm_exchange *exchange, const struct comm_message *messages, int count)
{
    *exchange = (struct comm_exchange){messages, count, .tag = (int)(comm->exchanges++ % TAGS), .done = count == 0};
    if (!exchange->done) comm->table->start(comm, exchange);
}

void comm_move(struct comm *comm, struct comm_exchange *exchange)
{
    if (!exchange->done) exchange->done = comm->table->test(comm, exchange);
}

/* Those of the ranks themselves, where this comm is one between their devices. */
static struct comm *ranks_of(struct comm *comm)
{
    return comm->parent ? comm->parent : comm;
}

static const char *failure_of(struct comm *comm)
{
    return comm->table->failure ? comm->table->failure(comm) : NULL;
}

/* Moves an exchange on until it is done. Returns false where the seconds are over first (0: they never are), or where it
 * will not be done. */
static bool wait_for(struct comm *comm, struct comm_exchange *exchange, double seconds)
{
    double start = clock_seconds();
    for (int tests = 0; comm_move(comm, exchange), !exchange->done; tests += tests < INT32_MAX) {
        if ((seconds > 0 && clock_seconds() - start > seconds) || failure_of(comm)) return false;
        comm->table->pause(comm, tests);
    }
    return true;
}

/* Has every rank that waits in vain tell all others that it lives, since the one that this rank misses may itself be
 * waiting for another. Takes the mark from those that answer in time. Returns how many stay silent. */
static int call_the_roll(struct comm *comm, bool *silent)
{
    const double most_seconds = 2, wait = comm->timeout / 2 < most_seconds ? comm->timeout / 2 : most_seconds;
    struct comm_message *roll = memory_alloc((size_t)comm->size, sizeof *roll);
    struct comm_exchange call = {.messages = roll, .tag = COMM_TAG_ROLL};
    int left = 0;
    for (int r = 0; r < comm->size; r++)
        if (r != comm->rank)
            roll[call.count++] = (struct comm_message){r, &comm->roll[comm->rank], 1, &comm->roll[r], 1};
    comm->table->start(comm, &call);
    wait_for(comm, &call, wait);
    comm->reports = true;
    for (int m = 0; m < call.count; m++) {
        bool lives = call.done || comm->table->is_done(comm, &call, m);
        silent[roll[m].rank] &= !lives;
        left += silent[roll[m].rank];
        comm->reports &= !lives || roll[m].rank > comm->rank;
    }
    /* Where all answer, another rank knows which one is missing, and has the time to say it. */
    for (double start = clock_seconds(); left == 0 && clock_seconds() - start < wait;)
        comm->table->pause(comm, INT32_MAX);
    free(roll);
    return left;
}

/* Returns "3 (node-b) and 2 others" in a new string. */
static char *name_missing(const struct comm *comm, int rank, int others)
{
    char *text;
    size_t size;
    FILE *out = memory_stream(&text, &size);
    fprintf(out, "%d", rank);
    if (comm->places) fprintf(out, " (%s)", comm->places[rank].host);
    if (others > 0) fprintf(out, " and %d other%s", others, others > 1 ? "s" : "");
    memory_stream_close(out, &text);
    return text;
}

/* Marks the ranks of messages that are not done. Returns the lowest of them. */
static int mark_silent(struct comm *comm, struct comm_exchange *exchange, bool *silent)
{
    int missing = exchange->messages[exchange->count - 1].rank;
    for (int m = exchange->count - 1; m >= 0; m--) {
        if (comm->table->is_done(comm, exchange, m)) continue;
        missing = exchange->messages[m].rank;
        silent[missing] = true;
    }
    return missing;
}

/* Between devices, where the ranks themselves are all there: the devices, or what connects them, are to blame. */
static bool fail_devices(const struct comm *comm, const char *failure, const char *what, struct status *status)
{
    char *late = memory_format("it takes more than %g s (backend.exchange_timeout), though all ranks answer",
                               comm->parent->timeout);
    status_fail(status, STATUS_RUNTIME,
                "rank %d of %d (%s): the exchange of %s by %s fails: %s; backend.exchange = host does without it",
                comm->rank, comm->size, comm->parent->host, what, comm->name, failure ? failure : late);
    free(late);
    return false;
}

static bool fail_missing(const struct comm *comm, int missing, int others, const char *what, struct status *status)
{
    char *name = name_missing(comm, missing, others);
    status_fail(status, STATUS_RUNTIME,
                "rank %d of %d (%s): no answer from rank %s for %g s (backend.exchange_timeout) in the exchange of %s",
                comm->rank, comm->size, comm->host, name, comm->timeout, what);
    free(name);
    return false;
}

/* After an exchange that is late, or will not be done. */
static bool fail(struct comm *comm, struct comm_exchange *exchange, const char *what, struct status *status)
{
    struct comm *ranks = ranks_of(comm);
    bool *silent = memory_alloc((size_t)comm->size, sizeof *silent);
    comm->broken = ranks->broken = true;
    int missing = mark_silent(comm, exchange, silent), left = call_the_roll(ranks, silent);
    for (int r = comm->size - 1; r >= 0; r--)
        if (silent[r]) missing = r;
    free(silent);
    const char *failure = failure_of(comm);
    if (comm->parent && (failure || left == 0))
        fail_devices(comm, failure, what, status);
    else
        fail_missing(ranks, missing, left - 1, what, status);
    if (comm->parent) comm->table->abort(comm, STATUS_RUNTIME);
    return false;
}

bool comm_finish(struct comm *comm, struct comm_exchange *exchange, const char *what, struct status *status)
{
    return wait_for(comm, exchange, ranks_of(comm)->timeout) || fail(comm, exchange, what, status);
}

bool comm_exchange(struct comm *comm, const struct comm_message *messages, int count, const char *what,
                   struct status *status)
{
    struct comm_exchange exchange;
    comm_start(comm, &exchange, messages, count);
    return comm_finish(comm, &exchange, what, status);
}

bool comm_gather(struct comm *comm, void *parts, size_t bytes, const char *what, struct status *status)
{
    struct comm_message *messages = memory_alloc((size_t)comm->size, sizeof *messages);
    char *all = parts;
    int count = 0;
    for (int k = 0; k < comm->size; k++) {
        int other = (k - comm->rank + comm->size) % comm->size; /* whose k-th partner is this rank */
        if (other == comm->rank) continue;
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
    if (!comm) return;
    free(comm->places);
    comm->table->destroy(comm);
}
