/* Opens, checks and cleans the folder of a run, and saves its checkpoints there. */
#include "train/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "train/checkpoint_private.h"
#include "train/metrics_csv.h"
#include "util/file_regular.h"
#include "util/folder.h"
#include "util/memory.h"
#include "util/shell.h"

/* --- opening --- */

/* Returns true where metrics.csv has rows. A header alone is nothing to lose, and a special file keeps nothing. The
 * search is short, because the first two lines of a metrics.csv are short. */
static bool has_rows(const char *folder)
{
    char *path = memory_format("%s/metrics.csv", folder);
    struct status ignored;
    int64_t size;
    FILE *file = file_regular_stream(path, &size, &ignored);
    int lines = 0, c;
    for (int i = 0; file && i < 2 * METRICS_CSV_LINE_LIMIT && (c = getc(file)) != EOF; i++) lines += c == '\n';
    if (file) fclose(file);
    free(path);
    return lines >= 2;
}

/* Calls `visit` for each entry of a folder; a missing folder has none. */
static bool each_entry(const char *folder, bool (*visit)(const char *folder, const char *name, void *argument),
                       void *argument)
{
    DIR *entries = opendir(folder);
    bool good = true;
    for (const struct dirent *entry; good && entries && (entry = readdir(entries));)
        good = visit(folder, entry->d_name, argument);
    if (entries) closedir(entries);
    return good;
}

static bool is_checkpoint(const char *name)
{
    int64_t step;
    return checkpoint_step_of(name, &step) || strcmp(name, "best.safetensors") == 0;
}

static bool is_no_checkpoint(const char *folder, const char *name, void *argument)
{
    (void)folder, (void)argument;
    return !is_checkpoint(name);
}

/* Returns true for an entry that marks the folder as a run's. Other programs have folders "checkpoints" too, so this
 * one must hold a checkpoint of a run. A part of resolved.ini is all that a process leaves that is killed while it
 * writes its first file. */
static bool is_mark(const char *folder, const char *name)
{
    const char part[] = "resolved.ini.";
    if (strcmp(name, "resolved.ini") == 0 || strcmp(name, "metrics.csv") == 0) return true;
    if (strncmp(name, part, strlen(part)) == 0) return true;
    if (strcmp(name, "checkpoints") != 0) return false;
    char *checkpoints = memory_format("%s/%s", folder, name);
    bool none = each_entry(checkpoints, is_no_checkpoint, NULL);
    free(checkpoints);
    return !none;
}

static bool refuse_run(const char *path, struct status *status)
{
    int64_t last = checkpoint_last_step(path, INT64_MAX);
    if (last < 0 && !has_rows(path)) return true;
    char *saved = last < 0 ? memory_copy_string("") : memory_format(", saved at step %" PRId64, last);
    char *word = shell_quote_path(path);
    status_fail(status, STATUS_USAGE,
                "%s: holds a run already%s; go on with it: trainer resume %s; or start anew with --overwrite, or "
                "elsewhere with --out FOLDER",
                path, saved, word);
    free(word);
    free(saved);
    return false;
}

static bool remove_file(const char *folder, const char *name, struct status *status)
{
    char *path = memory_format("%s/%s", folder, name);
    bool removed = unlink(path) == 0 || errno == ENOENT ||
                   status_fail(status, STATUS_RUNTIME, "%s: cannot remove: %s", path, strerror(errno));
    free(path);
    return removed;
}

/* Removes a file that util/file_atomic.h began to write before its process was killed: "best.safetensors.1234.part". */
static bool remove_part(const char *folder, const char *name, void *argument)
{
    static const char *const beginnings[] = {"step_", "best.safetensors.", "resolved.ini.", "metrics.csv.",
                                             "skipped.txt."};
    const char ending[] = ".part";
    size_t length = strlen(name), rest = strlen(ending);
    if (length < rest || strcmp(name + length - rest, ending) != 0) return true;
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        if (strncmp(name, beginnings[i], strlen(beginnings[i])) == 0) return remove_file(folder, name, argument);
    return true;
}

/* Refuses a run that has rows and no checkpoint: it would begin again, and lose them. */
static bool refuse_start(const char *path, struct status *status)
{
    if (checkpoint_last_step(path, INT64_MAX) >= 0 || !has_rows(path)) return true;
    char *config = memory_format("%s/resolved.ini", path);
    char *config_word = shell_quote_path(config), *word = shell_quote_path(path);
    status_fail(status, STATUS_USAGE,
                "%s: metrics.csv has evaluations, but no checkpoint to go on from is in %s/checkpoints; start the run "
                "anew with: trainer %s --out %s --overwrite",
                path, path, config_word, word);
    free(config), free(config_word), free(word);
    return false;
}

static bool find_any(const char *folder, const char *name, void *argument)
{
    (void)folder, (void)argument;
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool check_start(const char *path, enum train_start start, struct status *status)
{
    if (!folder_check_marks(path, "run", is_mark, status)) return false;
    if (start == TRAIN_NEW) return refuse_run(path, status);
    return start != TRAIN_CONTINUE || refuse_start(path, status);
}

bool run_folder_open(struct run_folder *folder, const char *path, enum train_start start, struct status *status)
{
    struct stat info;
    *folder = (struct run_folder){.path = path, .created = stat(path, &info) != 0};
    if (!folder_lock(path, "run", &folder->lock, status)) return false;
    folder->empty = each_entry(path, find_any, NULL);
    if (!check_start(path, start, status)) return false;
    char *checkpoints = memory_format("%s/checkpoints", path);
    bool good = each_entry(path, remove_part, status) && each_entry(checkpoints, remove_part, status);
    free(checkpoints);
    return good;
}

bool run_folder_check(const struct run_folder *folder, struct status *status)
{
    return folder_check(folder->path, "run", folder->lock, status);
}

void run_folder_close(struct run_folder *folder)
{
    struct status ignored;
    /* A process that did not get the lock has nothing to remove: the folder may be the first thing of the other one. */
    if (folder->created && folder->lock >= 0 && run_folder_check(folder, &ignored))
        /* This fails where the folder has an entry, as it should. */
        (void)rmdir(folder->path);
    folder_unlock(&folder->lock);
    *folder = (struct run_folder){.lock = -1};
}

static bool remove_checkpoint(const char *folder, const char *name, void *argument)
{
    return !is_checkpoint(name) || remove_file(folder, name, argument);
}

bool run_folder_clear(const struct run_folder *folder, struct status *status)
{
    char *checkpoints = memory_format("%s/checkpoints", folder->path);
    bool good = each_entry(checkpoints, remove_checkpoint, status);
    free(checkpoints);
    return good;
}

void run_folder_abandon(const struct run_folder *folder)
{
    struct status ignored;
    if (!folder->empty || !run_folder_check(folder, &ignored)) return;
    char *checkpoints = memory_format("%s/checkpoints", folder->path);
    (void)run_folder_clear(folder, &ignored);
    (void)rmdir(checkpoints);
    (void)remove_file(folder->path, "metrics.csv", &ignored);
    (void)remove_file(folder->path, "skipped.txt", &ignored);
    (void)remove_file(folder->path, "resolved.ini", &ignored);
    free(checkpoints);
}

/* --- saving --- */

struct steps {
    int64_t *values;
    size_t count, capacity;
};

static bool take_step(const char *folder, const char *name, void *argument)
{
    (void)folder;
    struct steps *steps = argument;
    int64_t step;
    if (!checkpoint_step_of(name, &step)) return true;
    if (steps->count == steps->capacity) {
        steps->capacity = steps->capacity ? 2 * steps->capacity : 16;
        steps->values = memory_resize(steps->values, steps->capacity, sizeof *steps->values);
    }
    steps->values[steps->count++] = step;
    return true;
}

static int compare_steps(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Removes all checkpoints of steps but the last `keep`. */
static bool remove_old(const char *run, const char *checkpoints, int64_t keep, struct status *status)
{
    struct steps steps = {0};
    bool good = each_entry(checkpoints, take_step, &steps);
    if (steps.count > 0) qsort(steps.values, steps.count, sizeof *steps.values, compare_steps);
    for (size_t i = 0; good && i + (size_t)keep < steps.count; i++) {
        char *path = checkpoint_step_path(run, steps.values[i]);
        good = remove_file(checkpoints, strrchr(path, '/') + 1, status);
        free(path);
    }
    free(steps.values);
    return good;
}

bool run_folder_save(const struct run_folder *folder, struct trainer *trainer, const struct run_result *result,
                     struct status *status)
{
    char *checkpoints = memory_format("%s/checkpoints", folder->path);
    char *path = checkpoint_step_path(folder->path, trainer->step);
    bool saved = run_folder_check(folder, status) && folder_create_last(checkpoints, status) &&
                 checkpoint_write(path, trainer, result, status) &&
                 remove_old(folder->path, checkpoints, trainer->experiment->checkpoint.keep, status);
    free(path);
    free(checkpoints);
    return saved;
}

bool run_folder_save_best(const struct run_folder *folder, struct trainer *trainer, const struct run_result *result,
                          struct status *status)
{
    char *checkpoints = memory_format("%s/checkpoints", folder->path);
    char *path = memory_format("%s/best.safetensors", checkpoints);
    bool saved = run_folder_check(folder, status) && folder_create_last(checkpoints, status) &&
                 checkpoint_write(path, trainer, result, status);
    free(path);
    free(checkpoints);
    return saved;
}
