/* The arithmetic of SGD, Adam and the moving average (formulas: struct sgd_params, struct adam_params and average_step
 * in backend.h). One pass over the flat arenas; SGD moves 12 bytes per fp32 weight (20 with momentum), Adam 28, the
 * average 12, so memory bandwidth is their limit. */
#include "backend/cpu/cpu_install.h"

#include <math.h>

struct sgd_task {
    struct sgd_params params;
    real rate;
    real *w, *velocity;
    const real *dw;
};

static void sgd_range(void *argument, int64_t first, int64_t last)
{
    const struct sgd_task *task = argument;
    real *restrict w = task->w;
    const real *restrict dw = task->dw;
    real rate = task->rate, decay = (real)task->params.weight_decay;
    for (int64_t i = first; i < last; i++) w[i] -= rate * (dw[i] + decay * w[i]);
}

static void momentum_range(void *argument, int64_t first, int64_t last)
{
    const struct sgd_task *task = argument;
    real *restrict w = task->w, *restrict velocity = task->velocity;
    const real *restrict dw = task->dw;
    real rate = task->rate, decay = (real)task->params.weight_decay, momentum = (real)task->params.momentum;
    bool nesterov = task->params.nesterov;
    for (int64_t i = first; i < last; i++) {
        real gradient = dw[i] + decay * w[i];
        velocity[i] = momentum * velocity[i] + gradient;
        w[i] -= rate * (nesterov ? gradient + momentum * velocity[i] : velocity[i]);
    }
}

static void cpu_sgd_step(struct backend *backend, struct sgd_params params, size_t count, void *w, const void *dw,
                         void *velocity)
{
    struct sgd_task task = {params, (real)cpu_backend_of(backend)->state.learning_rate, w, velocity, dw};
    CHECK(velocity || params.momentum == 0);
    cpu_for(backend, (int64_t)count, 2, velocity ? momentum_range : sgd_range, &task);
}

struct adam_task {
    struct adam_params params;
    real rate, bias1, bias2; /* bias: 1 / (1 - beta^t) */
    real *w, *m, *v;
    const real *dw;
};

/* What an update takes, rounded once, from double. */
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
static void adam_range(void *argument, int64_t first, int64_t last)
{
    enum { LINE = 64 / sizeof(real), AHEAD = 24 * LINE };
    const struct adam_task *task = argument;
    const struct adam_params *params = &task->params;
    const struct adam_factors factors = {
        .beta1 = (real)params->beta1,
        .beta2 = (real)params->beta2,
        .rest1 = (real)(1 - params->beta1),
        .rest2 = (real)(1 - params->beta2),
        .epsilon = (real)params->epsilon,
        .decay = params->decoupled ? 0 : (real)params->weight_decay,
        .keep = params->decoupled ? 1 - task->rate * (real)params->weight_decay : 1,
        .rate = task->rate * task->bias1,
        .bias2 = task->bias2,
    };
    real *w = task->w, *m = task->m, *v = task->v;
    const real *dw = task->dw;
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

static void cpu_adam_step(struct backend *backend, struct adam_params params, size_t count, void *w, const void *dw,
                          void *m, void *v)
{
    const struct step_state *state = &cpu_backend_of(backend)->state;
    double t = (double)state->step + 1;
    struct adam_task task = {
        .params = params,
        .rate = (real)state->learning_rate,
        .bias1 = (real)(1 / (1 - pow(params.beta1, t))),
        .bias2 = (real)(1 / (1 - pow(params.beta2, t))),
        .w = w,
        .m = m,
        .v = v,
        .dw = dw,
    };
    cpu_for(backend, (int64_t)count, 4, adam_range, &task);
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
    ops->sgd_step = cpu_sgd_step;
    ops->adam_step = cpu_adam_step;
    ops->average_step = cpu_average_step;
}
