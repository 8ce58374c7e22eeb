/* Opens the checkpoint that a run goes on from, and compares the experiments. */
#include "train/run_resume.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config/experiment_keys.h"
#include "config/experiment_value.h"
#include "train/checkpoint_private.h"
#include "trainer/check.h"
#include "trainer/memory.h"

static bool is_key(const struct experiment_key *key, const char *section, const char *name)
{
    return strcmp(key->section, section) == 0 && strcmp(key->name, name) == 0;
}

/* Returns true for a key that says how the data set lies in its files, where one of the two experiments has it in a packed
 * file. The images are compared later, by their digests. */
static bool is_of_packed_data(const struct experiment_key *key, const struct experiment *there,
                              const struct experiment *here)
{
    static const char *const names[] = {"dataset",    "classes",  "first_label", "transpose", "labels",
                                        "image_size", "channels", "test_size",   "images"};
    if (there->data.dataset != DATASET_PACK && here->data.dataset != DATASET_PACK) return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_key(key, "data", names[i])) return true;
    return false;
}

/* Returns true where a change of the key leaves the run's results as they would be. Another device or instruction set
 * rounds otherwise, and is the user's choice. */
static bool may_change(const struct experiment_key *key, const struct experiment *there, const struct experiment *here)
{
    if (is_key(key, "experiment", "name") || is_key(key, "train", "patience")) return true;
    if (is_key(key, "data", "path") || is_key(key, "data", "class_names")) return true;
    /* What they change would show in the digest of the data. */
    if (is_key(key, "data", "cache") || is_key(key, "data", "max_skipped")) return true;
    if (is_of_packed_data(key, there, here)) return true;
    if (is_key(key, "train", "epochs")) return true; /* train.max_steps has the steps that they give */
    if (is_key(key, "train", "max_steps"))
        return here->schedule.name == SCHEDULE_CONSTANT || here->schedule.name == SCHEDULE_STEP;
    if (strcmp(key->section, "backend") == 0) return strcmp(key->name, "precision") != 0;
    if (is_key(key, "checkpoint", "best_by")) return false;
    return strcmp(key->section, "checkpoint") == 0 || strcmp(key->section, "report") == 0;
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

/* Returns true for data.first_epoch after the first epoch: its order matters only to a run that is still in that
 * epoch. */
static bool is_past(const struct experiment_key *key, const struct checkpoint *checkpoint)
{
    const char *epoch = safetensors_metadata_find(&checkpoint->file, "epoch");
    return is_key(key, "data", "first_epoch") && epoch && strcmp(epoch, "0") != 0;
}

static bool compare(const struct checkpoint *checkpoint, const struct experiment *there, const struct experiment *here,
                    const char *folder, struct status *status)
{
    for (int i = 0; i < experiment_key_count; i++) {
        const struct experiment_key *key = &experiment_keys[i];
        if (may_change(key, there, here) || is_past(key, checkpoint)) continue;
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

static bool check(const struct checkpoint *checkpoint, const char *folder, const struct experiment *experiment,
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
    return last < 0 || (read_last(checkpoint, folder, last, status) && check(checkpoint, folder, experiment, status));
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
