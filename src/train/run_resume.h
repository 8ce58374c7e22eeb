/* Goes on with a run. */
#ifndef TRAIN_RUN_RESUME_H
#define TRAIN_RUN_RESUME_H

#include "trainer/checkpoint.h"

/* Opens the last checkpoint of a run's folder, or gives an empty one (file.path NULL) where it has none. An experiment
 * that would give another run is refused (STATUS_USAGE) with the key and the place where it was set. These may differ:
 * the name, data.path, data.class_names, train.patience, [checkpoint] but for best_by, [report], [backend] but for its
 * precision, and with a schedule of constant or step train.max_steps or train.epochs. */
bool run_resume_open(struct checkpoint *checkpoint, const char *folder, const struct experiment *experiment,
                     struct status *status);

/* Restores the result of the run as it stood at the checkpoint, from the rows of metrics.csv; there are as many as the
 * checkpoint says. result->columns and result->best_by stay as they are. */
void run_resume_result(const struct checkpoint *checkpoint, const struct metrics_row *rows, struct run_result *result);

#endif
