/* Tests every operation, forward and backward, on every variant of the CPU backend that this machine can run:
 *   - against PyTorch in double precision (ref/ops.bin);
 *   - element by element against the portable fp64 variant;
 *   - with one, two and three threads, which must agree to the bit;
 *   - by hand at values that PyTorch's file cannot hold. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "op_cases.h"
#include "op_reference.h"
#include "support.h"
#include "trainer/memory.h"
#include "trainer/philox.h"

static void expect_reference(const struct variant *variant, enum case_kind op)
{
    struct backend *backend = variant_create(variant, 1), *exact = variant_create(variant_list(&(int){0}), 1);
    struct op_reference *reference = op_reference_load();
    int count;
    const struct op_case *cases = op_case_list(&count);
    for (int i = 0; backend && i < count; i++) {
        if (cases[i].op != op) continue;
        char message[512];
        struct op_arrays inputs, outputs, expected;
        op_case_inputs(&cases[i], &inputs);
        for (int k = 0; k < inputs.count; k++)
            support_round(variant, inputs.array[k].values, shape_count(inputs.array[k].shape));
        op_case_run(&cases[i], backend, (struct op_run_options){.host_memory = variant->host_memory}, &inputs,
                    &outputs);
        op_case_run(&cases[i], exact, (struct op_run_options){0}, &inputs, &expected);
        if (variant->precision != PRECISION_BF16) /* PyTorch's inputs have values that bf16 cannot hold */
            cr_expect(op_reference_agrees(reference, &cases[i], &outputs, variant->roundoff, message, sizeof message),
                      "%s, %s, against PyTorch: %s", variant->name, cases[i].name, message);
        cr_expect(
            op_reference_same(reference, &cases[i], &outputs, &expected, variant->roundoff, message, sizeof message),
            "%s, %s, against fp64: %s", variant->name, cases[i].name, message);
        op_arrays_free(&inputs), op_arrays_free(&outputs), op_arrays_free(&expected);
    }
    op_reference_free(reference);
    backend_destroy(backend), backend_destroy(exact);
}

/* Expects the same bits from two runs, also in NaN. */
static void expect_equal_arrays(const struct op_arrays *a, const struct op_arrays *b, const char *what)
{
    cr_assert_eq(a->count, b->count);
    for (int i = 0; i < a->count; i++) {
        size_t bytes = (size_t)shape_count(a->array[i].shape) * sizeof(double);
        cr_expect(memcmp(a->array[i].values, b->array[i].values, bytes) == 0, "%s: %s differs", what, a->array[i].name);
    }
}

static void expect_thread_independence(const struct variant *variant, enum case_kind op)
{
    struct backend *backends[] = {variant_create(variant, 1), variant_create(variant, 2), variant_create(variant, 3)};
    int count;
    const struct op_case *cases = op_case_list(&count);
    for (int i = 0; backends[0] && i < count; i++) {
        if (cases[i].op != op) continue;
        struct op_arrays inputs, outputs[3];
        op_case_inputs(&cases[i], &inputs);
        for (int k = 0; k < 3; k++)
            op_case_run(&cases[i], backends[k], (struct op_run_options){0}, &inputs, &outputs[k]);
        for (int k = 1; k < 3; k++) {
            char what[256];
            snprintf(what, sizeof what, "%s, %s, 1 and %d threads", variant->name, cases[i].name, k + 1);
            expect_equal_arrays(&outputs[0], &outputs[k], what);
        }
        op_arrays_free(&inputs);
        for (int k = 0; k < 3; k++) op_arrays_free(&outputs[k]);
    }
    for (int k = 0; k < 3; k++) backend_destroy(backends[k]);
}

static void expect_known(enum case_kind op)
{
    int count;
    const struct variant *variants = variant_list(&count);
    for (int i = 0; i < count; i++) {
        expect_reference(&variants[i], op);
        expect_thread_independence(&variants[i], op);
    }
}

Test(ops_known, conv2d)
{
    expect_known(CASE_CONV2D);
}

Test(ops_known, pool)
{
    expect_known(CASE_POOL);
}

Test(ops_known, batchnorm)
{
    expect_known(CASE_BATCHNORM);
}

Test(ops_known, activation)
{
    expect_known(CASE_ACTIVATION);
}

Test(ops_known, dropout)
{
    expect_known(CASE_DROPOUT);
}

Test(ops_known, flatten)
{
    expect_known(CASE_FLATTEN);
}

Test(ops_known, softmax)
{
    expect_known(CASE_SOFTMAX);
}

Test(ops_known, cross_entropy)
{
    expect_known(CASE_CROSS_ENTROPY);
}

Test(ops_known, softmax_cross_entropy)
{
    expect_known(CASE_SOFTMAX_CROSS_ENTROPY);
}

Test(ops_known, elementwise)
{
    expect_known(CASE_ELEMENTWISE);
}

Test(ops_known, channel)
{
    expect_known(CASE_CHANNEL);
}

Test(ops_known, update)
{
    expect_known(CASE_UPDATE);
}

Test(ops_known, average)
{
    expect_known(CASE_AVERAGE);
}

/* --- by hand --- */

/* Calls a test with every backend of this machine. */
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

static void expect_values(struct backend *backend, const struct variant *variant, const struct tensor *tensor,
                          const double *expected, const char *what)
{
    double *values = support_read(backend, tensor);
    for (int64_t i = 0; i < shape_count(tensor->shape); i++) {
        bool same = isnan(expected[i]) ? isnan(values[i]) : values[i] == expected[i];
        cr_expect(same, "%s, %s [%d]: %g, expected %g", variant->name, what, (int)i, values[i], expected[i]);
    }
    free(values);
}

/* Runs x and dy through a max pool, and checks y and dx. */
static void expect_max_pool(struct backend *backend, const struct variant *variant, struct window window,
                            struct shape x_shape, const double *x_values, const double *y_expected,
                            const double *dy_values, const double *dx_expected, const char *what)
{
    const struct backend_ops *ops = backend->ops;
    struct pool_params params = {POOL_MAX, window};
    struct shape y_shape = {x_shape.n, x_shape.c, window_output_size(x_shape.h, window),
                            window_output_size(x_shape.w, window)};
    struct tensor x = support_tensor(backend, TENSOR_ACTIVATION, x_shape, x_values);
    struct tensor dy = support_tensor(backend, TENSOR_ACTIVATION, y_shape, dy_values);
    struct tensor y = tensor_alloc(backend, TENSOR_ACTIVATION, y_shape);
    struct tensor dx = tensor_alloc(backend, TENSOR_ACTIVATION, x_shape);
    void *saved = ops->alloc(backend, ops->pool_saved_bytes(backend, params, y_shape));
    ops->pool_forward(backend, params, &x, &y, saved);
    ops->pool_backward(backend, params, &dy, saved, &dx);
    expect_values(backend, variant, &y, y_expected, what);
    expect_values(backend, variant, &dx, dx_expected, what);
    ops->free(backend, saved);
    tensor_free(backend, &x), tensor_free(backend, &dy), tensor_free(backend, &y), tensor_free(backend, &dx);
}

static void max_pool_by_hand(struct backend *backend, const struct variant *variant)
{
    const struct window two = {2, 2, 0}, three = {3, 2, 1};
    const struct shape image = {1, 1, 2, 4}, column = {1, 1, 3, 1};
    expect_max_pool(backend, variant, two, image, (double[]){5, 5, -1, -1, 5, 5, -1, -1}, (double[]){5, -1},
                    (double[]){3, 7}, (double[]){3, 0, 7, 0, 0, 0, 0, 0},
                    "max pool, ties: the first gets the gradient");
    expect_max_pool(backend, variant, two, image, (double[]){1, 2, NAN, 9, 4, NAN, 3, 1}, (double[]){NAN, NAN},
                    (double[]){3, 7}, (double[]){0, 0, 7, 0, 0, 3, 0, 0}, "max pool: NaN wins");
    expect_max_pool(backend, variant, two, image,
                    (double[]){-INFINITY, -INFINITY, 1, INFINITY, -INFINITY, -INFINITY, 2, 3},
                    (double[]){-INFINITY, INFINITY}, (double[]){3, 7}, (double[]){3, 0, 0, 7, 0, 0, 0, 0},
                    "max pool, infinities: still a pixel of the image");
    expect_max_pool(backend, variant, three, column, (double[]){-4, -3, -9}, (double[]){-3, -3}, (double[]){1, 10},
                    (double[]){0, 11, 0}, "max pool, padding is below every value; gradients add up");
}

Test(ops_known, max_pool_by_hand)
{
    with_each_backend(max_pool_by_hand);
}

/* At 0 (and -0) the gradient is that of the left side. NaN passes through, so that it shows when a run went wrong. */
static void activation_by_hand(struct backend *backend, const struct variant *variant)
{
    static const struct {
        struct activation_params params;
        double dx_at_zero;
    } kinds[] = {{{ACTIVATION_RELU, 0}, 0}, {{ACTIVATION_LEAKY_RELU, 0.25}, 0.25}, {{ACTIVATION_ELU, 0.5}, 0.5}};
    for (int i = 0; i < 3; i++) {
        const struct shape shape = {1, 4, 1, 1};
        struct tensor x = support_tensor(backend, TENSOR_ACTIVATION, shape, (double[]){-0.0, 0, 3, NAN});
        struct tensor dy = support_tensor(backend, TENSOR_ACTIVATION, shape, (double[]){1, 1, 1, NAN});
        struct tensor y = tensor_alloc(backend, TENSOR_ACTIVATION, shape);
        struct tensor dx = tensor_alloc(backend, TENSOR_ACTIVATION, shape);
        double at_zero = kinds[i].dx_at_zero;
        backend->ops->activation_forward(backend, kinds[i].params, &x, &y);
        expect_values(backend, variant, &y, (double[]){0, 0, 3, NAN}, "activation, y");
        backend->ops->tensor_write(backend, &x, (double[]){-0.0, 0, 3, 1});
        backend->ops->activation_backward(backend, kinds[i].params, &x, &dy, &dx);
        expect_values(backend, variant, &dx, (double[]){at_zero, at_zero, 1, NAN}, "activation, dx");
        tensor_free(backend, &x), tensor_free(backend, &dy), tensor_free(backend, &y), tensor_free(backend, &dx);
    }
}

Test(ops_known, activation_by_hand)
{
    with_each_backend(activation_by_hand);
}

/* Computes loss and hits of a batch of 5 rows of 3, labels 0 1 2 0 1, through either loss; returns the loss. */
static double expect_hits(struct backend *backend, const struct variant *variant, bool fused, const double *rows,
                          int64_t hits)
{
    const struct shape shape = {5, 3, 1, 1};
    struct tensor x = support_tensor(backend, TENSOR_ACTIVATION, shape, rows);
    int32_t *labels = support_labels(backend, (double[]){0, 1, 2, 0, 1}, 5);
    backend->ops->metrics_reset(backend);
    for (int repeat = 0; repeat < 2; repeat++) { /* without a gradient, as in an evaluation; metrics add up */
        if (fused) {
            backend->ops->softmax_cross_entropy(backend, &(struct loss_params){0}, &x, labels, NULL);
        } else {
            backend->ops->cross_entropy(backend, &(struct loss_params){0}, &x, labels, NULL);
        }
    }
    struct metrics metrics = backend->ops->metrics_read(backend);
    cr_expect_eq(metrics.correct, 2 * hits, "%s: %d hits", variant->name, (int)metrics.correct);
    cr_expect_eq(metrics.count, 10, "%s: count %d", variant->name, (int)metrics.count);
    backend->ops->metrics_reset(backend);
    struct metrics empty = backend->ops->metrics_read(backend);
    cr_expect(empty.loss == 0 && empty.correct == 0 && empty.count == 0);
    backend->ops->metrics_write(backend, (struct metrics){0.1, 3, 7}); /* sums go on from these */
    struct metrics written = backend->ops->metrics_read(backend);
    cr_expect(written.loss == 0.1 && written.correct == 3 && written.count == 7, "%s: not as written", variant->name);
    if (fused)
        backend->ops->softmax_cross_entropy(backend, &(struct loss_params){0}, &x, labels, NULL);
    else
        backend->ops->cross_entropy(backend, &(struct loss_params){0}, &x, labels, NULL);
    written = backend->ops->metrics_read(backend);
    cr_expect(written.correct == 3 + hits && written.count == 12, "%s: not gone on", variant->name);
    backend->ops->free(backend, labels);
    tensor_free(backend, &x);
    return metrics.loss / 2;
}

/* Skipped samples are in the batch, not in the metrics. */
static void skipped_samples(struct backend *backend, const struct variant *variant)
{
    const struct shape shape = {5, 3, 1, 1};
    const double rows[] = {0, 0, 0, 0.75, 0.25, 0, 0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.5, 0.25};
    struct tensor x = support_tensor(backend, TENSOR_ACTIVATION, shape, rows);
    int32_t *labels = support_labels(backend, (double[]){0, 1, 2, 0, 1}, 5);
    for (int fused = 0; fused < 2; fused++) {
        struct metrics metrics;
        /* The loss of each of the last two samples. */
        double single = fused ? log(exp(0.5) + 2 * exp(0.25)) - 0.5 : log(2);
        backend->ops->metrics_reset(backend);
        if (fused)
            backend->ops->softmax_cross_entropy(backend, &(struct loss_params){.skipped = 3}, &x, labels, NULL);
        else
            backend->ops->cross_entropy(backend, &(struct loss_params){.skipped = 3}, &x, labels, NULL);
        metrics = backend->ops->metrics_read(backend);
        cr_expect(metrics.correct == 2 && metrics.count == 2, "%s: %d of %d", variant->name, (int)metrics.correct,
                  (int)metrics.count);
        cr_expect(fabs(metrics.loss - 2 * single) <= 16 * variant->roundoff, "%s: %.17g, expected %.17g", variant->name,
                  metrics.loss, 2 * single);
    }
    backend->ops->free(backend, labels);
    tensor_free(backend, &x);
}

Test(ops_known, losses_of_skipped_samples_do_not_count)
{
    with_each_backend(skipped_samples);
}

static void hits_by_hand(struct backend *backend, const struct variant *variant)
{
    /* The rows are: a hit; a miss, the second of two equal ones; a hit; a hit, the first of equal ones; a miss. */
    const double rows[] = {0.5, 0.25, 0.25, 0.5, 0.5, 0.25, 0.25, 0.25, 0.5, 0.5, 0.5, 0.25, 0.25, 0.5, 1};
    /* NaN is never correct, whichever element it is. */
    const double broken[] = {NAN, 0, 0, 0, NAN, 0, 0, NAN, 1, NAN, NAN, NAN, 0.25, 1, NAN};
    double loss = expect_hits(backend, variant, false, rows, 3);
    cr_expect_float_eq(loss, 5 * log(2), 100 * variant->roundoff, "%s: %.17g", variant->name, loss);
    for (int fused = 0; fused < 2; fused++) {
        if (fused) expect_hits(backend, variant, true, rows, 3);
        loss = expect_hits(backend, variant, fused, broken, 0);
        cr_expect(isnan(loss), "%s: NaN in, loss %g out", variant->name, loss);
    }
}

Test(ops_known, hits_by_hand)
{
    with_each_backend(hits_by_hand);
}

/* A probability of 0 counts as the smallest normal number: the loss stays finite, and so does the gradient. */
static void cross_entropy_of_zero(struct backend *backend, const struct variant *variant)
{
    const struct shape shape = {1, 2, 1, 1};
    struct tensor p = support_tensor(backend, TENSOR_ACTIVATION, shape, (double[]){0, 1});
    struct tensor dp = tensor_alloc(backend, TENSOR_ACTIVATION, shape);
    int32_t *labels = support_labels(backend, (double[]){0}, 1);
    backend->ops->metrics_reset(backend);
    backend->ops->cross_entropy(backend, &(struct loss_params){0}, &p, labels, &dp);
    double loss = backend->ops->metrics_read(backend).loss;
    double expected = -log(variant->precision == PRECISION_FP64 ? DBL_MIN : FLT_MIN);
    cr_expect(fabs(loss - expected) <= 8 * variant->roundoff * expected, "%s: %.17g, expected %.17g", variant->name,
              loss, expected);
    double *gradient = support_read(backend, &dp);
    cr_expect(isfinite(gradient[0]) && gradient[1] == 0, "%s: gradient %g, %g", variant->name, gradient[0],
              gradient[1]);
    free(gradient), backend->ops->free(backend, labels);
    tensor_free(backend, &p), tensor_free(backend, &dp);
}

Test(ops_known, cross_entropy_of_zero)
{
    with_each_backend(cross_entropy_of_zero);
}

/* The probability of the label underflows. Through both layers loss and gradient are those of the two in one, and the
 * gradient is (p - [d = t]) / N. */
static void underflowed_label_learns(struct backend *backend, const struct variant *variant)
{
    const struct backend_ops *ops = backend->ops;
    const struct shape shape = {3, 2, 1, 1};
    const double far = variant->precision == PRECISION_FP64 ? 720 : 90,
                 farther = 5 * far; /* denormal, 0, and neither */
    struct tensor t[4] = {support_tensor(backend, TENSOR_ACTIVATION, shape, (double[]){0, far, 0, farther, 0, 1})};
    for (int i = 1; i < 4; i++) t[i] = tensor_alloc(backend, TENSOR_ACTIVATION, shape);
    int32_t *labels = support_labels(backend, (double[]){0, 0, 0}, 3);
    ops->softmax_forward(backend, &t[0], &t[1]);
    ops->metrics_reset(backend);
    ops->cross_entropy(backend, &(struct loss_params){.logits = &t[0]}, &t[1], labels, &t[2]);
    ops->softmax_backward(backend, &t[1], &t[2], &t[3]);
    double loss = ops->metrics_read(backend).loss, total = far + farther + log(1 + exp(1));
    cr_expect(fabs(loss - total) <= 8 * variant->roundoff * total, "%s: loss %.17g", variant->name, loss);
    double *dx = support_read(backend, &t[3]), p = 1 / (1 + exp(1));
    const double expected[] = {-1 / 3.0, 1 / 3.0, -1 / 3.0, 1 / 3.0, (p - 1) / 3, (1 - p) / 3};
    char message[256];
    cr_expect(support_close(dx, expected, 6, 8 * variant->roundoff, 0, message, sizeof message), "%s: %s",
              variant->name, message);
    free(dx), ops->free(backend, labels);
    for (int i = 0; i < 4; i++) tensor_free(backend, &t[i]);
}

Test(ops_known, underflowed_label_learns)
{
    with_each_backend(underflowed_label_learns);
}

/* softmax_cross_entropy equals softmax, then cross_entropy. The logits here let no probability vanish. */
static void fused_loss_is_the_chain(struct backend *backend, const struct variant *variant)
{
    const struct backend_ops *ops = backend->ops;
    const struct shape shape = {33, 17, 1, 1};
    double logits[33 * 17], label_values[33];
    support_fill(logits, 33 * 17, 42, 0, 0, 2);
    for (int n = 0; n < 33; n++) label_values[n] = n % 17;
    struct tensor x = support_tensor(backend, TENSOR_ACTIVATION, shape, logits), t[4];
    for (int i = 0; i < 4; i++) t[i] = tensor_alloc(backend, TENSOR_ACTIVATION, shape);
    int32_t *labels = support_labels(backend, label_values, 33);
    ops->metrics_reset(backend);
    ops->softmax_cross_entropy(backend, &(struct loss_params){0}, &x, labels, &t[0]);
    struct metrics fused = ops->metrics_read(backend);
    ops->metrics_reset(backend);
    ops->softmax_forward(backend, &x, &t[1]);
    ops->cross_entropy(backend, &(struct loss_params){0}, &t[1], labels, &t[2]);
    ops->softmax_backward(backend, &t[1], &t[2], &t[3]);
    struct metrics chain = ops->metrics_read(backend);
    char message[256];
    double *a = support_read(backend, &t[0]), *b = support_read(backend, &t[3]);
    /* Both gradients are below 1/N; the chain divides by a probability and multiplies by it again: some roundings. */
    cr_expect(support_close(a, b, 33 * 17, 16 * variant->roundoff / 33, 0, message, sizeof message), "%s: %s",
              variant->name, message);
    cr_expect(fabs(fused.loss - chain.loss) <= 16 * variant->roundoff * chain.loss, "%s: loss %.17g, chain %.17g",
              variant->name, fused.loss, chain.loss);
    cr_expect_eq(fused.correct, chain.correct);
    free(a), free(b), ops->free(backend, labels), tensor_free(backend, &x);
    for (int i = 0; i < 4; i++) tensor_free(backend, &t[i]);
}

Test(ops_known, fused_loss_is_the_chain)
{
    with_each_backend(fused_loss_is_the_chain);
}

/* Returns the mask: ones that went through dropout under the given names of the draw. */
static double *dropout_mask(struct backend *backend, struct dropout_params params, uint64_t step, struct shape shape)
{
    int64_t count = shape_count(shape);
    double *ones = memory_alloc((size_t)count, sizeof(double));
    for (int64_t i = 0; i < count; i++) ones[i] = 1;
    struct tensor x = support_tensor(backend, TENSOR_ACTIVATION, shape, ones);
    struct tensor y = tensor_alloc(backend, TENSOR_ACTIVATION, shape);
    backend->ops->set_state(backend, &(struct step_state){.step = step});
    backend->ops->dropout(backend, &params, &x, &y);
    free(ones);
    double *mask = support_read(backend, &y);
    tensor_free(backend, &x), tensor_free(backend, &y);
    return mask;
}

/* Checks the mask as backend.h defines it and the share of dropped elements. Every part of the draw's name must
 * matter. */
static void dropout_draws(struct backend *backend, const struct variant *variant)
{
    const struct shape shape = {10, 37, 9, 11};
    const struct dropout_params params = {0.3, 0x100000002a, RNG_STREAM_LAYER + 4};
    const struct dropout_params others[] = {
        {0.3, 0x2a, RNG_STREAM_LAYER + 4}, {0.3, 0x100000002a, RNG_STREAM_LAYER + 5}, params};
    int64_t count = shape_count(shape), dropped = 0, wrong = 0, same[3] = {0}, element = 0;
    double *mask = dropout_mask(backend, params, 9, shape), *other[3];
    for (int k = 0; k < 3; k++) other[k] = dropout_mask(backend, others[k], k == 2 ? 10 : 9, shape);
    for (int64_t n = 0; n < shape.n; n++)
        for (int64_t c = 0; c < shape.c; c++)
            for (int64_t h = 0; h < shape.h; h++)
                for (int64_t w = 0; w < shape.w; w++, element++) {
                    uint64_t index = (uint64_t)(((n * shape.h + h) * shape.w + w) * 48 + c);
                    uint32_t word = philox_draw(params.seed, params.stream, 9, index / 4).word[index % 4];
                    bool drop = philox_uniform(word) < params.rate;
                    dropped += drop;
                    wrong += (mask[element] == 0) != drop;
                    for (int k = 0; k < 3; k++) same[k] += (mask[element] == 0) == (other[k][element] == 0);
                }
    cr_expect_eq(wrong, 0, "%s: %d of %d elements", variant->name, (int)wrong, (int)count);
    /* Five standard deviations of a binomial distribution. */
    double expected = 0.3 * (double)count, deviation = 5 * sqrt(0.3 * 0.7 * (double)count);
    cr_expect(fabs((double)dropped - expected) <= deviation, "%s: %d dropped", variant->name, (int)dropped);
    double p = 0.3 * 0.3 + 0.7 * 0.7; /* chance that two independent masks agree at an element */
    for (int k = 0; k < 3; k++) {
        double off = fabs((double)same[k] - p * (double)count);
        cr_expect(off <= 5 * sqrt(p * (1 - p) * (double)count), "%s: masks %d agree too often", variant->name, k);
        free(other[k]);
    }
    free(mask);
}

Test(ops_known, dropout_draws)
{
    with_each_backend(dropout_draws);
}
