/* Activations, element by element (cpu_activation.h has the formulas). All of them map 0 to 0, so padding stays zero.
 * This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/cpu_activation.h"
#include "backend/cpu/cpu_install.h"

struct activation_task {
    struct activation_params params;
    const real *x, *dy;
    real *out; /* y, or dx */
};

static inline __attribute__((always_inline)) void
activate(const struct activation_params params, const struct activation_task *task, int64_t first, int64_t last)
{
    for (int64_t i = first * CPU_LANES; i < last * CPU_LANES; i += CPU_LANES)
        vec_store(task->out + i, cpu_activate(params, vec_load(task->x + i)));
}

static inline __attribute__((always_inline)) void
differentiate(const struct activation_params params, const struct activation_task *task, int64_t first, int64_t last)
{
    for (int64_t i = first * CPU_LANES; i < last * CPU_LANES; i += CPU_LANES)
        vec_store(task->out + i, cpu_activation_gradient(params, vec_load(task->x + i), vec_load(task->dy + i)));
}

/* Iterations are registers. */
static void forward_range(void *argument, int64_t first, int64_t last)
{
    const struct activation_task *task = argument;
    CPU_WITH_ACTIVATION(activate, task->params, task, first, last);
}

static void backward_range(void *argument, int64_t first, int64_t last)
{
    const struct activation_task *task = argument;
    CPU_WITH_ACTIVATION(differentiate, task->params, task, first, last);
}

static void run_elements(struct backend *backend, const struct tensor *x, struct activation_task *task,
                         void (*body)(void *, int64_t, int64_t))
{
    size_t count = backend->table->tensor_count(backend, x->kind, x->shape);
    int64_t cost = cpu_activation_cost(task->params);
    cpu_for(backend, (int64_t)count / CPU_LANES, cost * CPU_LANES, body, task);
}

static void run_activation(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[ACTIVATION_X], *y = &call->tensor[ACTIVATION_Y];
    CHECK(shape_equal(x->shape, y->shape));
    struct activation_task task = {call->op->activation, x->data, NULL, y->data};
    run_elements(backend, x, &task, forward_range);
}

static void run_activation_backward(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[ACTIVATION_BACKWARD_X], *dy = &call->tensor[ACTIVATION_BACKWARD_DY];
    const struct tensor *dx = &call->tensor[ACTIVATION_BACKWARD_DX];
    CHECK(shape_equal(x->shape, dy->shape) && shape_equal(x->shape, dx->shape));
    struct activation_task task = {call->op->activation, x->data, dy->data, dx->data};
    run_elements(backend, x, &task, backward_range);
}

void CPU_EXPORT(cpu_activation_install)(struct op_function *functions)
{
    functions[OP_ACTIVATION] = (struct op_function){.run = run_activation};
    functions[OP_ACTIVATION_BACKWARD] = (struct op_function){.run = run_activation_backward};
}
