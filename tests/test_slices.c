/* Tests steps in slices: that their gradients, running statistics and metrics are those of the whole batch where nothing
 * depends on the batch, that dropout and the order of the data are by the place in the whole batch, and that the sums are
 * those of a balanced tree. */
#include <math.h>
#include <stdlib.h>
#include <criterion/criterion.h>

#include "backend/host.h"
#include "session_support.h"
#include "train/class_weights.h"

#define DATA                                                                                                           \
    "[data]\ndataset = synthetic\nsynthetic_train = 50\nsynthetic_test = 23\nsynthetic_classes = 5\n"                  \
    "synthetic_size = 9\nnormalization = channel\n"
#define CONVNET DATA "[augment]\nflip = true\ncrop = 2\n[model]\nkind = convnet\nfeatures = 6, M, (17, 17)+, M, A\n"
#define TRAIN "[train]\nmax_steps = 10\nbatch_size = 16\neval_freq = 4\n"

static struct session *open_slices(const char *text, int slices, const char *precision, int threads)
{
    char *sliced = memory_format("%sslices = %d\n[backend]\ndevice = cpu\nprecision = %s\n", text, slices, precision);
    struct session *session = session_open(sliced, threads);
    free(sliced);
    return session;
}

static void *read_arena(const struct session *session, const void *data, size_t count)
{
    size_t bytes = count * session->backend->scalar_size;
    void *copy = memory_alloc(bytes, 1);
    memcpy(copy, data, bytes); /* the CPU's memory is the host's */
    return copy;
}

/* Expects two arenas of doubles to agree to within rounding. */
static void expect_close(const double *a, const double *b, size_t count, double tolerance, const char *what)
{
    double most = 0, apart = 0;
    for (size_t i = 0; i < count; i++) {
        most = fmax(most, fabs(b[i]));
        apart = fmax(apart, fabs(a[i] - b[i]));
    }
    cr_expect(most > 0, "%s: all zero", what);
    cr_expect(apart <= tolerance * most, "%s: %g apart, of %g", what, apart, most);
}

/* Without batch normalization a batch's gradient is the mean of its slices'. */
static void expect_whole_batch(const char *text)
{
    struct session *whole = open_slices(text, 1, "fp64", 1);
    for (int slices = 2; slices <= 16; slices *= 2) {
        struct session *sliced = open_slices(text, slices, "fp64", 1);
        struct session *again = open_slices(text, 1, "fp64", 1);
        for (int step = 0; step < 4; step++) {
            double a = session_step_loss(sliced), b = session_step_loss(again);
            cr_expect(fabs(a - b) < 1e-12 * fabs(b), "%d slices, step %d: loss %.17g instead of %.17g", slices, step, a,
                      b);
        }
        const struct network *network = sliced->trainer.network;
        expect_close(network->gradients, again->trainer.network->gradients, network->arena_count, 1e-11, "gradients");
        expect_close(network->parameters, again->trainer.network->parameters, network->arena_count, 1e-11, "weights");
        session_close(sliced), session_close(again);
    }
    session_close(whole);
}

Test(slices, a_step_is_that_of_the_whole_batch)
{
    expect_whole_batch(CONVNET TRAIN);
    expect_whole_batch(CONVNET "dropout = 0.3\n[optimizer]\nname = sgd\nmomentum = 0.9\nnesterov = true\n" TRAIN);
    expect_whole_batch(CONVNET "[optimizer]\nname = muon\n" TRAIN "clip_norm = 0.1\nema_decay = 0.9\n");
    expect_whole_batch(DATA "[model]\nhidden = 19\ndropout = 0.2\n" TRAIN "class_weights = 1, 2, 0, 0.5, 3\n");
    expect_whole_batch(DATA "[model]\nhidden = 19\nloss = separate\n" TRAIN "class_weights = balanced\n");
}

/* Mixes the labels of neighbours within a slice, so W alone is the whole batch's. */
Test(slices, class_weights_of_mixed_labels_are_the_whole_batchs)
{
    const char *text = DATA "[augment]\nmixup = 0.4\n[model]\nhidden = 19\n" TRAIN "class_weights = 1, 2, 0, 0.5, 3\n";
    struct session *session = open_slices(text, 4, "fp64", 1);
    const double *weights = session->trainer.class_weights;
    const uint16_t *labels = session->dataset.train.labels;
    double second = 0.25, sum = 0;
    int32_t order[16];
    for (int i = 0; i < 16; i++) order[i] = 3 * i % 50;
    for (int i = 0; i < 16; i++)
        sum += 0.75 * weights[labels[order[i]]] + 0.25 * weights[labels[order[i % 4 == 3 ? i - 3 : i + 1]]];
    double found = class_weights_sum(weights, &session->dataset, order, 16, 4, second);
    cr_expect(fabs(found - sum) < 1e-12, "%g instead of %g", found, sum);
    session_close(session);
}

/* The mean and variance that a batch normalization keeps are the means of the slices'. */
Test(slices, running_statistics_are_the_means_of_the_slices)
{
    const char *text =
        CONVNET "batchnorm = custom\nbatchnorm_momentum = 0.3\n[optimizer]\nname = sgd\nlearning_rate = 1e-30\n" TRAIN;
    struct session *sliced = open_slices(text, 4, "fp64", 1);
    const struct network *network = sliced->trainer.network;
    double *mean = memory_alloc(network->buffer_count, sizeof *mean);
    struct session *whole = open_slices(text, 1, "fp64", 1);
    double *start = read_arena(whole, whole->trainer.network->buffers, network->buffer_count);
    struct device_dataset *data = whole->trainer.train_set.data;
    trainer_step(&sliced->trainer);
    whole->backend->table->dataset_set_order(whole->backend, data, sliced->trainer.order);
    for (int64_t slice = 0; slice < 4; slice++) {
        struct run_input input = {
            .state = {.batch_first = 4 * slice, .slice_first = 4 * slice}, .n = 4, .data = data, .refresh = true};
        memcpy(whole->trainer.network->buffers, start, network->buffer_count * sizeof *start);
        prepared_run_phases(whole->trainer.train, &input, PHASE_LOSS);
        const double *left = whole->trainer.network->buffers;
        for (size_t i = 0; i < network->buffer_count; i++) mean[i] += left[i] / 4;
    }
    expect_close(network->buffers, mean, network->buffer_count, 1e-13, "running statistics");
    session_close(sliced), session_close(whole);
    free(mean), free(start);
}

/* A step at any number of threads, with all that draws or sums. */
static void expect_same_bits(const char *text, int slices, const char *precision)
{
    struct session *a = open_slices(text, slices, precision, 1), *b = open_slices(text, slices, precision, 2);
    for (int step = 0; step < 6; step++) {
        double first = session_step_loss(a), second = session_step_loss(b);
        cr_assert(first == second && isfinite(first), "step %d: %.17g, %.17g", step, first, second);
    }
    size_t bytes = a->trainer.network->arena_count * a->backend->scalar_size;
    cr_assert_eq(memcmp(a->trainer.network->parameters, b->trainer.network->parameters, bytes), 0);
    session_close(a), session_close(b);
}

Test(slices, are_the_same_bits_at_any_number_of_threads)
{
    const char *convnet = CONVNET "batchnorm = custom\ndropout = 0.2\n[optimizer]\nname = adam\n" TRAIN
                                  "ema_decay = 0.9\nclip_norm = 1\n";
    const char *precisions[] = {"fp32", "bf16", "fp64"};
    for (int p = 0; p < 3; p++) expect_same_bits(convnet, 4, precisions[p]);
    expect_same_bits(DATA "[model]\nhidden = 19\nbatchnorm = autodiff\n" TRAIN, 8, "fp32");
}

/* The stack adds neighbours first, and divides in its last sum. */
Test(slices, sums_are_a_balanced_tree)
{
    const char *text = DATA "[model]\nhidden = 19\n[optimizer]\nname = sgd\nlearning_rate = 1e-30\n" TRAIN;
    struct session *sliced = open_slices(text, 8, "fp32", 1), *whole = open_slices(text, 1, "fp32", 1);
    const struct network *network = sliced->trainer.network;
    struct device_dataset *data = whole->trainer.train_set.data;
    size_t count = network->arena_count;
    float *gradient[8];
    trainer_step(&sliced->trainer);
    whole->backend->table->dataset_set_order(whole->backend, data, sliced->trainer.order);
    for (int64_t s = 0; s < 8; s++) {
        struct run_input input = {
            .state = {.batch_first = 2 * s, .slice_first = 2 * s}, .n = 2, .data = data, .refresh = true};
        prepared_run_phases(whole->trainer.train, &input, PHASE_BACKWARD);
        gradient[s] = read_arena(whole, whole->trainer.network->gradients, count);
    }
    const float *found = network->gradients;
    for (size_t i = 0; i < count; i++) {
        float quarter[4], half[2];
        for (int k = 0; k < 4; k++) quarter[k] = gradient[2 * k][i] + gradient[2 * k + 1][i];
        for (int k = 0; k < 2; k++) half[k] = quarter[2 * k] + quarter[2 * k + 1];
        float expected = (half[0] + half[1]) * 0.125f;
        cr_assert(memcmp(&found[i], &expected, sizeof expected) == 0, "element %zu: %.9g instead of %.9g", i,
                  (double)found[i], (double)expected);
    }
    for (int s = 0; s < 8; s++) free(gradient[s]);
    session_close(sliced), session_close(whole);
}
