/* The length of training: train.max_steps, or train.epochs, which the size of the training set turns into steps. And the
 * batches of evaluations. */
#include <inttypes.h>

#include "config/experiment_check.h"

static const char steps_key[] = "train.max_steps", epochs_key[] = "train.epochs";
static const int64_t steps_limit = 1000000000; /* the limit of train.max_steps */

static bool is_given(const struct experiment *experiment, const char *key)
{
    return experiment_origin(experiment, key).file != NULL;
}

void experiment_choose_length(struct experiment *experiment)
{
    bool steps_set = experiment_is_override(experiment, steps_key);
    bool epochs_set = experiment_is_override(experiment, epochs_key);
    if (steps_set && !epochs_set) experiment->train.epochs = 0;
    if (epochs_set && !steps_set && experiment->train.epochs > 0) experiment_forget_origin(experiment, steps_key);
}

bool experiment_check_warmup(const struct experiment *experiment, struct status *status)
{
    if (experiment->schedule.warmup_steps < experiment->train.max_steps) return true;
    return experiment_fail(experiment, "schedule.warmup_steps", status,
                           "expected less than the %" PRId64 " of %s, found %" PRId64, experiment->train.max_steps,
                           experiment->train.epochs > 0 ? epochs_key : steps_key, experiment->schedule.warmup_steps);
}

bool experiment_count_steps(struct experiment *experiment, int64_t samples, struct status *status)
{
    int64_t epochs = experiment->train.epochs, batches = samples / experiment->train.batch_size;
    if (epochs == 0 || batches == 0) return true; /* trainer_check_dataset refuses a batch that is too large */
    if (epochs > steps_limit / batches)
        return experiment_fail(experiment, epochs_key, status,
                               "expected at most %" PRId64 ", as an epoch has %" PRId64 " steps, found %" PRId64,
                               steps_limit / batches, batches, epochs);
    int64_t steps = epochs * batches, given = experiment->train.max_steps;
    if (is_given(experiment, steps_key) && given != steps)
        return experiment_fail(experiment, steps_key, status,
                               "expected the %" PRId64 " steps of train.epochs = %" PRId64
                               ", or only one of the two keys, found %" PRId64,
                               steps, epochs, given);
    experiment->train.max_steps = steps;
    return experiment_check_warmup(experiment, status);
}

int64_t experiment_evaluation_batch(const struct experiment *experiment)
{
    const int64_t images = 128, vectors = 512;
    if (experiment->train.eval_batch_size > 0) return experiment->train.eval_batch_size;
    return experiment->model.kind == MODEL_MLP ? vectors : images;
}
