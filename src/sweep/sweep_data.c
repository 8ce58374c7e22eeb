/* Keeps a sweep to one data set that every trial can use: trials that one search ranks must have seen the same images, which data.ini names by
 * number and SHA-256. */
#include "sweep/sweep_data.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/experiment_read.h"
#include "config/ini.h"
#include "sweep/sweep_keys.h"
#include "train/checkpoint_private.h"
#include "train/train.h"
#include "util/file_atomic.h"
#include "util/file_regular.h"
#include "util/memory.h"

static const char section[] = "data";

static void write_body(const void *body, FILE *out)
{
    const struct dataset_digest *digest = body;
    fprintf(out,
            "# The data set of the results beside this file: images, SHA-256 of them, SHA-256 of their labels.\n\n");
    fprintf(out, "[%s]\n", section);
    for (int i = 0; i < CHECKPOINT_SETS; i++) {
        char *text = checkpoint_data_text(digest, i);
        if (text) fprintf(out, "%s = %s\n", checkpoint_data_key(i), text);
        free(text);
    }
}

static bool read_entry(struct dataset_digest *digest, const struct ini_entry *entry)
{
    for (int i = 0; i < CHECKPOINT_SETS; i++)
        if (strcmp(entry->section, section) == 0 && strcmp(entry->key, checkpoint_data_key(i)) == 0)
            return checkpoint_data_parse(digest, i, entry->value);
    return false;
}

static bool read_digest(struct dataset_digest *digest, const char *path, struct status *status)
{
    struct ini_file ini;
    if (!file_regular_check(path, status) || !ini_read(&ini, path, status)) return false;
    memset(digest, 0, sizeof *digest);
    bool good = true;
    for (int i = 0; good && i < ini.entry_count; i++)
        good = read_entry(digest, &ini.entries[i]) ||
               status_fail(status, STATUS_RUNTIME, "%s:%d: expected a number of images and two SHA-256", path,
                           ini.entries[i].line);
    ini_free(&ini);
    return good;
}

static bool compare(const char *path, const struct dataset_digest *digest, struct status *status)
{
    struct dataset_digest there;
    if (!read_digest(&there, path, status)) return false;
    char *difference = dataset_digest_difference(&there, digest);
    if (!difference) return true;
    status_fail(
        status, STATUS_RUNTIME,
        "%s: the data set is another one than that of the results in this folder: %s; choose another folder with "
        "--out",
        path, difference);
    free(difference);
    return false;
}

bool sweep_data_claim(const char *folder, const struct dataset_digest *digest, bool has_results, struct status *status)
{
    char *path = memory_format("%s/data.ini", folder);
    bool good;
    if (access(path, F_OK) == 0)
        good = compare(path, digest, status);
    else if (has_results && digest->validation.count > 0)
        good =
            status_fail(status, STATUS_RUNTIME,
                        "%s: not there, so the results are those of an older version, which held out other samples for "
                        "validation; choose another folder with --out",
                        path);
    else
        good = file_atomic_print(path, write_body, digest, status);
    free(path);
    return good;
}

/* --- data that every trial can use --- */

/* Checks that the data has the set by which trials are ranked. */
static bool check_rank_by(const struct sweep *sweep, const struct dataset *dataset, struct status *status)
{
    bool validation = sweep->settings.rank_by == SWEEP_RANK_VALIDATION;
    if (!validation && dataset->test.count == 0)
        return sweep_setting_fail(sweep, "rank_by", status,
                                  "expected validation, as the data has no test set, found test");
    if (validation && dataset->validation.count == 0)
        return sweep_setting_fail(sweep, "rank_by", status,
                                  "expected test, as the data has no validation set (data.validation_size), found "
                                  "validation");
    return true;
}

bool sweep_data_check(const struct sweep *sweep, const struct dataset *dataset, struct status *status)
{
    if (!check_rank_by(sweep, dataset, status)) return false;
    bool good = true;
    for (int32_t i = 0; i < sweep->trial_count && good; i++) {
        struct experiment experiment;
        if (!sweep_trial(sweep, sweep->order[i], &experiment, status)) return false;
        good = trainer_check_dataset(&experiment, dataset, status) &&
               experiment_count_steps(&experiment, dataset->train.count, status);
        experiment_free(&experiment);
    }
    return good;
}
