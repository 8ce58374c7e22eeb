/* The primitives of automatic differentiation: y = a op b element by element, sums over a channel and their opposite.
 * Each is one pass over memory. Operations that are written by hand save the many passes of a composition. This file
 * is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/cpu_primitive.h"

#include "backend/cpu/cpu_install.h"

struct elementwise_task {
    struct elementwise_params params;
    const real *a, *b;
    real *y;
};

static void elementwise_range(void *argument, int64_t first, int64_t last)
{
    const struct elementwise_task *task = argument;
    const real *a = task->a, *b = task->b;
    real *y = task->y, scale = (real)task->params.scale, shift = (real)task->params.shift;
    switch (task->params.op) {
    case ELEMENTWISE_ADD:
        for (int64_t i = first; i < last; i++) y[i] = a[i] + b[i];
        break;
    case ELEMENTWISE_SUBTRACT:
        for (int64_t i = first; i < last; i++) y[i] = a[i] - b[i];
        break;
    case ELEMENTWISE_MULTIPLY:
        for (int64_t i = first; i < last; i++) y[i] = a[i] * b[i];
        break;
    case ELEMENTWISE_DIVIDE:
        for (int64_t i = first; i < last; i++) y[i] = a[i] / b[i];
        break;
    case ELEMENTWISE_SQUARE:
        for (int64_t i = first; i < last; i++) y[i] = a[i] * a[i];
        break;
    case ELEMENTWISE_SQRT:
        for (int64_t i = first; i < last; i++) y[i] = cpu_sqrt(a[i]);
        break;
    case ELEMENTWISE_AFFINE:
        for (int64_t i = first; i < last; i++) y[i] = scale * a[i] + shift;
        break;
    case ELEMENTWISE_ROUND: /* supports_elementwise refuses it */
        break;
    }
}

/* y may be a or b. b is NULL where the operation takes one operand. */
static void run_elements(struct backend *backend, struct elementwise_params params, const struct tensor *a,
                         const struct tensor *b, const struct tensor *y)
{
    CHECK(shape_equal(a->shape, y->shape) && a->kind == y->kind);
    CHECK(params.op >= ELEMENTWISE_SQUARE || (b && shape_equal(b->shape, y->shape)));
    struct elementwise_task task = {params, a->data, b ? b->data : NULL, y->data};
    cpu_for(backend, (int64_t)backend->table->tensor_count(backend, y->kind, y->shape), 1, elementwise_range, &task);
}

/* Parameters and activations have one type here. */
static bool supports_elementwise(const struct backend *backend, const struct op *op)
{
    (void)backend;
    return op->elementwise.op != ELEMENTWISE_ROUND;
}

static void run_elementwise(struct backend *backend, const struct op_call *call)
{
    struct elementwise_params params = call->op->elementwise;
    double values = (double)(params.bessel * call->input->n);
    if (values > 1) params.scale *= values / (values - 1);
    run_elements(backend, params, &call->tensor[ELEMENTWISE_A], cpu_operand(call, ELEMENTWISE_B),
                 &call->tensor[ELEMENTWISE_Y]);
}

static void run_add(struct backend *backend, const struct op_call *call)
{
    const struct elementwise_params add = {.op = ELEMENTWISE_ADD};
    const struct tensor *t = call->tensor;
    run_elements(backend, add, &t[ADD_A], &t[ADD_B], &t[ADD_Y]);
    for (int slot = ADD_C; slot <= ADD_D; slot++)
        if (cpu_operand(call, slot)) run_elements(backend, add, &t[ADD_Y], &t[slot], &t[ADD_Y]);
}

struct channel_task {
    double scale;
    int64_t stride; /* scalars of a block of channels in x */
    real *x, *y;
};

static void sum_blocks(void *argument, int64_t first, int64_t last)
{
    const struct channel_task *task = argument;
    for (int64_t c = first * CPU_BLOCK; c < last * CPU_BLOCK; c += CPU_LANES) {
        const real *x = task->x + c / CPU_BLOCK * task->stride + c % CPU_BLOCK;
        vec_store(task->y + c, cpu_sum_rows(x, task->stride) * (real)task->scale);
    }
}

static void broadcast_blocks(void *argument, int64_t first, int64_t last)
{
    const struct channel_task *task = argument;
    for (int64_t c = first * CPU_BLOCK; c < last * CPU_BLOCK; c += CPU_LANES) {
        real *x = task->x + c / CPU_BLOCK * task->stride + c % CPU_BLOCK;
        vec value = vec_load(task->y + c) * (real)task->scale;
        for (int64_t i = 0; i < task->stride; i += CPU_BLOCK) vec_store(x + i, value);
    }
}

static void run_blocks(struct backend *backend, double scale, const struct tensor *x, const struct tensor *y,
                       void (*body)(void *, int64_t, int64_t))
{
    CHECK(x->shape.c == y->shape.c && y->kind == TENSOR_VECTOR);
    struct channel_task task = {scale, cpu_block_stride(x->shape), x->data, y->data};
    cpu_for(backend, cpu_blocks(x->shape.c), task.stride, body, &task);
}

void CPU_EXPORT(cpu_channel_sum)(struct backend *backend, double scale, const struct tensor *x, const struct tensor *y)
{
    run_blocks(backend, scale, x, y, sum_blocks);
}

/* The factor of a sum or a broadcast over the channels of x. */
static double channel_scale(const struct op_call *call, struct shape x)
{
    const struct channel_params *params = &call->op->channel;
    return params->mean ? params->scale / (double)(x.n * x.h * x.w) : params->scale;
}

static void run_channel_sum(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[CHANNEL_SUM_X], *y = &call->tensor[CHANNEL_SUM_Y];
    run_blocks(backend, channel_scale(call, x->shape), x, y, sum_blocks);
}

static void run_channel_broadcast(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[CHANNEL_BROADCAST_X], *y = &call->tensor[CHANNEL_BROADCAST_Y];
    run_blocks(backend, channel_scale(call, x->shape), x, y, broadcast_blocks);
}

void CPU_EXPORT(cpu_primitive_install)(struct op_function *functions)
{
    functions[OP_ADD] = (struct op_function){.run = run_add};
    functions[OP_ELEMENTWISE] = (struct op_function){.run = run_elementwise, .supports = supports_elementwise};
    functions[OP_CHANNEL_SUM] = (struct op_function){.run = run_channel_sum};
    functions[OP_CHANNEL_BROADCAST] = (struct op_function){.run = run_channel_broadcast};
}
