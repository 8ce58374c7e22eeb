/* Sums of the slices of several ranks, commands, and what evaluations send (ranks.h). */
#include "train/ranks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/memory.h"
#include "util/stop.h"

bool ranks_check(const struct experiment *experiment, const struct comm *comm, const struct backend *backend,
                 struct status *status)
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
    if (backend->pci_bus_id[0])
        return experiment_fail(experiment, "backend.device", status,
                               "expected cpu, as several ranks cannot share the memory of their GPUs yet, found %s",
                               backend->description);
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

/* Sends everyone its piece of this rank's gradient, and this rank's statistics and words. */
static bool send_pieces(struct ranks *ranks, const struct slice_sums *sums)
{
    struct comm *comm = ranks->comm;
    size_t own = piece_of(ranks, comm->rank).bytes, statistics = statistics_bytes(ranks);
    int count = 0;
    for (int k = 1; k < comm->size; k++) {
        int other = comm->rank ^ k;
        struct piece its = piece_of(ranks, other);
        ranks->messages[count++] = (struct comm_message){other, (const char *)sums->gradients + its.first, its.bytes,
                                                         ranks->incoming + (size_t)other * own, own};
        ranks->messages[count++] = (struct comm_message){other, sums->statistics, statistics,
                                                         ranks->statistics + (size_t)other * statistics, statistics};
        ranks->messages[count++] = (struct comm_message){other, &ranks->words[comm->rank], sizeof *ranks->words,
                                                         &ranks->words[other], sizeof *ranks->words};
    }
    return comm_exchange(comm, ranks->messages, count, "gradients", &ranks->status);
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
    char *bytes = arena;
    int count = 0;
    for (int k = 1; k < comm->size; k++) {
        int other = comm->rank ^ k;
        struct piece its = piece_of(ranks, other);
        ranks->messages[count++] =
            (struct comm_message){other, bytes + own.first, own.bytes, bytes + its.first, its.bytes};
    }
    if (!ranks->failed) ranks->failed = !comm_exchange(comm, ranks->messages, count, what, &ranks->status);
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

void ranks_collect_parts(struct ranks *ranks, void *whole, void *own, const size_t *bytes, const char *what)
{
    struct comm *comm = ranks->comm;
    char *to = whole;
    int count = 0;
    if (comm->rank > 0)
        ranks->messages[count++] = (struct comm_message){.rank = 0, .send = own, .send_bytes = bytes[comm->rank]};
    else if (bytes[0] > 0)
        memcpy(to, own, bytes[0]);
    for (int r = 1; r < comm->size && comm->rank == 0; r++) {
        to += bytes[r - 1];
        ranks->messages[count++] = (struct comm_message){.rank = r, .receive = to, .receive_bytes = bytes[r]};
    }
    if (!ranks->failed) ranks->failed = !comm_exchange(comm, ranks->messages, count, what, &ranks->status);
}

void ranks_deal_parts(struct ranks *ranks, const void *whole, void *own, const size_t *bytes, const char *what)
{
    struct comm *comm = ranks->comm;
    const char *from = whole;
    int count = 0;
    if (comm->rank > 0)
        ranks->messages[count++] = (struct comm_message){.rank = 0, .receive = own, .receive_bytes = bytes[comm->rank]};
    else if (bytes[0] > 0)
        memcpy(own, from, bytes[0]);
    for (int r = 1; r < comm->size && comm->rank == 0; r++) {
        from += bytes[r - 1];
        ranks->messages[count++] = (struct comm_message){.rank = r, .send = from, .send_bytes = bytes[r]};
    }
    if (!ranks->failed) ranks->failed = !comm_exchange(comm, ranks->messages, count, what, &ranks->status);
}

void ranks_copy(struct ranks *ranks, void *data, size_t bytes, const char *what)
{
    if (!ranks->failed && bytes > 0) ranks->failed = !comm_broadcast(ranks->comm, data, bytes, what, &ranks->status);
}

bool ranks_good(const struct ranks *ranks, struct status *status)
{
    if (ranks->failed) *status = ranks->status;
    return !ranks->failed;
}
