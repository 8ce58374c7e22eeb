/* Convolution (cross-correlation, as in PyTorch). A linear layer is the case K = 1, H = W = 1. Tap (k,l) of output pixel
 * (p,q) meets pixel (h,w) of the image, and x is 0 outside of it:
 *
 *   y[n,o,p,q] = b[o] + sum_{i,k,l} weight[o,i,k,l] x[n,c,h,w],   h = p s + k - p0,  w = q s + l - p0
 *
 * With G groups of I/G input and O/G output channels c = I/G floor(o / (O/G)) + i; with one, c = i.
 * Each product has two factors, and dy[n,o,p,q] times the one is a share in the gradient of the other:
 *
 *   dx[n,c,h,w] += weight[o,i,k,l] dy[n,o,p,q]
 *   dweight[o,i,k,l] += x[n,c,h,w] dy[n,o,p,q],   dbias[o] += dy[n,o,p,q] */
#include "backend/reference/reference.h"
#include "util/check.h"

/* The input channel that weight[o,i] multiplies. */
static int64_t input_channel(int64_t groups, struct shape weight, int64_t o, int64_t i)
{
    return o / (weight.n / groups) * weight.c + i;
}

static double sum_taps(const struct conv2d_params *params, const struct tensor *weight, const struct tensor *x,
                       int64_t n, int64_t o, int64_t p, int64_t q)
{
    struct window window = params->window;
    double sum = 0;
    for (int64_t i = 0; i < weight->shape.c; i++) {
        int64_t c = input_channel(params->groups, weight->shape, o, i);
        for (int64_t k = 0; k < window.kernel; k++)
            for (int64_t l = 0; l < window.kernel; l++) {
                int64_t h = p * window.stride + k - window.padding, w = q * window.stride + l - window.padding;
                if (reference_inside(x, h, w)) sum += *reference_at(weight, o, i, k, l) * *reference_at(x, n, c, h, w);
            }
    }
    return sum;
}

void reference_conv2d(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[CONV2D_X], *weight = &call->tensor[CONV2D_WEIGHT];
    const struct tensor *y = &call->tensor[CONV2D_Y];
    const double *bias = call->tensor[CONV2D_BIAS].data;
    (void)backend;
    CHECK(weight->shape.n == y->shape.c && weight->shape.c * call->op->conv2d.groups == x->shape.c &&
          x->shape.n == y->shape.n);
    for (int64_t n = 0; n < y->shape.n; n++)
        for (int64_t o = 0; o < y->shape.c; o++)
            for (int64_t p = 0; p < y->shape.h; p++)
                for (int64_t q = 0; q < y->shape.w; q++)
                    *reference_at(y, n, o, p, q) =
                        (bias ? bias[o] : 0) + sum_taps(&call->op->conv2d, weight, x, n, o, p, q);
}

/* Adds the shares of one output's gradient. */
static void spread_taps(const struct op_call *call, int64_t n, int64_t o, int64_t p, int64_t q)
{
    const struct tensor *x = &call->tensor[CONV2D_BACKWARD_X], *weight = &call->tensor[CONV2D_BACKWARD_WEIGHT];
    const struct tensor *dx = &call->tensor[CONV2D_BACKWARD_DX], *dweight = &call->tensor[CONV2D_BACKWARD_DWEIGHT];
    struct window window = call->op->conv2d.window;
    double dy = *reference_at(&call->tensor[CONV2D_BACKWARD_DY], n, o, p, q);
    for (int64_t i = 0; i < weight->shape.c; i++) {
        int64_t c = input_channel(call->op->conv2d.groups, weight->shape, o, i);
        for (int64_t k = 0; k < window.kernel; k++)
            for (int64_t l = 0; l < window.kernel; l++) {
                int64_t h = p * window.stride + k - window.padding, w = q * window.stride + l - window.padding;
                if (!reference_inside(x, h, w)) continue;
                if (dx->data) *reference_at(dx, n, c, h, w) += *reference_at(weight, o, i, k, l) * dy;
                if (dweight->data) *reference_at(dweight, o, i, k, l) += *reference_at(x, n, c, h, w) * dy;
            }
    }
}

void reference_conv2d_backward(struct backend *backend, const struct op_call *call)
{
    struct shape y = call->tensor[CONV2D_BACKWARD_DY].shape;
    double *dbias = call->tensor[CONV2D_BACKWARD_DBIAS].data;
    (void)backend;
    reference_zero(&call->tensor[CONV2D_BACKWARD_DX]);
    reference_zero(&call->tensor[CONV2D_BACKWARD_DWEIGHT]);
    reference_zero(&call->tensor[CONV2D_BACKWARD_DBIAS]);
    for (int64_t n = 0; n < y.n; n++)
        for (int64_t o = 0; o < y.c; o++)
            for (int64_t p = 0; p < y.h; p++)
                for (int64_t q = 0; q < y.w; q++) {
                    spread_taps(call, n, o, p, q);
                    if (dbias) dbias[o] += *reference_at(&call->tensor[CONV2D_BACKWARD_DY], n, o, p, q);
                }
}
