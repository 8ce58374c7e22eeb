/* The arithmetic of the optimizers (formulas: optimizer_row.h) and of the moving average (average_step in backend.h).
 * SGD moves 12 bytes per fp32 weight (20 with momentum), Adam 28, the average 12, so memory bandwidth is their limit.
 * They make one pass over the flat arenas. The optimizers can also go piece by piece as the gradients come
 * (cpu_update.h): then the gradient is in a cache and the rest is fetched meanwhile. This file is compiled once per
 * variant (cpu_variant.h). */
#include "backend/cpu/cpu_install.h"

#include <math.h>

#include "backend/cpu/cpu_muon.h"
#include "backend/cpu/cpu_update.h"

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

/* --- begin, piece by piece, end --- */

static void update_range(void *argument, int64_t first, int64_t last)
{
    const struct cpu_update *update = argument;
    update->range(update, first, last);
}

/* Updates elements first..left-1. */
static void update_down_to(struct backend *backend, int64_t first)
{
    enum { COST = 4 };
    struct cpu_update *update = cpu_backend_of(backend)->update;
    struct cpu_update rest = *update; /* from `first` on, since loops begin at 0 */
    rest.w += first, rest.dw += first;
    for (int i = 0; i < OPTIMIZER_STATES; i++)
        if (rest.state[i]) rest.state[i] += first;
    cpu_for(backend, update->left - first, COST, update_range, &rest);
    update->left = first;
}

static void cpu_update_begin(struct backend *backend, const struct update *update)
{
    const struct step_state *state = &cpu_backend_of(backend)->state;
    double t = (double)state->step + 1;
    struct cpu_update *begun = cpu_backend_of(backend)->update;
    CHECK(!begun->range && ranges[update->kind]);
    *begun = (struct cpu_update){
        .range = ranges[update->kind],
        .w = update->w,
        .dw = update->dw,
        .count = (int64_t)update->count,
        .left = (int64_t)update->count,
        .kind = update->kind,
        .params = update->params,
        .rate = (real)(state->learning_rate * update->rate),
        .bias1 = (real)(1 / (1 - pow(update->params.beta1, t))),
        .bias2 = (real)(1 / (1 - pow(update->params.beta2, t))),
    };
    int states = optimizer_state_count(update->kind, &update->params);
    for (int i = 0; i < states; i++) {
        CHECK(update->state[i]);
        begun->state[i] = update->state[i];
    }
}

static void cpu_update_end(struct backend *backend)
{
    update_down_to(backend, 0);
    cpu_backend_of(backend)->update->range = NULL;
}

const struct cpu_update *CPU_EXPORT(cpu_update_of)(struct backend *backend, const void *dw)
{
    const struct cpu_update *update = cpu_backend_of(backend)->update;
    const real *first = dw;
    if (!update->range || first < update->dw || first >= update->dw + update->count) return NULL;
    CHECK(first < update->dw + update->left); /* backward goes down the arenas */
    return update;
}

void CPU_EXPORT(cpu_update_passed)(struct backend *backend, const struct tensor *dw)
{
    struct cpu_update *update = cpu_backend_of(backend)->update;
    int64_t first = (const real *)dw->data - update->dw;
    update_down_to(backend, first + (int64_t)backend->ops->tensor_count(backend, dw->kind, dw->shape));
    update->left = first;
}

static struct update_plan *cpu_update_plan_create(struct backend *backend, enum optimizer_kind kind,
                                                  struct shape filter)
{
    CHECK(kind == OPTIMIZER_MUON);
    return CPU_EXPORT(cpu_muon_plan)(backend, filter);
}

static void cpu_update_all(struct backend *backend, const struct update *update)
{
    if (update->kind == OPTIMIZER_MUON) {
        CPU_EXPORT(cpu_muon_update)(backend, update);
        return;
    }
    cpu_update_begin(backend, update);
    cpu_update_end(backend);
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

static void cpu_average_step(struct backend *backend, double decay, size_t count, void *average, const void *w)
{
    double s = (double)cpu_backend_of(backend)->state.step;
    struct average_task task = {(real)(1 - fmin(decay, (1 + s) / (10 + s))), average, w};
    cpu_for(backend, (int64_t)count, 2, average_range, &task);
}

void CPU_EXPORT(cpu_optimizer_install)(struct backend_ops *ops)
{
    ops->update_plan_create = cpu_update_plan_create;
    ops->update_plan_destroy = CPU_EXPORT(cpu_muon_plan_free);
    ops->update = cpu_update_all;
    ops->update_begin = cpu_update_begin;
    ops->update_end = cpu_update_end;
    ops->average_step = cpu_average_step;
}
