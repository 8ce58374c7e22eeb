/* One trial. */
#ifndef SWEEP_TRAIN_H
#define SWEEP_TRAIN_H

#include <stdatomic.h>

#include "sweep/sweep_results.h"
#include "trainer/dataset.h"

/* Trains a trial from its start through the steps of a rung. A trial that cannot be built has the reason in `problem`.
 * Where *stop becomes true it ends soon, as SWEEP_STOPPED. */
struct sweep_result sweep_train(const struct sweep *sweep, int32_t trial, int rung, const struct dataset *dataset,
                                struct backend *backend, const atomic_bool *stop, struct status *problem);

#endif
