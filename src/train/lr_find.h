/* Finds a learning rate: a short training whose rate grows from step to step, and the losses of its batches (Smith 2017,
 * "Cyclical Learning Rates for Training Neural Networks", section 3.3). */
#ifndef TRAIN_LR_FIND_H
#define TRAIN_LR_FIND_H

#include "train/train.h"

/* The range: `steps` rates, each the same factor above the one before it. steps >= LR_FIND_LEAST_STEPS, 0 < from < to. */
enum { LR_FIND_LEAST_STEPS = 20 };
struct lr_range {
    double from, to;
    int steps;
};

struct lr_point {
    double rate;
    double loss;     /* mean of the step's batch */
    double smoothed; /* moving average of the losses, without its pull towards the start */
};

struct lr_find {
    struct lr_point *points; /* [count]; owned */
    int count;               /* steps done; fewer than asked for where the loss grew beyond bounds */
    bool diverged;           /* true where it did: it was not finite, or four times the lowest */
    int steepest; /* the point at which the smoothed loss falls fastest per factor of the rate; -1: nowhere */
    int lowest;   /* the point with the lowest smoothed loss; -1: there is none */
};

/* Trains with a new trainer, which must not be used afterwards. `watch` (NULL: nobody) is told each point. Free with
 * lr_find_free. */
struct lr_find lr_find_run(struct trainer *trainer, struct lr_range range,
                           void (*watch)(void *argument, const struct lr_point *point, int step), void *argument);
void lr_find_free(struct lr_find *found);

/* Writes learning_rate,loss,smoothed_loss, a row per step. */
void lr_find_write(const struct lr_find *found, FILE *out);

#endif
