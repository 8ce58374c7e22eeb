/* Compares Winograd's convolution with the direct sum in double precision, at odd shapes, with many slabs and any
 * number of threads. `auto` must leave small layers alone. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <criterion/criterion.h>

#include "backend/cpu/shared/cpu_create.h"
#include "conv2d_run.h"
#include "support.h"
#include "util/memory.h"

struct layer_case {
    int64_t n, i, h, w, o;
};

/* The cases have: tiles cut off on every side, channels that fill no block, several chunks of input channels (64),
 * columns of one block and of two, groups of rows (128), slabs (3 MiB of transformed inputs), a batch larger than a
 * slab; rows that one or two threads transform for themselves (2048 scalars, 64 rows), while seven share slabs; filters
 * that are transformed as a whole (16 pairs of blocks); filters that are summed in parts (64 to 256 rows), of one block
 * to four. */
static const struct layer_case cases[] = {
    {1, 1, 1, 1, 1},      {2, 3, 2, 5, 7},      {5, 17, 7, 9, 33},    {3, 16, 4, 4, 16},   {13, 70, 5, 6, 48},
    {7, 130, 13, 3, 40},  {33, 48, 8, 8, 65},   {9, 129, 25, 18, 32}, {211, 96, 9, 4, 16}, {32, 64, 16, 16, 64},
    {63, 20, 16, 15, 33}, {33, 20, 19, 15, 32}, {150, 16, 12, 14, 7}, {70, 50, 11, 9, 40},
};
enum { CASE_COUNT = sizeof cases / sizeof *cases, RESULTS = 4 };

static const char *const result_names[RESULTS] = {"y", "dx", "dweight", "dbias"};

struct results {
    double *values[RESULTS];
    int64_t count[RESULTS];
};

static struct tensor draw(struct backend *backend, enum tensor_kind kind, struct shape shape, uint32_t stream,
                          double scale)
{
    double *values = memory_alloc((size_t)shape_count(shape), sizeof *values);
    support_fill(values, shape_count(shape), support_seed("winograd"), stream, 0, scale);
    struct tensor tensor = support_tensor(backend, kind, shape, values);
    free(values);
    return tensor;
}

static void keep(struct results *results, int index, struct backend *backend, struct tensor *tensor)
{
    results->values[index] = support_read(backend, tensor);
    results->count[index] = shape_count(tensor->shape);
    if (tensor->kind == TENSOR_ACTIVATION)
        cr_expect(support_padding_is_zero(backend, tensor), "padding of %s", result_names[index]);
    tensor_free(backend, tensor);
}

static struct results compute(struct backend *backend, const struct layer_case *c)
{
    struct shape input = {c->n, c->i, c->h, c->w}, output = {c->n, c->o, c->h, c->w}, filter = {c->o, c->i, 3, 3};
    struct tensor x = draw(backend, TENSOR_ACTIVATION, input, 1, 1),
                  dy = draw(backend, TENSOR_ACTIVATION, output, 2, 1);
    struct tensor weight = draw(backend, TENSOR_FILTER, filter, 3, 0.125);
    struct tensor bias = draw(backend, TENSOR_VECTOR, shape_vector(c->o), 4, 1);
    struct tensor y = tensor_alloc(backend, TENSOR_ACTIVATION, output),
                  dx = tensor_alloc(backend, TENSOR_ACTIVATION, input);
    struct tensor dweight = tensor_alloc(backend, TENSOR_FILTER, filter);
    struct tensor dbias = tensor_alloc(backend, TENSOR_VECTOR, shape_vector(c->o));
    support_poison(backend, true, &y), support_poison(backend, true, &dx);
    conv2d_run_once(backend, (struct window){3, 1, 1},
                    &(struct conv2d_tensors){&x, &weight, &bias, &dy, &y, &dx, &dweight, &dbias});
    struct results results = {0};
    keep(&results, 0, backend, &y), keep(&results, 1, backend, &dx);
    keep(&results, 2, backend, &dweight), keep(&results, 3, backend, &dbias);
    tensor_free(backend, &x), tensor_free(backend, &dy), tensor_free(backend, &weight), tensor_free(backend, &bias);
    return results;
}

static void free_results(struct results *results)
{
    for (int i = 0; i < RESULTS; i++) free(results->values[i]);
}

/* Returns NULL where this machine lacks the instructions. */
static struct backend *open_backend(enum precision precision, enum cpu_isa isa, enum winograd winograd, int threads)
{
    struct variant variant = {.device = DEVICE_CPU, .precision = precision, .cpu_isa = isa, .winograd = winograd};
    return variant_create(&variant, threads);
}

/* Checks errors in units of the roundoff and of the root of the number of products in a sum, which is how they grow.
 * Direct sums are below 1. Winograd's, whose transforms have entries up to 8, are below 8. */
static void check_error(enum precision precision, enum cpu_isa isa, double roundoff)
{
    for (int c = 0; c < CASE_COUNT; c++) {
        struct backend *backend = open_backend(precision, isa, WINOGRAD_ON, 2);
        if (!backend) cr_skip_test("not on this machine");
        struct backend *exact = open_backend(PRECISION_FP64, CPU_ISA_PORTABLE, WINOGRAD_OFF, 2);
        struct results results = compute(backend, &cases[c]), expected = compute(exact, &cases[c]);
        int64_t products[] = {9 * cases[c].i, 9 * cases[c].o, cases[c].n * cases[c].h * cases[c].w};
        for (int r = 0; r < 3; r++) {
            double error = support_relative_error(results.values[r], expected.values[r], results.count[r]);
            double bound = 8 * roundoff * sqrt((double)products[r]);
            cr_expect(error <= bound, "case %d: %s is off by %.2e, more than %.2e", c, result_names[r], error, bound);
            cr_expect(cases[c].n == 1 || error > 0, "case %d: %s is not Winograd's", c, result_names[r]);
        }
        free_results(&results), free_results(&expected);
        backend_destroy(backend), backend_destroy(exact);
    }
}

Test(winograd, error_fp32_avx512)
{
    check_error(PRECISION_FP32, CPU_ISA_AVX512, 0x1p-24);
}

Test(winograd, error_fp32_avx2)
{
    check_error(PRECISION_FP32, CPU_ISA_AVX2, 0x1p-24);
}

Test(winograd, error_fp32_portable)
{
    check_error(PRECISION_FP32, CPU_ISA_PORTABLE, 0x1p-24);
}

Test(winograd, error_fp64)
{
    check_error(PRECISION_FP64, CPU_ISA_AUTO, 0x1p-53);
}

/* Checks errors with bf16. The rounding of an operand is up to 2^-8 of its power of two, and 2^-8 / sqrt(3) root mean
 * square; the operand is 1.4 times the power. Two operands, rounded as they are, make `direct` of a sum. The transforms
 * enlarge that 2.6 times over the outputs of a full tile, and up to 3.2 times where most outputs are at a tile's end. */
static void check_error_bf16(enum cpu_isa isa)
{
    const double direct = 0x1p-8 * sqrt(2 / 3.0) / 1.4;
    for (int c = 0; c < CASE_COUNT; c++) {
        struct backend *backends[] = {open_backend(PRECISION_BF16, isa, WINOGRAD_ON, 2),
                                      open_backend(PRECISION_BF16, isa, WINOGRAD_OFF, 2),
                                      open_backend(PRECISION_FP64, CPU_ISA_PORTABLE, WINOGRAD_OFF, 2)};
        if (!backends[0]) cr_skip_test("not on this machine");
        struct results results[3];
        for (int b = 0; b < 3; b++) results[b] = compute(backends[b], &cases[c]);
        for (int r = 0; r < 3; r++) {
            double error[2];
            for (int b = 0; b < 2; b++)
                error[b] = support_relative_error(results[b].values[r], results[2].values[r], results[2].count[r]);
            cr_expect(error[0] <= 4 * direct, "case %d: %s is off by %.2e", c, result_names[r], error[0]);
            cr_expect(error[1] <= 1.1 * direct, "case %d: %s is off by %.2e directly", c, result_names[r], error[1]);
            cr_expect(error[0] != error[1], "case %d: %s is not Winograd's", c, result_names[r]);
        }
        for (int b = 0; b < 3; b++) free_results(&results[b]), backend_destroy(backends[b]);
    }
}

Test(winograd, error_bf16_avx512)
{
    check_error_bf16(CPU_ISA_AVX512);
}

Test(winograd, error_bf16_avx2)
{
    check_error_bf16(CPU_ISA_AVX2);
}

Test(winograd, error_bf16_portable)
{
    check_error_bf16(CPU_ISA_PORTABLE);
}

static bool same(const struct results *a, const struct results *b)
{
    for (int i = 0; i < RESULTS; i++)
        if (memcmp(a->values[i], b->values[i], (size_t)a->count[i] * sizeof(double)) != 0) return false;
    return true;
}

/* The threads share groups of rows; no sum is split between them. */
static void check_threads(enum precision precision)
{
    for (int c = 0; c < CASE_COUNT; c++) {
        struct backend *alone = open_backend(precision, CPU_ISA_AUTO, WINOGRAD_ON, 1);
        struct results expected = compute(alone, &cases[c]);
        for (int threads = 2; threads <= 7; threads += 5) {
            struct backend *team = open_backend(precision, CPU_ISA_AUTO, WINOGRAD_ON, threads);
            struct results results = compute(team, &cases[c]);
            cr_expect(same(&results, &expected), "case %d with %d threads", c, threads);
            free_results(&results);
            backend_destroy(team);
        }
        free_results(&expected);
        backend_destroy(alone);
    }
}

Test(winograd, threads_do_not_matter)
{
    check_threads(PRECISION_FP32);
    check_threads(PRECISION_BF16);
}

static bool auto_is(enum winograd like, enum precision precision, const struct layer_case *c)
{
    struct backend *choosing = open_backend(precision, CPU_ISA_AUTO, WINOGRAD_AUTO, 2);
    struct backend *told = open_backend(precision, CPU_ISA_AUTO, like, 2);
    struct results chosen = compute(choosing, c), expected = compute(told, c);
    bool equal = same(&chosen, &expected);
    free_results(&chosen), free_results(&expected);
    backend_destroy(choosing), backend_destroy(told);
    return equal;
}

Test(winograd, auto_chooses_by_the_shape)
{
    struct layer_case large = {2, 16, 8, 8, 20}, few_channels = {8, 15, 8, 8, 64}, few_outputs = {8, 64, 8, 8, 15};
    struct layer_case few_rows = {7, 64, 4, 4, 64}, small_images = {64, 32, 2, 2, 32};
    cr_expect(auto_is(WINOGRAD_ON, PRECISION_FP32, &large));
    cr_expect_not(auto_is(WINOGRAD_OFF, PRECISION_FP32, &large));
    cr_expect(auto_is(WINOGRAD_OFF, PRECISION_FP32, &few_channels));
    cr_expect(auto_is(WINOGRAD_OFF, PRECISION_FP32, &few_outputs));
    cr_expect(auto_is(WINOGRAD_OFF, PRECISION_FP32, &few_rows));
    cr_expect(auto_is(WINOGRAD_OFF, PRECISION_FP32, &small_images));
    cr_expect(auto_is(WINOGRAD_OFF, PRECISION_FP64, &large));
}

/* AMX multiplies faster than Winograd's transforms are computed. */
Test(winograd, auto_chooses_in_bf16)
{
    struct layer_case large = {8, 16, 7, 7, 20}, few_samples = {7, 16, 7, 7, 20}, few_channels = {8, 15, 7, 7, 64};
    struct layer_case small_images = {64, 32, 4, 4, 32};
    bool amx = cpu_isa_usable(CPU_ISA_AMX);
    cr_expect(auto_is(amx ? WINOGRAD_OFF : WINOGRAD_ON, PRECISION_BF16, &large));
    cr_expect(auto_is(WINOGRAD_OFF, PRECISION_BF16, &few_samples));
    cr_expect(auto_is(WINOGRAD_OFF, PRECISION_BF16, &few_channels));
    cr_expect(auto_is(WINOGRAD_OFF, PRECISION_BF16, &small_images));
}

/* A window that is not 3x3 at stride 1 with padding 1 is computed directly, whatever the config asks for. */
Test(winograd, other_windows_are_direct)
{
    const struct window windows[] = {{3, 2, 1}, {3, 1, 0}, {5, 1, 2}, {1, 1, 0}};
    for (int k = 0; k < 4; k++) {
        double *values[2];
        struct shape input = {3, 20, 9, 9}, output = {3, 18, 0, 0};
        output.h = output.w = window_output_size(9, windows[k]);
        for (int on = 0; on < 2; on++) {
            struct backend *backend = open_backend(PRECISION_FP32, CPU_ISA_AUTO, on ? WINOGRAD_ON : WINOGRAD_OFF, 1);
            struct op op = op_make(OP_CONV2D);
            op.conv2d = (struct conv2d_params){windows[k], 1};
            struct tensor x = draw(backend, TENSOR_ACTIVATION, input, 1, 1);
            struct shape filter = {output.c, input.c, windows[k].kernel, windows[k].kernel};
            struct tensor weight = draw(backend, TENSOR_FILTER, filter, 3, 1);
            struct tensor y = tensor_alloc(backend, TENSOR_ACTIVATION, output);
            backend_run_op(backend, op, (struct run_input){0},
                           OPERANDS([CONV2D_X] = &x, [CONV2D_WEIGHT] = &weight, [CONV2D_Y] = &y));
            values[on] = support_read(backend, &y);
            tensor_free(backend, &x), tensor_free(backend, &weight), tensor_free(backend, &y);
            backend_destroy(backend);
        }
        cr_expect_arr_eq(values[0], values[1], (size_t)shape_count(output) * sizeof(double), "window %d", k);
        free(values[0]), free(values[1]);
    }
}
