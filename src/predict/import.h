/* Makes a run from the weights of another program. */
#ifndef IMPORT_H
#define IMPORT_H

#include <stdbool.h>

#include "config/experiment.h"
#include "metrics/metrics.h"
#include "train/train.h"

/* Makes `folder` the run of an experiment at step 0 with the weights of a safetensors file, F32, F64, F16 or BF16. The
 * file must have all tensors of the network and no others, shaped as in a checkpoint (checkpoint.h), under names that
 * src/train/import_names.h accepts. input.offset and input.scale are optional. They must equal those of the
 * experiment's data to within the rounding of their dtype. The import loads and evaluates that data: `row` gets the row
 * that metrics.csv gets. The run can be evaluated, exported and resumed. TRAIN_NEW refuses a folder that holds a run,
 * TRAIN_OVERWRITE replaces it. After an error a folder that was new or empty is so again. Errors: STATUS_RUNTIME with
 * file, tensor, the expected and the found; STATUS_DIVERGED for a value that is not finite. */
bool import_weights(const struct experiment *experiment, const char *weights, const char *folder,
                    enum train_start start, struct metrics_row *row, struct status *status);

#endif
