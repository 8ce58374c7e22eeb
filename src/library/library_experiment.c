/* Experiments (trainer/experiment.h). */
#include <trainer/experiment.h>

#include <stdlib.h>

#include "library/library_private.h"
#include "util/memory.h"

struct trainer_experiment *trainer_experiment_load(const char *path, const char *const *set, int set_count,
                                                   struct trainer_status *status)
{
    struct status inner = {.code = STATUS_OK};
    struct experiment_override *overrides = memory_alloc((size_t)set_count, sizeof *overrides);
    struct trainer_experiment *made = memory_alloc(1, sizeof *made);
    bool good = true;
    for (int i = 0; good && i < set_count; i++)
        good = experiment_override_parse(&overrides[i], set[i], i + 1, &inner);
    good = good && experiment_load(&made->experiment, path, overrides, set_count, &inner);
    experiment_overrides_free(overrides, set_count);
    library_pass(&inner, status);
    if (good) return made;
    free(made);
    return NULL;
}

void trainer_experiment_free(struct trainer_experiment *experiment)
{
    if (experiment) experiment_free(&experiment->experiment);
    free(experiment);
}
