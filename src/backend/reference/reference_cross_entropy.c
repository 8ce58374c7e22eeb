/* The losses over a batch of N samples, their gradients and the metrics (CROSS_ENTROPY and SOFTMAX_CROSS_ENTROPY in
 * op.h). Sample n has the target q[n,i] over the classes i, whose weights are w_i:
 *
 *   q[n,i] = (1-s) ((1-m) [i = t] + m [i = u]) + s/D      label t, partner's label u with the share m, smoothing s
 *   W = sum_n ((1-m) w_t + m w_u),   N where the classes have no weights
 *
 *   cross-entropy  L = -1/W sum_n w_t log p[n,t],   dp[n,i] = -w_t [i = t] / (W p[n,t])      (m = s = 0)
 *   fused          L = -1/W sum_n sum_i w_i q[n,i] log p[n,i],   p = softmax(x),   S_n = sum_i w_i q[n,i]
 *                    = 1/W sum_n (S_n (max + log sum_k exp(x_k - max)) - sum_i w_i q[n,i] x[n,i])
 *                  dx[n,i] = (S_n p[n,i] - w_i q[n,i]) / W
 *
 * The metrics take in N/W times the terms of the samples, so that their sum over N is L. Where W is 0, all is 0. A
 * product with q = 0 is left out, since its other factor may be infinite. */
#include <float.h>
#include <math.h>

#include "backend/reference/reference.h"
#include "util/check.h"

/* A batch's loss: its operands and sums. */
struct loss {
    const struct op_call *call;
    const struct tensor *x; /* (N,D,1,1): probabilities, or logits */
    const int32_t *labels;
    const double *weights; /* (D), or NULL */
    struct metrics *metrics;
    double smoothing, mix; /* s, m */
    double total;          /* W; infinite where it would be 0 */
};

static double class_weight(const struct loss *loss, int64_t i)
{
    return loss->weights ? loss->weights[i] : 1;
}

/* t, and u with m: the second label is that of the next sample. */
static int32_t label_of(const struct loss *loss, int64_t n)
{
    int32_t label = loss->labels[n % loss->x->shape.n];
    CHECK(label >= 0 && label < loss->x->shape.c);
    return label;
}

static double target(const struct loss *loss, int64_t n, int64_t i)
{
    double m = loss->mix, s = loss->smoothing;
    double of_labels = (1 - m) * (label_of(loss, n) == i) + m * (label_of(loss, n + 1) == i);
    return (1 - s) * of_labels + s / (double)loss->x->shape.c;
}

static void find_total(struct loss *loss)
{
    int64_t samples = loss->x->shape.n;
    loss->total = loss->weights ? 0 : (double)samples;
    for (int64_t n = 0; loss->weights && n < samples; n++)
        loss->total +=
            (1 - loss->mix) * loss->weights[label_of(loss, n)] + loss->mix * loss->weights[label_of(loss, n + 1)];
    double whole = loss->call->input->state.weight_sum;
    if (loss->weights && whole != 0) loss->total = whole;
    if (loss->total == 0) loss->total = INFINITY;
}

/* True where the largest output is that of the label: none is larger, none before it is as large, none is NaN. */
static bool is_correct(const double *x, int64_t classes, int32_t label)
{
    for (int64_t i = 0; i < classes; i++)
        if (!(i < label ? x[i] < x[label] : x[i] <= x[label])) return false;
    return true;
}

/* Adds a sample's term to the metrics. */
static void add_sample(const struct loss *loss, int64_t n, int32_t label, double term)
{
    struct shape s = loss->x->shape;
    if (n < loss->call->input->skipped) return;
    loss->metrics->loss += (double)s.n / loss->total * term;
    loss->metrics->correct += is_correct(reference_at(loss->x, n, 0, 0, 0), s.c, label);
    loss->metrics->count++;
}

/* -log p[n,t]. What has underflowed is computed from the logits, where they are given. */
static double label_loss(const struct loss *loss, int64_t n, int32_t t)
{
    const struct tensor *logits = &loss->call->tensor[CROSS_ENTROPY_LOGITS];
    double p = *reference_at(loss->x, n, t, 0, 0), sum, max;
    if (!(p < DBL_MIN)) return -log(p); /* NaN too */
    if (!logits->data) return -log(DBL_MIN);
    max = reference_softmax_sum(logits, n, &sum);
    return max + log(sum) - *reference_at(logits, n, t, 0, 0);
}

void reference_cross_entropy(struct backend *backend, const struct op_call *call)
{
    const struct tensor *dp = &call->tensor[CROSS_ENTROPY_DPROBABILITIES];
    struct loss loss = {.call = call,
                        .x = &call->tensor[CROSS_ENTROPY_PROBABILITIES],
                        .labels = call->tensor[CROSS_ENTROPY_LABELS].data,
                        .weights = call->tensor[CROSS_ENTROPY_WEIGHTS].data,
                        .metrics = call->tensor[CROSS_ENTROPY_METRICS].data};
    (void)backend;
    find_total(&loss);
    reference_zero(dp);
    for (int64_t n = 0; n < loss.x->shape.n; n++) {
        int32_t t = label_of(&loss, n);
        double p = *reference_at(loss.x, n, t, 0, 0), weight = class_weight(&loss, t);
        add_sample(&loss, n, t, weight * label_loss(&loss, n, t));
        if (dp->data) *reference_at(dp, n, t, 0, 0) = -weight / (loss.total * (p < DBL_MIN ? DBL_MIN : p));
    }
}

/* Adds a sample's term, and writes its gradient where one is wanted. */
static void run_fused_sample(const struct loss *loss, int64_t n, const struct tensor *dx)
{
    const double *x = reference_at(loss->x, n, 0, 0, 0);
    double sum, max = reference_softmax_sum(loss->x, n, &sum), targets = 0, dot = 0;
    for (int64_t i = 0; i < loss->x->shape.c; i++) {
        double weighted = class_weight(loss, i) * target(loss, n, i);
        targets += weighted;
        if (target(loss, n, i) > 0) dot += weighted * x[i];
    }
    add_sample(loss, n, label_of(loss, loss->mix > 0.5 ? n + 1 : n), targets * (max + log(sum)) - dot);
    for (int64_t i = 0; dx->data && i < loss->x->shape.c; i++) {
        double p = exp(x[i] - max) / sum, weighted = class_weight(loss, i) * target(loss, n, i);
        *reference_at(dx, n, i, 0, 0) = (targets * p - weighted) / loss->total;
    }
}

void reference_softmax_cross_entropy(struct backend *backend, const struct op_call *call)
{
    struct loss loss = {.call = call,
                        .x = &call->tensor[SOFTMAX_CROSS_ENTROPY_LOGITS],
                        .labels = call->tensor[SOFTMAX_CROSS_ENTROPY_LABELS].data,
                        .weights = call->tensor[SOFTMAX_CROSS_ENTROPY_WEIGHTS].data,
                        .metrics = call->tensor[SOFTMAX_CROSS_ENTROPY_METRICS].data,
                        .smoothing = call->op->loss.smoothing,
                        .mix = call->op->loss.mixed ? call->input->state.mix.second / 65536.0 : 0};
    (void)backend;
    find_total(&loss);
    for (int64_t n = 0; n < loss.x->shape.n; n++)
        run_fused_sample(&loss, n, &call->tensor[SOFTMAX_CROSS_ENTROPY_DLOGITS]);
}
