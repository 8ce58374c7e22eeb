/* Tests what ranks send one another in a step, without a network and without a run, so on many ranks, which are threads of
 * this process: that pieces of any size add up to the bits of the balanced tree, and that a lost rank is named. And the
 * pieces that optimizer_cut makes of a network, for many more ranks. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "comm_threads.h"
#include "session_support.h"
#include "train/ranks.h"
#include "util/rng.h"

enum { ELEMENTS = 16 * 93 + 5, STATISTICS = 23, OWN = 2 };

/* Pieces for so many ranks: of random numbers of lines, many of them none at all. */
static void cut_anyhow(struct rng *rng, int size, size_t scalar, int64_t *cuts)
{
    const int64_t bytes = (int64_t)(ELEMENTS * scalar), line = 64;
    cuts[0] = 0;
    for (int k = 1; k <= size; k++) {
        int64_t lines = rng_below(rng, 3) == 0 ? 0 : rng_below(rng, (uint32_t)(4 * bytes / line / size + 2));
        cuts[k] = k == size || cuts[k - 1] + lines * line > bytes ? bytes : cuts[k - 1] + lines * line;
    }
}

/* A value of slice s; neighbours lie orders of magnitude apart, so that another order of the sums gives other bits. */
static double value_of(int slice, int element)
{
    struct rng rng = rng_create(7, (uint32_t)slice, (uint32_t)element);
    double value = rng_normal(&rng);
    return value * (double)(UINT64_C(1) << rng_below(&rng, 24));
}

/* The sum of slices first .. first + count - 1 by a balanced tree, rounded as the precision does. */
static double tree(int first, int count, int element, size_t scalar)
{
    if (count == 1) return scalar == 4 ? (double)(float)value_of(first, element) : value_of(first, element);
    double left = tree(first, count / 2, element, scalar), right = tree(first + count / 2, count / 2, element, scalar);
    return scalar == 4 ? (double)((float)left + (float)right) : left + right;
}

static void put(void *arena, size_t scalar, int element, double value)
{
    if (scalar == 4)
        ((float *)arena)[element] = (float)value;
    else
        ((double *)arena)[element] = value;
}

static double get(const void *arena, size_t scalar, int element)
{
    return scalar == 4 ? (double)((const float *)arena)[element] : ((const double *)arena)[element];
}

struct member {
    pthread_t thread;
    struct comm *comm;
    const int64_t *cuts;
    enum precision precision;
    struct network network; /* its arenas' sizes alone */
    struct slice_sums sums;
    struct status status;
    bool good;
};

static void fill(struct member *member)
{
    struct backend *backend = member->network.backend;
    size_t scalar = backend->scalar_size;
    int rank = member->comm->rank;
    member->sums.gradients = backend->table->alloc(backend, ELEMENTS * scalar);
    member->sums.statistics = backend->table->alloc(backend, STATISTICS * scalar);
    member->sums.metrics = tensor_alloc(backend, TENSOR_METRICS, shape_vector(3));
    for (int i = 0; i < ELEMENTS; i++) put(member->sums.gradients, scalar, i, tree(rank * OWN, OWN, i, scalar));
    for (int i = 0; i < STATISTICS; i++)
        put(member->sums.statistics, scalar, i, tree(rank * OWN, OWN, ELEMENTS + i, scalar));
    metrics_write(backend, &member->sums.metrics, (struct metrics){1.0 / (rank + 1), rank, 2});
}

/* What is exchanged in a step. */
static void *take_part(void *argument)
{
    struct member *member = argument;
    struct ranks ranks;
    struct backend *backend = backend_of(member->precision, 1);
    member->network = (struct network){.backend = backend, .arena_count = ELEMENTS, .buffer_count = STATISTICS};
    fill(member);
    ranks_create(&ranks, member->comm, &member->network, (int64_t)OWN * member->comm->size, member->cuts);
    ranks_exchange(&ranks, &member->sums);
    ranks_sum(&ranks, &member->sums);
    ranks_spread(&ranks, member->sums.gradients, "summed gradients");
    member->good = ranks_good(&ranks, &member->status);
    ranks_destroy(&ranks);
    return NULL;
}

static void leave(struct member *member)
{
    struct backend *backend = member->network.backend;
    backend->table->free(backend, member->sums.gradients);
    backend->table->free(backend, member->sums.statistics);
    tensor_free(backend, &member->sums.metrics);
    backend_destroy(backend);
}

/* Runs a step's exchanges. killed: the rank that takes no part from exchange `exchange` on; -1: none. */
static struct member *run_ranks(int size, enum precision precision, const int64_t *cuts, int killed, int64_t exchange)
{
    struct member *members = memory_alloc((size_t)size, sizeof *members);
    struct comm_threads *threads = comm_threads_create(size);
    if (killed >= 0) comm_threads_kill(threads, killed, exchange);
    for (int r = 0; r < size; r++) {
        members[r] = (struct member){.comm = comm_threads_rank(threads, r), .cuts = cuts, .precision = precision};
        members[r].comm->timeout = killed >= 0 ? 1 : 60;
        cr_assert_eq(pthread_create(&members[r].thread, NULL, take_part, &members[r]), 0);
    }
    for (int r = 0; r < size; r++) pthread_join(members[r].thread, NULL);
    comm_threads_destroy(threads);
    return members;
}

static void expect_sums(const struct member *member, int size, int rank)
{
    size_t scalar = member->network.backend->scalar_size;
    int slices = size * OWN, wrong = 0;
    for (int i = 0; i < ELEMENTS; i++)
        wrong += get(member->sums.gradients, scalar, i) != tree(0, slices, i, scalar) / slices;
    cr_expect_eq(wrong, 0, "%d ranks: %d gradients of rank %d are not those of the tree", size, wrong, rank);
    for (int i = 0; i < STATISTICS; i++)
        wrong += get(member->sums.statistics, scalar, i) != tree(0, slices, ELEMENTS + i, scalar) / slices;
    cr_expect_eq(wrong, 0, "%d ranks: statistics of rank %d", size, rank);
    struct metrics metrics = metrics_read(member->network.backend, &member->sums.metrics);
    cr_expect_eq(metrics.count, 2 * size);
    cr_expect_eq(metrics.correct, size * (size - 1) / 2);
}

static void expect_any_pieces(enum precision precision, size_t scalar)
{
    struct rng rng = rng_create(3, 0, (uint32_t)scalar);
    int64_t cuts[COMM_THREADS_MOST + 1];
    for (int size = 2; size <= COMM_THREADS_MOST; size *= 2)
        for (int round = 0; round < (size <= 8 ? 4 : 1); round++) {
            cut_anyhow(&rng, size, scalar, cuts);
            struct member *members = run_ranks(size, precision, cuts, -1, 0);
            for (int r = 0; r < size; r++) {
                cr_assert(members[r].good, "%d ranks: %s", size, members[r].status.message);
                if (r == 0 || r == size / 3 || r == size - 1) expect_sums(&members[r], size, r);
                leave(&members[r]);
            }
            free(members);
        }
}

Test(ranks_sums, pieces_of_any_size_are_summed_by_the_tree)
{
    expect_any_pieces(PRECISION_FP32, sizeof(float));
    expect_any_pieces(PRECISION_FP64, sizeof(double));
}

/* The order of sums shows in these values. */
Test(ranks_sums, another_order_gives_other_bits)
{
    int other = 0;
    for (int i = 0; i < ELEMENTS; i++) {
        float sum = 0;
        for (int s = 0; s < 16; s++) sum += (float)value_of(s, i);
        other += (double)sum != tree(0, 16, i, sizeof(float));
    }
    cr_expect_gt(other, ELEMENTS / 10);
}

/* Of those that wait in vain, the first one reports, and names the rank that is lost. */
static void expect_named(int killed, int64_t exchange)
{
    enum { SIZE = 32 };
    int64_t cuts[SIZE + 1];
    char missing[64];
    for (int k = 0; k < SIZE; k++) cuts[k] = 64 * 2 * k;
    cuts[SIZE] = ELEMENTS * (int64_t)sizeof(float);
    struct member *members = run_ranks(SIZE, PRECISION_FP32, cuts, killed, exchange);
    snprintf(missing, sizeof missing, "no answer from rank %d for 1 s", killed);
    cr_expect(!members[0].good && strstr(members[0].status.message, missing), "%s", members[0].status.message);
    for (int r = 0; r < SIZE; r++) {
        cr_expect(!members[r].good, "rank %d goes on", r);
        leave(&members[r]);
    }
    free(members);
}

Test(ranks_sums, a_lost_rank_of_many_is_named)
{
    expect_named(5, 0);
    expect_named(30, 1);
}

/* --- the pieces of a network --- */

static void expect_cuts(const struct session *session, int count)
{
    const struct optimizer *optimizer = &session->trainer.optimizer;
    const struct network *network = session->trainer.network;
    int64_t *cuts = memory_alloc((size_t)count + 1, sizeof *cuts);
    int64_t bytes = (int64_t)(network->arena_count * network->backend->scalar_size);
    optimizer_cut(&optimizer->settings, session->trainer.network, count, cuts);
    cr_expect_eq(cuts[0], 0);
    cr_expect_eq(cuts[count], bytes);
    for (int k = 1; k <= count; k++) cr_expect(cuts[k] >= cuts[k - 1], "%d pieces: the end of number %d", count, k);
    for (int k = 1; k < count; k++) {
        cr_expect(cuts[k] % 64 == 0 || cuts[k] == bytes, "%d pieces: the end of number %d", count, k);
        for (int i = 0; i < optimizer->slot_count; i++) {
            const struct optimizer_slot *slot = &optimizer->slots[i];
            bool within = cuts[k] > slot->own.first && cuts[k] < slot->own.last;
            cr_expect(!within || !optimizer_row(slot->kind)->matrix, "%d pieces: a matrix is cut", count);
        }
    }
    free(cuts);
}

Test(ranks_sums, a_network_is_cut_for_any_number_of_ranks)
{
    static const char *const optimizers[] = {"sgd", "adam", "muon"};
    for (size_t o = 0; o < sizeof optimizers / sizeof *optimizers; o++) {
        char *text = memory_format("[data]\ndataset = synthetic\nsynthetic_train = 50\nsynthetic_test = 23\n"
                                   "synthetic_size = 9\n[model]\nkind = convnet\nfeatures = 6, M, (17, 17)+, A\n"
                                   "batchnorm = custom\n[optimizer]\nname = %s\n[train]\nbatch_size = 16\n"
                                   "[backend]\ndevice = cpu\n",
                                   optimizers[o]);
        struct session *session = session_open(text, 1);
        for (int count = 1; count <= 1024; count *= 2) expect_cuts(session, count);
        session_close(session);
        free(text);
    }
}
