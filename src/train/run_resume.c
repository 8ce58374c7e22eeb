/* Opens the checkpoint that a run goes on from, and compares the experiments. */
#include "train/run_resume.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config/experiment_value.h"
#include "train/checkpoint_private.h"
#include "util/check.h"
#include "util/memory.h"

bool run_resume_may_differ(const struct experiment_key *key, const struct experiment *there,
                           const struct experiment *here, bool in_first_epoch)
{
    bool of_optimizer = strcmp(key->section, "optimizer") == 0;
    if (of_optimizer && !optimizer_reads(there->optimizer.name, key->name)) return true;
    switch (key->resume) {
    case KEY_RESUME_KEPT:
        return false;
    case KEY_RESUME_FREE:
    case KEY_RESUME_ROUNDING:
        return true;
    case KEY_RESUME_LENGTH: /* of train.epochs only the steps count that they give */
        return here->schedule.name == SCHEDULE_CONSTANT || here->schedule.name == SCHEDULE_STEP ||
               here->train.max_steps == there->train.max_steps;
    case KEY_RESUME_PACKED: /* the images are compared later, by their digests */
        return there->data.dataset == DATASET_PACK || here->data.dataset == DATASET_PACK;
    case KEY_RESUME_FIRST_EPOCH:
        return !in_first_epoch;
    case KEY_RESUME_NO_HALVING: /* no key of an experiment */
        break;
    }
    check_failed("a rule for keys of an experiment", __FILE__, __LINE__);
}

static bool compare_key(const struct experiment_key *key, const struct experiment *there, const struct experiment *here,
                        const char *folder, struct status *status)
{
    char before[VALUE_TEXT_SIZE], now[VALUE_TEXT_SIZE];
    experiment_value_format(key, there, before, sizeof before);
    experiment_value_format(key, here, now, sizeof now);
    if (strcmp(before, now) == 0) return true;
    char *name = memory_format("%s.%s", key->section, key->name);
    experiment_fail(here, name, status, "expected \"%s\", as in the run in %s that is to go on, found \"%s\"", before,
                    folder, now);
    free(name);
    return false;
}

static bool compare(const struct checkpoint *checkpoint, const struct experiment *there, const struct experiment *here,
                    const char *folder, struct status *status)
{
    const char *epoch = safetensors_metadata_find(&checkpoint->file, "epoch");
    bool in_first_epoch = !epoch || strcmp(epoch, "0") == 0;
    for (int i = 0; i < experiment_key_count; i++) {
        const struct experiment_key *key = &experiment_keys[i];
        if (run_resume_may_differ(key, there, here, in_first_epoch)) continue;
        if (!compare_key(key, there, here, folder, status)) return false;
    }
    return true;
}

static bool check_split(const struct checkpoint *checkpoint, const struct experiment *experiment, const char *folder,
                        struct status *status)
{
    if (experiment->data.validation_size == 0 || !checkpoint_is_before_shuffling(checkpoint)) return true;
    return experiment_fail(experiment, "data.validation_size", status,
                           "an older version of trainer began the run in %s and held out the first images for "
                           "validation; they are drawn now, so that it cannot go on",
                           folder);
}

bool run_resume_check(const struct checkpoint *checkpoint, const char *folder, const struct experiment *experiment,
                      struct status *status)
{
    struct experiment there;
    if (!checkpoint_experiment(checkpoint, NULL, 0, &there, status)) return false;
    bool same =
        compare(checkpoint, &there, experiment, folder, status) && check_split(checkpoint, experiment, folder, status);
    experiment_free(&there);
    if (!same || checkpoint->step <= experiment->train.max_steps) return same;
    return experiment_fail(experiment, "train.max_steps", status,
                           "expected at least the %" PRId64 " steps that the run in %s has done, found %" PRId64,
                           checkpoint->step, folder, experiment->train.max_steps);
}

/* Reads the newest checkpoint. It may be corrupt; the message then names the older one that the run could go on
 * from. */
static bool read_last(struct checkpoint *checkpoint, const char *folder, int64_t last, struct status *status)
{
    struct status problem;
    if (checkpoint_open(checkpoint, folder, CHECKPOINT_LAST, &problem)) return true;
    int64_t before = checkpoint_last_step(folder, last);
    if (before < 0) return status_fail(status, problem.code, "%s", problem.message);
    return status_fail(status, problem.code, "%s; without this file the run goes on from step %" PRId64,
                       problem.message, before);
}

bool run_resume_open(struct checkpoint *checkpoint, const char *folder, const struct experiment *experiment,
                     struct status *status)
{
    int64_t last = checkpoint_last_step(folder, INT64_MAX);
    *checkpoint = (struct checkpoint){0};
    return last < 0 ||
           (read_last(checkpoint, folder, last, status) && run_resume_check(checkpoint, folder, experiment, status));
}

void run_resume_result(const struct checkpoint *checkpoint, const struct metrics_row *rows, struct run_result *result)
{
    *result = (struct run_result){.columns = result->columns, .best_by = result->best_by};
    for (int64_t i = 0; i < checkpoint->row_count; i++) run_result_add(result, &rows[i]);
    result->best = checkpoint->best; /* the checkpoint's row is exact; the file has nine digits */
    result->since_best = 0;
    for (int64_t i = 0; i < checkpoint->row_count; i++) {
        if (rows[i].step == checkpoint->best.step) result->best.elapsed_seconds = rows[i].elapsed_seconds;
        result->since_best += rows[i].step > checkpoint->best.step;
    }
}
