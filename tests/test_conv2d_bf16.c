/* Compares convolutions of bf16 operands with double precision. The operands are rounded first, so products are exact
 * and only fp32 sums round. A wrong or missing term shows. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdlib.h>

#include "conv2d_run.h"
#include "support.h"
#include "util/memory.h"
#include "util/rng.h"

struct convolution_case {
    struct shape input;
    int64_t channels;
    struct window window;
};

/* Cases: one sample and one pixel; batches of a tile and a bit, of whole steps and between; channels below, at and
 * beyond a pair of blocks; strides; a window larger than the image; the linear layer. */
static const struct convolution_case cases[] = {
    {{1, 1, 1, 1}, 1, {1, 1, 0}},      {{17, 3, 9, 7}, 20, {3, 1, 1}},   {{32, 33, 4, 4}, 65, {3, 1, 1}},
    {{50, 16, 5, 5}, 16, {3, 2, 1}},   {{5, 48, 6, 5}, 31, {5, 2, 2}},   {{3, 70, 2, 2}, 40, {5, 1, 2}},
    {{100, 200, 1, 1}, 37, {1, 1, 0}}, {{33, 10, 8, 8}, 100, {2, 2, 0}}, {{2, 64, 17, 16}, 32, {3, 1, 1}},
};

enum { CASES = sizeof cases / sizeof cases[0], RESULTS = 3 };

/* The operands x, w, dy and the results y, dx, dw of a case. */
struct operands {
    struct shape shape[RESULTS];
    double *values[RESULTS];
};

static double round_to_bf16(double value)
{
    int exponent;
    double fraction = frexp(value, &exponent);
    return ldexp(rint(fraction * 0x1p8) / 0x1p8, exponent);
}

static struct operands make_operands(const struct convolution_case *test)
{
    struct shape x = test->input, w = {test->channels, x.c, test->window.kernel, test->window.kernel};
    struct shape y = {x.n, test->channels, window_output_size(x.h, test->window),
                      window_output_size(x.w, test->window)};
    struct operands operands = {{x, w, y}, {NULL}};
    for (int i = 0; i < RESULTS; i++) {
        struct rng rng = rng_create(7, (uint32_t)i, 0);
        int64_t count = shape_count(operands.shape[i]);
        operands.values[i] = memory_alloc((size_t)count, sizeof(double));
        for (int64_t k = 0; k < count; k++) operands.values[i][k] = round_to_bf16(rng_uniform(&rng) * 2 - 1);
    }
    return operands;
}

static void absolute(struct operands *operands)
{
    for (int i = 0; i < RESULTS; i++)
        for (int64_t k = 0; k < shape_count(operands->shape[i]); k++)
            operands->values[i][k] = fabs(operands->values[i][k]);
}

static void free_operands(struct operands *operands)
{
    for (int i = 0; i < RESULTS; i++) free(operands->values[i]);
}

/* Computes y, dx and dw on the backend. */
static struct operands convolve(struct backend *backend, const struct convolution_case *test,
                                const struct operands *operands)
{
    static const enum tensor_kind kinds[RESULTS] = {TENSOR_ACTIVATION, TENSOR_FILTER, TENSOR_ACTIVATION};
    struct tensor t[RESULTS], y = tensor_alloc(backend, TENSOR_ACTIVATION, operands->shape[2]);
    for (int i = 0; i < RESULTS; i++) t[i] = support_tensor(backend, kinds[i], operands->shape[i], operands->values[i]);
    struct tensor dx = tensor_alloc(backend, TENSOR_ACTIVATION, operands->shape[0]);
    struct tensor dw = tensor_alloc(backend, TENSOR_FILTER, operands->shape[1]);
    conv2d_run_once(
        backend, test->window,
        &(struct conv2d_tensors){.x = &t[0], .weight = &t[1], .y = &y, .dy = &t[2], .dx = &dx, .dweight = &dw});
    struct operands results = {{y.shape, dx.shape, dw.shape},
                               {support_read(backend, &y), support_read(backend, &dx), support_read(backend, &dw)}};
    for (int i = 0; i < RESULTS; i++) tensor_free(backend, &t[i]);
    tensor_free(backend, &y), tensor_free(backend, &dx), tensor_free(backend, &dw);
    return results;
}

/* An fp32 sum in any order is off by a few roundings of `magnitude`, the sum of the absolute terms. AMX rounds down
 * where others round to nearest, so its sums are off by twice as many. */
static void expect_close(const struct variant *variant, int index, const struct operands *found,
                         const struct operands *expected, const struct operands *magnitude)
{
    static const char *const names[RESULTS] = {"y", "dx", "dw"};
    for (int i = 0; i < RESULTS; i++)
        for (int64_t k = 0; k < shape_count(found->shape[i]); k++) {
            double error = fabs(found->values[i][k] - expected->values[i][k]);
            double bound = 16 * 0x1p-24 * magnitude->values[i][k] + 1e-30;
            cr_assert(error <= bound, "%s, case %d, %s[%d]: %.9g, expected %.9g", variant->name, index, names[i],
                      (int)k, found->values[i][k], expected->values[i][k]);
        }
}

static void check_case(struct backend *exact, int index)
{
    struct operands operands = make_operands(&cases[index]);
    struct operands expected = convolve(exact, &cases[index], &operands);
    struct operands positive = make_operands(&cases[index]);
    absolute(&positive);
    struct operands magnitude = convolve(exact, &cases[index], &positive);
    int count;
    const struct variant *variants = variant_list(&count);
    for (int v = 0; v < count; v++) {
        if (variants[v].precision != PRECISION_BF16 || !variants[v].host_memory) continue;
        if (variants[v].winograd == WINOGRAD_ON) continue; /* transforms that are rounded: test_winograd.c */
        for (int threads = 1; threads <= 3; threads += 2) {
            struct backend *backend = variant_create(&variants[v], threads);
            if (!backend) continue;
            struct operands found = convolve(backend, &cases[index], &operands);
            expect_close(&variants[v], index, &found, &expected, &magnitude);
            free_operands(&found);
            backend_destroy(backend);
        }
    }
    free_operands(&operands), free_operands(&expected), free_operands(&positive), free_operands(&magnitude);
}

Test(conv2d_bf16, every_term_counts)
{
    struct backend_options options = {.device = DEVICE_CPU, .precision = PRECISION_FP64, .threads = 1};
    struct backend *exact;
    struct status status = {0};
    cr_assert(backend_create(&exact, &options, &status), "%s", status.message);
    for (int i = 0; i < CASES; i++) check_case(exact, i);
    backend_destroy(exact);
}
