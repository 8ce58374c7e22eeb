/* Weights from elsewhere as a run of one's own. */
#ifndef TRAINER_IMPORT_H
#define TRAINER_IMPORT_H

#include <stdbool.h>

#include "trainer/experiment.h"
#include "trainer/metrics.h"

/* Makes `folder` (not there yet, or without a run in it) the run of an experiment at step 0 with the weights of a
 * safetensors file: its tensors layers.*, named and shaped as in a checkpoint (checkpoint.h). All of the network's must be
 * there, and no others; num_batches_tracked is passed over. input.offset and input.scale, where the file has them, must be
 * those of the experiment's data, which is loaded and evaluated: `row` gets what metrics.csv does. The run can be
 * evaluated, exported and gone on with. Errors: STATUS_RUNTIME with file, tensor, what was expected and found. */
bool import_weights(const struct experiment *experiment, const char *weights, const char *folder,
                    struct metrics_row *row, struct status *status);

#endif
