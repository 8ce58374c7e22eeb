/* Tests in which batches evaluations go through a set: the CPU's stay as they are, a GPU's are large. Without a CUDA device
 * the tests of one say so and are skipped. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build/build.h"
#include "config_support.h"
#include "session_support.h"

#define DATA(test)                                                                                                     \
    "[data]\ndataset = synthetic\nsynthetic_train = 64\nsynthetic_test = " test "\nsynthetic_size = 8\n"               \
    "synthetic_classes = 3\n"
#define MLP "[model]\nhidden = 5\n"
#define CONVNET_OF(batchnorm) "[model]\nkind = convnet\nfeatures = 4, M, G\nbatchnorm = " batchnorm "\n"
#define CONVNET CONVNET_OF("custom")
#define BATCHES "batchnorm_batch_stats_only = true\n"
#define TRAIN "[train]\nbatch_size = 16\n"
enum { GPU_BATCH = 2000 };

static struct backend *create(enum device device)
{
    const struct backend_options options = {.device = device, .threads = 1, .deterministic = true, .fuse = true};
    struct backend *backend;
    struct status status = {0};
    if (backend_create(&backend, &options, &status)) return backend;
    cr_assert_eq(device, DEVICE_CUDA, "%s", status.message);
    fprintf(stderr, "no CUDA device, so nothing is tested: %s\n", status.message);
    cr_skip_test("no CUDA device");
    return NULL;
}

/* The samples of a full batch of the test set. */
static int64_t batch_of(struct backend *backend, const char *text)
{
    struct session *session = session_open_on(text, backend, 1);
    int64_t n = session->trainer.test_set.full.n;
    cr_expect_geq(session->trainer.evaluation.program->max_n, n);
    cr_expect_geq(session->trainer.network->max_batch, n);
    session_close(session);
    return n;
}

Test(evaluation_batch, a_cpu_keeps_its_own)
{
    cr_expect_eq(batch_of(create(DEVICE_CPU), DATA("4500") MLP TRAIN), 512);
    cr_expect_eq(batch_of(create(DEVICE_CPU), DATA("4500") CONVNET TRAIN), 128);
    cr_expect_eq(batch_of(create(DEVICE_CPU), DATA("4500") CONVNET TRAIN "eval_batch_size = 70\n"), 70);
}

Test(evaluation_batch, a_gpu_takes_many)
{
    cr_expect_eq(batch_of(create(DEVICE_CUDA), DATA("4500") MLP TRAIN), GPU_BATCH);
    cr_expect_eq(batch_of(create(DEVICE_CUDA), DATA("4500") CONVNET TRAIN), GPU_BATCH);
    cr_expect_eq(batch_of(create(DEVICE_CUDA), DATA("4500") CONVNET TRAIN "eval_batch_size = 70\n"), 70);
    cr_expect_eq(batch_of(create(DEVICE_CUDA), DATA("300") CONVNET TRAIN), 300, "no more than the set");
    /* The figures of such a network belong to its batches. */
    cr_expect_eq(batch_of(create(DEVICE_CUDA), DATA("4500") CONVNET BATCHES TRAIN), 128);
    cr_expect_eq(batch_of(create(DEVICE_CUDA), DATA("4500") CONVNET_OF("autodiff") BATCHES TRAIN), 128);
}

/* The network takes some 6 kB for an image, by the estimate of network_fits. */
Test(evaluation_batch, memory_limits_it)
{
    const struct {
        int64_t mib, batch;
    } cases[] = {{64, GPU_BATCH}, {20, GPU_BATCH / 2}, {10, GPU_BATCH / 4}, {5, GPU_BATCH / 8}, {2, 128}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct backend *backend = create(DEVICE_CUDA);
        backend->memory_bytes = cases[i].mib << 20;
        int64_t n = batch_of(backend, DATA("4500") CONVNET TRAIN);
        cr_expect_eq(n, cases[i].batch, "%lld in %lld MiB", (long long)n, (long long)cases[i].mib);
    }
}

/* An image of 2^31 elements of its largest layer in 2,000 is too many, whatever the memory. */
Test(evaluation_batch, elements_limit_it)
{
    struct backend *backend = create(DEVICE_CUDA);
    struct experiment experiment;
    experiment_from(&experiment, DATA("4500") "[model]\nkind = convnet\nfeatures = 128, G\n" TRAIN);
    backend->memory_bytes = INT64_C(1) << 50;
    const struct dataset_description format = {3, 128, 128, 3}, small = {3, 90, 90, 3};
    cr_expect_eq(evaluation_batch_from_experiment(&experiment, format, backend), GPU_BATCH / 2);
    cr_expect_eq(evaluation_batch_from_experiment(&experiment, small, backend), GPU_BATCH);
    experiment_free(&experiment);
    backend_destroy(backend);
}

/* The figures agree to within the roundings of the sums. */
Test(evaluation_batch, figures_do_not_depend_on_it)
{
    struct evaluation of[2];
    for (int small = 0; small < 2; small++) {
        struct session *session =
            session_open_on(small ? DATA("2111") CONVNET TRAIN "eval_batch_size = 100\n" : DATA("2111") CONVNET TRAIN,
                            create(DEVICE_CUDA), 1);
        for (int step = 0; step < 3; step++) trainer_step(&session->trainer);
        trainer_evaluate(&session->trainer, &session->trainer.test_set); /* the second is recorded */
        of[small] = trainer_evaluate(&session->trainer, &session->trainer.test_set);
        session_close(session);
    }
    cr_expect_eq(of[0].accuracy, of[1].accuracy);
    cr_expect(fabs(of[0].loss - of[1].loss) <= 0x1p-20 * of[1].loss, "%.17g, %.17g", of[0].loss, of[1].loss);
}
