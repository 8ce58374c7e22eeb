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

static void adam_range(void *argument, int64_t first, int64_t last)
{
    const struct adam_task *task = argument;
    real *restrict w = task->w, *restrict m = task->m, *restrict v = task->v;
    const real *restrict dw = task->dw;
    real beta1 = (real)task->params.beta1, beta2 = (real)task->params.beta2, epsilon = (real)task->params.epsilon;
    real rest1 = (real)(1 - task->params.beta1), rest2 = (real)(1 - task->params.beta2); /* rounded once, from double */
    real decay = task->params.decoupled ? 0 : (real)task->params.weight_decay;
    real keep = task->params.decoupled ? 1 - task->rate * (real)task->params.weight_decay : 1;
    real rate = task->rate * task->bias1, bias2 = task->bias2;
    for (int64_t i = first; i < last; i++) {
        real gradient = dw[i] + decay * w[i];
        m[i] = beta1 * m[i] + rest1 * gradient;
        v[i] = beta2 * v[i] + rest2 * gradient * gradient;
        w[i] = keep * w[i] - rate * m[i] / (cpu_sqrt(v[i] * bias2) + epsilon);
    }
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
