/* Tests runs on several ranks, which are threads of this process (comm_threads.h): that a run is the same to the byte at any
 * number of ranks, that a run goes on at another number, and what happens where a rank is missing or differs. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/bench.h"
#include "comm_threads.h"
#include "run_support.h"
#include "train/ranks.h"
#include "util/machine.h"

TestSuite(ranks, .init = enter_without_gnuplot, .fini = leave_folder);

#define DATA                                                                                                           \
    "[data]\ndataset = synthetic\nsynthetic_train = 70\nsynthetic_test = 37\nsynthetic_classes = 5\n"                  \
    "synthetic_size = 9\nvalidation_size = 9\nnormalization = channel\n"
#define TRAIN "[train]\nmax_steps = 10\nbatch_size = 16\nslices = 8\neval_freq = 4\neval_batch_size = 5\n"
#define BACKEND "[checkpoint]\nfreq = 5\n[backend]\ndevice = cpu\nthreads = 1\nexchange_timeout = 1\n"

static const char mlp[] = DATA "[model]\nhidden = 19\nbatchnorm = custom\ndropout = 0.1\n" TRAIN BACKEND;
static const char convnet[] =
    DATA "[augment]\nflip = true\ncrop = 2\n[model]\nkind = convnet\nfeatures = 6, M, 17, M, A\n"
         "batchnorm = custom\ndropout = 0.1\n[optimizer]\nname = adam\n" TRAIN
         "ema_decay = 0.9\nclip_norm = 0.5\n" BACKEND "exchange_bucket_mb = 0.002\n";
static const char residual[] =
    DATA "[model]\nkind = convnet\nfeatures = 16, (16, 16)+, (32s2, 32)+, G\nbatchnorm = custom\n"
         "init = he\n[optimizer]\nname = muon\n" TRAIN "eval_train = off\n" BACKEND "precision = bf16\n";
static const char weighted[] =
    DATA "[augment]\ncutmix = 1\n[model]\nhidden = 19\nbatchnorm = autodiff\n" TRAIN
         "class_weights = balanced\nlabel_smoothing = 0.1\n" BACKEND "precision = fp64\nexchange_bucket_mb = 0.004\n";

/* A rank of a run. */
struct member {
    pthread_t thread;
    const struct experiment *experiment;
    const char *folder;
    enum train_start start;
    struct comm *comm;
    bool done;
    struct status status;
};

static void *take_part(void *argument)
{
    struct member *member = argument;
    member->done =
        train_run(member->experiment, member->folder, member->start, member->comm, NULL, NULL, &member->status);
    return NULL;
}

/* That rank 0 took part in, in the last run. */
static int64_t exchanges;

/* Runs a config on so many ranks; 1: without any. killed: the rank that takes no part in exchanges from number `exchange` on;
 * -1: none. Returns rank 0's status, of code STATUS_OK where all of them finish. */
static struct status run_ranks(const char *text, int size, const char *folder, enum train_start start, int killed,
                               int64_t exchange)
{
    static struct member members[8];
    struct experiment experiment;
    struct status status = {0};
    support_file_write("x.ini", text, strlen(text));
    cr_assert(load_with(&experiment, "x.ini", NULL, 0, &status), "%s", status.message);
    struct comm_threads *threads = size > 1 ? comm_threads_create(size) : NULL;
    if (killed >= 0) comm_threads_kill(threads, killed, exchange);
    for (int r = 0; r < size; r++) {
        members[r] = (struct member){.experiment = &experiment, .folder = folder, .start = start};
        if (threads) members[r].comm = comm_threads_rank(threads, r);
        cr_assert_eq(pthread_create(&members[r].thread, NULL, take_part, &members[r]), 0);
    }
    bool all = true;
    for (int r = 0; r < size; r++) {
        pthread_join(members[r].thread, NULL);
        all &= members[r].done;
    }
    if (threads) {
        exchanges = comm_threads_rank(threads, 0)->exchanges;
        comm_threads_destroy(threads);
    }
    experiment_free(&experiment);
    if (all) members[0].status.code = STATUS_OK;
    cr_assert(all || members[0].status.code != STATUS_OK);
    return members[0].status;
}

static void expect_run(const char *text, int size, const char *folder, enum train_start start)
{
    struct status status = run_ranks(text, size, folder, start, -1, 0);
    cr_assert_eq(status.code, STATUS_OK, "%d ranks: %s", size, status.message);
}

/* Expects the checkpoints of two runs to be the same bytes, and metrics.csv but for elapsed_seconds. */
static void expect_same_runs(const char *a, const char *b)
{
    const char *files[] = {"step_00000005.safetensors", "step_00000010.safetensors", "best.safetensors"};
    for (int i = 0; i < 3; i++) cr_expect(same_checkpoints(a, b, files[i]), "%s and %s: %s", a, b, files[i]);
    cr_expect(same_metrics(a, b), "%s and %s: metrics.csv", a, b);
}

static void expect_any_number(const char *text)
{
    expect_run(text, 1, "alone", TRAIN_NEW);
    for (int size = 2; size <= 8; size *= 2) {
        expect_run(text, size, "together", TRAIN_OVERWRITE);
        expect_same_runs("alone", "together");
    }
}

Test(ranks, an_mlp_is_the_same_at_any_number)
{
    expect_any_number(mlp);
}

Test(ranks, a_convnet_is_the_same_at_any_number)
{
    expect_any_number(convnet);
}

Test(ranks, a_residual_network_is_the_same_at_any_number)
{
    expect_any_number(residual);
}

Test(ranks, weighted_classes_are_the_same_at_any_number)
{
    expect_any_number(weighted);
}

/* In buckets or at once: the result is the same. The checkpoints have the config in them. */
Test(ranks, gradients_can_be_sent_in_buckets)
{
    char *whole = strdup(convnet);
    strcpy(strstr(whole, "exchange_bucket_mb"), "exchange_bucket_mb = 9\n");
    expect_run(convnet, 2, "buckets", TRAIN_NEW);
    int64_t in_buckets = exchanges;
    expect_run(whole, 2, "whole", TRAIN_NEW);
    cr_expect(same_metrics("buckets", "whole"));
    cr_expect_geq(in_buckets, exchanges + 10 * 2 * 2, "3 buckets or more, of gradients, of their sums and of weights");
    free(whole);
}

/* The message says which rank is missing and where to go on; the run then ends as it would have. */
static void expect_survives(int killed, int64_t exchange)
{
    char missing[64];
    expect_run(convnet, 1, "whole", TRAIN_OVERWRITE);
    struct status status = run_ranks(convnet, 4, "broken", TRAIN_OVERWRITE, killed, exchange);
    cr_expect_eq(status.code, STATUS_RUNTIME);
    snprintf(missing, sizeof missing, "no answer from rank %d", killed);
    cr_expect_not_null(strstr(status.message, missing), "%s", status.message);
    expect_run(convnet, 2, "broken", TRAIN_RESUME);
    expect_same_runs("whole", "broken");
}

Test(ranks, a_run_goes_on_after_a_rank_has_died)
{
    expect_survives(3, 30);
    expect_survives(2, 45);
}

/* Whichever exchange a rank is lost in, all others end. */
Test(ranks, a_lost_rank_ends_the_run_in_every_exchange)
{
    for (int64_t exchange = 0; exchange < 16; exchange++) {
        struct status status = run_ranks(convnet, 4, "broken", TRAIN_OVERWRITE, 1, exchange);
        cr_expect_eq(status.code, STATUS_RUNTIME, "exchange %d", (int)exchange);
        cr_expect_not_null(strstr(status.message, "no answer from rank 1 for 1 s"), "exchange %d: %s", (int)exchange,
                           status.message);
    }
}

static void expect_refused(const char *text, int size, const char *message)
{
    struct status status = run_ranks(text, size, "refused", TRAIN_NEW, -1, 0);
    cr_expect_eq(status.code, STATUS_USAGE);
    cr_expect_not_null(strstr(status.message, message), "%s", status.message);
    cr_expect_neq(access("refused/resolved.ini", F_OK), 0);
}

Test(ranks, share_slices_evenly)
{
    expect_refused(mlp, 3, "3 ranks: expected 1, 2, 4, ..., a power of two");
    char *few = strdup(mlp);
    *strstr(few, "slices = 8") = ';';
    expect_refused(
        few, 4,
        "train.slices (default): expected a number that the 4 ranks divide, found 1; for instance --set train.slices=4");
    free(few);
}

struct measuring {
    pthread_t thread;
    const struct experiment *experiment;
    struct comm *comm;
    struct bench_result result;
    struct status status;
    bool done;
};

static void *measure(void *argument)
{
    struct measuring *own = argument;
    own->done = bench_run(&own->result, own->experiment, (struct shape){1, 3, 9, 9}, 5,
                          (struct bench_wish){.steps = 3, .evaluation = true}, own->comm, &own->status);
    return NULL;
}

static double seconds_of(const struct bench_result *result, const char *part)
{
    for (int i = 0; i < result->part_count; i++)
        if (strcmp(result->parts[i].name, part) == 0) return result->parts[i].forward;
    return -1;
}

Test(ranks, a_benchmark_has_the_time_of_exchanges)
{
    static struct measuring ranks[2];
    struct comm_threads *threads = comm_threads_create(2);
    struct experiment experiment;
    struct status status;
    support_file_write("x.ini", convnet, strlen(convnet));
    cr_assert(load_with(&experiment, "x.ini", NULL, 0, &status), "%s", status.message);
    for (int r = 0; r < 2; r++) {
        ranks[r] = (struct measuring){.experiment = &experiment, .comm = comm_threads_rank(threads, r)};
        cr_assert_eq(pthread_create(&ranks[r].thread, NULL, measure, &ranks[r]), 0);
    }
    for (int r = 0; r < 2; r++) {
        pthread_join(ranks[r].thread, NULL);
        cr_assert(ranks[r].done, "%s", ranks[r].status.message);
    }
    cr_expect(ranks[0].result.step > 0 && ranks[0].result.ranks == 2 && ranks[1].result.part_count == 0);
    cr_expect(seconds_of(&ranks[0].result, "exchange") > 0);
    cr_expect(seconds_of(&ranks[0].result, "sums of slices") > 0);
    cr_expect(seconds_of(&ranks[0].result, "optimizer") > 0);
    bench_free(&ranks[0].result);
    experiment_free(&experiment);
    comm_threads_destroy(threads);
}

/* --- what ranks compute with --- */

struct party {
    pthread_t thread;
    struct comm *comm;
    bool ready, agrees;
    struct dataset dataset;
    struct backend *backend;
    struct status status;
};

static void *agree(void *argument)
{
    struct party *party = argument;
    party->agrees = ranks_agree(party->comm, party->ready, &party->dataset, party->backend, &party->status);
    return NULL;
}

/* Has both agree on what they are; they find the same. Returns rank 0's status. */
static struct status let_agree(struct party parties[2])
{
    struct comm_threads *threads = comm_threads_create(2);
    for (int r = 0; r < 2; r++) {
        parties[r].comm = comm_threads_rank(threads, r);
        cr_assert_eq(pthread_create(&parties[r].thread, NULL, agree, &parties[r]), 0);
    }
    for (int r = 0; r < 2; r++) pthread_join(parties[r].thread, NULL);
    comm_threads_destroy(threads);
    cr_expect_eq(parties[0].agrees, parties[1].agrees);
    if (parties[0].agrees) parties[0].status.code = STATUS_OK;
    return parties[0].status;
}

static void create_cpu(struct backend **backend, enum cpu_isa isa, int threads)
{
    const struct backend_options options = {
        .device = DEVICE_CPU, .precision = PRECISION_FP32, .cpu_isa = isa, .threads = threads};
    struct status status;
    cr_assert(backend_create(backend, &options, &status), "%s", status.message);
}

Test(ranks, compute_with_one_instruction_set_and_any_number_of_threads)
{
    static struct party parties[2];
    for (int r = 0; r < 2; r++) {
        parties[r].ready = true;
        /* With one core a rank must not have two threads. */
        create_cpu(&parties[r].backend, CPU_ISA_PORTABLE, machine_read("").cores > 1 ? r + 1 : 1);
    }
    cr_expect_eq(let_agree(parties).code, STATUS_OK);
    backend_destroy(parties[1].backend);
    create_cpu(&parties[1].backend, CPU_ISA_AUTO, 1);
    bool same = strcmp(parties[0].backend->description, parties[1].backend->description) == 0; /* it has no other */
    struct status status = let_agree(parties);
    cr_expect_eq(status.code, same ? STATUS_OK : STATUS_USAGE);
    cr_expect(same || strstr(status.message, "rank 1 (here) computes with cpu, "), "%s", status.message);
    cr_expect(same || strstr(status.message, "rank 0 (here) computes with cpu, portable, fp32"), "%s", status.message);
    for (int r = 0; r < 2; r++) backend_destroy(parties[r].backend);
}

Test(ranks, name_the_one_that_is_not_ready)
{
    static struct party parties[2];
    for (int r = 0; r < 2; r++) {
        parties[r].ready = true;
        create_cpu(&parties[r].backend, CPU_ISA_PORTABLE, 1);
    }
    parties[1].ready = false;
    status_fail(&parties[1].status, STATUS_RUNTIME, "data/batch.bin: cannot open");
    struct status status = let_agree(parties);
    cr_expect_eq(status.code, STATUS_RUNTIME);
    cr_expect_str_eq(status.message, "rank 1 (here): data/batch.bin: cannot open");
    for (int r = 0; r < 2; r++) backend_destroy(parties[r].backend);
}
