/* Whole runs (trainer/run.h). */
#include <trainer/run.h>

#include "library/library_private.h"
#include "train/train.h"

bool trainer_run(const struct trainer_experiment *experiment, const char *folder, enum trainer_run_start start,
                 FILE *output, struct trainer_run_result *result, struct trainer_status *status)
{
    static const enum train_start starts[] = {
        [TRAINER_RUN_NEW] = TRAIN_NEW, [TRAINER_RUN_OVERWRITE] = TRAIN_OVERWRITE, [TRAINER_RUN_RESUME] = TRAIN_RESUME};
    struct status inner = {.code = STATUS_OK};
    struct run_output shown = {output, PROGRESS_BAR};
    struct run_result run;
    bool good = train_run(&experiment->experiment, folder, starts[start], NULL, output ? &shown : NULL, &run, &inner);
    if (good && result) {
        result->last = library_evaluation(&run.final);
        result->best = library_evaluation(&run.best);
    }
    return library_pass(&inner, status);
}
