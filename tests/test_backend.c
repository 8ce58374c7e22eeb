/* Tests backends apart from their arithmetic: creation, memory, the boundary's order of elements, padding, data, plans,
 * and the order of steps. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "conv2d_run.h"
#include "op_cases.h"
#include "self_test/op_run.h"
#include "support.h"
#include "util/memory.h"
#include "util/rng.h"

/* --- creating --- */

/* Checks that creation fails as the user's error, with a message that names the config key and the given value. */
static void expect_refused(struct backend_options options, const char *key, const char *value)
{
    struct backend *backend = NULL;
    struct status status = {0};
    bool created = backend_create(&backend, &options, &status);
    cr_expect_not(created, "%s = %s was accepted", key, value);
    if (created) {
        backend_destroy(backend);
        return;
    }
    cr_expect_eq(status.code, STATUS_USAGE, "%s", status.message);
    cr_expect(strstr(status.message, key), "no \"%s\" in: %s", key, status.message);
    cr_expect(strstr(status.message, value), "no \"%s\" in: %s", value, status.message);
    cr_expect_not(strchr(status.message, '\n'), "more than one line: %s", status.message);
}

Test(backend, cpu_refuses_what_it_cannot_compute)
{
    expect_refused((struct backend_options){.device = DEVICE_CPU, .precision = PRECISION_FP64, .cpu_isa = CPU_ISA_AMX},
                   "backend.cpu_isa", "amx");
    expect_refused((struct backend_options){.device = DEVICE_CPU, .precision = PRECISION_TF32}, "backend.precision",
                   "fp32");
    expect_refused((struct backend_options){.device = DEVICE_CPU, .threads = -1}, "backend.threads", "-1");
    expect_refused((struct backend_options){.device = DEVICE_CPU, .threads = 1000000}, "backend.threads", "1000000");
}

/* A build or a machine without CUDA says so. With CUDA a backend is created. */
Test(backend, cuda_comes_or_is_refused_clearly)
{
    struct backend_options options = {.device = DEVICE_CUDA, .threads = 1};
    struct backend *backend = NULL;
    struct status status = {0};
    if (backend_create(&backend, &options, &status)) {
        backend_destroy(backend);
        return;
    }
    expect_refused(options, "backend.device", "CUDA");
}

Test(backend, an_instruction_set_comes_or_is_refused_clearly)
{
    static const char *const names[] = {"auto", "amx", "avx512", "avx2", "portable"};
    static const enum cpu_isa isas[] = {CPU_ISA_AUTO, CPU_ISA_AMX, CPU_ISA_AVX512, CPU_ISA_AVX2, CPU_ISA_PORTABLE};
    for (int i = 0; i < 5; i++) {
        struct backend_options options = {.device = DEVICE_CPU, .cpu_isa = isas[i], .threads = 1};
        struct backend *backend = NULL;
        struct status status = {0};
        if (backend_create(&backend, &options, &status)) {
            cr_expect(i == 0 || strstr(backend->description, names[i]), "%s: %s", names[i], backend->description);
            backend_destroy(backend);
        } else {
            cr_expect(isas[i] != CPU_ISA_AUTO && isas[i] != CPU_ISA_PORTABLE, "every machine has %s", names[i]);
            expect_refused(options, "backend.cpu_isa", names[i]);
        }
    }
}

Test(backend, auto_always_finds_one)
{
    for (int threads = 0; threads < 5; threads++) {
        struct backend_options options = {.device = DEVICE_AUTO, .threads = threads};
        struct backend *backend = NULL;
        struct status status = {0};
        cr_assert(backend_create(&backend, &options, &status), "%s", status.message);
        cr_expect_eq(backend->scalar_size, sizeof(float));
        cr_expect(strlen(backend->description) > 0);
        backend_destroy(backend);
    }
    backend_destroy(NULL);
}

static const struct run_input still = {0};

/* --- memory and the boundary --- */

/* Calls a test with every backend that this machine can create. */
static void with_each_backend(void (*test)(struct backend *backend, const struct variant *variant))
{
    int count;
    const struct variant *variants = variant_list(&count);
    for (int i = 0; i < count; i++) {
        struct backend *backend = variant_create(&variants[i], 2);
        if (backend) test(backend, &variants[i]);
        backend_destroy(backend);
    }
}

static void memory_is_zeroed_and_aligned(struct backend *backend, const struct variant *variant)
{
    static const size_t sizes[] = {1, 63, 64, 65, 1000, 100003};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned char *data = backend->table->alloc(backend, sizes[i]);
        cr_expect_eq((uintptr_t)data % 64, 0, "%s: %zu bytes", variant->name, sizes[i]);
        for (size_t k = 0; variant->host_memory && k < sizes[i]; k++) cr_assert_eq(data[k], 0);
        if (variant->host_memory) {
            memset(data, 0xff, sizes[i]);
            backend->table->zero(backend, data, sizes[i] - 1);
            for (size_t k = 0; k + 1 < sizes[i]; k++) cr_assert_eq(data[k], 0);
            cr_expect_eq(data[sizes[i] - 1], 0xff, "%s: zero went too far", variant->name);
        }
        backend->table->free(backend, data);
    }
    backend->table->free(backend, NULL);
}

Test(backend, memory_is_zeroed_and_aligned)
{
    with_each_backend(memory_is_zeroed_and_aligned);
}

static const struct {
    enum tensor_kind kind;
    struct shape shape;
} round_trips[] = {
    {TENSOR_ACTIVATION, {1, 1, 1, 1}},  {TENSOR_ACTIVATION, {7, 17, 3, 5}}, {TENSOR_ACTIVATION, {33, 3, 2, 2}},
    {TENSOR_ACTIVATION, {2, 16, 5, 1}}, {TENSOR_ACTIVATION, {1, 37, 1, 9}}, {TENSOR_ACTIVATION, {5, 100, 1, 1}},
    {TENSOR_ACTIVATION, {3, 64, 4, 4}}, {TENSOR_FILTER, {1, 1, 1, 1}},      {TENSOR_FILTER, {17, 3, 3, 3}},
    {TENSOR_FILTER, {3, 17, 2, 2}},     {TENSOR_FILTER, {16, 16, 1, 1}},    {TENSOR_FILTER, {37, 64, 5, 5}},
    {TENSOR_FILTER, {10, 33, 1, 1}},    {TENSOR_FILTER, {64, 1, 7, 7}},     {TENSOR_VECTOR, {1, 1, 1, 1}},
    {TENSOR_VECTOR, {1, 16, 1, 1}},     {TENSOR_VECTOR, {1, 37, 1, 1}},     {TENSOR_LABELS, {19, 1, 1, 1}},
    {TENSOR_METRICS, {1, 3, 1, 1}},     {TENSOR_SCALAR, {1, 1, 1, 1}},      {TENSOR_FLAT, {1, 37, 1, 1}},
};

/* Every element gets a different number, so that no two can be confused. */
static void round_trip(struct backend *backend, const struct variant *variant)
{
    for (size_t i = 0; i < sizeof round_trips / sizeof round_trips[0]; i++) {
        struct shape s = round_trips[i].shape;
        int64_t count = shape_count(s);
        double *values = memory_alloc((size_t)count, sizeof(double));
        int64_t different = variant->precision == PRECISION_BF16 ? 251 : count; /* bf16 has all integers up to 256 */
        for (int64_t k = 0; k < count; k++) values[k] = (double)(k % different + 1) * (k % 2 ? 1 : -1);
        struct tensor tensor = support_tensor(backend, round_trips[i].kind, s, values);
        double *read = support_read(backend, &tensor);
        cr_expect(memcmp(values, read, (size_t)count * sizeof(double)) == 0, "%s: kind %d of %d,%d,%d,%d",
                  variant->name, (int)round_trips[i].kind, (int)s.n, (int)s.c, (int)s.h, (int)s.w);
        bool padded = tensor.kind <= TENSOR_VECTOR;
        if (padded) cr_expect_geq(backend->table->tensor_count(backend, tensor.kind, s), (size_t)count);
        if (padded && variant->host_memory) cr_expect(support_padding_is_zero(backend, &tensor), "%s", variant->name);
        tensor_free(backend, &tensor);
        free(values), free(read);
    }
}

Test(backend, tensors_survive_the_round_trip)
{
    with_each_backend(round_trip);
}

/* The lanes past the last channel are looked at, all of them. */
static void padding_is_seen(struct backend *backend, const struct variant *variant)
{
    struct shape shape = {3, 5, 2, 2};
    double values[60];
    for (int i = 0; i < 60; i++) values[i] = i - 30; /* also 0, which padding may be mistaken for */
    struct tensor tensor = support_tensor(backend, TENSOR_ACTIVATION, shape, values);
    size_t count = backend->table->tensor_count(backend, tensor.kind, shape), seen = 0;
    for (size_t i = 0; i < count && variant->host_memory; i++) {
        bool single = backend->scalar_size == sizeof(float);
        float *f = (float *)tensor.data + i;
        double *d = (double *)tensor.data + i, before = single ? *f : *d;
        if (before != 0) continue;
        single ? (void)(*f = 1) : (void)(*d = 1);
        seen += !support_padding_is_zero(backend, &tensor);
        single ? (void)(*f = 0) : (void)(*d = 0);
    }
    /* The one 0 of the values may become 1. */
    if (variant->host_memory) cr_expect_eq(seen, count - 60, "%s: %zu of %zu", variant->name, seen, count - 60);
    tensor_free(backend, &tensor);
}

Test(backend, padding_is_seen)
{
    with_each_backend(padding_is_seen);
}

/* Tells the elementwise operations that backend.h exempts, because they turn 0 into something else. */
static bool may_fill_padding(const struct op_case *op_case)
{
    if (op_case->kind != OP_ELEMENTWISE) return false;
    return op_case->elementwise.op == ELEMENTWISE_DIVIDE || op_case->elementwise.op == ELEMENTWISE_AFFINE;
}

/* After every operation of every case, whose results start as NaN, the padding is zero and the inputs are unchanged. */
static void padding_stays_zero(struct backend *backend, const struct variant *variant)
{
    int count;
    const struct op_case *cases = op_case_list(&count);
    for (int i = 0; variant->host_memory && i < count; i++) {
        struct op_arrays inputs, outputs;
        if (!op_case_offered(&cases[i], backend)) continue;
        op_case_inputs(&cases[i], &inputs);
        struct op_observations seen =
            op_case_run(&cases[i], backend, (struct op_run_options){.host_memory = true}, &inputs, &outputs);
        cr_expect(!seen.padding_not_zero || may_fill_padding(&cases[i]), "%s, %s: the padding of %s is not zero",
                  variant->name, cases[i].name, seen.padding_not_zero);
        cr_expect_not(seen.input_changed, "%s, %s: %s changed", variant->name, cases[i].name, seen.input_changed);
        op_arrays_free(&inputs), op_arrays_free(&outputs);
    }
}

Test(backend, padding_stays_zero)
{
    with_each_backend(padding_stays_zero);
}

/* --- convolution plans --- */

static void write_random(struct backend *backend, const struct tensor *tensor, uint32_t stream)
{
    double *values = memory_alloc((size_t)shape_count(tensor->shape), sizeof(double));
    support_fill(values, shape_count(tensor->shape), 42, stream, 0, 1);
    backend->table->tensor_write(backend, tensor, values);
    free(values);
}

static struct tensor random_tensor(struct backend *backend, enum tensor_kind kind, struct shape shape, uint32_t stream)
{
    struct tensor tensor = tensor_alloc(backend, kind, shape);
    write_random(backend, &tensor, stream);
    return tensor;
}

enum { RESULTS = 4 };

/* A convolution of up to `most` samples with its tensors. Those of a smaller batch lie in the same memory. */
struct convolution {
    struct backend *backend;
    struct conv2d_run run;
    struct tensor x, dy, weight, bias;
    struct tensor result[RESULTS]; /* y, dx, dweight, dbias */
};

static struct convolution convolution_open(struct backend *backend, int64_t most, bool want_dx)
{
    const struct shape x = {most, 17, 6, 5}, y = {most, 19, 6, 5};
    struct convolution made = {.backend = backend,
                               .x = tensor_alloc(backend, TENSOR_ACTIVATION, x),
                               .dy = tensor_alloc(backend, TENSOR_ACTIVATION, y),
                               .weight = random_tensor(backend, TENSOR_FILTER, (struct shape){19, 17, 3, 3}, 2),
                               .bias = random_tensor(backend, TENSOR_VECTOR, shape_vector(19), 3)};
    const struct tensor *like[RESULTS] = {&made.dy, &made.x, &made.weight, &made.bias};
    struct tensor *r = made.result;
    for (int i = 0; i < RESULTS; i++) r[i] = tensor_alloc(backend, like[i]->kind, like[i]->shape);
    made.run = conv2d_run_open(backend, (struct window){3, 1, 1},
                               &(struct conv2d_tensors){&made.x, &made.weight, &made.bias, &made.dy, &r[0],
                                                        want_dx ? &r[1] : NULL, &r[2], &r[3]});
    return made;
}

static void convolution_close(struct convolution *c)
{
    struct tensor *tensors[] = {&c->x, &c->dy, &c->weight, &c->bias};
    conv2d_run_close(&c->run);
    for (int i = 0; i < 4; i++) tensor_free(c->backend, tensors[i]);
    for (int i = 0; i < RESULTS; i++) tensor_free(c->backend, &c->result[i]);
}

/* Draws n samples and computes the results, each with the shape of n samples. */
static void convolve(struct convolution *c, int64_t n)
{
    struct tensor *batches[] = {&c->x, &c->dy, &c->result[0], &c->result[1]};
    for (int i = 0; i < 4; i++) batches[i]->shape.n = n;
    write_random(c->backend, &c->x, 0), write_random(c->backend, &c->dy, 1);
    conv2d_run_batch(&c->run, n);
}

static void expect_same_convolution(const struct convolution *a, const struct convolution *b, bool with_dx,
                                    const char *what)
{
    for (int i = 0; i < RESULTS; i++) {
        size_t bytes = (size_t)shape_count(a->result[i].shape) * sizeof(double);
        double *left = support_read(a->backend, &a->result[i]), *right = support_read(b->backend, &b->result[i]);
        if (i != 1 || with_dx) cr_expect(memcmp(left, right, bytes) == 0, "%s: result %d differs", what, i);
        free(left), free(right);
    }
}

/* A program for 9 samples serves 9, 4, 1 and again 9 samples as a program for just so many would. Leaving out dx
 * changes nothing else. */
static void plans_serve_smaller_batches(struct backend *backend, const struct variant *variant)
{
    static const int64_t batches[] = {9, 4, 1, 9};
    struct convolution shared = convolution_open(backend, 9, true), no_dx = convolution_open(backend, 9, false);
    for (int i = 0; i < 4; i++) {
        struct convolution own = convolution_open(backend, batches[i], true);
        convolve(&own, batches[i]), convolve(&shared, batches[i]), convolve(&no_dx, batches[i]);
        expect_same_convolution(&shared, &own, true, variant->name);
        expect_same_convolution(&no_dx, &own, false, variant->name);
        convolution_close(&own);
    }
    convolution_close(&shared), convolution_close(&no_dx);
}

Test(backend, plans_serve_smaller_batches)
{
    with_each_backend(plans_serve_smaller_batches);
}

/* --- data --- */

enum { SAMPLES = 50, IMAGE_C = 3, IMAGE_H = 5, IMAGE_W = 7, PLANE = IMAGE_H * IMAGE_W, PIXELS = IMAGE_C * PLANE };

struct images {
    uint8_t pixels[SAMPLES * PIXELS];
    uint16_t labels[SAMPLES];
    float offset[PIXELS], scale[IMAGE_C];
};

static struct dataset_view make_images(struct images *images)
{
    struct rng rng = rng_create(42, RNG_STREAM_SYNTHETIC, 0);
    for (int i = 0; i < SAMPLES * PIXELS; i++) images->pixels[i] = (uint8_t)(rng_next(&rng) >> 24);
    for (int i = 0; i < SAMPLES; i++) images->labels[i] = (uint16_t)(rng_next(&rng) >> 16);
    for (int i = 0; i < PIXELS; i++) images->offset[i] = (float)(rng_next(&rng) >> 20) / 16;
    for (int c = 0; c < IMAGE_C; c++) images->scale[c] = 0.25f * (float)(c + 1);
    return (struct dataset_view){SAMPLES,        IMAGE_C,        IMAGE_H,       IMAGE_W, images->pixels,
                                 images->labels, images->offset, images->scale, NULL,    false};
}

/* Gathers n samples from `first` on and checks them and their labels. An `order` of NULL is the file's order. All
 * numbers are exact but for the rounding to bf16. */
static void expect_gathered(struct backend *backend, const struct variant *variant, const struct images *images,
                            struct device_dataset *dataset, const int32_t *order, int64_t first, struct shape shape)
{
    struct tensor x = tensor_alloc(backend, TENSOR_ACTIVATION, shape);
    support_poison(backend, variant->host_memory, &x);
    int32_t *labels = backend->table->alloc(backend, (size_t)shape.n * sizeof(int32_t));
    support_gather(backend, dataset, NULL, (struct step_state){.batch_first = first}, &x, labels);
    double *values = support_read(backend, &x);
    for (int64_t n = 0; n < shape.n; n++) {
        int64_t sample = order ? order[first + n] : first + n;
        if (variant->host_memory) cr_expect_eq(labels[n], images->labels[sample]);
        for (int64_t i = 0; i < PIXELS; i++) {
            double pixel = images->pixels[sample * PIXELS + i];
            double expected = (pixel - (double)images->offset[i]) * (double)images->scale[i / PLANE];
            support_round(variant, &expected, 1);
            cr_assert_eq(values[n * PIXELS + i], expected, "%s: sample %d, pixel %d: %g, expected %g", variant->name,
                         (int)n, (int)i, values[n * PIXELS + i], expected);
        }
    }
    if (variant->host_memory) cr_expect(support_padding_is_zero(backend, &x), "%s: padding", variant->name);
    free(values), backend->table->free(backend, labels), tensor_free(backend, &x);
}

static void gather_follows_the_order(struct backend *backend, const struct variant *variant)
{
    static struct images images;
    struct dataset_view view = make_images(&images);
    struct device_dataset *dataset = backend->table->dataset_upload(backend, &view);
    int32_t order[SAMPLES], kept[SAMPLES];
    struct rng rng = rng_create(42, RNG_STREAM_SHUFFLE, 0);
    rng_permutation(&rng, order, SAMPLES);
    memcpy(kept, order, sizeof kept);
    static const struct shape shapes[] = {{7, IMAGE_C, IMAGE_H, IMAGE_W}, {7, PIXELS, 1, 1}};
    for (int k = 0; k < 2; k++) {
        expect_gathered(backend, variant, &images, dataset, NULL, 0, shapes[k]);
        expect_gathered(backend, variant, &images, dataset, NULL, SAMPLES - 7, shapes[k]);
        backend->table->dataset_set_order(backend, dataset, order);
        memset(order, 0, sizeof order); /* the backend has its own copy */
        expect_gathered(backend, variant, &images, dataset, kept, 0, shapes[k]);
        expect_gathered(backend, variant, &images, dataset, kept, SAMPLES - 7, shapes[k]);
        backend->table->dataset_set_order(backend, dataset, NULL);
        expect_gathered(backend, variant, &images, dataset, NULL, 14, shapes[k]);
        memcpy(order, kept, sizeof order);
    }
    backend->table->dataset_free(backend, dataset);
}

Test(backend, gather_follows_the_order)
{
    with_each_backend(gather_follows_the_order);
}

/* --- steps --- */

/* A program that runs again sees the state of its own step: w -= lr * dw with lr 1, 2, 4, 8 and dw = 1. */
static void run_sees_each_state(struct backend *backend, const struct variant *variant)
{
    struct tensor w = support_tensor(backend, TENSOR_VECTOR, shape_vector(3), (double[]){100, 0, -1});
    struct tensor dw = support_tensor(backend, TENSOR_VECTOR, shape_vector(3), (double[]){1, -1, 2});
    struct program *program = program_create(backend, 1);
    struct op update = op_make(OP_UPDATE);
    void *base[SPACES] = {NULL};
    update.update = (struct update){.kind = OPTIMIZER_SGD, .rate = 1};
    update.tensor[UPDATE_W] = support_external(program, "w", &w, false, 0);
    update.tensor[UPDATE_DW] = support_external(program, "dw", &dw, false, 0);
    program_add(program, update);
    struct prepared *prepared = prepared_create(program, backend, base);
    for (uint64_t step = 0; step < 4; step++) {
        struct step_state state = {.step = step, .learning_rate = (double)(1 << step)};
        prepared_run(prepared, &(struct run_input){.state = state, .n = 1});
    }
    double *values = support_read(backend, &w);
    cr_expect(values[0] == 85 && values[1] == 15 && values[2] == -31, "%s: %g %g %g", variant->name, values[0],
              values[1], values[2]);
    free(values), prepared_free(prepared), program_free(program);
    tensor_free(backend, &w), tensor_free(backend, &dw);
}

Test(backend, run_sees_each_state)
{
    with_each_backend(run_sees_each_state);
}

/* Without running statistics batch normalization gives the same outputs and gradients. */
static void batchnorm_without_running_statistics(struct backend *backend, const struct variant *variant)
{
    const struct shape shape = {5, 17, 3, 2}, vector = {1, 17, 1, 1};
    struct op op = op_make(OP_NORM);
    op.norm = (struct batchnorm_fused_params){.batchnorm = {1e-5, 0.1}, .activation.kind = ACTIVATION_NONE};
    struct tensor x = random_tensor(backend, TENSOR_ACTIVATION, shape, 6);
    struct tensor y[2], v[6];
    for (uint32_t i = 0; i < 6; i++) v[i] = random_tensor(backend, TENSOR_VECTOR, vector, 7 + i);
    for (int i = 0; i < 2; i++) y[i] = tensor_alloc(backend, TENSOR_ACTIVATION, shape);
    for (int i = 0; i < 2; i++)
        backend_run_op(backend, op, still,
                       OPERANDS([NORM_X] = &x, [NORM_GAMMA] = &v[0], [NORM_BETA] = &v[1],
                                [NORM_RUNNING_MEAN] = i == 0 ? &v[2] : NULL, [NORM_RUNNING_VAR] = i == 0 ? &v[3] : NULL,
                                [NORM_Y] = &y[i], [NORM_MEAN] = &v[4], [NORM_RSTD] = &v[5]));
    double *a = support_read(backend, &y[0]), *b = support_read(backend, &y[1]);
    cr_expect(memcmp(a, b, (size_t)shape_count(shape) * sizeof(double)) == 0, "%s", variant->name);
    free(a), free(b), tensor_free(backend, &x);
    for (int i = 0; i < 6; i++) tensor_free(backend, &v[i]);
    for (int i = 0; i < 2; i++) tensor_free(backend, &y[i]);
}

Test(backend, batchnorm_without_running_statistics)
{
    with_each_backend(batchnorm_without_running_statistics);
}
