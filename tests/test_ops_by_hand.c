/* Tests operations by hand, at values that PyTorch's file cannot hold (test_ops_known), on every variant that this machine
 * can run and on the reference. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "self_test/op_run.h"
#include "support.h"
#include "util/memory.h"
#include "util/philox.h"

static const struct run_input still = {.n = 1};

/* Calls a test with every backend of this machine. */
static void with_each_backend(void (*test)(struct backend *backend, const struct variant *variant))
{
    int count;
    const struct variant *variants = variant_list(&count);
    struct backend *reference = reference_create();
    test(reference, &reference_variant);
    backend_destroy(reference);
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
    struct op op = op_make(OP_POOL), backward = op_make(OP_POOL_BACKWARD);
    struct shape y_shape = {x_shape.n, x_shape.c, window_output_size(x_shape.h, window),
                            window_output_size(x_shape.w, window)};
    struct tensor x = support_tensor(backend, TENSOR_ACTIVATION, x_shape, x_values);
    struct tensor dy = support_tensor(backend, TENSOR_ACTIVATION, y_shape, dy_values);
    struct tensor y = tensor_alloc(backend, TENSOR_ACTIVATION, y_shape);
    struct tensor dx = tensor_alloc(backend, TENSOR_ACTIVATION, x_shape);
    op.pool = backward.pool = (struct pool_params){POOL_MAX, window};
    struct tensor saved = {.kind = TENSOR_SAVED};
    saved.data = backend->table->alloc(backend, backend_saved_bytes(backend, &op, y_shape));
    backend_run_op(backend, op, still, OPERANDS([POOL_X] = &x, [POOL_Y] = &y, [POOL_SAVED] = &saved));
    backend_run_op(backend, backward, still,
                   OPERANDS([POOL_BACKWARD_DY] = &dy, [POOL_BACKWARD_SAVED] = &saved, [POOL_BACKWARD_DX] = &dx));
    expect_values(backend, variant, &y, y_expected, what);
    expect_values(backend, variant, &dx, dx_expected, what);
    backend->table->free(backend, saved.data);
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

Test(ops_by_hand, max_pool_by_hand)
{
    with_each_backend(max_pool_by_hand);
}

/* At 0 (and -0) the gradient is that of the left side. NaN passes through, so that it shows when a run went wrong. */
static void activation_by_hand(struct backend *backend, const struct variant *variant)
{
    static const struct {
        struct activation_params params;
        double dx_at_zero, y_at_eight, dx_at_six;
    } kinds[] = {{{ACTIVATION_RELU, 0}, 0, 8, 1},
                 {{ACTIVATION_RELU6, 0}, 0, 6, 0},
                 {{ACTIVATION_LEAKY_RELU, 0.25}, 0.25, 8, 1},
                 {{ACTIVATION_ELU, 0.5}, 0.5, 8, 1}};
    for (int i = 0; i < 4; i++) {
        const struct shape shape = {1, 6, 1, 1};
        double last = kinds[i].y_at_eight, slope = kinds[i].dx_at_six;
        struct tensor x = support_tensor(backend, TENSOR_ACTIVATION, shape, (double[]){-0.0, 0, 3, NAN, 6, 8});
        struct tensor dy = support_tensor(backend, TENSOR_ACTIVATION, shape, (double[]){1, 1, 1, NAN, 1, 1});
        struct tensor y = tensor_alloc(backend, TENSOR_ACTIVATION, shape);
        struct tensor dx = tensor_alloc(backend, TENSOR_ACTIVATION, shape);
        double at_zero = kinds[i].dx_at_zero;
        struct op op = op_make(OP_ACTIVATION), backward = op_make(OP_ACTIVATION_BACKWARD);
        op.activation = backward.activation = kinds[i].params;
        backend_run_op(backend, op, still, OPERANDS([ACTIVATION_X] = &x, [ACTIVATION_Y] = &y));
        expect_values(backend, variant, &y, (double[]){0, 0, 3, NAN, 6, last}, "activation, y");
        backend->table->tensor_write(backend, &x, (double[]){-0.0, 0, 3, 1, 6, 8});
        backend_run_op(
            backend, backward, still,
            OPERANDS([ACTIVATION_BACKWARD_X] = &x, [ACTIVATION_BACKWARD_DY] = &dy, [ACTIVATION_BACKWARD_DX] = &dx));
        expect_values(backend, variant, &dx, (double[]){at_zero, at_zero, 1, NAN, slope, slope}, "activation, dx");
        tensor_free(backend, &x), tensor_free(backend, &dy), tensor_free(backend, &y), tensor_free(backend, &dx);
    }
}

Test(ops_by_hand, activation_by_hand)
{
    with_each_backend(activation_by_hand);
}

enum { POINTS = 4801 }; /* from -12 to 12, 1/200 apart */

static double slope_of(enum activation kind, double x)
{
    double bell = exp(-x * x / 2) / sqrt(2 * acos(-1)), s = 1 / (1 + exp(-x));
    return kind == ACTIVATION_GELU ? erfc(-x / sqrt(2)) / 2 + x * bell : s * (1 + x * (1 - s));
}

static double value_of(enum activation kind, double x)
{
    return x * (kind == ACTIVATION_GELU ? erfc(-x / sqrt(2)) / 2 : 1 / (1 + exp(-x)));
}

/* Compares GELU or SiLU with its formula far beyond what the other cases reach. */
static void expect_smooth(struct backend *backend, const struct variant *variant, enum activation kind)
{
    const struct shape shape = {POINTS, 1, 1, 1};
    static double points[POINTS], ones[POINTS];
    for (int i = 0; i < POINTS; i++) points[i] = (i - POINTS / 2) * 0.005, ones[i] = 1;
    struct tensor x = support_tensor(backend, TENSOR_ACTIVATION, shape, points);
    struct tensor dy = support_tensor(backend, TENSOR_ACTIVATION, shape, ones);
    struct tensor y = tensor_alloc(backend, TENSOR_ACTIVATION, shape);
    struct tensor dx = tensor_alloc(backend, TENSOR_ACTIVATION, shape);
    struct op op = op_make(OP_ACTIVATION), backward = op_make(OP_ACTIVATION_BACKWARD);
    op.activation.kind = backward.activation.kind = kind;
    backend_run_op(backend, op, still, OPERANDS([ACTIVATION_X] = &x, [ACTIVATION_Y] = &y));
    backend_run_op(
        backend, backward, still,
        OPERANDS([ACTIVATION_BACKWARD_X] = &x, [ACTIVATION_BACKWARD_DY] = &dy, [ACTIVATION_BACKWARD_DX] = &dx));
    double *at = support_read(backend, &x), *values = support_read(backend, &y), *slopes = support_read(backend, &dx);
    for (int i = 0; i < POINTS; i++) {
        /* A few roundings of numbers of size 1, or of x where that is larger. */
        double bound = 4 * variant->roundoff * fmax(1, fabs(at[i])), y_here = value_of(kind, at[i]);
        cr_expect(fabs(values[i] - y_here) <= bound, "%s, y(%g): %g, not %g", variant->name, at[i], values[i], y_here);
        double slope = slope_of(kind, at[i]);
        cr_expect(fabs(slopes[i] - slope) <= bound, "%s, dx(%g): %g, not %g", variant->name, at[i], slopes[i], slope);
    }
    free(at), free(values), free(slopes);
    tensor_free(backend, &x), tensor_free(backend, &dy), tensor_free(backend, &y), tensor_free(backend, &dx);
}

/* NaN passes through, and beyond what exp can do the result is x or 0. */
static void expect_smooth_ends(struct backend *backend, const struct variant *variant, enum activation kind)
{
    const struct shape shape = {1, 4, 1, 1};
    struct tensor x = support_tensor(backend, TENSOR_ACTIVATION, shape, (double[]){0, 1024, -1024, NAN});
    struct tensor y = tensor_alloc(backend, TENSOR_ACTIVATION, shape);
    struct op op = op_make(OP_ACTIVATION);
    op.activation.kind = kind;
    backend_run_op(backend, op, still, OPERANDS([ACTIVATION_X] = &x, [ACTIVATION_Y] = &y));
    double *values = support_read(backend, &y);
    cr_expect(values[0] == 0 && values[1] == 1024 && fabs(values[2]) < 1e-30 && isnan(values[3]), "%s: %g %g %g %g",
              variant->name, values[0], values[1], values[2], values[3]);
    free(values);
    tensor_free(backend, &x), tensor_free(backend, &y);
}

static void smooth_activations(struct backend *backend, const struct variant *variant)
{
    expect_smooth_ends(backend, variant, ACTIVATION_GELU);
    expect_smooth_ends(backend, variant, ACTIVATION_SILU);
    expect_smooth(backend, variant, ACTIVATION_GELU);
    expect_smooth(backend, variant, ACTIVATION_SILU);
}

Test(ops_by_hand, smooth_activations_follow_their_formulas_far_from_zero)
{
    with_each_backend(smooth_activations);
}

static void expect_gated(struct backend *backend, const struct variant *variant, const struct tensor *tensor,
                         const double *expected, const char *what)
{
    double *values = support_read(backend, tensor);
    for (int64_t i = 0; i < shape_count(tensor->shape); i++) {
        bool same = isnan(expected[i]) ? isnan(values[i]) : fabs(values[i] - expected[i]) < 1e-30;
        cr_expect(same, "%s, gate, %s [%d]: %g, expected %g", variant->name, what, (int)i, values[i], expected[i]);
    }
    free(values);
}

/* A gate is half open at 0. Beyond what exp can do it is open, or closed to within 1e-30, and dz is 0. NaN passes through. */
static void gate_by_hand(struct backend *backend, const struct variant *variant)
{
    const struct shape image = {1, 4, 1, 2}, gates = {1, 4, 1, 1};
    struct tensor x = support_tensor(backend, TENSOR_ACTIVATION, image, (double[]){2, 4, 2, 4, 2, 4, 2, 4});
    struct tensor dy = support_tensor(backend, TENSOR_ACTIVATION, image, (double[]){1, -2, 1, -2, 1, -2, 1, -2});
    struct tensor z = support_tensor(backend, TENSOR_ACTIVATION, gates, (double[]){0, 1024, -1024, NAN});
    struct tensor y = tensor_alloc(backend, TENSOR_ACTIVATION, image), dz = tensor_alloc(backend, z.kind, gates);
    struct tensor dx = tensor_alloc(backend, TENSOR_ACTIVATION, image);
    backend_run_op(backend, op_make(OP_GATE), still, OPERANDS([GATE_X] = &x, [GATE_Z] = &z, [GATE_Y] = &y));
    backend_run_op(backend, op_make(OP_GATE_BACKWARD), still,
                   OPERANDS([GATE_BACKWARD_X] = &x, [GATE_BACKWARD_Z] = &z, [GATE_BACKWARD_DY] = &dy,
                            [GATE_BACKWARD_DX] = &dx, [GATE_BACKWARD_DZ] = &dz));
    expect_gated(backend, variant, &y, (double[]){1, 2, 2, 4, 0, 0, NAN, NAN}, "y");
    expect_gated(backend, variant, &dx, (double[]){0.5, -1, 1, -2, 0, 0, NAN, NAN}, "dx");
    expect_gated(backend, variant, &dz, (double[]){-1.5, 0, 0, NAN}, "dz");
    tensor_free(backend, &x), tensor_free(backend, &dy), tensor_free(backend, &z);
    tensor_free(backend, &y), tensor_free(backend, &dx), tensor_free(backend, &dz);
}

Test(ops_by_hand, gate_by_hand)
{
    with_each_backend(gate_by_hand);
}

/* A batch of a loss: its operands, with memory of their own. */
struct batch {
    struct backend *backend;
    struct tensor x, labels, metrics;
};

static struct batch batch_open(struct backend *backend, struct shape shape, const double *rows, const double *labels)
{
    struct batch batch = {.backend = backend, .x = support_tensor(backend, TENSOR_ACTIVATION, shape, rows)};
    batch.labels = (struct tensor){support_labels(backend, labels, shape.n), {shape.n, 1, 1, 1}, TENSOR_LABELS};
    batch.metrics = tensor_alloc(backend, TENSOR_METRICS, shape_vector(3));
    metrics_write(backend, &batch.metrics, (struct metrics){0});
    return batch;
}

static void batch_close(struct batch *batch)
{
    tensor_free(batch->backend, &batch->x), tensor_free(batch->backend, &batch->labels);
    tensor_free(batch->backend, &batch->metrics);
}

/* Adds a batch to the metrics by either loss. logits and dx may be NULL. */
static void run_loss(const struct batch *batch, bool fused, int64_t skipped, const struct tensor *logits,
                     const struct tensor *dx)
{
    struct run_input input = {.n = batch->x.shape.n, .skipped = skipped};
    if (fused)
        backend_run_op(
            batch->backend, op_make(OP_SOFTMAX_CROSS_ENTROPY), input,
            OPERANDS([SOFTMAX_CROSS_ENTROPY_LOGITS] = &batch->x, [SOFTMAX_CROSS_ENTROPY_LABELS] = &batch->labels,
                     [SOFTMAX_CROSS_ENTROPY_METRICS] = &batch->metrics, [SOFTMAX_CROSS_ENTROPY_DLOGITS] = dx));
    else
        backend_run_op(batch->backend, op_make(OP_CROSS_ENTROPY), input,
                       OPERANDS([CROSS_ENTROPY_PROBABILITIES] = &batch->x, [CROSS_ENTROPY_LABELS] = &batch->labels,
                                [CROSS_ENTROPY_LOGITS] = logits, [CROSS_ENTROPY_METRICS] = &batch->metrics,
                                [CROSS_ENTROPY_DPROBABILITIES] = dx));
}

static struct metrics read_metrics(const struct batch *batch)
{
    return metrics_read(batch->backend, &batch->metrics);
}

static void reset_metrics(const struct batch *batch)
{
    metrics_write(batch->backend, &batch->metrics, (struct metrics){0});
}

/* Computes loss and hits of a batch of 5 rows of 3, labels 0 1 2 0 1, through either loss; returns the loss. */
static double expect_hits(struct backend *backend, const struct variant *variant, bool fused, const double *rows,
                          int64_t hits)
{
    struct batch batch = batch_open(backend, (struct shape){5, 3, 1, 1}, rows, (double[]){0, 1, 2, 0, 1});
    for (int repeat = 0; repeat < 2; repeat++) /* without a gradient, as in an evaluation; metrics add up */
        run_loss(&batch, fused, 0, NULL, NULL);
    struct metrics metrics = read_metrics(&batch);
    cr_expect_eq(metrics.correct, 2 * hits, "%s: %d hits", variant->name, (int)metrics.correct);
    cr_expect_eq(metrics.count, 10, "%s: count %d", variant->name, (int)metrics.count);
    reset_metrics(&batch);
    struct metrics empty = read_metrics(&batch);
    cr_expect(empty.loss == 0 && empty.correct == 0 && empty.count == 0);
    metrics_write(backend, &batch.metrics, (struct metrics){0.1, 3, 7}); /* sums go on from these */
    struct metrics written = read_metrics(&batch);
    cr_expect(written.loss == 0.1 && written.correct == 3 && written.count == 7, "%s: not as written", variant->name);
    run_loss(&batch, fused, 0, NULL, NULL);
    written = read_metrics(&batch);
    cr_expect(written.correct == 3 + hits && written.count == 12, "%s: not gone on", variant->name);
    batch_close(&batch);
    return metrics.loss / 2;
}

/* Skipped samples are in the batch, not in the metrics. */
static void skipped_samples(struct backend *backend, const struct variant *variant)
{
    const double rows[] = {0, 0, 0, 0.75, 0.25, 0, 0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.5, 0.25};
    struct batch batch = batch_open(backend, (struct shape){5, 3, 1, 1}, rows, (double[]){0, 1, 2, 0, 1});
    for (int fused = 0; fused < 2; fused++) {
        /* The loss of each of the last two samples. */
        double single = fused ? log(exp(0.5) + 2 * exp(0.25)) - 0.5 : log(2);
        reset_metrics(&batch);
        run_loss(&batch, fused, 3, NULL, NULL);
        struct metrics metrics = read_metrics(&batch);
        cr_expect(metrics.correct == 2 && metrics.count == 2, "%s: %d of %d", variant->name, (int)metrics.correct,
                  (int)metrics.count);
        cr_expect(fabs(metrics.loss - 2 * single) <= 16 * variant->roundoff, "%s: %.17g, expected %.17g", variant->name,
                  metrics.loss, 2 * single);
    }
    batch_close(&batch);
}

Test(ops_by_hand, losses_of_skipped_samples_do_not_count)
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

Test(ops_by_hand, hits_by_hand)
{
    with_each_backend(hits_by_hand);
}

/* A probability of 0 counts as the smallest normal number: the loss stays finite, and so does the gradient. */
static void cross_entropy_of_zero(struct backend *backend, const struct variant *variant)
{
    const struct shape shape = {1, 2, 1, 1};
    struct batch batch = batch_open(backend, shape, (double[]){0, 1}, (double[]){0});
    struct tensor dp = tensor_alloc(backend, TENSOR_ACTIVATION, shape);
    run_loss(&batch, false, 0, NULL, &dp);
    double loss = read_metrics(&batch).loss;
    double expected = -log(variant->precision == PRECISION_FP64 ? DBL_MIN : FLT_MIN);
    cr_expect(fabs(loss - expected) <= 8 * variant->roundoff * expected, "%s: %.17g, expected %.17g", variant->name,
              loss, expected);
    double *gradient = support_read(backend, &dp);
    cr_expect(isfinite(gradient[0]) && gradient[1] == 0, "%s: gradient %g, %g", variant->name, gradient[0],
              gradient[1]);
    free(gradient), tensor_free(backend, &dp), batch_close(&batch);
}

Test(ops_by_hand, cross_entropy_of_zero)
{
    with_each_backend(cross_entropy_of_zero);
}

/* Softmax of x and cross-entropy, forward and backward, into the batch of probabilities and dx. */
static void run_chain(const struct batch *batch, const struct tensor *x, const struct tensor *dp,
                      const struct tensor *dx)
{
    backend_run_op(batch->backend, op_make(OP_SOFTMAX), still, OPERANDS([SOFTMAX_X] = x, [SOFTMAX_Y] = &batch->x));
    run_loss(batch, false, 0, x, dp);
    backend_run_op(batch->backend, op_make(OP_SOFTMAX_BACKWARD), still,
                   OPERANDS([SOFTMAX_BACKWARD_Y] = &batch->x, [SOFTMAX_BACKWARD_DY] = dp, [SOFTMAX_BACKWARD_DX] = dx));
}

/* The probability of the label underflows. Through both layers loss and gradient are those of the two in one, and the
 * gradient is (p - [d = t]) / N. */
static void underflowed_label_learns(struct backend *backend, const struct variant *variant)
{
    const struct shape shape = {3, 2, 1, 1};
    const double far = variant->precision == PRECISION_FP64 ? 720 : 90,
                 farther = 5 * far; /* denormal, 0, and neither */
    struct batch batch = batch_open(backend, shape, NULL, (double[]){0, 0, 0});
    struct tensor x = support_tensor(backend, TENSOR_ACTIVATION, shape, (double[]){0, far, 0, farther, 0, 1});
    struct tensor t[2] = {tensor_alloc(backend, x.kind, shape), tensor_alloc(backend, x.kind, shape)};
    run_chain(&batch, &x, &t[0], &t[1]);
    double loss = read_metrics(&batch).loss, total = far + farther + log(1 + exp(1));
    cr_expect(fabs(loss - total) <= 8 * variant->roundoff * total, "%s: loss %.17g", variant->name, loss);
    double *dx = support_read(backend, &t[1]), p = 1 / (1 + exp(1));
    const double expected[] = {-1 / 3.0, 1 / 3.0, -1 / 3.0, 1 / 3.0, (p - 1) / 3, (1 - p) / 3};
    char message[256];
    cr_expect(support_close(dx, expected, 6, 8 * variant->roundoff, 0, message, sizeof message), "%s: %s",
              variant->name, message);
    free(dx), batch_close(&batch), tensor_free(backend, &x);
    for (int i = 0; i < 2; i++) tensor_free(backend, &t[i]);
}

Test(ops_by_hand, underflowed_label_learns)
{
    with_each_backend(underflowed_label_learns);
}

/* softmax_cross_entropy equals softmax, then cross_entropy. The logits here let no probability vanish. */
static void fused_loss_is_the_chain(struct backend *backend, const struct variant *variant)
{
    const struct shape shape = {33, 17, 1, 1};
    double logits[33 * 17], labels[33];
    support_fill(logits, 33 * 17, 42, 0, 0, 2);
    for (int n = 0; n < 33; n++) labels[n] = n % 17;
    struct batch both = batch_open(backend, shape, logits, labels), batch;
    struct tensor t[3];
    for (int i = 0; i < 3; i++) t[i] = tensor_alloc(backend, TENSOR_ACTIVATION, shape);
    run_loss(&both, true, 0, NULL, &t[0]);
    struct metrics fused = read_metrics(&both);
    batch = batch_open(backend, shape, NULL, labels);
    run_chain(&batch, &both.x, &t[1], &t[2]);
    struct metrics chain = read_metrics(&batch);
    char message[256];
    double *a = support_read(backend, &t[0]), *b = support_read(backend, &t[2]);
    /* Both gradients are below 1/N; the chain divides by a probability and multiplies by it again: some roundings. */
    cr_expect(support_close(a, b, 33 * 17, 16 * variant->roundoff / 33, 0, message, sizeof message), "%s: %s",
              variant->name, message);
    cr_expect(fabs(fused.loss - chain.loss) <= 16 * variant->roundoff * chain.loss, "%s: loss %.17g, chain %.17g",
              variant->name, fused.loss, chain.loss);
    cr_expect_eq(fused.correct, chain.correct);
    free(a), free(b), batch_close(&both), batch_close(&batch);
    for (int i = 0; i < 3; i++) tensor_free(backend, &t[i]);
}

Test(ops_by_hand, fused_loss_is_the_chain)
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
    struct op op = op_make(OP_DROPOUT);
    op.dropout = params;
    backend_run_op(backend, op, (struct run_input){.state = {.step = step}, .n = shape.n},
                   OPERANDS([DROPOUT_FROM] = &x, [DROPOUT_TO] = &y));
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

Test(ops_by_hand, dropout_draws)
{
    with_each_backend(dropout_draws);
}

/* The tensors of a normalization of 3 samples of 5 channels. */
enum { NORM_TENSORS = 13 };
static const struct shape norm_x = {3, 5, 2, 2};

static struct tensor norm_tensor(struct backend *backend, enum tensor_kind kind, uint32_t stream)
{
    struct shape shape = kind == TENSOR_ACTIVATION ? norm_x : shape_vector(norm_x.c);
    double values[60];
    support_fill(values, shape_count(shape), 7, stream, 0.5, 1);
    return support_tensor(backend, kind, shape, values);
}

/* Runs NORM and NORM_BACKWARD, with a bias or without: y, running_mean, running_var, mean, dx, dgamma, dbeta, dbias. */
static void run_norm(struct backend *backend, bool with_bias, double *results[8])
{
    struct tensor t[NORM_TENSORS];
    for (int i = 0; i < NORM_TENSORS; i++)
        t[i] = norm_tensor(backend, i < 4 ? TENSOR_ACTIVATION : TENSOR_VECTOR, (uint32_t)i);
    struct tensor *x = &t[0], *y = &t[1], *dy = &t[2], *dx = &t[3], *gamma = &t[4], *beta = &t[5], *mean = &t[6];
    struct tensor *rstd = &t[7], *running_mean = &t[8], *running_var = &t[9], *dgamma = &t[10], *dbeta = &t[11];
    struct tensor bias = norm_tensor(backend, TENSOR_VECTOR, 20), *dbias = &t[12];
    struct op op = op_make(OP_NORM), backward = op_make(OP_NORM_BACKWARD);
    op.norm = backward.norm =
        (struct batchnorm_fused_params){.batchnorm = {1e-5, 0.25}, .activation.kind = ACTIVATION_NONE};
    backend_run_op(backend, op, still,
                   OPERANDS([NORM_X] = x, [NORM_GAMMA] = gamma, [NORM_BETA] = beta, [NORM_Y] = y, [NORM_MEAN] = mean,
                            [NORM_RSTD] = rstd, [NORM_RUNNING_MEAN] = running_mean, [NORM_RUNNING_VAR] = running_var,
                            [NORM_BIAS] = with_bias ? &bias : NULL));
    backend_run_op(backend, backward, still,
                   OPERANDS([NORM_BACKWARD_X] = x, [NORM_BACKWARD_GAMMA] = gamma, [NORM_BACKWARD_BETA] = beta,
                            [NORM_BACKWARD_MEAN] = mean, [NORM_BACKWARD_RSTD] = rstd, [NORM_BACKWARD_DY] = dy,
                            [NORM_BACKWARD_DX] = dx, [NORM_BACKWARD_DGAMMA] = dgamma, [NORM_BACKWARD_DBETA] = dbeta,
                            [NORM_BACKWARD_DBIAS] = with_bias ? dbias : NULL));
    const struct tensor *of[] = {y, running_mean, running_var, mean, dx, dgamma, dbeta, dbias};
    for (int i = 0; i < 8; i++) results[i] = support_read(backend, of[i]);
    for (int i = 0; i < NORM_TENSORS; i++) tensor_free(backend, &t[i]);
    tensor_free(backend, &bias);
}

/* A bias that was taken from the convolution before moves running_mean and nothing else, and has no gradient. */
static void norm_with_a_bias(struct backend *backend, const struct variant *variant)
{
    struct op op = op_make(OP_NORM);
    op.norm.activation.kind = ACTIVATION_NONE;
    op.tensor[NORM_BIAS] = 0;
    if (!backend_supports(backend, &op)) return;
    double *plain[8], *with[8], bias[5];
    run_norm(backend, false, plain), run_norm(backend, true, with);
    support_fill(bias, norm_x.c, 7, 20, 0.5, 1);
    for (int i = 0; i < 7; i++)
        for (int64_t k = 0; k < (i == 0 || i == 4 ? shape_count(norm_x) : norm_x.c); k++) {
            double moved = i == 1 ? 0.25 * bias[k] : 0;  /* by the momentum */
            double bound = i == 1 ? 8 * FLT_EPSILON : 0; /* two sums of numbers below 4 */
            cr_expect(fabs(with[i][k] - plain[i][k] - moved) <= bound, "%s, result %d [%d]: %g, without bias %g",
                      variant->name, i, (int)k, with[i][k], plain[i][k]);
        }
    for (int64_t c = 0; c < norm_x.c; c++) cr_expect(with[7][c] == 0, "%s: dbias %g", variant->name, with[7][c]);
    for (int i = 0; i < 8; i++) free(plain[i]), free(with[i]);
}

Test(ops_by_hand, norm_with_a_bias)
{
    with_each_backend(norm_with_a_bias);
}
