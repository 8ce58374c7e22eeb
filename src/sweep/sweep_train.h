/* Trains one trial. */
#ifndef SWEEP_TRAIN_H
#define SWEEP_TRAIN_H

#include <stdatomic.h>

#include "data/dataset.h"
#include "sweep/sweep_results.h"

/* Trains a trial from its start through the steps of a rung. `problem` gets the reason where the trial cannot be built.
 * Where *stop becomes true, the trial ends soon, as SWEEP_STOPPED. */
struct sweep_result sweep_train(const struct sweep *sweep, int32_t trial, int rung, const struct dataset *dataset,
                                struct backend *backend, const atomic_bool *stop, struct status *problem);

#endif
