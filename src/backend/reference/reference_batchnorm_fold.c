/* Batch normalization within the weights before it, for evaluation. Per output channel o:
 *
 *   scale = gamma / sqrt(var + eps),   to_weight = scale weight,   to_bias = scale (bias - mean) + beta */
#include <math.h>

#include "backend/reference/reference.h"

void reference_fold(struct backend *backend, const struct op_call *call)
{
    const double *weight = call->tensor[FOLD_WEIGHT].data, *bias = call->tensor[FOLD_BIAS].data;
    const double *gamma = call->tensor[FOLD_GAMMA].data, *beta = call->tensor[FOLD_BETA].data;
    const double *mean = call->tensor[FOLD_MEAN].data, *var = call->tensor[FOLD_VAR].data;
    double *to_weight = call->tensor[FOLD_TO_WEIGHT].data, *to_bias = call->tensor[FOLD_TO_BIAS].data;
    struct shape s = call->tensor[FOLD_WEIGHT].shape;
    int64_t row = shape_sample_count(s); /* I*K*K */
    (void)backend;
    for (int64_t o = 0; o < s.n; o++) {
        double scale = gamma[o] / sqrt(var[o] + call->op->fold.epsilon);
        for (int64_t i = o * row; i < (o + 1) * row; i++) to_weight[i] = scale * weight[i];
        to_bias[o] = scale * ((bias ? bias[o] : 0) - mean[o]) + beta[o];
    }
}
