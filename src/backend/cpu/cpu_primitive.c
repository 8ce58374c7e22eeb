/* The primitives of automatic differentiation: y = a op b element by element, sums over a channel and their opposite.
 * Each is one pass over memory. Operations that are written by hand save the many passes of a composition. This file
 * is compiled once per variant (cpu_variant.h). */
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
    }
}

static void cpu_elementwise(struct backend *backend, struct elementwise_params params, const struct tensor *a,
                            const struct tensor *b, const struct tensor *y)
{
    CHECK(shape_equal(a->shape, y->shape) && a->kind == y->kind);
    CHECK(params.op >= ELEMENTWISE_SQUARE || (b && shape_equal(b->shape, y->shape)));
    struct elementwise_task task = {params, a->data, b ? b->data : NULL, y->data};
    cpu_for(backend, (int64_t)backend->ops->tensor_count(backend, y->kind, y->shape), 1, elementwise_range, &task);
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

static void run_channels(struct backend *backend, double scale, const struct tensor *x, const struct tensor *y,
                         void (*body)(void *, int64_t, int64_t))
{
    CHECK(x->shape.c == y->shape.c && y->kind == TENSOR_VECTOR);
    struct channel_task task = {scale, cpu_block_stride(x->shape), x->data, y->data};
    cpu_for(backend, cpu_blocks(x->shape.c), task.stride, body, &task);
}

static void cpu_channel_sum(struct backend *backend, double scale, const struct tensor *x, const struct tensor *y)
{
    run_channels(backend, scale, x, y, sum_blocks);
}

static void cpu_channel_broadcast(struct backend *backend, double scale, const struct tensor *y, const struct tensor *x)
{
    run_channels(backend, scale, x, y, broadcast_blocks);
}

void CPU_EXPORT(cpu_primitive_install)(struct backend_ops *ops)
{
    ops->elementwise = cpu_elementwise;
    ops->channel_sum = cpu_channel_sum;
    ops->channel_broadcast = cpu_channel_broadcast;
}
