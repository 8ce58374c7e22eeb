/* Sums of the slices of several ranks, commands, and what evaluations send (ranks.h). */
#include "train/ranks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/memory.h"
#include "util/stop.h"

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

/* --- pieces --- */

/* In bytes of an arena. */
struct piece {
    size_t first, bytes;
};

static struct piece piece_of(const struct ranks *ranks, int rank)
{
    return (struct piece){(size_t)ranks->cuts[rank], (size_t)(ranks->cuts[rank + 1] - ranks->cuts[rank])};
}

void ranks_create(struct ranks *ranks, struct comm *comm, const struct network *network, int64_t slices,
                  const int64_t *cuts)
{
    struct backend *backend = network->backend;
    *ranks = (struct ranks){.comm = comm, .network = network, .slices = slices};
    if (!comm) return;
    size_t size = (size_t)comm->size, scalar = backend->scalar_size;
    ranks->cuts = memory_alloc(size + 1, sizeof *ranks->cuts);
    memcpy(ranks->cuts, cuts, (size + 1) * sizeof *ranks->cuts);
    ranks->incoming = backend->table->alloc(backend, size * piece_of(ranks, comm->rank).bytes);
    ranks->statistics = backend->table->alloc(backend, size * network->buffer_count * scalar);
    ranks->words = memory_alloc(size, sizeof *ranks->words);
    ranks->messages = memory_alloc(3 * size, sizeof *ranks->messages);
    if (!backend->table->copy_to_host) return;
    ranks->host_arena = memory_alloc(network->arena_count, scalar);
    ranks->host_incoming = memory_alloc(size * piece_of(ranks, comm->rank).bytes, 1);
    ranks->host_statistics = memory_alloc(size * network->buffer_count, scalar);
}

void ranks_destroy(struct ranks *ranks)
{
    if (ranks->comm) {
        struct backend *backend = ranks->network->backend;
        backend->table->free(backend, ranks->incoming);
        backend->table->free(backend, ranks->statistics);
    }
    free(ranks->cuts);
    free(ranks->words);
    free(ranks->messages);
    free(ranks->host_arena), free(ranks->host_incoming), free(ranks->host_statistics);
    *ranks = (struct ranks){0};
}

/* --- the sums of a step --- */

/* A range of an arena, by its first byte. */
static struct tensor flat(const struct ranks *ranks, void *data, size_t first, size_t bytes)
{
    int64_t count = (int64_t)(bytes / ranks->network->backend->scalar_size);
    return (struct tensor){(char *)data + first, shape_vector(count), TENSOR_FLAT};
}

/* Adds up tensors of one shape, one from each rank, by a balanced tree, and divides the last sum by S. The sum is in the
 * tensor of rank `into`. Addition is commutative, so either of two may take the sum. */
static void sum_tree(const struct ranks *ranks, struct tensor *parts, int into)
{
    int size = ranks->comm->size;
    for (int width = 1; width < size; width *= 2)
        for (int r = 0; r < size; r += 2 * width) {
            /* Of the ranks r .. r + width - 1 one has the sum: `into` where it is among them, else the first. */
            int left = into >= r && into < r + width ? into : r;
            int right = into >= r + width && into < r + 2 * width ? into : r + width;
            bool last = 2 * width == size;
            int to = right == into ? right : left, from = to == left ? right : left;
            slices_accumulate(ranks->network->backend, parts[to], parts[from], last ? 1 / (double)ranks->slices : 1);
        }
}

static size_t statistics_bytes(const struct ranks *ranks)
{
    return ranks->network->buffer_count * ranks->network->backend->scalar_size;
}

/* Device memory as the host has it: itself, or a copy in `stage`. */
static char *fetch(const struct ranks *ranks, char *stage, void *data, size_t bytes)
{
    struct backend *backend = ranks->network->backend;
    if (!stage) return data;
    backend->table->copy_to_host(backend, stage, data, bytes);
    return stage;
}

/* Puts what the host received at `from` where it belongs, unless it is there. */
static void deliver(const struct ranks *ranks, void *to, const char *from, size_t bytes)
{
    struct backend *backend = ranks->network->backend;
    if (from != to) backend->table->copy_to_device(backend, to, from, bytes);
}

/* Sends everyone its piece of this rank's gradient, and this rank's statistics and words. */
static bool send_pieces(struct ranks *ranks, const struct slice_sums *sums)
{
    struct comm *comm = ranks->comm;
    size_t own = piece_of(ranks, comm->rank).bytes, statistics = statistics_bytes(ranks), size = (size_t)comm->size;
    char *incoming = ranks->host_incoming ? ranks->host_incoming : ranks->incoming;
    char *all = ranks->host_statistics ? ranks->host_statistics : ranks->statistics;
    char *stage = ranks->host_statistics ? all + (size_t)comm->rank * statistics : NULL;
    const char *gradients = fetch(ranks, ranks->host_arena, sums->gradients, (size_t)ranks->cuts[comm->size]);
    const char *left = fetch(ranks, stage, sums->statistics, statistics);
    int count = 0;
    for (int k = 1; k < comm->size; k++) {
        int other = comm->rank ^ k;
        struct piece its = piece_of(ranks, other);
        ranks->messages[count++] =
            (struct comm_message){other, gradients + its.first, its.bytes, incoming + (size_t)other * own, own};
        ranks->messages[count++] =
            (struct comm_message){other, left, statistics, all + (size_t)other * statistics, statistics};
        ranks->messages[count++] = (struct comm_message){other, &ranks->words[comm->rank], sizeof *ranks->words,
                                                         &ranks->words[other], sizeof *ranks->words};
    }
    if (!comm_exchange(comm, ranks->messages, count, "gradients", &ranks->status)) return false;
    deliver(ranks, ranks->incoming, incoming, size * own);
    deliver(ranks, ranks->statistics, all, size * statistics);
    return true;
}

/* Adds what all ranks have: this one in `own`, from its byte `first` on, the others in `incoming`. */
static void sum_parts(const struct ranks *ranks, void *own, size_t first, char *incoming, size_t bytes)
{
    struct tensor parts[COMM_MOST_RANKS];
    int rank = ranks->comm->rank;
    for (int r = 0; r < ranks->comm->size; r++)
        parts[r] = r == rank ? flat(ranks, own, first, bytes) : flat(ranks, incoming, (size_t)r * bytes, bytes);
    sum_tree(ranks, parts, rank);
}

/* The same tree for the metrics, in place. */
static struct metrics sum_metrics(const struct ranks *ranks)
{
    for (int width = 1; width < ranks->comm->size; width *= 2)
        for (int r = 0; r < ranks->comm->size; r += 2 * width)
            metrics_add(&ranks->words[r].metrics, &ranks->words[r + width].metrics);
    return ranks->words[0].metrics;
}

void ranks_spread(struct ranks *ranks, void *arena, const char *what)
{
    struct comm *comm = ranks->comm;
    struct piece own = piece_of(ranks, comm->rank);
    size_t all = (size_t)ranks->cuts[comm->size], end = own.first + own.bytes;
    char *host = ranks->host_arena ? ranks->host_arena : arena;
    int count = 0;
    if (ranks->failed) return;
    fetch(ranks, ranks->host_arena ? host + own.first : NULL, (char *)arena + own.first, own.bytes);
    for (int k = 1; k < comm->size; k++) {
        int other = comm->rank ^ k;
        struct piece its = piece_of(ranks, other);
        ranks->messages[count++] =
            (struct comm_message){other, host + own.first, own.bytes, host + its.first, its.bytes};
    }
    ranks->failed = !comm_exchange(comm, ranks->messages, count, what, &ranks->status);
    if (ranks->failed) return;
    deliver(ranks, arena, host, own.first);
    deliver(ranks, (char *)arena + end, host + end, all - end);
}

static void note_signals(struct ranks *ranks)
{
    for (int r = 0; r < ranks->comm->size && !ranks->signal[0]; r++) {
        if (!ranks->words[r].signal[0]) continue;
        ranks->stopped = r;
        memcpy(ranks->signal, ranks->words[r].signal, sizeof ranks->signal);
    }
}

void ranks_exchange(struct ranks *ranks, const struct slice_sums *sums)
{
    struct rank_words *own = &ranks->words[ranks->comm->rank];
    if (ranks->failed) return;
    *own = (struct rank_words){.metrics = metrics_read(ranks->network->backend, &sums->metrics)};
    if (stop_wanted()) snprintf(own->signal, sizeof own->signal, "%s", stop_signal_name());
    ranks->failed = !send_pieces(ranks, sums);
}

void ranks_sum(struct ranks *ranks, const struct slice_sums *sums)
{
    struct piece piece = piece_of(ranks, ranks->comm->rank);
    if (ranks->failed) return;
    sum_parts(ranks, sums->gradients, piece.first, ranks->incoming, piece.bytes);
    sum_parts(ranks, sums->statistics, 0, ranks->statistics, statistics_bytes(ranks));
    metrics_write(ranks->network->backend, &sums->metrics, sum_metrics(ranks));
    note_signals(ranks);
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

/* The bytes of all ranks' parts, and those before a rank's. */
static size_t parts_before(const size_t *bytes, int rank)
{
    size_t sum = 0;
    for (int r = 0; r < rank; r++) sum += bytes[r];
    return sum;
}

/* Memory of the host for parts of the device's; NULL: they are the host's themselves. */
static char *make_stage(const struct ranks *ranks, size_t bytes)
{
    return ranks->host_arena ? memory_alloc(bytes, 1) : NULL;
}

/* Sends parts between rank 0, which has them all in `whole`, and the others, which have one each in `own`, all memory of the
 * host. */
static void exchange_parts(struct ranks *ranks, bool collect, char *whole, char *own, const size_t *bytes,
                           const char *what)
{
    struct comm *comm = ranks->comm;
    int count = 0;
    for (int r = 1; r < comm->size; r++) {
        if (comm->rank > 0 && comm->rank != r) continue;
        struct comm_message message = {.rank = comm->rank == 0 ? r : 0};
        char *part = comm->rank == 0 ? whole + parts_before(bytes, r) : own;
        if (collect == (comm->rank == 0))
            message.receive = part, message.receive_bytes = bytes[r];
        else
            message.send = part, message.send_bytes = bytes[r];
        ranks->messages[count++] = message;
    }
    if (!ranks->failed) ranks->failed = !comm_exchange(comm, ranks->messages, count, what, &ranks->status);
}

void ranks_collect_parts(struct ranks *ranks, void *whole, void *own, const size_t *bytes, const char *what)
{
    int rank = ranks->comm->rank, size = ranks->comm->size;
    size_t all = rank == 0 ? parts_before(bytes, size) : bytes[rank];
    if (parts_before(bytes, size) == 0) return; /* on no rank is there anything */
    char *stage = make_stage(ranks, all), *host = stage ? stage : rank == 0 ? whole : own;
    if (stage)
        fetch(ranks, stage, own, bytes[rank]);
    else if (rank == 0 && bytes[0] > 0)
        memcpy(host, own, bytes[0]);
    exchange_parts(ranks, true, host, host, bytes, what);
    if (rank == 0 && !ranks->failed) deliver(ranks, whole, host, all);
    free(stage);
}

void ranks_deal_parts(struct ranks *ranks, void *whole, void *own, const size_t *bytes, const char *what)
{
    int rank = ranks->comm->rank, size = ranks->comm->size;
    size_t all = rank == 0 ? parts_before(bytes, size) : bytes[rank];
    if (parts_before(bytes, size) == 0) return; /* on no rank is there anything */
    char *stage = make_stage(ranks, all), *host = stage ? stage : rank == 0 ? whole : own;
    if (stage && rank == 0) fetch(ranks, stage, whole, all);
    exchange_parts(ranks, false, host, host, bytes, what);
    if (stage && !ranks->failed)
        deliver(ranks, own, host, bytes[rank]);
    else if (rank == 0 && bytes[0] > 0)
        memcpy(own, host, bytes[0]);
    free(stage);
}

void ranks_copy(struct ranks *ranks, void *data, size_t bytes, const char *what)
{
    if (!ranks->failed && bytes > 0) ranks->failed = !comm_broadcast(ranks->comm, data, bytes, what, &ranks->status);
}

void ranks_copy_arena(struct ranks *ranks, void *data, size_t bytes, const char *what)
{
    char *stage = make_stage(ranks, bytes), *host = fetch(ranks, ranks->comm->rank == 0 ? stage : NULL, data, bytes);
    if (stage) host = stage;
    ranks_copy(ranks, host, bytes, what);
    if (!ranks->failed && ranks->comm->rank > 0) deliver(ranks, data, host, bytes);
    free(stage);
}

bool ranks_good(const struct ranks *ranks, struct status *status)
{
    if (ranks->failed) *status = ranks->status;
    return !ranks->failed;
}
