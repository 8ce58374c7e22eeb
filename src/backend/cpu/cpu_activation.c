/* Activations, element by element (definitions: struct activation_params in backend.h). With a the slope:
 *   relu        dx = x > 0 ? dy : 0
 *   leaky_relu  dx = x > 0 ? dy : a dy
 *   elu         dx = x > 0 ? dy : a exp(x) dy
 * All of them map 0 to 0, so padding stays zero. This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/cpu_activation.h"
#include "backend/cpu/cpu_install.h"

struct activation_task {
    struct activation_params params;
    const real *x, *dy;
    real *out; /* y, or dx */
};

static void forward_range(void *argument, int64_t first, int64_t last)
{
    const struct activation_task *task = argument;
    const real *restrict x = task->x;
    real *restrict y = task->out;
    real slope = (real)task->params.slope;
    if (task->params.kind == ACTIVATION_RELU) {
        for (int64_t i = first; i < last; i++) y[i] = x[i] <= 0 ? 0 : x[i]; /* NaN stays NaN */
    } else if (task->params.kind == ACTIVATION_LEAKY_RELU) {
        for (int64_t i = first; i < last; i++) y[i] = x[i] > 0 ? x[i] : slope * x[i];
    } else {
        for (int64_t i = first; i < last; i++) y[i] = x[i] > 0 ? x[i] : slope * cpu_expm1(x[i]);
    }
}

static void backward_range(void *argument, int64_t first, int64_t last)
{
    const struct activation_task *task = argument;
    const real *restrict x = task->x, *restrict dy = task->dy;
    real *restrict dx = task->out;
    real slope = (real)task->params.slope;
    if (task->params.kind == ACTIVATION_RELU) {
        for (int64_t i = first; i < last; i++) dx[i] = x[i] > 0 ? dy[i] : 0;
    } else if (task->params.kind == ACTIVATION_LEAKY_RELU) {
        for (int64_t i = first; i < last; i++) dx[i] = x[i] > 0 ? dy[i] : slope * dy[i];
    } else {
        for (int64_t i = first; i < last; i++) dx[i] = x[i] > 0 ? dy[i] : slope * cpu_exp(x[i]) * dy[i];
    }
}

static void run_elements(struct backend *backend, const struct tensor *x, struct activation_task *task,
                         void (*body)(void *, int64_t, int64_t))
{
    size_t count = backend->ops->tensor_count(backend, x->kind, x->shape);
    cpu_for(backend, (int64_t)count, task->params.kind == ACTIVATION_ELU ? 16 : 1, body, task);
}

static void cpu_activation_forward(struct backend *backend, struct activation_params params, const struct tensor *x,
                                   const struct tensor *y)
{
    CHECK(shape_equal(x->shape, y->shape));
    struct activation_task task = {params, x->data, NULL, y->data};
    run_elements(backend, x, &task, forward_range);
}

static void cpu_activation_backward(struct backend *backend, struct activation_params params, const struct tensor *x,
                                    const struct tensor *dy, const struct tensor *dx)
{
    CHECK(shape_equal(x->shape, dy->shape) && shape_equal(x->shape, dx->shape));
    struct activation_task task = {params, x->data, dy->data, dx->data};
    run_elements(backend, x, &task, backward_range);
}

void CPU_EXPORT(cpu_activation_install)(struct backend_ops *ops)
{
    ops->activation_forward = cpu_activation_forward;
    ops->activation_backward = cpu_activation_backward;
}
