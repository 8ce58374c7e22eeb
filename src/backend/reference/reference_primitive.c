/* Sums and the primitives of automatic differentiation, element by element; B = N*H*W.
 *
 *   add                y = ((a + b) + c) + d
 *   elementwise        y = a op b, or op a;   affine   y = scale a + shift, scale B/(B-1) for scale with `bessel`
 *   channel sum        y[c] = scale sum_{n,h,w} x[n,c,h,w];   channel broadcast   x[n,c,h,w] = scale y[c]
 *                      of a mean, scale / B in the place of scale */
#include <math.h>

#include "backend/reference/reference.h"
#include "util/check.h"

void reference_add(struct backend *backend, const struct op_call *call)
{
    double *y = call->tensor[ADD_Y].data;
    (void)backend;
    reference_zero(&call->tensor[ADD_Y]);
    for (int slot = ADD_A; slot <= ADD_D; slot++) {
        const double *term = call->tensor[slot].data;
        for (int64_t i = 0; term && i < shape_count(call->tensor[ADD_Y].shape); i++) y[i] += term[i];
    }
}

static double compute(struct elementwise_params params, double a, double b)
{
    switch (params.op) {
    case ELEMENTWISE_ADD:
        return a + b;
    case ELEMENTWISE_SUBTRACT:
        return a - b;
    case ELEMENTWISE_MULTIPLY:
        return a * b;
    case ELEMENTWISE_DIVIDE:
        return a / b;
    case ELEMENTWISE_SQUARE:
        return a * a;
    case ELEMENTWISE_SQRT:
        return sqrt(a);
    case ELEMENTWISE_AFFINE:
        return params.scale * a + params.shift;
    case ELEMENTWISE_ROUND: /* activations are doubles too */
        return a;
    }
    return NAN;
}

void reference_elementwise(struct backend *backend, const struct op_call *call)
{
    struct elementwise_params params = call->op->elementwise;
    const double *a = call->tensor[ELEMENTWISE_A].data, *b = call->tensor[ELEMENTWISE_B].data;
    double *y = call->tensor[ELEMENTWISE_Y].data, values = (double)(params.bessel * call->input->n);
    int64_t count = shape_count(call->tensor[ELEMENTWISE_Y].shape);
    (void)backend;
    CHECK(b || params.op >= ELEMENTWISE_SQUARE);
    if (values > 1) params.scale *= values / (values - 1);
    for (int64_t i = 0; i < count; i++) y[i] = compute(params, a[i], b ? b[i] : 0);
}

static double channel_scale(const struct op_call *call, struct shape x)
{
    return call->op->channel.mean ? call->op->channel.scale / (double)(x.n * x.h * x.w) : call->op->channel.scale;
}

void reference_channel_sum(struct backend *backend, const struct op_call *call)
{
    const double *x = call->tensor[CHANNEL_SUM_X].data;
    double *y = call->tensor[CHANNEL_SUM_Y].data;
    struct shape s = call->tensor[CHANNEL_SUM_X].shape;
    (void)backend;
    for (int64_t c = 0; c < s.c; c++) {
        long double sum = 0;
        for (int64_t k = 0; k < s.n * s.h * s.w; k++) sum += x[reference_element(s, c, k)];
        y[c] = channel_scale(call, s) * (double)sum;
    }
}

void reference_channel_broadcast(struct backend *backend, const struct op_call *call)
{
    const double *y = call->tensor[CHANNEL_BROADCAST_Y].data;
    double *x = call->tensor[CHANNEL_BROADCAST_X].data;
    struct shape s = call->tensor[CHANNEL_BROADCAST_X].shape;
    (void)backend;
    for (int64_t i = 0; i < shape_count(s); i++) x[i] = channel_scale(call, s) * y[reference_channel_of(s, i)];
}
