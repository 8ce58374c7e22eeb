/* The arithmetic of the optimizers (formulas: optimizer_row.h), of the moving average of the weights (AVERAGE) and of the
 * sums of slices (ACCUMULATE).
 * SGD moves 12 bytes per fp32 weight (20 with momentum), Adam 28, the average 12, so memory bandwidth is their limit.
 * They make one pass over the flat arenas. The optimizers can also go piece by piece as the gradients come
 * (cpu_update.h): then the gradient is in a cache and the rest is fetched meanwhile. This file is compiled once per
 * variant (cpu_variant.h). */
#include "backend/cpu/cpu_update.h"

#include <math.h>

#include "backend/cpu/cpu_install.h"
#include "backend/cpu/cpu_muon.h"

static void plain_range(const struct cpu_update *update, int64_t first, int64_t last)
{
    real *restrict w = update->w;
    const real *restrict dw = update->dw;
    real rate = update->rate, decay = (real)update->params.weight_decay;
    for (int64_t i = first; i < last; i++) w[i] -= rate * (dw[i] + decay * w[i]);
}

static void momentum_range(const struct cpu_update *update, int64_t first, int64_t last)
{
    real *restrict w = update->w, *restrict velocity = update->state[0];
    const real *restrict dw = update->dw;
    real rate = update->rate, decay = (real)update->params.weight_decay, momentum = (real)update->params.momentum;
    bool nesterov = update->params.nesterov;
    for (int64_t i = first; i < last; i++) {
        real gradient = dw[i] + decay * w[i];
        velocity[i] = momentum * velocity[i] + gradient;
        w[i] -= rate * (nesterov ? gradient + momentum * velocity[i] : velocity[i]);
    }
}

static void sgd_range(const struct cpu_update *update, int64_t first, int64_t last)
{
    if (update->state[0])
        momentum_range(update, first, last);
    else
        plain_range(update, first, last);
}

/* The factors of an update, rounded once from double. */
struct adam_factors {
    real beta1, beta2, rest1, rest2, epsilon, decay, keep, rate, bias2;
};

static inline __attribute__((always_inline)) void adam_elements(const struct adam_factors f, int64_t count,
                                                                real *restrict w, const real *restrict dw,
                                                                real *restrict m, real *restrict v)
{
    for (int64_t i = 0; i < count; i++) {
        real gradient = dw[i] + f.decay * w[i];
        m[i] = f.beta1 * m[i] + f.rest1 * gradient;
        v[i] = f.beta2 * v[i] + f.rest2 * gradient * gradient;
        w[i] = f.keep * w[i] - f.rate * m[i] / (cpu_sqrt(v[i] * f.bias2) + f.epsilon);
    }
}

/* Four streams are more than the hardware's prefetchers keep up with: asking for lines 24 ahead takes some 8% less
 * time. */
static void adam_range(const struct cpu_update *update, int64_t first, int64_t last)
{
    enum { LINE = 64 / sizeof(real), AHEAD = 24 * LINE };
    const struct optimizer_params *params = &update->params;
    bool decoupled = update->kind == OPTIMIZER_ADAMW;
    const struct adam_factors factors = {
        .beta1 = (real)params->beta1,
        .beta2 = (real)params->beta2,
        .rest1 = (real)(1 - params->beta1),
        .rest2 = (real)(1 - params->beta2),
        .epsilon = (real)params->epsilon,
        .decay = decoupled ? 0 : (real)params->weight_decay,
        .keep = decoupled ? 1 - update->rate * (real)params->weight_decay : 1,
        .rate = update->rate * update->bias1,
        .bias2 = update->bias2,
    };
    real *w = update->w, *m = update->state[0], *v = update->state[1];
    const real *dw = update->dw;
    int64_t i = first;
    for (; i + LINE <= last; i += LINE) {
        __builtin_prefetch(w + i + AHEAD, 1);
        __builtin_prefetch(dw + i + AHEAD, 0);
        __builtin_prefetch(m + i + AHEAD, 1);
        __builtin_prefetch(v + i + AHEAD, 1);
        adam_elements(factors, LINE, w + i, dw + i, m + i, v + i);
    }
    adam_elements(factors, last - i, w + i, dw + i, m + i, v + i);
}

static void lion_range(const struct cpu_update *update, int64_t first, int64_t last)
{
    real *restrict w = update->w, *restrict m = update->state[0];
    const real *restrict dw = update->dw;
    const struct optimizer_params *params = &update->params;
    real beta1 = (real)params->beta1, beta2 = (real)params->beta2, rate = update->rate;
    real rest1 = (real)(1 - params->beta1), rest2 = (real)(1 - params->beta2);
    real keep = 1 - rate * (real)params->weight_decay;
    for (int64_t i = first; i < last; i++) {
        real direction = beta1 * m[i] + rest1 * dw[i];
        real sign = direction > 0 ? 1 : direction < 0 ? -1 : direction; /* 0 and NaN stay */
        w[i] = keep * w[i] - rate * sign;
        m[i] = beta2 * m[i] + rest2 * dw[i];
    }
}

/* NULL: the optimizer updates whole tensors. */
static void (*const ranges[])(const struct cpu_update *update, int64_t first, int64_t last) = {
    [OPTIMIZER_SGD] = sgd_range,   [OPTIMIZER_ADAM] = adam_range, [OPTIMIZER_ADAMW] = adam_range,
    [OPTIMIZER_LION] = lion_range, [OPTIMIZER_MUON] = NULL,
};

_Static_assert(sizeof ranges / sizeof *ranges == OPTIMIZER_CHOICES(CHOICE_COUNT), "a rule for each optimizer");

/* --- the operations --- */

struct cpu_update CPU_EXPORT(cpu_update_of)(const struct backend *backend, const struct op_call *call,
                                            const struct run_input *input)
{
    const struct update *rule = &call->op->update;
    const struct tensor *t = call->tensor;
    double step = (double)input->state.step + 1;
    struct cpu_update update = {
        .range = ranges[rule->kind],
        .w = t[UPDATE_W].data,
        .dw = t[UPDATE_DW].data,
        .count = (int64_t)backend->table->tensor_count(backend, t[UPDATE_W].kind, t[UPDATE_W].shape),
        .kind = rule->kind,
        .params = rule->params,
        .rate = (real)(input->state.learning_rate * rule->rate),
        .bias1 = (real)(1 / (1 - pow(rule->params.beta1, step))),
        .bias2 = (real)(1 / (1 - pow(rule->params.beta2, step))),
    };
    int states = optimizer_state_count(rule->kind, &rule->params);
    for (int i = 0; i < states; i++) {
        CHECK(t[UPDATE_STATE_0 + i].data);
        update.state[i] = t[UPDATE_STATE_0 + i].data;
    }
    return update;
}

static void update_range(void *argument, int64_t first, int64_t last)
{
    const struct cpu_update *update = argument;
    update->range(update, first, last);
}

static void run_update(struct backend *backend, const struct op_call *call)
{
    enum { COST = 4 };
    struct cpu_update update = CPU_EXPORT(cpu_update_of)(backend, call, call->input);
    if (update.range)
        cpu_for(backend, update.count, COST, update_range, &update);
    else
        CPU_EXPORT(cpu_muon_update)(backend, call, &update);
}

/* Parameters and activations have one type here. */
static bool supports_update(const struct backend *backend, const struct op *op)
{
    (void)backend;
    return op->tensor[UPDATE_ROUNDED] < 0 && op->tensor[UPDATE_DW_ROUNDED] < 0;
}

static void *prepare_update(const struct prepared *prepared, const struct op_call *call)
{
    if (ranges[call->op->update.kind]) return NULL;
    return CPU_EXPORT(cpu_muon_plan)(prepared->backend, call->tensor[UPDATE_W].shape);
}

static void release_update(struct backend *backend, void *plan)
{
    CPU_EXPORT(cpu_muon_plan_free)(backend, plan);
}

struct average_task {
    real share; /* 1 - d */
    real *average;
    const real *w;
};

static void average_range(void *argument, int64_t first, int64_t last)
{
    const struct average_task *task = argument;
    real *restrict average = task->average;
    const real *restrict w = task->w;
    for (int64_t i = first; i < last; i++) average[i] += task->share * (w[i] - average[i]);
}

static void run_average(struct backend *backend, const struct op_call *call)
{
    const struct tensor *average = &call->tensor[AVERAGE_AVERAGE];
    double s = (double)call->input->state.step;
    struct average_task task = {(real)(1 - fmin(call->op->average, (1 + s) / (10 + s))), average->data,
                                call->tensor[AVERAGE_W].data};
    cpu_for(backend, (int64_t)backend->table->tensor_count(backend, average->kind, average->shape), 2, average_range,
            &task);
}

struct accumulate_task {
    real factor;
    real *to;
    const real *from;
};

static void accumulate_range(void *argument, int64_t first, int64_t last)
{
    const struct accumulate_task *task = argument;
    real *restrict to = task->to;
    const real *restrict from = task->from;
    for (int64_t i = first; i < last; i++) to[i] = (to[i] + from[i]) * task->factor;
}

static void run_accumulate(struct backend *backend, const struct op_call *call)
{
    const struct tensor *to = &call->tensor[ACCUMULATE_TO], *from = &call->tensor[ACCUMULATE_FROM];
    if (to->kind == TENSOR_METRICS) {
        CHECK(call->op->accumulate == 1);
        metrics_add(to->data, from->data);
        return;
    }
    struct accumulate_task task = {(real)call->op->accumulate, to->data, from->data};
    cpu_for(backend, (int64_t)backend->table->tensor_count(backend, to->kind, to->shape), 1, accumulate_range, &task);
}

void CPU_EXPORT(cpu_optimizer_install)(struct op_function *functions)
{
    functions[OP_UPDATE] = (struct op_function){
        .run = run_update, .supports = supports_update, .prepare = prepare_update, .release = release_update};
    functions[OP_AVERAGE] = (struct op_function){.run = run_average};
    functions[OP_ACCUMULATE] = (struct op_function){.run = run_accumulate};
}
