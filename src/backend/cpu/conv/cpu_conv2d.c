/* Convolution (cross-correlation, as in PyTorch) and, with a 1x1 window on 1x1 images, the linear layer.
 *
 *   y[n,o,p,q]   = b[o] + sum_{i,k,l} w[o,i,k,l] x[n,i,p*s+k-pad,q*s+l-pad]        (terms outside the image are zero)
 * so, with dy = dL/dy given,
 *   db[o]        = sum_{n,p,q} dy[n,o,p,q]
 *   dw[o,i,k,l]  = sum_{n,p,q} dy[n,o,p,q] x[n,i,p*s+k-pad,q*s+l-pad]
 *   dx[n,i,h,w]  = sum_{o,k,l} dy[n,o,p,q] w[o,i,k,l]   over the p, q with p*s+k-pad = h and q*s+l-pad = w.
 *
 * y and dx, cpu_conv2d_sum.c, are the same sum with x and y exchanged; dw and db, cpu_conv2d_filter.c, are another.
 * A linear layer whose input is pixels is computed in cpu_linear_pixels.c.
 * With precision = bf16, all but db are computed in cpu_conv2d_bf16.c.
 * Where cpu_winograd_wanted says so, all but db are computed in cpu_winograd.c and cpu_winograd_filter.c.
 *
 * Every output is summed by one thread in an order that neither the tile nor the number of threads changes.
 *
 * This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/conv/cpu_conv2d.h"

#include <stdlib.h>

#include "backend/cpu/conv/cpu_linear_pixels.h"
#include "backend/cpu/conv/cpu_winograd.h"
#include "backend/cpu/cpu_install.h"
#include "backend/cpu/cpu_primitive.h"
#include "backend/cpu/cpu_update.h"
#include "util/memory.h"

static struct conv2d_plan *cpu_conv2d_plan_create(struct backend *backend, struct window window, struct shape input,
                                                  int64_t output_channels)
{
    struct conv2d_plan *plan = memory_alloc(1, sizeof *plan);
    *plan = (struct conv2d_plan){.window = window, .input = input, .output_channels = output_channels};
#if defined(CPU_SCALAR_f32)
    if (cpu_backend_of(backend)->bf16) {
        CPU_EXPORT(cpu_conv2d_bf16_plan)(backend, plan);
        return plan;
    }
#endif
    CPU_EXPORT(cpu_conv2d_sum_plan)(backend, plan);
    CPU_EXPORT(cpu_conv2d_filter_plan)(backend, plan);
    if (CPU_EXPORT(cpu_winograd_wanted)(backend, window, input, output_channels))
        CPU_EXPORT(cpu_winograd_reserve)(backend, input, output_channels);
    return plan;
}

static void cpu_conv2d_plan_destroy(struct backend *backend, struct conv2d_plan *plan)
{
    if (!plan) return;
    backend->ops->free(backend, plan->transposed);
    backend->ops->free(backend, plan->parts);
    backend->ops->free(backend, plan->bias_parts);
    backend->ops->free(backend, plan->bf16.filters);
    backend->ops->free(backend, plan->bf16.steps);
    free(plan);
}

static void check_shapes(const struct conv2d_plan *plan, struct shape x, struct shape weight, struct shape y)
{
    CHECK(x.n <= plan->input.n && x.c == plan->input.c && x.h == plan->input.h && x.w == plan->input.w);
    CHECK(weight.n == plan->output_channels && weight.c == x.c);
    CHECK(weight.h == plan->window.kernel && weight.w == plan->window.kernel);
    CHECK(y.n == x.n && y.c == weight.n);
    CHECK(y.h == window_output_size(x.h, plan->window) && y.w == window_output_size(x.w, plan->window));
}

static void cpu_conv2d_forward(struct backend *backend, struct conv2d_plan *plan, const struct tensor *x,
                               const struct tensor *weight, const struct tensor *bias, const struct tensor *y)
{
    check_shapes(plan, x->shape, weight->shape, y->shape);
    struct conv2d_sum sum = {.window = plan->window, .source = *x, .destination = *y, .filter = weight->data};
    if (bias) sum.bias = bias->data;
    if (x->kind == TENSOR_PIXELS) {
        CPU_EXPORT(cpu_linear_pixels_forward)(backend, x, weight, bias, y);
        return;
    }
#if defined(CPU_SCALAR_f32)
    if (cpu_backend_of(backend)->bf16) {
        CPU_EXPORT(cpu_conv2d_bf16_sum)(backend, plan, &sum);
        return;
    }
#endif
    if (CPU_EXPORT(cpu_winograd_wanted)(backend, plan->window, x->shape, y->shape.c))
        CPU_EXPORT(cpu_winograd_forward)(backend, x, weight, bias, y);
    else
        CPU_EXPORT(cpu_conv2d_sum)(backend, plan, &sum);
}

/* dx comes first, because the code that computes dweight may update the weight. */
static void run_backward(struct backend *backend, struct conv2d_plan *plan, const struct tensor *x,
                         const struct tensor *weight, const struct tensor *dy, const struct tensor *dx,
                         const struct tensor *dweight, const struct tensor *dbias)
{
    check_shapes(plan, x->shape, weight->shape, dy->shape);
    struct conv2d_sum sum = {.window = plan->window, .transposed = true, .source = *dy, .filter = weight->data};
    sum.destination = dx ? *dx : (struct tensor){.shape = x->shape, .kind = x->kind};
    if (x->kind == TENSOR_PIXELS) {
        CHECK(!dx);
        CPU_EXPORT(cpu_linear_pixels_backward)(backend, x, dy, dweight, dbias);
        return;
    }
#if defined(CPU_SCALAR_f32)
    if (cpu_backend_of(backend)->bf16) {
        if (dbias) CPU_EXPORT(cpu_channel_sum)(backend, 1, dy, dbias);
        CPU_EXPORT(cpu_conv2d_bf16_backward)(backend, plan, x, &sum, dweight);
        return;
    }
#endif
    if (CPU_EXPORT(cpu_winograd_wanted)(backend, plan->window, x->shape, dy->shape.c)) {
        if (dx) CPU_EXPORT(cpu_winograd_input_gradient)(backend, dy, weight, dx);
        if (dbias) CPU_EXPORT(cpu_channel_sum)(backend, 1, dy, dbias);
        CPU_EXPORT(cpu_winograd_filter_gradient)(backend, x, dy, dweight);
        return;
    }
    if (dx) CPU_EXPORT(cpu_conv2d_sum)(backend, plan, &sum);
    CPU_EXPORT(cpu_conv2d_filter)(backend, plan, x, dy, dweight, dbias);
}

static void cpu_conv2d_backward(struct backend *backend, struct conv2d_plan *plan, const struct tensor *x,
                                const struct tensor *weight, const struct tensor *dy, const struct tensor *dx,
                                const struct tensor *dweight, const struct tensor *dbias)
{
    run_backward(backend, plan, x, weight, dy, dx, dweight, dbias);
    if (CPU_EXPORT(cpu_update_of)(backend, dweight->data)) CPU_EXPORT(cpu_update_passed)(backend, dweight);
}

void CPU_EXPORT(cpu_conv2d_install)(struct backend_ops *ops)
{
    ops->conv2d_plan_create = cpu_conv2d_plan_create;
    ops->conv2d_plan_destroy = cpu_conv2d_plan_destroy;
    ops->conv2d_forward = cpu_conv2d_forward;
    ops->conv2d_backward = cpu_conv2d_backward;
}
