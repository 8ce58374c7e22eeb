/* Learning-rate schedules. */
#ifndef SCHEDULE_H
#define SCHEDULE_H

#include <stdint.h>

#include "util/choice.h"

#define SCHEDULE_CHOICES(X)                                                                                            \
    X(SCHEDULE_CONSTANT, "constant")                                                                                   \
    X(SCHEDULE_STEP, "step")                                                                                           \
    X(SCHEDULE_COSINE, "cosine")                                                                                       \
    X(SCHEDULE_LINEAR, "linear")
enum schedule_kind { SCHEDULE_CHOICES(CHOICE_ENUMERATOR) };

struct schedule_params {
    enum schedule_kind kind;
    double learning_rate; /* the base: it holds between warm-up and decay */
    int64_t warmup_steps;
    int64_t step_size; /* SCHEDULE_STEP: steps between two decays */
    double gamma;      /* SCHEDULE_STEP: the factor of a decay */
    double minimum;    /* SCHEDULE_COSINE, SCHEDULE_LINEAR: the learning rate at the end */
    int64_t max_steps; /* the steps of the whole training */
};

/* The learning rate of step s; 0 is the first. base = learning_rate. For s < warmup_steps it is
 * base * (s + 1) / warmup_steps, so it grows from base / warmup_steps to base. After that
 *   constant  base
 *   step      base * gamma^floor((s - warmup_steps) / step_size)
 *   cosine    minimum + (base - minimum) * (1 + cos(pi * (s - warmup_steps) / (max_steps - warmup_steps))) / 2
 *   linear    base + (minimum - base) * (s - warmup_steps) / (max_steps - warmup_steps)
 * Cosine and linear reach the minimum at s = max_steps, one step after the last. Linear with a warm-up is a
 * triangle. */
double schedule_learning_rate(const struct schedule_params *schedule, int64_t step);

#endif
