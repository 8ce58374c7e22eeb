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

enum { BUCKETS_MOST = 4 };

/* Buckets and pieces for so many ranks: of random numbers of lines, many of them none at all. */
static struct optimizer_cut cut_anyhow(struct rng *rng, int size, size_t scalar)
{
    const int64_t bytes = (int64_t)(ELEMENTS * scalar), line = 64;
    int buckets = 1 + (int)rng_below(rng, BUCKETS_MOST), pieces = buckets * size;
    int64_t *at = memory_alloc((size_t)pieces + 1, sizeof *at);
    for (int k = 1; k <= pieces; k++) {
        int64_t lines = rng_below(rng, 3) == 0 ? 0 : rng_below(rng, (uint32_t)(4 * bytes / line / pieces + 2));
        at[k] = k == pieces || at[k - 1] + lines * line > bytes ? bytes : at[k - 1] + lines * line;
    }
    return (struct optimizer_cut){size, buckets, at};
}

/* A copy, which ranks_create can own. */
static struct optimizer_cut copy_cut(const struct optimizer_cut *cut)
{
    size_t count = (size_t)(cut->ranks * cut->buckets) + 1;
    struct optimizer_cut copy = *cut;
    copy.at = memory_alloc(count, sizeof *copy.at);
    memcpy(copy.at, cut->at, count * sizeof *copy.at);
    return copy;
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
    const struct optimizer_cut *cut;
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
    ranks_create(&ranks, member->comm, &member->network, (int64_t)OWN * member->comm->size, copy_cut(member->cut));
    for (int b = member->cut->buckets - 1; b >= 0; b--) {
        ranks_send_gradients(&ranks, &member->sums, b);
        ranks_move(&ranks);
    }
    ranks_send_others(&ranks, &member->sums);
    ranks_receive_sums(&ranks);
    ranks_sum(&ranks, &member->sums);
    for (int b = 0; b < member->cut->buckets; b++) {
        ranks_send_arena(&ranks, member->sums.gradients, b, "summed gradients");
        ranks_move(&ranks);
    }
    ranks_receive_arena(&ranks, member->sums.gradients);
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
static struct member *run_ranks(int size, enum precision precision, const struct optimizer_cut *cut, int killed,
                                int64_t exchange)
{
    struct member *members = memory_alloc((size_t)size, sizeof *members);
    struct comm_threads *threads = comm_threads_create(size);
    if (killed >= 0) comm_threads_kill(threads, killed, exchange);
    for (int r = 0; r < size; r++) {
        members[r] = (struct member){.comm = comm_threads_rank(threads, r), .cut = cut, .precision = precision};
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
    for (int size = 2; size <= COMM_THREADS_MOST; size *= 2)
        for (int round = 0; round < (size <= 8 ? 4 : 1); round++) {
            struct optimizer_cut cut = cut_anyhow(&rng, size, scalar);
            struct member *members = run_ranks(size, precision, &cut, -1, 0);
            for (int r = 0; r < size; r++) {
                cr_assert(members[r].good, "%d ranks: %s", size, members[r].status.message);
                if (r == 0 || r == size / 3 || r == size - 1) expect_sums(&members[r], size, r);
                leave(&members[r]);
            }
            free(members);
            free(cut.at);
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
    enum { SIZE = 32, PIECES = 2 * SIZE };
    int64_t at[PIECES + 1];
    char missing[64];
    for (int k = 0; k < PIECES; k++) at[k] = 64 * k;
    at[PIECES] = ELEMENTS * (int64_t)sizeof(float);
    const struct optimizer_cut cut = {SIZE, 2, at};
    struct member *members = run_ranks(SIZE, PRECISION_FP32, &cut, killed, exchange);
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
    expect_named(5, 0);  /* a bucket of gradients */
    expect_named(30, 2); /* what is no gradient */
    expect_named(16, 4); /* the second bucket of sums */
}

/* A rank has no part in some exchanges: it goes on, whoever is lost. */
Test(ranks_sums, an_exchange_without_messages_is_done)
{
    struct comm_threads *threads = comm_threads_create(2);
    struct comm *comm = comm_threads_rank(threads, 0);
    struct status status;
    comm_threads_kill(threads, 0, 0);
    comm->timeout = 1;
    cr_expect(comm_exchange(comm, NULL, 0, "nothing", &status));
    comm_threads_destroy(threads);
}

/* --- the pieces of a network --- */

static bool is_parameter(const struct optimizer *optimizer, int64_t offset)
{
    for (int i = 0; i < optimizer->slot_count; i++)
        if (optimizer->slots[i].parameter == offset) return true;
    return false;
}

static void expect_no_matrix_cut(const struct optimizer *optimizer, int64_t at)
{
    for (int i = 0; i < optimizer->slot_count; i++) {
        const struct optimizer_slot *slot = &optimizer->slots[i];
        bool within = at > slot->own.first && at < slot->own.last;
        cr_expect(!within || !optimizer_row(slot->kind)->matrix, "a matrix is cut");
    }
}

/* Every byte of the states is in one piece, and a rank's part has those of its pieces. */
static void expect_states_dealt(const struct optimizer *optimizer, const struct optimizer_cut *cut)
{
    int pieces = cut->ranks * cut->buckets;
    size_t *bytes = memory_alloc((size_t)pieces * OPTIMIZER_STATES, sizeof *bytes);
    optimizer_piece_bytes(&optimizer->settings, optimizer->network, cut, bytes);
    for (int s = 0; s < OPTIMIZER_STATES; s++) {
        size_t sum = 0, of_last = 0;
        for (int k = 0; k < pieces; k++) sum += bytes[s * pieces + k];
        for (int b = 0; b < cut->buckets; b++) of_last += bytes[s * pieces + (b + 1) * cut->ranks - 1];
        cr_expect_eq(sum, optimizer->state_bytes[s], "%d ranks, %d buckets", cut->ranks, cut->buckets);
        struct optimizer part;
        optimizer_create_part(&part, &optimizer->settings, optimizer->network, cut, cut->ranks - 1);
        cr_expect_eq(of_last, part.state_bytes[s], "%d ranks, %d buckets", cut->ranks, cut->buckets);
        optimizer_destroy(&part);
    }
    free(bytes);
}

/* Returns the number of buckets. */
static int expect_cut(const struct session *session, int ranks, int64_t bucket_bytes)
{
    const struct optimizer *optimizer = &session->trainer.optimizer;
    const struct network *network = session->trainer.network;
    int64_t bytes = (int64_t)(network->arena_count * network->backend->scalar_size);
    struct optimizer_cut cut = optimizer_cut(&optimizer->settings, session->trainer.network, ranks, bucket_bytes);
    int pieces = ranks * cut.buckets;
    cr_expect_eq(cut.at[0], 0);
    cr_expect_eq(cut.at[pieces], bytes);
    for (int k = 1; k <= pieces; k++)
        cr_expect(cut.at[k] >= cut.at[k - 1] && (cut.at[k] % 64 == 0 || cut.at[k] == bytes), "%d ranks: cut %d", ranks,
                  k);
    for (int k = 1; k < pieces; k++) expect_no_matrix_cut(optimizer, cut.at[k]);
    for (int b = 1; b < cut.buckets; b++) {
        int64_t first = cut.at[b * ranks];
        cr_expect(is_parameter(optimizer, first), "%d ranks: bucket %d", ranks, b);
        cr_expect_geq(cut.at[(b + 1) * ranks] - first, bucket_bytes);
    }
    if (ranks <= 16) expect_states_dealt(optimizer, &cut);
    free(cut.at);
    return cut.buckets;
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
        bool matrix = strcmp(optimizers[o], "muon") == 0;
        for (int ranks = 1; ranks <= 1024; ranks *= 2) {
            cr_expect_eq(expect_cut(session, ranks, 0), 1);
            cr_expect_eq(expect_cut(session, ranks, 1 << 20), 1);
            cr_expect(matrix ? expect_cut(session, ranks, 1024) == 1 : expect_cut(session, ranks, 1024) > 2);
        }
        session_close(session);
        free(text);
    }
}
