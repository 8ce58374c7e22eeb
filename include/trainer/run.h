/* A whole run: from an experiment to its folder with metrics.csv, curves and checkpoints. */
#ifndef TRAINER_RUN_H
#define TRAINER_RUN_H

#include <stdbool.h>
#include <stdio.h>

#include <trainer/evaluation.h>
#include <trainer/experiment.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The treatment of a folder that holds a run already, finished or not. */
enum trainer_run_start {
    TRAINER_RUN_NEW,       /* the folder is refused (TRAINER_USAGE) */
    TRAINER_RUN_OVERWRITE, /* the run is removed */
    TRAINER_RUN_RESUME,    /* the run goes on from its last checkpoint, or starts anew where it has none */
};

struct trainer_run_result {
    struct trainer_evaluation last, best; /* best: that of the highest accuracy, as checkpoint.best_by says */
};

/* Does the run in `folder`, which it creates and locks. Prints its progress to `output` (NULL: prints nothing). `result`
 * may be NULL. The first SIGINT, SIGTERM or SIGHUP ends the step, saves, and is the error TRAINER_STOPPED; a loss or weight
 * that is not finite is TRAINER_DIVERGED. Signals are the process's, so a program does one run at a time. */
bool trainer_run(const struct trainer_experiment *experiment, const char *folder, enum trainer_run_start start,
                 FILE *output, struct trainer_run_result *result, struct trainer_status *status);

#ifdef __cplusplus
}
#endif

#endif
