/* Trains one trial. */
#ifndef SWEEP_TRAIN_H
#define SWEEP_TRAIN_H

#include <stdatomic.h>

#include "data/dataset.h"
#include "sweep/sweep_best.h"
#include "sweep/sweep_results.h"

/* Trains a trial from its start through the steps of a rung, and offers its weights to `best` (NULL: to nobody).
 * `problem` gets the reason where the trial cannot be built, as SWEEP_FAILED, or lacks something on this machine, as
 * SWEEP_PREVENTED. Where *stop becomes true, the trial ends soon, as
 * SWEEP_STOPPED; so it does where its weights cannot be written, and `problem` then says why. */
struct sweep_result sweep_train(const struct sweep *sweep, int32_t trial, int rung, const struct dataset *dataset,
                                struct backend *backend, struct sweep_best *best, const atomic_bool *stop,
                                struct status *problem);

#endif
