/* Goes on with a run. */
#ifndef TRAIN_RUN_RESUME_H
#define TRAIN_RUN_RESUME_H

#include "config/experiment_keys.h"
#include "train/checkpoint.h"

/* Opens the last checkpoint of a run's folder, or gives an empty one (file.path NULL) where it has none. An experiment
 * that would give another run is refused (STATUS_USAGE) with the key and the place where it was set. */
bool run_resume_open(struct checkpoint *checkpoint, const char *folder, const struct experiment *experiment,
                     struct status *status);

/* Refuses (STATUS_USAGE) an experiment that would give another run than the checkpoint's, or a shorter one. Messages say
 * that the run is in `folder`. */
bool run_resume_check(const struct checkpoint *checkpoint, const char *folder, const struct experiment *experiment,
                      struct status *status);

/* Tells whether a run that goes on may have another value of the key `here` than `there`, in its checkpoint, by the rule
 * of the key's row. */
bool run_resume_may_differ(const struct experiment_key *key, const struct experiment *there,
                           const struct experiment *here, bool in_first_epoch);

/* Restores the result of the run as it stood at the checkpoint, from the rows of metrics.csv; there are as many as the
 * checkpoint says. result->columns and result->best_by stay as they are. */
void run_resume_result(const struct checkpoint *checkpoint, const struct metrics_row *rows, struct run_result *result);

#endif
