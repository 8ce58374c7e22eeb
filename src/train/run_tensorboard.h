/* Writes RUN/tensorboard where report.tensorboard asks for it: the metrics at every evaluation, the config as text, and
 * with report.histograms the distributions of weights and gradients. */
#ifndef TRAIN_RUN_TENSORBOARD_H
#define TRAIN_RUN_TENSORBOARD_H

#include "config/experiment.h"
#include "report/tensorboard.h"
#include "train/train.h"

struct run_tensorboard {
    struct tensorboard board; /* file NULL: TensorBoard is off */
    bool histograms;
    int64_t images; /* images seen at the row before */
    double train_seconds;
};

/* Starts the files. steps_done is 0 for a new run, which removes the files of an earlier one. A build without
 * protobuf-c refuses (STATUS_USAGE). Close with run_tensorboard_close, in any case. */
bool run_tensorboard_start(struct run_tensorboard *run, const struct experiment *experiment, const char *folder,
                           int64_t steps_done, struct status *status);

/* Adds the result's final row; the gradients are those of the step just done. Does nothing where TensorBoard is off. */
bool run_tensorboard_add(struct run_tensorboard *run, const struct network *network, const struct run_result *result,
                         struct status *status);

void run_tensorboard_close(struct run_tensorboard *run);

#endif
