/* The activations of one register, and the functions that they are made of (definitions: struct activation_params in
 * backend.h). With a the slope:
 *   relu        dx = x > 0 ? dy : 0
 *   relu6       dx = 0 < x < 6 ? dy : 0
 *   leaky_relu  dx = x > 0 ? dy : a dy
 *   elu         dx = x > 0 ? dy : a exp(x) dy
 *   gelu        dx = (Phi(x) + x phi(x)) dy, with the normal distribution Phi and its density phi (cpu_normal.h)
 *   silu        dx = s (1 + x (1 - s)) dy, with s = 1 / (1 + exp(-x))
 * Every file that includes this one computes the same bits, since none is compiled with contraction into FMAs. */
#ifndef CPU_ACTIVATION_H
#define CPU_ACTIVATION_H

#include "backend/cpu/cpu_normal.h"

#if !defined(CPU_WITHOUT_CONTRACTION)
#error "name this file in TRAINER_CPU_WITHOUT_CONTRACTION (cmake/TrainerBackends.cmake)"
#endif

static inline real cpu_exp(real x)
{
    return sizeof(real) == sizeof(float) ? (real)expf((float)x) : (real)exp((double)x);
}

/* exp(x) - 1 */
static inline real cpu_expm1(real x)
{
    return sizeof(real) == sizeof(float) ? (real)expm1f((float)x) : (real)expm1((double)x);
}

static inline vec cpu_activate(struct activation_params params, vec x)
{
    real slope = (real)params.slope;
    if (params.kind == ACTIVATION_RELU) return vec_select(x <= 0, (vec){0}, x); /* NaN stays NaN */
    if (params.kind == ACTIVATION_RELU6) return vec_select(x <= 0, (vec){0}, vec_select(x >= 6, vec_set(6), x));
    if (params.kind == ACTIVATION_LEAKY_RELU) return vec_select(x > 0, x, slope * x);
    if (params.kind == ACTIVATION_GELU) return x * cpu_normal(x).distribution;
    if (params.kind == ACTIVATION_SILU) return x * cpu_sigmoid(x);
    for (int i = 0; i < CPU_LANES; i++) x[i] = x[i] > 0 ? x[i] : slope * cpu_expm1(x[i]);
    return x;
}

/* dx from x and dy */
static inline vec cpu_activation_gradient(struct activation_params params, vec x, vec dy)
{
    real slope = (real)params.slope;
    if (params.kind == ACTIVATION_RELU) return (vec)((vec_int)dy & (x > 0));
    if (params.kind == ACTIVATION_RELU6) return (vec)((vec_int)dy & (x > 0) & (x < 6));
    if (params.kind == ACTIVATION_LEAKY_RELU) return vec_select(x > 0, dy, slope * dy);
    if (params.kind == ACTIVATION_GELU) {
        struct cpu_normal normal = cpu_normal(x);
        return (normal.distribution + x * normal.density) * dy;
    }
    if (params.kind == ACTIVATION_SILU) {
        vec s = cpu_sigmoid(x);
        return s * ((real)1 + x * ((real)1 - s)) * dy;
    }
    for (int i = 0; i < CPU_LANES; i++) dy[i] = x[i] > 0 ? dy[i] : slope * cpu_exp(x[i]) * dy[i];
    return dy;
}

/* Calls a function with the activation's parameters first; those of the kinds that are much used are constants, so that
 * a function that is always inlined has no branch in its loop. */
#define CPU_WITH_ACTIVATION(function, params, ...)                                                                     \
    do {                                                                                                               \
        if ((params).kind == ACTIVATION_RELU)                                                                          \
            function((struct activation_params){.kind = ACTIVATION_RELU}, __VA_ARGS__);                                \
        else if ((params).kind == ACTIVATION_GELU)                                                                     \
            function((struct activation_params){.kind = ACTIVATION_GELU}, __VA_ARGS__);                                \
        else if ((params).kind == ACTIVATION_SILU)                                                                     \
            function((struct activation_params){.kind = ACTIVATION_SILU}, __VA_ARGS__);                                \
        else                                                                                                           \
            function(params, __VA_ARGS__);                                                                             \
    } while (0)

/* The work per element beside that of a load and a store, for cpu_for. */
static inline int64_t cpu_activation_cost(struct activation_params params)
{
    if (params.kind == ACTIVATION_ELU) return 16;
    return params.kind == ACTIVATION_GELU || params.kind == ACTIVATION_SILU ? 8 : 1;
}

#endif
