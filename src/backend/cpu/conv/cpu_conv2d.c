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
 * With precision = bf16, all but db are computed in cpu_conv2d_bf16.c, or in cpu_winograd_bf16.c and
 * cpu_winograd_bf16_filter.c where cpu_winograd_bf16_wanted says so.
 * Where cpu_winograd_wanted says so, all but db are computed in cpu_winograd.c and cpu_winograd_filter.c.
 * With several groups of channels the same sums go over the channels of a group: cpu_conv2d_groups.c, cpu_depthwise.c.
 *
 * Every output is summed by one thread in an order that neither the tile nor the number of threads changes.
 *
 * This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/conv/cpu_conv2d.h"

#include <stdlib.h>

#include "backend/cpu/conv/cpu_bf16.h"
#include "backend/cpu/conv/cpu_conv2d_groups.h"
#include "backend/cpu/conv/cpu_depthwise.h"
#include "backend/cpu/conv/cpu_linear_pixels.h"
#include "backend/cpu/conv/cpu_winograd.h"
#include "backend/cpu/conv/cpu_winograd_bf16.h"
#include "backend/cpu/cpu_install.h"
#include "backend/cpu/cpu_primitive.h"
#include "util/memory.h"

/* --- plans --- */

#if defined(CPU_SCALAR_f32)

static bool is_bf16(const struct conv2d_plan *plan)
{
    return plan->bf16.winograd || plan->bf16.direct;
}

/* Plans products in bf16; returns false where they are computed in fp32. A step of such products takes 32 terms, of
 * which few input channels leave most empty. */
static bool plan_bf16(struct backend *backend, struct conv2d_plan *plan)
{
    enum { FEWEST_CHANNELS = 16 };
    const struct cpu_bf16_engine *engine = cpu_backend_of(backend)->bf16;
    plan->bf16.winograd =
        CPU_EXPORT(cpu_winograd_bf16_wanted)(backend, plan->window, plan->input, plan->output_channels);
    plan->bf16.direct = !plan->bf16.winograd && (engine->many_times_fp32 || plan->input.c >= FEWEST_CHANNELS);
    if (plan->bf16.winograd) CPU_EXPORT(cpu_winograd_bf16_reserve)(backend, plan->input, plan->output_channels);
    if (plan->bf16.direct) CPU_EXPORT(cpu_conv2d_bf16_plan)(backend, plan);
    return is_bf16(plan);
}

#endif

struct conv2d_plan *CPU_EXPORT(cpu_conv2d_dense_plan)(struct backend *backend, struct window window, struct shape input,
                                                      int64_t output_channels)
{
    struct conv2d_plan *plan = memory_alloc(1, sizeof *plan);
    *plan = (struct conv2d_plan){.window = window, .input = input, .output_channels = output_channels, .groups = 1};
#if defined(CPU_SCALAR_f32)
    if (cpu_backend_of(backend)->bf16 && plan_bf16(backend, plan)) return plan;
#endif
    CPU_EXPORT(cpu_conv2d_sum_plan)(backend, plan);
    CPU_EXPORT(cpu_conv2d_filter_plan)(backend, plan);
    if (CPU_EXPORT(cpu_winograd_wanted)(backend, window, input, output_channels))
        CPU_EXPORT(cpu_winograd_reserve)(backend, input, output_channels);
    return plan;
}

static struct conv2d_plan *grouped_plan(struct backend *backend, struct conv2d_params params, struct shape input,
                                        int64_t output_channels)
{
    struct conv2d_plan *plan = memory_alloc(1, sizeof *plan);
    *plan = (struct conv2d_plan){
        .window = params.window, .input = input, .output_channels = output_channels, .groups = params.groups};
    if (cpu_depthwise_takes(plan))
        CPU_EXPORT(cpu_depthwise_plan)(backend, plan);
    else
        CPU_EXPORT(cpu_conv2d_groups_plan)(backend, plan);
    return plan;
}

static void *prepare_conv2d(const struct prepared *prepared, const struct op_call *call)
{
    struct conv2d_params params = call->op->conv2d;
    struct shape input = call->tensor[CONV2D_X].shape;
    int64_t output_channels = call->tensor[CONV2D_WEIGHT].shape.n;
    if (params.groups > 1) return grouped_plan(prepared->backend, params, input, output_channels);
    return CPU_EXPORT(cpu_conv2d_dense_plan)(prepared->backend, params.window, input, output_channels);
}

void CPU_EXPORT(cpu_conv2d_plan_free)(struct backend *backend, struct conv2d_plan *plan)
{
    if (!plan) return;
    CPU_EXPORT(cpu_conv2d_groups_plan_free)(backend, plan->ranges);
    backend->table->free(backend, plan->transposed);
    backend->table->free(backend, plan->parts);
    backend->table->free(backend, plan->bias_parts);
    backend->table->free(backend, plan->bf16.filters);
    backend->table->free(backend, plan->bf16.steps);
    free(plan);
}

static void release_conv2d(struct backend *backend, void *plan)
{
    CPU_EXPORT(cpu_conv2d_plan_free)(backend, plan);
}

/* Both directions use the plan of the forward op. */
static void *prepare_conv2d_backward(const struct prepared *prepared, const struct op_call *call)
{
    return prepared_forward_call(prepared, call)->plan;
}

static void check_shapes(const struct conv2d_plan *plan, struct shape x, struct shape weight, struct shape y)
{
    CHECK(x.n <= plan->input.n && x.c == plan->input.c && x.h == plan->input.h && x.w == plan->input.w);
    CHECK(weight.n == plan->output_channels && weight.c * plan->groups == x.c);
    CHECK(weight.h == plan->window.kernel && weight.w == plan->window.kernel);
    CHECK(y.n == x.n && y.c == weight.n);
    CHECK(y.h == window_output_size(x.h, plan->window) && y.w == window_output_size(x.w, plan->window));
}

/* --- one group --- */

/* NULL where the tensor is left out. */
static const struct tensor *optional(const struct tensor *tensor)
{
    return tensor->data ? tensor : NULL;
}

#if defined(CPU_SCALAR_f32)

static void sum_bf16(struct backend *backend, const struct conv2d_plan *plan, const struct conv2d_sum *sum)
{
    if (plan->bf16.winograd)
        CPU_EXPORT(cpu_winograd_bf16_sum)(backend, sum);
    else
        CPU_EXPORT(cpu_conv2d_bf16_sum)(backend, plan, sum);
}

static void backward_bf16(struct backend *backend, const struct conv2d_plan *plan, const struct tensor *x,
                          const struct conv2d_sum *dx, const struct tensor *dweight, const struct cpu_update *update)
{
    if (!plan->bf16.winograd) {
        CPU_EXPORT(cpu_conv2d_bf16_backward)(backend, plan, x, dx, dweight, update);
        return;
    }
    if (dx->destination.data) CPU_EXPORT(cpu_winograd_bf16_sum)(backend, dx);
    CPU_EXPORT(cpu_winograd_bf16_filter)(backend, x, &dx->source, dweight, update);
}

#endif

void CPU_EXPORT(cpu_conv2d_dense)(struct backend *backend, const struct conv2d_plan *plan,
                                  const struct conv2d_operands *operands)
{
    const struct tensor *x = &operands->x, *weight = &operands->weight, *y = &operands->y;
    const struct tensor *bias = optional(&operands->bias);
    struct conv2d_sum sum = {.window = plan->window, .source = *x, .destination = *y, .filter = weight->data};
    if (bias) sum.bias = bias->data;
    if (x->kind == TENSOR_PIXELS) {
        CPU_EXPORT(cpu_linear_pixels_forward)(backend, x, weight, bias, y);
        return;
    }
#if defined(CPU_SCALAR_f32)
    if (is_bf16(plan)) {
        sum_bf16(backend, plan, &sum);
        return;
    }
#endif
    if (CPU_EXPORT(cpu_winograd_wanted)(backend, plan->window, x->shape, y->shape.c))
        CPU_EXPORT(cpu_winograd_forward)(backend, x, weight, bias, y);
    else
        CPU_EXPORT(cpu_conv2d_sum)(backend, plan, &sum);
}

/* dx and dbias, where they are wanted and dweight is not: the bits that they have beside it. */
static void run_without_dweight(struct backend *backend, const struct conv2d_plan *plan,
                                const struct conv2d_operands *operands, const struct conv2d_sum *sum)
{
    const struct tensor *x = &operands->x, *weight = &operands->weight, *dy = &operands->y;
    const struct tensor *dx = optional(&operands->dx), *dbias = optional(&operands->dbias);
    bool pixels = x->kind == TENSOR_PIXELS, bf16 = false;
    bool winograd = !pixels && CPU_EXPORT(cpu_winograd_wanted)(backend, plan->window, x->shape, dy->shape.c);
#if defined(CPU_SCALAR_f32)
    bf16 = is_bf16(plan);
#endif
    if (dbias && (pixels || bf16 || winograd))
        CPU_EXPORT(cpu_channel_sum)(backend, 1, dy, dbias);
    else if (dbias)
        CPU_EXPORT(cpu_conv2d_filter_bias)(backend, plan, dy, weight->shape, dbias);
    if (!dx) return;
#if defined(CPU_SCALAR_f32)
    if (bf16) {
        sum_bf16(backend, plan, sum);
        return;
    }
#endif
    if (winograd)
        CPU_EXPORT(cpu_winograd_input_gradient)(backend, dy, weight, dx);
    else
        CPU_EXPORT(cpu_conv2d_sum)(backend, plan, sum);
}

/* dx comes first, because the code that computes dweight takes the update (or NULL) of the weight along. */
void CPU_EXPORT(cpu_conv2d_dense_backward)(struct backend *backend, const struct conv2d_plan *plan,
                                           const struct conv2d_operands *operands, const struct cpu_update *update)
{
    const struct tensor *x = &operands->x, *weight = &operands->weight, *dy = &operands->y;
    const struct tensor *dx = optional(&operands->dx), *dweight = optional(&operands->dweight);
    const struct tensor *dbias = optional(&operands->dbias);
    struct conv2d_sum sum = {.window = plan->window, .transposed = true, .source = *dy, .filter = weight->data};
    sum.destination = dx ? *dx : (struct tensor){.shape = x->shape, .kind = x->kind};
    if (!dweight) {
        run_without_dweight(backend, plan, operands, &sum);
        return;
    }
    if (x->kind == TENSOR_PIXELS) {
        CHECK(!dx);
        CPU_EXPORT(cpu_linear_pixels_backward)(backend, x, dy, dweight, dbias, update);
        return;
    }
#if defined(CPU_SCALAR_f32)
    if (is_bf16(plan)) {
        if (dbias) CPU_EXPORT(cpu_channel_sum)(backend, 1, dy, dbias);
        backward_bf16(backend, plan, x, &sum, dweight, update);
        return;
    }
#endif
    if (CPU_EXPORT(cpu_winograd_wanted)(backend, plan->window, x->shape, dy->shape.c)) {
        if (dx) CPU_EXPORT(cpu_winograd_input_gradient)(backend, dy, weight, dx);
        if (dbias) CPU_EXPORT(cpu_channel_sum)(backend, 1, dy, dbias);
        CPU_EXPORT(cpu_winograd_filter_gradient)(backend, x, dy, dweight, update);
        return;
    }
    if (dx) CPU_EXPORT(cpu_conv2d_sum)(backend, plan, &sum);
    CPU_EXPORT(cpu_conv2d_filter)(backend, plan, x, dy, dweight, dbias, update);
}

/* --- operations --- */

static void run_conv2d(struct backend *backend, const struct op_call *call)
{
    const struct conv2d_plan *plan = call->plan;
    struct conv2d_operands operands = {.x = call->tensor[CONV2D_X],
                                       .weight = call->tensor[CONV2D_WEIGHT],
                                       .bias = call->tensor[CONV2D_BIAS],
                                       .y = call->tensor[CONV2D_Y]};
    struct conv2d_sum sum = {
        .window = plan->window, .source = operands.x, .destination = operands.y, .filter = operands.weight.data};
    check_shapes(plan, operands.x.shape, operands.weight.shape, operands.y.shape);
    if (cpu_depthwise_takes(plan)) {
        sum.bias = operands.bias.data;
        CPU_EXPORT(cpu_depthwise_sum)(backend, &sum);
    } else if (plan->ranges) {
        CPU_EXPORT(cpu_conv2d_groups)(backend, plan, &operands);
    } else {
        CPU_EXPORT(cpu_conv2d_dense)(backend, plan, &operands);
    }
}

static void run_depthwise_backward(struct backend *backend, const struct conv2d_plan *plan,
                                   const struct conv2d_operands *operands, const struct cpu_update *update)
{
    struct conv2d_sum dx = {.window = plan->window,
                            .transposed = true,
                            .source = operands->y,
                            .destination = operands->dx,
                            .filter = operands->weight.data};
    if (dx.destination.data) CPU_EXPORT(cpu_depthwise_sum)(backend, &dx);
    if (operands->dbias.data) CPU_EXPORT(cpu_channel_sum)(backend, 1, &operands->y, &operands->dbias);
    if (operands->dweight.data)
        CPU_EXPORT(cpu_depthwise_filter)(backend, plan, &operands->x, &operands->y, &operands->dweight, update);
}

static void run_backward(struct backend *backend, const struct op_call *call, const struct cpu_update *update)
{
    const struct conv2d_plan *plan = call->plan;
    struct conv2d_operands operands = {.x = call->tensor[CONV2D_BACKWARD_X],
                                       .weight = call->tensor[CONV2D_BACKWARD_WEIGHT],
                                       .y = call->tensor[CONV2D_BACKWARD_DY],
                                       .dx = call->tensor[CONV2D_BACKWARD_DX],
                                       .dweight = call->tensor[CONV2D_BACKWARD_DWEIGHT],
                                       .dbias = call->tensor[CONV2D_BACKWARD_DBIAS]};
    check_shapes(plan, operands.x.shape, operands.weight.shape, operands.y.shape);
    if (cpu_depthwise_takes(plan))
        run_depthwise_backward(backend, plan, &operands, update);
    else if (plan->ranges)
        CPU_EXPORT(cpu_conv2d_groups_backward)(backend, plan, &operands, update);
    else
        CPU_EXPORT(cpu_conv2d_dense_backward)(backend, plan, &operands, update);
}

static void run_conv2d_backward(struct backend *backend, const struct op_call *call)
{
    if (!call->attached) {
        run_backward(backend, call, NULL);
        return;
    }
    struct cpu_update update = CPU_EXPORT(cpu_update_of)(backend, call->attached, call->input);
    CHECK(update.range && update.dw == call->tensor[CONV2D_BACKWARD_DWEIGHT].data);
    run_backward(backend, call, &update);
}

void CPU_EXPORT(cpu_conv2d_install)(struct op_function *functions)
{
    functions[OP_CONV2D] =
        (struct op_function){.run = run_conv2d, .prepare = prepare_conv2d, .release = release_conv2d};
    functions[OP_CONV2D_BACKWARD] =
        (struct op_function){.run = run_conv2d_backward, .prepare = prepare_conv2d_backward};
}
