/* What ranks send one another in a step, and the sums over them (ranks.h). */
#include <stdio.h>
#include <string.h>

#include "train/ranks_private.h"
#include "util/stop.h"

/* --- pieces --- */

/* In bytes of an arena. */
struct piece {
    size_t first, bytes;
};

static struct piece piece_of(const struct ranks *ranks, int bucket, int rank)
{
    const int64_t *at = ranks->cut.at + bucket * ranks->cut.ranks + rank;
    return (struct piece){(size_t)at[0], (size_t)(at[1] - at[0])};
}

size_t ranks_bytes_before(const struct ranks *ranks, int rank, int buckets)
{
    size_t bytes = 0;
    for (int b = 0; b < buckets; b++) bytes += piece_of(ranks, b, rank).bytes;
    return bytes;
}

/* The first byte of a bucket in memory for incoming pieces. */
static size_t incoming_first(const struct ranks *ranks, int bucket)
{
    return (size_t)ranks->comm->size * ranks_bytes_before(ranks, ranks->comm->rank, bucket);
}

static size_t statistics_bytes(const struct ranks *ranks)
{
    return ranks->network->buffer_count * ranks->network->backend->scalar_size;
}

struct comm *ranks_memory_comm(const struct ranks *ranks)
{
    return ranks->devices ? ranks->devices : ranks->comm;
}

char *ranks_fetch(const struct ranks *ranks, char *stage, void *data, size_t bytes)
{
    struct backend *backend = ranks->network->backend;
    if (!stage) return data;
    backend->table->copy_to_host(backend, stage, data, bytes);
    return stage;
}

void ranks_deliver(const struct ranks *ranks, void *to, const char *from, size_t bytes)
{
    struct backend *backend = ranks->network->backend;
    if (from != to) backend->table->copy_to_device(backend, to, from, bytes);
}

/* --- exchanges on their way --- */

/* Starts one of the next flow's messages. */
static void start(struct ranks *ranks, struct comm *comm, int count, const char *what)
{
    struct rank_flow *flow = &ranks->flows[ranks->flowing++];
    flow->comm = comm;
    flow->what = what;
    comm_start(comm, &flow->exchange, flow->messages, count);
}

/* Waits for all. Returns false after a failure. */
static bool finish(struct ranks *ranks)
{
    for (int f = 0; f < ranks->flowing && !ranks->failed; f++) {
        struct rank_flow *flow = &ranks->flows[f];
        ranks->failed = !comm_finish(flow->comm, &flow->exchange, flow->what, &ranks->status);
    }
    ranks->flowing = 0;
    return !ranks->failed;
}

void ranks_move(struct ranks *ranks)
{
    int f = 0;
    while (f < ranks->flowing && ranks->flows[f].exchange.done) f++;
    if (f < ranks->flowing) comm_move(ranks->flows[f].comm, &ranks->flows[f].exchange);
}

void ranks_send_gradients(struct ranks *ranks, const struct slice_sums *sums, int bucket)
{
    struct comm *comm = ranks->comm;
    if (ranks->failed) return;
    struct piece first = piece_of(ranks, bucket, 0), last = piece_of(ranks, bucket, comm->size - 1);
    struct piece own = piece_of(ranks, bucket, comm->rank);
    char *stage = ranks->host_arena, *incoming = ranks->host_incoming ? ranks->host_incoming : ranks->incoming;
    const char *gradients = ranks_fetch(ranks, stage ? stage + first.first : NULL,
                                        (char *)sums->gradients + first.first, last.first + last.bytes - first.first);
    incoming += incoming_first(ranks, bucket);
    int count = 0;
    for (int k = 1; k < comm->size; k++) {
        int other = comm->rank ^ k;
        struct piece its = piece_of(ranks, bucket, other);
        ranks->flows[ranks->flowing].messages[count++] = (struct comm_message){
            other, gradients + (its.first - first.first), its.bytes, incoming + (size_t)other * own.bytes, own.bytes};
    }
    start(ranks, ranks_memory_comm(ranks), count, "gradients");
}

void ranks_send_others(struct ranks *ranks, const struct slice_sums *sums)
{
    struct comm *comm = ranks->comm;
    struct rank_words *words = &ranks->words[comm->rank];
    size_t statistics = statistics_bytes(ranks);
    if (ranks->failed) return;
    char *all = ranks->host_statistics ? ranks->host_statistics : ranks->statistics;
    char *stage = ranks->host_statistics ? all + (size_t)comm->rank * statistics : NULL;
    const char *own = ranks_fetch(ranks, stage, sums->statistics, statistics);
    *words = (struct rank_words){.metrics = metrics_read(ranks->network->backend, &sums->metrics)};
    if (stop_wanted()) snprintf(words->signal, sizeof words->signal, "%s", stop_signal_name());
    struct comm_message *messages = ranks->flows[ranks->flowing].messages;
    int count = 0;
    for (int k = 1; k < comm->size; k++) {
        int other = comm->rank ^ k;
        messages[count++] = (struct comm_message){other, own, statistics, all + (size_t)other * statistics, statistics};
    }
    if (ranks->devices) { /* the words are the host's */
        start(ranks, ranks->devices, count, "gradients");
        messages = ranks->flows[ranks->flowing].messages;
        count = 0;
    }
    for (int k = 1; k < comm->size; k++) {
        int other = comm->rank ^ k;
        messages[count++] = (struct comm_message){other, words, sizeof *words, &ranks->words[other], sizeof *words};
    }
    start(ranks, comm, count, "gradients");
}

void ranks_receive_sums(struct ranks *ranks)
{
    size_t size = (size_t)ranks->comm->size;
    if (ranks->failed || !finish(ranks) || !ranks->host_incoming) return;
    ranks_deliver(ranks, ranks->incoming, ranks->host_incoming, incoming_first(ranks, ranks->cut.buckets));
    ranks_deliver(ranks, ranks->statistics, ranks->host_statistics, size * statistics_bytes(ranks));
}

void ranks_send_arena(struct ranks *ranks, void *arena, int bucket, const char *what)
{
    struct comm *comm = ranks->comm;
    if (ranks->failed) return;
    struct piece own = piece_of(ranks, bucket, comm->rank);
    char *host = ranks->host_arena ? ranks->host_arena : arena;
    ranks_fetch(ranks, ranks->host_arena ? host + own.first : NULL, (char *)arena + own.first, own.bytes);
    int count = 0;
    for (int k = 1; k < comm->size; k++) {
        int other = comm->rank ^ k;
        struct piece its = piece_of(ranks, bucket, other);
        ranks->flows[ranks->flowing].messages[count++] =
            (struct comm_message){other, host + own.first, own.bytes, host + its.first, its.bytes};
    }
    start(ranks, ranks_memory_comm(ranks), count, what);
}

void ranks_receive_arena(struct ranks *ranks, void *arena)
{
    size_t from = 0, end = (size_t)ranks->cut.at[ranks->cut.buckets * ranks->cut.ranks];
    if (ranks->failed || !finish(ranks) || !ranks->host_arena) return;
    for (int b = 0; b < ranks->cut.buckets; b++) {
        struct piece own = piece_of(ranks, b, ranks->comm->rank);
        ranks_deliver(ranks, (char *)arena + from, ranks->host_arena + from, own.first - from);
        from = own.first + own.bytes;
    }
    ranks_deliver(ranks, (char *)arena + from, ranks->host_arena + from, end - from);
}

/* --- sums --- */

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

static void note_signals(struct ranks *ranks)
{
    for (int r = 0; r < ranks->comm->size && !ranks->signal[0]; r++) {
        if (!ranks->words[r].signal[0]) continue;
        ranks->stopped = r;
        memcpy(ranks->signal, ranks->words[r].signal, sizeof ranks->signal);
    }
}

void ranks_sum(struct ranks *ranks, const struct slice_sums *sums)
{
    if (ranks->failed) return;
    for (int b = 0; b < ranks->cut.buckets; b++) {
        struct piece piece = piece_of(ranks, b, ranks->comm->rank);
        sum_parts(ranks, sums->gradients, piece.first, ranks->incoming + incoming_first(ranks, b), piece.bytes);
    }
    sum_parts(ranks, sums->statistics, 0, ranks->statistics, statistics_bytes(ranks));
    metrics_write(ranks->network->backend, &sums->metrics, sum_metrics(ranks));
    note_signals(ranks);
}
