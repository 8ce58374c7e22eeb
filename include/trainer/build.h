/* Makes the parts of training that an experiment describes. The parts themselves know nothing of experiments. */
#ifndef TRAINER_BUILD_H
#define TRAINER_BUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "trainer/dataset.h"
#include "trainer/experiment.h"
#include "trainer/network.h"
#include "trainer/schedule.h"

/* Makes the layers of the experiment's network for images of that format, in a new array (free with model_specs_free),
 * and sets `input` to their input for one image. */
struct layer_spec *specs_from_experiment(const struct experiment *experiment, struct dataset_description format,
                                         struct shape *input, int *count);

/* Builds the experiment's network for images of that format, in batches of up to `batch`. Class weights and mixed labels
 * of training's loss are left to the caller. Errors are those of network_build. Destroy with network_destroy. */
bool network_from_experiment(struct network **network, const struct experiment *experiment,
                             struct dataset_description format, struct backend *backend, int64_t batch,
                             struct status *status);

/* The schedule of the experiment, whose train.max_steps is known (experiment_count_steps). */
struct schedule_params schedule_from_experiment(const struct experiment *experiment);

#endif
