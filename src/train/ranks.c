/* Memory of several ranks, commands, and what evaluations and checkpoints send (ranks.h). */
#include "train/ranks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/ranks_private.h"
#include "util/memory.h"
#include "util/warning.h"

bool ranks_check(const struct experiment *experiment, const struct comm *comm, struct status *status)
{
    int64_t slices = experiment->train.slices;
    if (!comm) return true;
    if ((comm->size & (comm->size - 1)) != 0)
        return status_fail(status, STATUS_USAGE, "%d ranks: expected 1, 2, 4, ..., a power of two", comm->size);
    if (slices % comm->size != 0)
        return experiment_fail(experiment, "train.slices", status,
                               "expected a number that the %d ranks divide, found %" PRId64
                               "; for instance --set train.slices=%d",
                               comm->size, slices, comm->size);
    return true;
}

/* --- memory --- */

void ranks_create(struct ranks *ranks, struct comm *comm, const struct network *network, int64_t slices,
                  struct optimizer_cut cut)
{
    struct backend *backend = network->backend;
    *ranks = (struct ranks){.comm = comm, .network = network, .slices = slices, .cut = cut};
    if (!comm) return;
    size_t size = (size_t)comm->size, flows = (size_t)cut.buckets + 2, scalar = backend->scalar_size;
    size_t incoming = size * ranks_bytes_before(ranks, comm->rank, cut.buckets);
    ranks->incoming = backend->table->alloc(backend, incoming);
    ranks->statistics = backend->table->alloc(backend, size * network->buffer_count * scalar);
    ranks->words = memory_alloc(size, sizeof *ranks->words);
    ranks->messages = memory_alloc(2 * size * flows, sizeof *ranks->messages);
    ranks->flows = memory_alloc(flows, sizeof *ranks->flows);
    for (size_t f = 0; f < flows; f++) ranks->flows[f].messages = ranks->messages + 2 * size * f;
}

/* Takes memory of the host for what goes through it. */
static void create_stages(struct ranks *ranks)
{
    const struct network *network = ranks->network;
    size_t size = (size_t)ranks->comm->size, scalar = network->backend->scalar_size;
    ranks->host_arena = memory_alloc(network->arena_count, scalar);
    ranks->host_incoming = memory_alloc(size * ranks_bytes_before(ranks, ranks->comm->rank, ranks->cut.buckets), 1);
    ranks->host_statistics = memory_alloc(size * network->buffer_count, scalar);
}

bool ranks_connect(struct ranks *ranks, const struct experiment *experiment, struct status *status)
{
    const enum exchange wanted = experiment->backend.exchange;
    char *reason = NULL;
    if (!ranks->comm) return true;
    struct backend *backend = ranks->network->backend;
    const struct backend_table *table = backend->table;
    if (table->connect && wanted != EXCHANGE_HOST &&
        !table->connect(backend, ranks->comm, &ranks->devices, &reason, status))
        return false;
    bool good = ranks->devices || wanted != EXCHANGE_NCCL ||
                experiment_fail(experiment, "backend.exchange", status, "expected auto or host, found nccl, but %s",
                                reason ? reason : "the ranks compute without GPUs");
    if (good && reason && ranks->comm->rank == 0)
        warning_print("note: the GPUs exchange through the memory of their hosts: %s", reason);
    free(reason);
    if (good && table->copy_to_host && !ranks->devices) create_stages(ranks);
    return good;
}

void ranks_destroy(struct ranks *ranks)
{
    if (ranks->comm) {
        struct backend *backend = ranks->network->backend;
        comm_destroy(ranks->devices);
        backend->table->free(backend, ranks->incoming);
        backend->table->free(backend, ranks->statistics);
    }
    free(ranks->cut.at);
    free(ranks->words);
    free(ranks->messages);
    free(ranks->flows);
    free(ranks->host_arena), free(ranks->host_incoming), free(ranks->host_statistics);
    *ranks = (struct ranks){0};
}

/* --- commands and evaluations --- */

bool ranks_command(struct ranks *ranks, struct rank_command *command)
{
    if (ranks->failed) return false;
    ranks->failed = !comm_broadcast(ranks->comm, command, sizeof *command, "a command", &ranks->status);
    return !ranks->failed;
}

int64_t ranks_first(const struct ranks *ranks, int64_t count, int rank)
{
    return count * rank / ranks->comm->size;
}

void ranks_collect(struct ranks *ranks, struct metrics *batches, int64_t count)
{
    struct comm *comm = ranks->comm;
    int messages = 0;
    for (int r = 1; r < comm->size; r++) {
        int64_t first = ranks_first(ranks, count, r), last = ranks_first(ranks, count, r + 1);
        size_t bytes = (size_t)(last - first) * sizeof *batches;
        if (comm->rank == 0)
            ranks->messages[messages++] =
                (struct comm_message){.rank = r, .receive = batches + first, .receive_bytes = bytes};
        else if (comm->rank == r)
            ranks->messages[messages++] =
                (struct comm_message){.rank = 0, .send = batches + first, .send_bytes = bytes};
    }
    if (!ranks->failed)
        ranks->failed = !comm_exchange(comm, ranks->messages, messages, "an evaluation", &ranks->status);
}

/* The bytes of the first `count` pieces, of all ranks or of one. */
static size_t bytes_of_all(const size_t *bytes, int count)
{
    size_t sum = 0;
    for (int k = 0; k < count; k++) sum += bytes[k];
    return sum;
}

static size_t bytes_of_rank(const struct ranks *ranks, const size_t *bytes, int rank, int count)
{
    size_t sum = 0;
    for (int k = rank; k < count; k += ranks->comm->size) sum += bytes[k];
    return sum;
}

/* Memory of the host for what goes through it; NULL: it goes from where it is. */
static char *make_stage(const struct ranks *ranks, size_t bytes)
{
    return ranks->host_arena ? memory_alloc(bytes, 1) : NULL;
}

/* Sends pieces between rank 0, which has them all in `whole`, and the others, which have theirs in `own`: all of it the
 * host's memory, or, between devices, backend memory. */
static void exchange_pieces(struct ranks *ranks, bool collect, char *whole, char *own, const size_t *bytes,
                            const char *what)
{
    struct comm *comm = ranks->comm;
    int count = 0;
    for (int k = 0; k < ranks->cut.buckets * comm->size; k++) {
        int rank = k % comm->size;
        if (bytes[k] == 0 || rank == 0 || (comm->rank > 0 && comm->rank != rank)) continue;
        struct comm_message message = {.rank = comm->rank == 0 ? rank : 0};
        char *piece = comm->rank == 0 ? whole + bytes_of_all(bytes, k) : own + bytes_of_rank(ranks, bytes, rank, k);
        if (collect == (comm->rank == 0))
            message.receive = piece, message.receive_bytes = bytes[k];
        else
            message.send = piece, message.send_bytes = bytes[k];
        ranks->messages[count++] = message;
    }
    if (!ranks->failed)
        ranks->failed = !comm_exchange(ranks_memory_comm(ranks), ranks->messages, count, what, &ranks->status);
}

/* Copies memory of that kind. */
static void copy_memory(const struct ranks *ranks, void *to, const void *from, size_t bytes)
{
    struct backend *backend = ranks->network->backend;
    char *host = ranks->devices ? memory_alloc(bytes, 1) : NULL;
    if (host) backend->table->copy_to_host(backend, host, from, bytes);
    if (host)
        backend->table->copy_to_device(backend, to, host, bytes);
    else
        memcpy(to, from, bytes);
    free(host);
}

/* Copies rank 0's pieces between its own memory and the whole. */
static void copy_own(const struct ranks *ranks, bool collect, char *whole, char *own, const size_t *bytes)
{
    for (int k = 0; k < ranks->cut.buckets * ranks->comm->size; k += ranks->comm->size) {
        if (bytes[k] == 0) continue;
        char *in_whole = whole + bytes_of_all(bytes, k), *in_own = own + bytes_of_rank(ranks, bytes, 0, k);
        copy_memory(ranks, collect ? in_whole : in_own, collect ? in_own : in_whole, bytes[k]);
    }
}

/* The bytes of a rank's memory: on rank 0, of all pieces in `whole`, and of its own. */
struct extent {
    size_t all, own;
};

static struct extent extent_of(const struct ranks *ranks, const size_t *bytes)
{
    int pieces = ranks->cut.buckets * ranks->comm->size;
    return (struct extent){bytes_of_all(bytes, pieces), bytes_of_rank(ranks, bytes, ranks->comm->rank, pieces)};
}

void ranks_collect_pieces(struct ranks *ranks, void *whole, void *own, const size_t *bytes, const char *what)
{
    const struct extent extent = extent_of(ranks, bytes);
    if (extent.all == 0) return; /* on no rank is there anything */
    bool leads = ranks->comm->rank == 0;
    char *own_stage = make_stage(ranks, extent.own), *whole_stage = leads ? make_stage(ranks, extent.all) : NULL;
    char *own_host = ranks_fetch(ranks, own_stage, own, extent.own), *whole_host = whole_stage ? whole_stage : whole;
    if (leads) copy_own(ranks, true, whole_host, own_host, bytes);
    exchange_pieces(ranks, true, whole_host, own_host, bytes, what);
    if (leads && !ranks->failed) ranks_deliver(ranks, whole, whole_host, extent.all);
    free(own_stage), free(whole_stage);
}

void ranks_deal_pieces(struct ranks *ranks, void *whole, void *own, const size_t *bytes, const char *what)
{
    const struct extent extent = extent_of(ranks, bytes);
    if (extent.all == 0) return; /* on no rank is there anything */
    bool leads = ranks->comm->rank == 0;
    char *own_stage = make_stage(ranks, extent.own), *whole_stage = leads ? make_stage(ranks, extent.all) : NULL;
    char *own_host = own_stage ? own_stage : own;
    char *whole_host = leads ? ranks_fetch(ranks, whole_stage, whole, extent.all) : NULL;
    exchange_pieces(ranks, false, whole_host, own_host, bytes, what);
    if (leads) copy_own(ranks, false, whole_host, own_host, bytes);
    if (!ranks->failed) ranks_deliver(ranks, own, own_host, extent.own);
    free(own_stage), free(whole_stage);
}

static void broadcast(struct ranks *ranks, struct comm *comm, void *data, size_t bytes, const char *what)
{
    if (!ranks->failed && bytes > 0) ranks->failed = !comm_broadcast(comm, data, bytes, what, &ranks->status);
}

void ranks_copy(struct ranks *ranks, void *data, size_t bytes, const char *what)
{
    broadcast(ranks, ranks->comm, data, bytes, what);
}

void ranks_copy_arena(struct ranks *ranks, void *data, size_t bytes, const char *what)
{
    char *stage = make_stage(ranks, bytes),
         *host = ranks_fetch(ranks, ranks->comm->rank == 0 ? stage : NULL, data, bytes);
    if (stage) host = stage;
    broadcast(ranks, ranks_memory_comm(ranks), host, bytes, what);
    if (!ranks->failed && ranks->comm->rank > 0) ranks_deliver(ranks, data, host, bytes);
    free(stage);
}

bool ranks_good(const struct ranks *ranks, struct status *status)
{
    if (ranks->failed) *status = ranks->status;
    return !ranks->failed;
}
