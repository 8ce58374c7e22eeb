/* Runs a case of op_cases.c on a backend. */
#include <stdlib.h>
#include <string.h>

#include "op_cases.h"
#include "support.h"
#include "trainer/check.h"
#include "trainer/memory.h"

/* A tensor of the run, with the name of its input or output. */
struct slot {
    const char *name;
    struct tensor tensor;
    bool output;  /* to be read at the end */
    void *before; /* its memory before the operations, where it is an input in host memory */
};

struct run {
    struct backend *backend;
    const struct backend_ops *ops;
    struct op_run_options options;
    const struct op_arrays *inputs;
    struct op_arrays *outputs;
    int count;
    struct slot slots[2 * OP_MAX_ARRAYS];
};

static struct tensor *add_slot(struct run *run, const char *name, struct tensor tensor, bool output)
{
    CHECK(run->count < 2 * OP_MAX_ARRAYS);
    run->slots[run->count] = (struct slot){name, tensor, output, NULL};
    return &run->slots[run->count++].tensor;
}

/* The input of that name as a tensor, or NULL where the case has none. With `output` it is a result too, updated in
 * place. */
static struct tensor *in_out(struct run *run, const char *name, bool output)
{
    const struct op_array *array = op_arrays_find(run->inputs, name);
    if (!array) return NULL;
    struct tensor *tensor =
        add_slot(run, array->name, support_tensor(run->backend, array->kind, array->shape, array->values), output);
    if (run->options.host_memory && !output) {
        size_t bytes = tensor_bytes(run->backend, array->kind, array->shape);
        run->slots[run->count - 1].before = memcpy(memory_alloc(bytes, 1), tensor->data, bytes);
    }
    return tensor;
}

static struct tensor *in(struct run *run, const char *name)
{
    return in_out(run, name, false);
}

/* A result, shaped like another tensor, full of NaN until the operation writes it. */
static struct tensor *out(struct run *run, const char *name, const struct tensor *like)
{
    struct tensor *tensor = add_slot(run, name, tensor_alloc(run->backend, like->kind, like->shape), true);
    support_poison(run->backend, run->options.host_memory, tensor);
    return tensor;
}

static struct op_observations finish(struct run *run)
{
    struct op_observations seen = {NULL, NULL};
    for (int i = 0; i < run->count; i++) {
        struct slot *slot = &run->slots[i];
        struct tensor *tensor = &slot->tensor;
        if (slot->output) {
            struct op_array *array = op_arrays_add(run->outputs, slot->name, tensor->kind, tensor->shape);
            run->ops->tensor_read(run->backend, tensor, array->values);
        }
        if (run->options.host_memory && !support_padding_is_zero(run->backend, tensor))
            seen.padding_not_zero = slot->name;
        size_t bytes = tensor_bytes(run->backend, tensor->kind, tensor->shape);
        if (slot->before && memcmp(slot->before, tensor->data, bytes) != 0) seen.input_changed = slot->name;
        free(slot->before);
        tensor_free(run->backend, tensor);
    }
    return seen;
}

static void run_conv2d(struct run *run, const struct op_case *op_case)
{
    struct tensor *x = in(run, "x"), *weight = in(run, "weight"), *bias = in(run, "bias"), *dy = in(run, "dy");
    struct tensor *y = out(run, "y", dy);
    struct conv2d_plan *plan =
        run->ops->conv2d_plan_create(run->backend, op_case->conv2d.window, x->shape, op_case->conv2d.channels);
    run->ops->conv2d_forward(run->backend, plan, x, weight, bias, y);
    if (!run->options.forward_only) {
        struct tensor *dx = out(run, "dx", x), *dweight = out(run, "dweight", weight);
        struct tensor *dbias = bias ? out(run, "dbias", bias) : NULL;
        run->ops->conv2d_backward(run->backend, plan, x, weight, dy, dx, dweight, dbias);
    }
    run->ops->conv2d_plan_destroy(run->backend, plan);
}

static void run_pool(struct run *run, const struct op_case *op_case)
{
    struct tensor *x = in(run, "x"), *dy = in(run, "dy"), *y = out(run, "y", dy), *dx = out(run, "dx", x);
    size_t bytes = run->ops->pool_saved_bytes(run->backend, op_case->pool, y->shape);
    void *saved = run->ops->alloc(run->backend, bytes);
    if (run->options.host_memory && bytes > 0) memset(saved, 0xff, bytes);
    run->ops->pool_forward(run->backend, op_case->pool, x, y, saved);
    run->ops->pool_backward(run->backend, op_case->pool, dy, saved, dx);
    run->ops->free(run->backend, saved);
}

static void run_batchnorm(struct run *run, const struct op_case *op_case)
{
    struct batchnorm_params params = op_case->batchnorm;
    struct tensor *x = in(run, "x"), *gamma = in(run, "gamma"), *beta = in(run, "beta"), *dy = in(run, "dy");
    struct tensor *old_mean = in(run, "running_mean"), *old_var = in(run, "running_var");
    struct tensor *running_mean = in_out(run, "running_mean", true);
    struct tensor *running_var = in_out(run, "running_var", true);
    struct tensor *y = out(run, "y", x), *mean = out(run, "mean", gamma), *rstd = out(run, "rstd", gamma);
    run->ops->batchnorm_forward(run->backend, params, x, gamma, beta, running_mean, running_var, y, mean, rstd);
    if (run->options.forward_only) return;
    struct tensor *dx = out(run, "dx", x), *dgamma = out(run, "dgamma", gamma), *dbeta = out(run, "dbeta", beta);
    struct tensor *y_evaluate = out(run, "y_evaluate", x);
    run->ops->batchnorm_backward(run->backend, x, gamma, mean, rstd, dy, dx, dgamma, dbeta);
    run->ops->batchnorm_evaluate(run->backend, params, x, gamma, beta, old_mean, old_var, y_evaluate);
}

static void run_elementwise(struct run *run, const struct op_case *op_case)
{
    struct tensor *x = in(run, "x"), *dy = in(run, "dy"), *y = out(run, "y", op_case->op == CASE_FLATTEN ? dy : x);
    struct tensor *dx = dy ? out(run, "dx", x) : NULL;
    switch (op_case->op) {
    case CASE_ACTIVATION:
        run->ops->activation_forward(run->backend, op_case->activation, x, y);
        run->ops->activation_backward(run->backend, op_case->activation, x, dy, dx);
        break;
    case CASE_ELEMENTWISE:
        run->ops->elementwise(run->backend, op_case->elementwise, x, in(run, "b"), y);
        break;
    case CASE_FLATTEN:
        run->ops->flatten_forward(run->backend, x, y);
        run->ops->flatten_backward(run->backend, dy, dx);
        break;
    case CASE_SOFTMAX:
        run->ops->softmax_forward(run->backend, x, y);
        run->ops->softmax_backward(run->backend, y, dy, dx);
        break;
    default:
        CHECK(op_case->op == CASE_DROPOUT);
        run->ops->set_state(run->backend, &(struct step_state){.step = op_case->dropout.step});
        run->ops->dropout(run->backend, &op_case->dropout.params, x, y);
        break;
    }
}

static void run_channel(struct run *run, const struct op_case *op_case)
{
    struct tensor *x = in(run, "x"), *v = in(run, "v"), *sum = out(run, "sum", v), *spread = out(run, "spread", x);
    run->ops->channel_sum(run->backend, op_case->channel_scale, x, sum);
    run->ops->channel_broadcast(run->backend, op_case->channel_scale, v, spread);
}

static void run_cross_entropy(struct run *run, const struct op_case *op_case)
{
    int32_t *labels = support_labels(run->backend, op_arrays_find(run->inputs, "labels")->values, op_case->x.n);
    struct tensor *x = in(run, "x"), *dx = out(run, "dx", x), *weights = in(run, "weights");
    struct loss_params params = {.class_weights = weights};
    run->ops->metrics_reset(run->backend);
    if (op_case->op == CASE_CROSS_ENTROPY) {
        run->ops->cross_entropy(run->backend, &params, x, labels, dx);
    } else {
        params.smoothing = op_case->loss.smoothing;
        run->ops->softmax_cross_entropy(run->backend, &params, x, labels, dx);
    }
    struct metrics metrics = run->ops->metrics_read(run->backend);
    double *values = op_arrays_add(run->outputs, "metrics", TENSOR_VECTOR, (struct shape){1, 3, 1, 1})->values;
    values[0] = metrics.loss, values[1] = (double)metrics.correct, values[2] = (double)metrics.count;
    run->ops->free(run->backend, labels);
}

static void run_update(struct run *run, const struct op_case *op_case)
{
    struct tensor *w = in_out(run, "w", true);
    struct update update = {.kind = op_case->update.kind,
                            .params = op_case->update.params,
                            .rate = 1,
                            .count = run->ops->tensor_count(run->backend, w->kind, w->shape),
                            .w = w->data};
    int states = optimizer_state_count(update.kind, &update.params);
    for (int i = 0; i < states; i++) {
        struct tensor zeros = tensor_alloc(run->backend, w->kind, w->shape);
        update.state[i] = add_slot(run, optimizer_row(update.kind)->states[i], zeros, true)->data;
    }
    if (optimizer_row(update.kind)->matrix)
        update.plan = run->ops->update_plan_create(run->backend, update.kind, w->shape);
    for (int step = 0; step < OP_OPTIMIZER_STEPS; step++) {
        char name[4] = {'d', 'w', (char)('0' + step), '\0'};
        struct step_state now = {.step = (uint64_t)step, .learning_rate = op_case_learning_rate(step)};
        run->ops->set_state(run->backend, &now);
        update.dw = in(run, name)->data;
        run->ops->update(run->backend, &update);
    }
    run->ops->update_plan_destroy(run->backend, update.plan);
}

static void run_average(struct run *run, const struct op_case *op_case)
{
    struct tensor *average = in_out(run, "w", true);
    size_t count = run->ops->tensor_count(run->backend, average->kind, average->shape);
    for (int step = 0; step < OP_OPTIMIZER_STEPS; step++) {
        char name[4] = {'d', 'w', (char)('0' + step), '\0'};
        run->ops->set_state(run->backend, &(struct step_state){.step = (uint64_t)step});
        run->ops->average_step(run->backend, op_case->decay, count, average->data, in(run, name)->data);
    }
}

struct op_observations op_case_run(const struct op_case *op_case, struct backend *backend,
                                   struct op_run_options options, const struct op_arrays *inputs,
                                   struct op_arrays *outputs)
{
    struct run run = {
        .backend = backend, .ops = backend->ops, .options = options, .inputs = inputs, .outputs = outputs};
    outputs->count = 0;
    switch (op_case->op) {
    case CASE_CONV2D:
        run_conv2d(&run, op_case);
        break;
    case CASE_POOL:
        run_pool(&run, op_case);
        break;
    case CASE_BATCHNORM:
        run_batchnorm(&run, op_case);
        break;
    case CASE_CROSS_ENTROPY:
    case CASE_SOFTMAX_CROSS_ENTROPY:
        run_cross_entropy(&run, op_case);
        break;
    case CASE_CHANNEL:
        run_channel(&run, op_case);
        break;
    case CASE_UPDATE:
        run_update(&run, op_case);
        break;
    case CASE_AVERAGE:
        run_average(&run, op_case);
        break;
    default:
        run_elementwise(&run, op_case);
        break;
    }
    return finish(&run);
}
