/* Compares the linear layer that reads pixels with the same layer in double precision and in fp32, at odd shapes and
 * with gradients of many sizes. Neither the threads nor old contents of memory may change the result. Also tests which
 * layers read pixels. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <criterion/criterion.h>

#include "conv2d_run.h"
#include "network_support.h"
#include "session_support.h"
#include "support.h"
#include "util/memory.h"

struct layer_case {
    int64_t n, c, h, w, o;
};

/* The cases are: one of everything; features and samples that fill no step of 64; whole steps; several chunks (512) of
 * samples, of features, slices; the report's perceptrons. */
static const struct layer_case cases[] = {
    {1, 1, 1, 1, 1},     {2, 3, 5, 5, 7},    {64, 1, 8, 8, 16},     {33, 3, 7, 9, 33},
    {600, 1, 10, 7, 40}, {7, 3, 40, 41, 20}, {200, 3, 32, 32, 100}, {384, 3, 32, 32, 130},
};
enum { CASE_COUNT = sizeof cases / sizeof *cases, RESULTS = 3 };

static const char *const result_names[RESULTS] = {"y", "dweight", "dbias"};

struct results {
    double *values[RESULTS];
    int64_t count[RESULTS];
};

static void free_results(struct results *results)
{
    for (int i = 0; i < RESULTS; i++) free(results->values[i]);
}

/* One image more than the batch has, so that a batch can start at the second. */
struct images {
    struct dataset_view view;
    uint8_t *pixels;
    uint16_t *labels;
    float *offset, *scale;
};

static void draw_bytes(uint8_t *bytes, int64_t count)
{
    double *values = memory_alloc((size_t)count, sizeof *values);
    support_fill(values, count, support_seed("pixels"), 5, 128, 63.75); /* 0.5 .. 255.5 */
    for (int64_t i = 0; i < count; i++) bytes[i] = (uint8_t)values[i];
    free(values);
}

static void open_images(struct images *images, const struct layer_case *c, double scale)
{
    int64_t features = c->c * c->h * c->w;
    images->pixels = memory_alloc((size_t)((c->n + 1) * features), 1);
    images->labels = memory_alloc((size_t)c->n + 1, sizeof *images->labels);
    images->offset = memory_alloc((size_t)features, sizeof(float));
    images->scale = memory_alloc((size_t)c->c, sizeof(float));
    draw_bytes(images->pixels, (c->n + 1) * features);
    for (int64_t i = 0; i < features; i++) images->offset[i] = 110 + 0.37F * (float)(i % 53);
    for (int64_t i = 0; i < c->c; i++) images->scale[i] = (float)(scale * (1 + 0.25 * (double)i));
    images->view = (struct dataset_view){c->n + 1,       c->c,           c->h,          c->w, images->pixels,
                                         images->labels, images->offset, images->scale, NULL, false};
}

static void close_images(struct images *images)
{
    free(images->pixels), free(images->labels), free(images->offset), free(images->scale);
}

/* Returns NULL where this machine lacks the instructions. */
static struct backend *open_backend(enum precision precision, enum cpu_isa isa, int threads)
{
    struct variant variant = {.device = DEVICE_CPU, .precision = precision, .cpu_isa = isa};
    return variant_create(&variant, threads);
}

/* Returns NULL where this machine lacks the instructions. */
static struct backend *find_pixels(enum cpu_isa isa, int threads)
{
    struct backend *backend = open_backend(PRECISION_FP32, isa, threads);
    if (backend && runner_takes_pixels(backend)) return backend;
    backend_destroy(backend);
    return NULL;
}

static struct backend *open_pixels(enum cpu_isa isa, int threads)
{
    struct backend *backend = find_pixels(isa, threads);
    if (!backend) cr_skip_test("this machine has no %s", isa == CPU_ISA_AMX ? "AMX" : "AVX-512 VNNI");
    return backend;
}

/* Defines a test for each kind of instructions. */
#define TEST_BOTH(name)                                                                                                \
    Test(pixels, amx_##name)                                                                                           \
    {                                                                                                                  \
        name(CPU_ISA_AMX);                                                                                             \
    }                                                                                                                  \
    Test(pixels, vnni_##name)                                                                                          \
    {                                                                                                                  \
        name(CPU_ISA_AVX512);                                                                                          \
    }

/* Gradients of samples differ by up to a factor of 2^16, as they do once most samples are learnt. */
static double *draw_gradients(const struct layer_case *c)
{
    int64_t count = c->n * c->o;
    double *values = memory_alloc((size_t)count, sizeof *values);
    support_fill(values, count, support_seed("pixels"), 2, 0, 1);
    for (int64_t i = 0; i < count; i++) values[i] = ldexp(values[i], (int)-(i / c->o * 7 % 17));
    return values;
}

static double *draw_weights(const struct layer_case *c)
{
    int64_t count = c->o * c->c * c->h * c->w;
    double *values = memory_alloc((size_t)count, sizeof *values);
    support_fill(values, count, support_seed("pixels"), 3, 0, 0.03125);
    return values;
}

static void keep(struct results *results, int index, struct backend *backend, struct tensor *tensor)
{
    results->values[index] = support_read(backend, tensor);
    results->count[index] = shape_count(tensor->shape);
    bool finite = true;
    for (int64_t i = 0; i < results->count[index]; i++) finite = finite && isfinite(results->values[index][i]);
    cr_expect(!finite || support_padding_is_zero(backend, tensor), "padding of %s", result_names[index]);
    tensor_free(backend, tensor);
}

/* Computes the results for the batch that starts at the second image. */
static struct results compute(struct backend *backend, enum tensor_kind kind, const struct layer_case *c,
                              const struct images *images, const double *weights, const double *gradients)
{
    struct shape input = {c->n, c->c * c->h * c->w, 1, 1}, output = {c->n, c->o, 1, 1};
    struct shape filter = {c->o, input.c, 1, 1};
    struct tensor x = tensor_alloc(backend, kind, input);
    struct tensor dy = support_tensor(backend, TENSOR_ACTIVATION, output, gradients);
    struct tensor weight = support_tensor(backend, TENSOR_FILTER, filter, weights);
    struct tensor bias = support_tensor(backend, TENSOR_VECTOR, shape_vector(c->o), weights);
    struct tensor y = tensor_alloc(backend, TENSOR_ACTIVATION, output);
    struct tensor dweight = tensor_alloc(backend, TENSOR_FILTER, filter);
    struct tensor dbias = tensor_alloc(backend, TENSOR_VECTOR, shape_vector(c->o));
    struct device_dataset *dataset = backend->table->dataset_upload(backend, &images->view);
    int32_t *labels = backend->table->alloc(backend, (size_t)c->n * sizeof *labels);
    support_poison(backend, true, &y);
    support_gather(backend, dataset, NULL, (struct step_state){.batch_first = 1}, &x, labels);
    conv2d_run_once(backend, (struct window){1, 1, 0},
                    &(struct conv2d_tensors){&x, &weight, &bias, &dy, &y, NULL, &dweight, &dbias});
    struct results results = {0};
    keep(&results, 0, backend, &y), keep(&results, 1, backend, &dweight), keep(&results, 2, backend, &dbias);
    tensor_free(backend, &x), tensor_free(backend, &dy), tensor_free(backend, &weight), tensor_free(backend, &bias);
    backend->table->dataset_free(backend, dataset);
    backend->table->free(backend, labels);
    return results;
}

/* The errors come from a few roundings: of the factor to 24 bits (of the largest), of the results, of the sums of up to
 * 512 products, and of the constants that the offsets make. They do not grow with the length of a sum as those of fp32
 * do, and nowhere are they above them. */
static void check_case(struct backend *backend, const struct layer_case *c, double scale)
{
    struct backend *exact = open_backend(PRECISION_FP64, CPU_ISA_PORTABLE, 2);
    struct backend *plain = open_backend(PRECISION_FP32, CPU_ISA_AVX512, 2);
    struct images images;
    open_images(&images, c, scale);
    double *weights = draw_weights(c), *gradients = draw_gradients(c);
    struct results found = compute(backend, TENSOR_PIXELS, c, &images, weights, gradients);
    struct results expected = compute(exact, TENSOR_ACTIVATION, c, &images, weights, gradients);
    struct results rounded = compute(plain, TENSOR_ACTIVATION, c, &images, weights, gradients);
    int64_t terms[RESULTS] = {c->c * c->h * c->w, c->n, c->n};
    for (int r = 0; r < RESULTS; r++) {
        double error = support_relative_error(found.values[r], expected.values[r], found.count[r]);
        double of_fp32 = support_relative_error(rounded.values[r], expected.values[r], found.count[r]);
        double bound = 4 * 0x1p-24;
        cr_expect(error <= bound, "%d outputs of %d: %s is off by %.2e, more than %.2e", (int)c->o, (int)terms[0],
                  result_names[r], error, bound);
        cr_expect(error <= of_fp32, "%d outputs of %d: %s is off by %.2e, fp32 by %.2e", (int)c->o, (int)terms[0],
                  result_names[r], error, of_fp32);
    }
    free(weights), free(gradients);
    free_results(&found), free_results(&expected), free_results(&rounded);
    close_images(&images);
    backend_destroy(exact), backend_destroy(plain);
}

static void error_is_that_of_fp32_or_less(enum cpu_isa isa)
{
    struct backend *backend = open_pixels(isa, 2);
    for (int i = 0; i < CASE_COUNT; i++) check_case(backend, &cases[i], 1), check_case(backend, &cases[i], 1 / 62.5);
    backend_destroy(backend);
}

TEST_BOTH(error_is_that_of_fp32_or_less)

static bool same(const struct results *a, const struct results *b)
{
    for (int i = 0; i < RESULTS; i++)
        if (memcmp(a->values[i], b->values[i], (size_t)a->count[i] * sizeof(double)) != 0) return false;
    return true;
}

static void threads_change_nothing(enum cpu_isa isa)
{
    struct backend *backend = open_pixels(isa, 1);
    for (int i = 0; i < CASE_COUNT; i++) {
        struct images images;
        open_images(&images, &cases[i], 1);
        double *weights = draw_weights(&cases[i]), *gradients = draw_gradients(&cases[i]);
        struct results one = compute(backend, TENSOR_PIXELS, &cases[i], &images, weights, gradients);
        for (int threads = 2; threads <= 5; threads++) {
            struct backend *team = open_pixels(isa, threads);
            struct results several = compute(team, TENSOR_PIXELS, &cases[i], &images, weights, gradients);
            cr_expect(same(&one, &several), "case %d with %d threads", i, threads);
            free_results(&several);
            backend_destroy(team);
        }
        free_results(&one);
        free(weights), free(gradients);
        close_images(&images);
    }
    backend_destroy(backend);
}

TEST_BOTH(threads_change_nothing)

/* Sums of whole numbers do not depend on the order of the additions. */
Test(pixels, amx_and_vnni_agree)
{
    struct backend *vnni = open_pixels(CPU_ISA_AVX512, 2), *amx = open_pixels(CPU_ISA_AMX, 2);
    for (int i = 0; i < CASE_COUNT; i++) {
        struct images images;
        open_images(&images, &cases[i], 1);
        double *weights = draw_weights(&cases[i]), *gradients = draw_gradients(&cases[i]);
        struct results one = compute(vnni, TENSOR_PIXELS, &cases[i], &images, weights, gradients);
        struct results other = compute(amx, TENSOR_PIXELS, &cases[i], &images, weights, gradients);
        cr_expect(same(&one, &other), "case %d", i);
        free_results(&one), free_results(&other);
        free(weights), free(gradients);
        close_images(&images);
    }
    backend_destroy(vnni), backend_destroy(amx);
}

static bool all_nan(const double *values, int64_t first, int64_t count, int64_t stride)
{
    for (int64_t i = 0; i < count; i++)
        if (!isnan(values[first + i * stride])) return false;
    return true;
}

static bool any_nan(const double *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (isnan(values[i])) return true;
    return false;
}

/* A value that is not finite shows in the results of its output and of no other. Zeros and the smallest numbers do no
 * harm. */
static void odd_values(enum cpu_isa isa)
{
    static const double values[] = {NAN, INFINITY, -INFINITY};
    const struct layer_case c = {70, 3, 9, 9, 18};
    const int64_t features = 3 * 9 * 9, output = 17;
    struct backend *backend = open_pixels(isa, 2);
    struct images images;
    open_images(&images, &c, 1);
    for (int i = 0; i < 3; i++) {
        double *weights = draw_weights(&c), *gradients = draw_gradients(&c);
        memset(weights, 0, (size_t)features * sizeof *weights);
        for (int64_t n = 0; n < c.n; n++) gradients[n * c.o] = 0, gradients[n * c.o + 1] = n % 2 ? 0x1p-126 : -0x1p-126;
        weights[output * features + 100] = values[i];
        gradients[69 * c.o + output] = values[i];
        weights[output] = 0; /* the bias: the test uses the first weights as biases */
        struct results found = compute(backend, TENSOR_PIXELS, &c, &images, weights, gradients);
        cr_expect(all_nan(found.values[0], output, c.n, c.o), "y with a weight of %g", values[i]);
        cr_expect(all_nan(found.values[1], output * features, features, 1), "dw with a gradient of %g", values[i]);
        cr_expect_not(any_nan(found.values[1], output * features), "dw of the others");
        for (int64_t n = 0; n < c.n; n++) {
            cr_expect_not(any_nan(found.values[0] + n * c.o, output), "y of the others");
            cr_expect_eq(found.values[0][n * c.o], 0, "weights of zero");
        }
        for (int64_t k = 0; k < features; k++) cr_expect_eq(found.values[1][k], 0, "gradients of zero");
        free_results(&found);
        free(weights), free(gradients);
    }
    close_images(&images);
    backend_destroy(backend);
}

TEST_BOTH(odd_values)

/* --- which layers read pixels --- */

#define DATA                                                                                                           \
    "[data]\ndataset = synthetic\nsynthetic_train = 300\nsynthetic_test = 90\nsynthetic_size = 14\n"                   \
    "normalization = mean_image\n[train]\nbatch_size = 40\n[optimizer]\nname = adam\nlearning_rate = 1e-4\n"

static enum tensor_kind input_kind(const char *text, struct backend *backend)
{
    struct session *session = session_open_on(text, backend, 2);
    const struct network_program *training = &session->trainer.training;
    enum tensor_kind kind = training->program->tensors[training->x[0]].kind;
    session_close(session);
    return kind;
}

static void taken_by_perceptrons_without_augmentation(enum cpu_isa isa)
{
    const char *mlp = DATA "[model]\nhidden = 20\n";
    cr_expect_eq(input_kind(mlp, open_pixels(isa, 2)), TENSOR_PIXELS);
    cr_expect_eq(input_kind(mlp, open_backend(PRECISION_FP32, CPU_ISA_AVX2, 2)), TENSOR_ACTIVATION);
    cr_expect_eq(input_kind(mlp, open_backend(PRECISION_BF16, isa, 2)), TENSOR_ACTIVATION);
    cr_expect_eq(input_kind(DATA "[model]\nhidden = 20\n[augment]\nflip = true\n", open_pixels(isa, 2)),
                 TENSOR_ACTIVATION);
    cr_expect_eq(input_kind(DATA "[model]\nkind = convnet\nfeatures = 16\n", open_pixels(isa, 2)), TENSOR_ACTIVATION);
    cr_expect_eq(input_kind(DATA "[model]\nhidden =\n", open_pixels(isa, 2)), TENSOR_ACTIVATION, "few outputs");
}

TEST_BOTH(taken_by_perceptrons_without_augmentation)

/* Computes the losses of steps and of an evaluation after them, in batches of several sizes. */
enum { STEPS = 50 };
static void train(struct backend *backend, double losses[STEPS + 1])
{
    struct session *session = session_open_on(
        DATA "[model]\nhidden = 40, 20\nbatchnorm = custom\nblock = batchnorm, activation, dropout\n", backend, 2);
    for (int step = 0; step < STEPS; step++) {
        network_set_metrics(session->trainer.network, (struct metrics){0});
        trainer_step(&session->trainer);
        losses[step] = network_metrics(session->trainer.network).loss;
    }
    losses[STEPS] = 40 * trainer_evaluate(&session->trainer, &session->trainer.test_set).loss;
    session_close(session);
}

/* Rounding errors of 1e-7 grow in 50 steps of Adam, but stay this far below the losses of about 90. */
static void training_stays_together(enum cpu_isa isa)
{
    double found[STEPS + 1], expected[STEPS + 1];
    char message[200];
    train(open_pixels(isa, 2), found);
    train(open_backend(PRECISION_FP32, CPU_ISA_AVX2, 2), expected);
    cr_expect(support_close(found, expected, STEPS + 1, 0.01, 0, message, sizeof message), "%s", message);
    cr_expect(found[STEPS - 1] < 0.9 * found[0], "from %g to %g", found[0], found[STEPS - 1]);
}

TEST_BOTH(training_stays_together)
