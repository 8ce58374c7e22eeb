/* Softmax, cross-entropy and both in one, over the D features of each sample; t is the label.
 *
 *   softmax        y_i = exp(x_i - m) / sum_k exp(x_k - m), m = max x;  dy_i/dx_j = y_i (delta_ij - y_j), so
 *                  dx_j = y_j (dy_j - sum_i dy_i y_i)
 *   cross-entropy  L = -(1/W) sum_n w_t log p[n,t_n];  dp[n,i] = -w_t delta_it / (W p[n,t])
 *   fused          L = (1/W) sum_n (S (m + log sum_k exp(x_k - m)) - sum_i w_i q_i x_i), q_i = (1-s) delta_it + s/D,
 *                  since that is -sum_i w_i q_i log softmax(x)_i with S = sum_i w_i q_i;
 *                  dx_i = (S softmax(x)_i - w_i q_i) / W;  s: the smoothing
 *   W = sum_n w_t; without class weights w is 1, S is 1 and W is N.
 *   mixed labels: q_i = (1-s) ((1-m) delta_it + m delta_iu) + s/D with a second label u, and W = sum_n ((1-m) w_t + m
 *                  w_u). The derivation of the fused loss holds for any q, since none of it depends on x.
 *
 * A sample's features lie 16 at a time, N*16 scalars apart. One thread adds up the losses, in the order of the samples.
 *
 * This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/cpu_install.h"

#include <float.h>
#include <math.h>

static int64_t feature_offset(struct shape shape, int64_t n, int64_t d)
{
    return (d / CPU_BLOCK * shape.n + n) * CPU_BLOCK + d % CPU_BLOCK;
}

/* Returns m, and in `sum` sum_k exp(x_k - m), for one sample. */
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

static void run_softmax(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[SOFTMAX_X], *y = &call->tensor[SOFTMAX_Y];
    (void)backend;
    check_vectors(x, y);
    for (int64_t n = 0; n < x->shape.n; n++) {
        double sum, max = max_and_sum(x, n, &sum);
        write_softmax(x, y, n, max, sum, 1);
    }
}

static const double smallest_normal = sizeof(real) == sizeof(float) ? FLT_MIN : DBL_MIN;

/* y as the backward pass reads it where dy is its gradient (see op.h). NaN stays. */
static double read_probability(real y, real dy)
{
    return dy != 0 && (double)y < smallest_normal ? smallest_normal : (double)y;
}

static void run_softmax_backward(struct backend *backend, const struct op_call *call)
{
    const struct tensor *y = &call->tensor[SOFTMAX_BACKWARD_Y], *dy = &call->tensor[SOFTMAX_BACKWARD_DY];
    const struct tensor *dx = &call->tensor[SOFTMAX_BACKWARD_DX];
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

/* --- losses --- */

/* The operands and parameters of a loss in this run. */
struct loss {
    const struct tensor *x, *dx; /* (N,D,1,1): probabilities or logits, and their gradient; NULL: none is wanted */
    const struct tensor *logits; /* of a cross-entropy, or NULL */
    const int32_t *labels;       /* (N) */
    const real *weights;         /* (D), by class; NULL: all 1 */
    struct metrics *metrics;
    int64_t skipped;   /* first samples that the metrics leave out */
    double smoothing;  /* s */
    double second;     /* m, the share of the partner's label */
    double weight_sum; /* of the step state */
};

/* True where the largest output is the label's: no other is larger, none before it is as large, none is NaN. */
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

/* The labels of a sample, and their shares, whose sum is 1. */
struct target {
    int count; /* 1 or 2 */
    int32_t label[2];
    double share[2];
};

/* The targets of sample n. A share of 0 is left out, since its feature may be infinite. */
static struct target find_target(const struct loss *loss, int64_t n)
{
    struct shape shape = loss->x->shape;
    const int32_t *labels = loss->labels;
    double second = loss->second;
    struct target target = {1, {labels[n], labels[(n + 1) % shape.n]}, {1 - second, second}};
    CHECK(target.label[0] >= 0 && target.label[0] < shape.c && target.label[1] >= 0 && target.label[1] < shape.c);
    if (second > 0) target.count = 2;
    return target;
}

/* The weights of a batch's terms. */
struct weighing {
    const real *weights; /* (D); NULL: all 1 */
    double smoothing;    /* s */
    double mean;         /* mean of the D weights */
    double total;        /* W; infinite where it would be 0, so that quotients by it are 0 */
    double per_sample;   /* N/W: the factor of a sample's loss in the metrics */
};

static double class_weight(const struct weighing *weighing, int64_t d)
{
    return weighing->weights ? (double)weighing->weights[d] : 1;
}

/* The weight of a sample: that of its labels, by their shares. */
static double target_weight(const struct weighing *w, const struct target *target)
{
    double weight = 0;
    for (int k = 0; k < target->count; k++) weight += target->share[k] * class_weight(w, target->label[k]);
    return weight;
}

static struct weighing weigh(const struct loss *loss)
{
    struct shape shape = loss->x->shape;
    struct weighing w = {NULL, loss->smoothing, 1, (double)shape.n, 1};
    if (!loss->weights) return w;
    w.weights = loss->weights;
    w.mean = w.total = 0;
    for (int64_t d = 0; d < shape.c; d++) w.mean += class_weight(&w, d) / (double)shape.c;
    for (int64_t n = 0; n < shape.n; n++) {
        struct target target = find_target(loss, n);
        w.total += target_weight(&w, &target);
    }
    if (loss->weight_sum != 0) w.total = loss->weight_sum;
    if (w.total == 0) w.total = INFINITY;
    w.per_sample = (double)shape.n / w.total;
    return w;
}

/* Returns S of a sample. */
static double target_sum(const struct weighing *w, const struct target *target)
{
    return w->weights ? (1 - w->smoothing) * target_weight(w, target) + w->smoothing * w->mean : 1;
}

static void check_loss(const struct loss *loss)
{
    CHECK(!loss->logits || shape_equal(loss->logits->shape, loss->x->shape));
    CHECK(loss->smoothing >= 0 && loss->smoothing < 1);
    CHECK(loss->skipped >= 0 && loss->skipped < loss->x->shape.n && !(loss->dx && loss->skipped > 0));
    if (loss->dx) check_vectors(loss->x, loss->dx);
}

/* Adds a sample, whose loss is `value`, to the metrics. */
static void add_sample(const struct loss *loss, int64_t n, int32_t label, double value)
{
    struct metrics *metrics = loss->metrics;
    CHECK(label >= 0 && label < loss->x->shape.c);
    if (n < loss->skipped) return;
    metrics->loss += value;
    metrics->correct += is_correct(loss->x, n, label);
    metrics->count++;
}

/* -log of the label's probability in sample n. A probability that has underflowed is computed anew from the logits, if
 * there are any. */
static double label_loss(const struct loss *loss, int64_t n, int32_t label)
{
    const struct tensor *x = loss->logits;
    int64_t at = feature_offset(loss->x->shape, n, label);
    double p = (double)((const real *)loss->x->data)[at];
    if (!(p < smallest_normal)) return -log(p); /* NaN too */
    if (!x) return -log(smallest_normal);
    double sum, max = max_and_sum(x, n, &sum);
    return max + log(sum) - (double)((const real *)x->data)[at];
}

static void run_cross_entropy(struct backend *backend, const struct op_call *call)
{
    const struct tensor *t = call->tensor;
    struct loss loss = {.x = &t[CROSS_ENTROPY_PROBABILITIES],
                        .dx = cpu_operand(call, CROSS_ENTROPY_DPROBABILITIES),
                        .logits = cpu_operand(call, CROSS_ENTROPY_LOGITS),
                        .labels = t[CROSS_ENTROPY_LABELS].data,
                        .weights = t[CROSS_ENTROPY_WEIGHTS].data,
                        .metrics = t[CROSS_ENTROPY_METRICS].data,
                        .skipped = call->input->skipped,
                        .weight_sum = call->input->state.weight_sum};
    const real *p = loss.x->data;
    struct shape s = loss.x->shape;
    check_loss(&loss);
    CHECK(!call->op->loss.mixed && (!loss.weights || t[CROSS_ENTROPY_WEIGHTS].shape.c == s.c));
    if (loss.dx) memset(loss.dx->data, 0, tensor_bytes(backend, TENSOR_ACTIVATION, s));
    struct weighing w = weigh(&loss);
    for (int64_t n = 0; n < s.n; n++) {
        int32_t label = loss.labels[n];
        int64_t at = feature_offset(s, n, label);
        double value = (double)p[at] < smallest_normal ? smallest_normal : (double)p[at];
        double weight = class_weight(&w, label);
        add_sample(&loss, n, label, label_loss(&loss, n, label) * (weight * w.per_sample));
        if (loss.dx) ((real *)loss.dx->data)[at] = (real)(-weight / (w.total * value));
    }
}

/* Returns sum_i w_i q_i x_i. */
static double target_dot(const struct tensor *x, int64_t n, const struct target *target, const struct weighing *w)
{
    const real *data = x->data;
    double of_labels = 0, total = 0;
    for (int k = 0; k < target->count; k++) {
        double weight = target->share[k] * class_weight(w, target->label[k]);
        of_labels += weight * (double)data[feature_offset(x->shape, n, target->label[k])];
    }
    if (w->smoothing == 0) return of_labels; /* the others may be infinite */
    for (int64_t d = 0; d < x->shape.c; d++) total += class_weight(w, d) * (double)data[feature_offset(x->shape, n, d)];
    return (1 - w->smoothing) * of_labels + w->smoothing / (double)x->shape.c * total;
}

static void subtract_targets(const struct tensor *dx, int64_t n, const struct target *target, const struct weighing *w)
{
    struct shape s = dx->shape;
    real *data = dx->data;
    double every = w->smoothing / ((double)s.c * w->total);
    for (int64_t d = 0; w->smoothing > 0 && d < s.c; d++)
        data[feature_offset(s, n, d)] -= (real)(class_weight(w, d) * every);
    for (int k = 0; k < target->count; k++) {
        double weight = target->share[k] * class_weight(w, target->label[k]);
        data[feature_offset(s, n, target->label[k])] -= (real)(weight * (1 - w->smoothing) / w->total);
    }
}

static void run_softmax_cross_entropy(struct backend *backend, const struct op_call *call)
{
    const struct tensor *t = call->tensor;
    struct loss loss = {.x = &t[SOFTMAX_CROSS_ENTROPY_LOGITS],
                        .dx = cpu_operand(call, SOFTMAX_CROSS_ENTROPY_DLOGITS),
                        .labels = t[SOFTMAX_CROSS_ENTROPY_LABELS].data,
                        .weights = t[SOFTMAX_CROSS_ENTROPY_WEIGHTS].data,
                        .metrics = t[SOFTMAX_CROSS_ENTROPY_METRICS].data,
                        .skipped = call->input->skipped,
                        .weight_sum = call->input->state.weight_sum,
                        .smoothing = call->op->loss.smoothing,
                        .second = call->op->loss.mixed ? call->input->state.mix.second / 65536.0 : 0};
    const struct tensor *logits = loss.x;
    (void)backend;
    check_loss(&loss);
    CHECK(!loss.weights || t[SOFTMAX_CROSS_ENTROPY_WEIGHTS].shape.c == logits->shape.c);
    struct weighing w = weigh(&loss);
    for (int64_t n = 0; n < logits->shape.n; n++) {
        struct target target = find_target(&loss, n);
        double sum, max = max_and_sum(logits, n, &sum), targets = target_sum(&w, &target);
        double value = targets * (max + log(sum)) - target_dot(logits, n, &target, &w);
        add_sample(&loss, n, target.label[target.share[1] > target.share[0]], value * w.per_sample);
        if (!loss.dx) continue;
        write_softmax(logits, loss.dx, n, max, sum, targets / w.total);
        subtract_targets(loss.dx, n, &target, &w);
    }
}

void CPU_EXPORT(cpu_softmax_install)(struct op_function *functions)
{
    functions[OP_SOFTMAX] = (struct op_function){.run = run_softmax};
    functions[OP_SOFTMAX_BACKWARD] = (struct op_function){.run = run_softmax_backward};
    functions[OP_CROSS_ENTROPY] = (struct op_function){.run = run_cross_entropy};
    functions[OP_SOFTMAX_CROSS_ENTROPY] = (struct op_function){.run = run_softmax_cross_entropy};
}
