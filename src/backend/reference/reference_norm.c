/* The magnitude of an arena, and the scaling that limits it:
 *
 *   y = sqrt(sum_i x_i^2),   x <- x min(1, limit / (y + 1e-6)) */
#include <math.h>

#include "backend/reference/reference.h"
#include "util/check.h"

static double magnitude_of(const struct tensor *x)
{
    const double *values = x->data;
    long double sum = 0;
    for (int64_t i = 0; i < shape_count(x->shape); i++) sum += values[i] * values[i];
    return sqrt((double)sum);
}

void reference_magnitude(struct backend *backend, const struct op_call *call)
{
    (void)backend;
    *(double *)call->tensor[MAGNITUDE_Y].data = magnitude_of(&call->tensor[MAGNITUDE_X]);
}

/* The test is not `factor < 1`, so that a magnitude that is NaN goes on to the weights, where it is found. */
void reference_clip(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[CLIP_X];
    double *values = x->data, factor = call->op->clip / (magnitude_of(x) + 1e-6);
    (void)backend;
    CHECK(call->op->clip > 0);
    for (int64_t i = 0; !(factor >= 1) && i < shape_count(x->shape); i++) values[i] *= factor;
}
