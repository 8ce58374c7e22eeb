/* Pooling. Window (p,q) is the pixels (h,w) with h = p s + k - p0, w = q s + l - p0 and 0 <= k, l < K that lie in the
 * image.
 *
 *   max:      y[n,c,p,q] = max of x[n,c,h,w] over the window; the first of equal ones wins, and NaN wins always
 *             dx[n,c,h,w] = sum of dy[n,c,p,q] over the windows that (h,w) won
 *   average:  y[n,c,p,q] = 1/K^2 sum of x[n,c,h,w] over the window
 *             dx[n,c,h,w] = 1/K^2 sum of dy[n,c,p,q] over the windows on (h,w)
 *   global:   y[n,c] = 1/(H W) sum_{h,w} x[n,c,h,w],   dx[n,c,h,w] = 1/(H W) dy[n,c] */
#include <math.h>

#include "backend/reference/reference.h"
#include "util/check.h"

/* Returns the value of one window, and in `winner` the number of the pixel that won. */
static double pool_window(struct pool_params pool, const struct tensor *x, int64_t n, int64_t c, int64_t p, int64_t q,
                          int64_t *winner)
{
    struct window window = pool.window;
    double sum = 0, most = 0;
    *winner = -1;
    for (int64_t k = 0; k < window.kernel; k++)
        for (int64_t l = 0; l < window.kernel; l++) {
            int64_t h = p * window.stride + k - window.padding, w = q * window.stride + l - window.padding;
            if (!reference_inside(x, h, w)) continue;
            double value = *reference_at(x, n, c, h, w);
            sum += value;
            if (*winner < 0 || value > most || isnan(value)) most = value, *winner = h * x->shape.w + w;
        }
    return pool.kind == POOL_MAX ? most : sum / (double)(window.kernel * window.kernel);
}

void reference_pool_values(struct pool_params pool, const struct tensor *x, const struct tensor *y, int64_t *saved)
{
    int64_t winner;
    CHECK(pool.window.padding <= pool.window.kernel / 2);
    CHECK(y->shape.h == window_output_size(x->shape.h, pool.window));
    CHECK(y->shape.w == window_output_size(x->shape.w, pool.window));
    for (int64_t n = 0; n < y->shape.n; n++)
        for (int64_t c = 0; c < y->shape.c; c++)
            for (int64_t p = 0; p < y->shape.h; p++)
                for (int64_t q = 0; q < y->shape.w; q++) {
                    *reference_at(y, n, c, p, q) = pool_window(pool, x, n, c, p, q, &winner);
                    if (saved) *saved++ = winner;
                }
}

/* Adds the share that a window's gradient gives to each of its pixels. */
static void spread_window(struct pool_params pool, const struct tensor *dx, int64_t n, int64_t c, int64_t p, int64_t q,
                          double dy)
{
    struct window window = pool.window;
    for (int64_t k = 0; k < window.kernel; k++)
        for (int64_t l = 0; l < window.kernel; l++) {
            int64_t h = p * window.stride + k - window.padding, w = q * window.stride + l - window.padding;
            if (reference_inside(dx, h, w))
                *reference_at(dx, n, c, h, w) += dy / (double)(window.kernel * window.kernel);
        }
}

void reference_pool_gradients(struct pool_params pool, const struct tensor *dy, const int64_t *saved,
                              const struct tensor *dx)
{
    reference_zero(dx);
    for (int64_t n = 0; n < dy->shape.n; n++)
        for (int64_t c = 0; c < dy->shape.c; c++)
            for (int64_t p = 0; p < dy->shape.h; p++)
                for (int64_t q = 0; q < dy->shape.w; q++) {
                    double gradient = *reference_at(dy, n, c, p, q);
                    if (pool.kind == POOL_MAX)
                        reference_at(dx, n, c, 0, 0)[*saved++] += gradient;
                    else
                        spread_window(pool, dx, n, c, p, q, gradient);
                }
}

void reference_pool(struct backend *backend, const struct op_call *call)
{
    (void)backend;
    reference_pool_values(call->op->pool, &call->tensor[POOL_X], &call->tensor[POOL_Y], call->tensor[POOL_SAVED].data);
}

void reference_pool_backward(struct backend *backend, const struct op_call *call)
{
    (void)backend;
    reference_pool_gradients(call->op->pool, &call->tensor[POOL_BACKWARD_DY], call->tensor[POOL_BACKWARD_SAVED].data,
                             &call->tensor[POOL_BACKWARD_DX]);
}

void reference_global_pool(struct backend *backend, const struct op_call *call)
{
    const double *x = call->tensor[GLOBAL_POOL_X].data;
    double *y = call->tensor[GLOBAL_POOL_Y].data;
    struct shape s = call->tensor[GLOBAL_POOL_X].shape;
    (void)backend;
    for (int64_t nc = 0; nc < s.n * s.c; nc++) {
        double sum = 0;
        for (int64_t hw = 0; hw < s.h * s.w; hw++) sum += x[nc * s.h * s.w + hw];
        y[nc] = sum / (double)(s.h * s.w);
    }
}

void reference_global_pool_backward(struct backend *backend, const struct op_call *call)
{
    const double *dy = call->tensor[GLOBAL_POOL_BACKWARD_DY].data;
    double *dx = call->tensor[GLOBAL_POOL_BACKWARD_DX].data;
    struct shape s = call->tensor[GLOBAL_POOL_BACKWARD_DX].shape;
    (void)backend;
    for (int64_t i = 0; i < shape_count(s); i++) dx[i] = dy[i / (s.h * s.w)] / (double)(s.h * s.w);
}
