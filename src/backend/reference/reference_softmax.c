/* Softmax over the D features of each sample. With m = max_k x_k, so that nothing overflows:
 *
 *   y_i = exp(x_i - m) / sum_k exp(x_k - m)
 *   dy_i/dx_j = y_i (delta_ij - y_j),   so   dx_j = y_j (dy_j - sum_i dy_i y_i)
 *
 * Where dy_i is not 0, the backward pass reads a y_i below the smallest normal number as that number, as the
 * cross-entropy has done (op.h). */
#include <float.h>
#include <math.h>

#include "backend/reference/reference.h"

double reference_softmax_sum(const struct tensor *x, int64_t n, double *sum)
{
    const double *values = reference_at(x, n, 0, 0, 0);
    double m = -INFINITY;
    for (int64_t k = 0; k < x->shape.c; k++) m = fmax(m, values[k]);
    *sum = 0;
    for (int64_t k = 0; k < x->shape.c; k++) *sum += exp(values[k] - m);
    return m;
}

void reference_softmax(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[SOFTMAX_X], *y = &call->tensor[SOFTMAX_Y];
    (void)backend;
    for (int64_t n = 0; n < x->shape.n; n++) {
        double sum, m = reference_softmax_sum(x, n, &sum);
        for (int64_t i = 0; i < x->shape.c; i++)
            *reference_at(y, n, i, 0, 0) = exp(*reference_at(x, n, i, 0, 0) - m) / sum;
    }
}

/* NaN stays. */
static double read_probability(double y, double dy)
{
    return dy != 0 && y < DBL_MIN ? DBL_MIN : y;
}

void reference_softmax_backward(struct backend *backend, const struct op_call *call)
{
    struct shape s = call->tensor[SOFTMAX_BACKWARD_Y].shape;
    (void)backend;
    for (int64_t n = 0; n < s.n; n++) {
        const double *y = reference_at(&call->tensor[SOFTMAX_BACKWARD_Y], n, 0, 0, 0);
        const double *dy = reference_at(&call->tensor[SOFTMAX_BACKWARD_DY], n, 0, 0, 0);
        double *dx = reference_at(&call->tensor[SOFTMAX_BACKWARD_DX], n, 0, 0, 0), sum = 0;
        for (int64_t i = 0; i < s.c; i++) sum += dy[i] * read_probability(y[i], dy[i]);
        for (int64_t j = 0; j < s.c; j++) dx[j] = read_probability(y[j], dy[j]) * (dy[j] - sum);
    }
}
