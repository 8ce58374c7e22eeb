/* Weights from elsewhere as a run of one's own. */
#ifndef TRAINER_IMPORT_H
#define TRAINER_IMPORT_H

#include <stdbool.h>

#include "trainer/experiment.h"
#include "trainer/metrics.h"
#include "trainer/train.h"

/* Makes `folder` the run of an experiment at step 0 with the weights of a
 * safetensors file, F32, F64, F16 or BF16. The file has all tensors of the network, shaped as in a checkpoint
 * (checkpoint.h), under names that src/predict/import_names.h finds its way through, and no others. input.offset and
 * input.scale, where the file has them, must be those of the experiment's data to within the rounding of their dtype.
 * That data is loaded and evaluated: `row` gets the row that metrics.csv gets. The run can be evaluated, exported and
 * resumed. TRAIN_NEW refuses a folder that holds a run, TRAIN_OVERWRITE replaces it. A folder that was new or empty is so
 * again after an error. Errors: STATUS_RUNTIME with file, tensor, what was expected and found; STATUS_DIVERGED for a value
 * that is not finite. */
bool import_weights(const struct experiment *experiment, const char *weights, const char *folder,
                    enum train_start start, struct metrics_row *row, struct status *status);

#endif
