/* What a run tells TensorBoard, in RUN/tensorboard, where report.tensorboard asks for it: its metrics at every
 * evaluation, its config as text, and with report.histograms how weights and gradients are spread. */
#ifndef TRAIN_RUN_TENSORBOARD_H
#define TRAIN_RUN_TENSORBOARD_H

#include "report/tensorboard.h"
#include "trainer/experiment.h"
#include "trainer/train.h"

struct run_tensorboard {
    struct tensorboard board; /* file NULL: not asked for */
    bool histograms;
    int64_t images; /* at the row before */
    double train_seconds;
};

/* steps_done: 0 for a new run, which removes what an earlier one left. A build without protobuf-c refuses
 * (STATUS_USAGE). Close with run_tensorboard_close, in any case. */
bool run_tensorboard_start(struct run_tensorboard *run, const struct experiment *experiment, const char *folder,
                           int64_t steps_done, struct status *status);

/* Takes the result's final row; the gradients are those of the step just done. Nothing where it was not asked for. */
bool run_tensorboard_add(struct run_tensorboard *run, const struct network *network, const struct run_result *result,
                         struct status *status);

void run_tensorboard_close(struct run_tensorboard *run);

#endif
