/* Softmax, cross-entropy and both in one, over the D features of each sample; t is the label.
 *
 *   softmax        y_i = exp(x_i - m) / sum_k exp(x_k - m), m = max x;  dy_i/dx_j = y_i (delta_ij - y_j), so
 *                  dx_j = y_j (dy_j - sum_i dy_i y_i)
 *   cross-entropy  L = -(1/N) sum_n log p[n,t_n];  dp[n,i] = -delta_it / (N p[n,t])
 *   fused          L = (1/N) sum_n (m + log sum_k exp(x_k - m) - sum_i q_i x_i), q_i = (1-s) delta_it + s/D, since
 *                  -sum_i q_i log softmax(x)_i with sum_i q_i = 1;  dx_i = (softmax(x)_i - q_i) / N;  s: the smoothing
 *
 * A sample's features lie 16 at a time, N*16 scalars apart. One thread adds up the losses, in the order of the samples.
 */
#include "backend/cpu/cpu_install.h"

#include <float.h>
#include <math.h>

static int64_t feature_offset(struct shape shape, int64_t n, int64_t d)
{
    return (d / CPU_BLOCK * shape.n + n) * CPU_BLOCK + d % CPU_BLOCK;
}

/* m and sum_k exp(x_k - m) of one sample. */
static double max_and_sum(const struct tensor *x, int64_t n, double *sum)
{
    const real *data = x->data;
    double max = -INFINITY;
    for (int64_t d = 0; d < x->shape.c; d++) max = fmax(max, (double)data[feature_offset(x->shape, n, d)]);
    *sum = 0;
    for (int64_t d = 0; d < x->shape.c; d++) *sum += exp((double)data[feature_offset(x->shape, n, d)] - max);
    return max;
}

/* Writes `to` of sample n as softmax(x) * scale, with zero padding. */
static void write_softmax(const struct tensor *x, const struct tensor *to, int64_t n, double max, double sum,
                          double scale)
{
    const real *from = x->data;
    real *data = to->data;
    for (int64_t d = 0; d < cpu_blocks(x->shape.c) * CPU_BLOCK; d++) {
        int64_t at = feature_offset(x->shape, n, d);
        data[at] = d < x->shape.c ? (real)(exp((double)from[at] - max) / sum * scale) : 0;
    }
}

static void check_vectors(const struct tensor *a, const struct tensor *b)
{
    CHECK(shape_equal(a->shape, b->shape) && a->shape.h == 1 && a->shape.w == 1);
}

static void cpu_softmax_forward(struct backend *backend, const struct tensor *x, const struct tensor *y)
{
    (void)backend;
    check_vectors(x, y);
    for (int64_t n = 0; n < x->shape.n; n++) {
        double sum, max = max_and_sum(x, n, &sum);
        write_softmax(x, y, n, max, sum, 1);
    }
}

static const double smallest_normal = sizeof(real) == sizeof(float) ? FLT_MIN : DBL_MIN;

/* y as softmax_backward reads it where dy is its gradient (see backend.h). NaN stays. */
static double read_probability(real y, real dy)
{
    return dy != 0 && (double)y < smallest_normal ? smallest_normal : (double)y;
}

static void cpu_softmax_backward(struct backend *backend, const struct tensor *y, const struct tensor *dy,
                                 const struct tensor *dx)
{
    (void)backend;
    check_vectors(y, dy);
    check_vectors(y, dx);
    const real *out = y->data, *gradient = dy->data;
    real *to = dx->data;
    for (int64_t n = 0; n < y->shape.n; n++) {
        double dot = 0;
        for (int64_t d = 0; d < y->shape.c; d++) {
            int64_t at = feature_offset(y->shape, n, d);
            dot += (double)gradient[at] * read_probability(out[at], gradient[at]);
        }
        for (int64_t d = 0; d < cpu_blocks(y->shape.c) * CPU_BLOCK; d++) {
            int64_t at = feature_offset(y->shape, n, d);
            double p = read_probability(out[at], gradient[at]);
            to[at] = d < y->shape.c ? (real)(p * ((double)gradient[at] - dot)) : 0;
        }
    }
}

static void cpu_metrics_reset(struct backend *backend)
{
    cpu_backend_of(backend)->metrics = (struct metrics){0};
}

static struct metrics cpu_metrics_read(struct backend *backend)
{
    return cpu_backend_of(backend)->metrics;
}

/* The largest output is the label's: no other is larger, none before it is as large, none is NaN. */
static bool is_correct(const struct tensor *x, int64_t n, int32_t label)
{
    const real *data = x->data;
    real best = data[feature_offset(x->shape, n, label)];
    for (int64_t d = 0; d < x->shape.c; d++) {
        real value = data[feature_offset(x->shape, n, d)];
        if (!(d < label ? value < best : value <= best)) return false;
    }
    return true;
}

static void check_params(const struct loss_params *params, const struct tensor *x, const struct tensor *dx)
{
    CHECK(params->smoothing >= 0 && params->smoothing < 1);
    CHECK(params->skipped >= 0 && params->skipped < x->shape.n && !(dx && params->skipped > 0));
    if (dx) check_vectors(x, dx);
}

static void add_sample(struct backend *backend, const struct loss_params *params, const struct tensor *x, int64_t n,
                       int32_t label, double loss)
{
    struct metrics *metrics = &cpu_backend_of(backend)->metrics;
    CHECK(label >= 0 && label < x->shape.c);
    if (n < params->skipped) return;
    metrics->loss += loss;
    metrics->correct += is_correct(x, n, label);
    metrics->count++;
}

static void cpu_cross_entropy(struct backend *backend, const struct loss_params *params,
                              const struct tensor *probabilities, const int32_t *labels,
                              const struct tensor *dprobabilities)
{
    const real *p = probabilities->data;
    struct shape s = probabilities->shape;
    check_params(params, probabilities, dprobabilities);
    if (dprobabilities) memset(dprobabilities->data, 0, tensor_bytes(backend, TENSOR_ACTIVATION, s));
    for (int64_t n = 0; n < s.n; n++) {
        int64_t at = feature_offset(s, n, labels[n]);
        double value = (double)p[at] < smallest_normal ? smallest_normal : (double)p[at];
        add_sample(backend, params, probabilities, n, labels[n], -log(value));
        if (dprobabilities) ((real *)dprobabilities->data)[at] = (real)(-1 / ((double)s.n * value));
    }
}

/* sum_i q_i x_i. */
static double target_dot(const struct tensor *x, int64_t n, int32_t label, double smoothing)
{
    const real *data = x->data;
    double of_label = (double)data[feature_offset(x->shape, n, label)], total = 0;
    if (smoothing == 0) return of_label; /* whatever the others are */
    for (int64_t d = 0; d < x->shape.c; d++) total += (double)data[feature_offset(x->shape, n, d)];
    return (1 - smoothing) * of_label + smoothing / (double)x->shape.c * total;
}

static void subtract_targets(const struct tensor *dx, int64_t n, int32_t label, double smoothing)
{
    struct shape s = dx->shape;
    real *data = dx->data;
    real every = (real)(smoothing / (double)(s.c * s.n));
    for (int64_t d = 0; smoothing > 0 && d < s.c; d++) data[feature_offset(s, n, d)] -= every;
    data[feature_offset(s, n, label)] -= (real)((1 - smoothing) / (double)s.n);
}

static void cpu_softmax_cross_entropy(struct backend *backend, const struct loss_params *params,
                                      const struct tensor *logits, const int32_t *labels, const struct tensor *dlogits)
{
    struct shape s = logits->shape;
    double smoothing = params->smoothing;
    check_params(params, logits, dlogits);
    for (int64_t n = 0; n < s.n; n++) {
        CHECK(labels[n] >= 0 && labels[n] < s.c);
        double sum, max = max_and_sum(logits, n, &sum);
        add_sample(backend, params, logits, n, labels[n], max + log(sum) - target_dot(logits, n, labels[n], smoothing));
        if (!dlogits) continue;
        write_softmax(logits, dlogits, n, max, sum, 1 / (double)s.n);
        subtract_targets(dlogits, n, labels[n], smoothing);
    }
}

void CPU_EXPORT(cpu_softmax_install)(struct backend_ops *ops)
{
    ops->softmax_forward = cpu_softmax_forward;
    ops->softmax_backward = cpu_softmax_backward;
    ops->metrics_reset = cpu_metrics_reset;
    ops->metrics_read = cpu_metrics_read;
    ops->cross_entropy = cpu_cross_entropy;
    ops->softmax_cross_entropy = cpu_softmax_cross_entropy;
}
