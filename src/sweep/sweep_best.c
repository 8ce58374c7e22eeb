/* Keeps the weights of the best trial (sweep_best.h). */
#include "sweep/sweep_best.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train/checkpoint.h"
#include "util/check.h"
#include "util/folder.h"
#include "util/memory.h"

static char *path_of(const struct sweep_best *best, int32_t trial, int rung)
{
    return memory_format("%s/trial_%" PRId32 "_rung_%d.safetensors", best->folder, trial + 1, rung);
}

static bool beats(const struct sweep_result *a, const struct sweep_result *b)
{
    return a->outcome == SWEEP_OK && (b->outcome != SWEEP_OK || sweep_results_compare(a, b) < 0);
}

/* Moves a trial's file to best.safetensors, if it is there. */
static bool promote(const struct sweep_best *best, const struct sweep_result *result, struct status *status)
{
    char *path = path_of(best, result->trial, result->rung), *to = memory_format("%s/best.safetensors", best->folder);
    bool good = rename(path, to) == 0 || errno == ENOENT ||
                status_fail(status, STATUS_RUNTIME, "%s: cannot rename to best.safetensors: %s", path, strerror(errno));
    free(path), free(to);
    return good;
}

static bool is_trial_file(const char *name)
{
    int32_t trial;
    int rung, length = 0;
    return sscanf(name, "trial_%" SCNd32 "_rung_%d.safetensors%n", &trial, &rung, &length) == 2 && length > 0 &&
           name[length] == '\0';
}

/* Removes the files of trials that a killed process left. */
static void remove_trial_files(const struct sweep_best *best)
{
    DIR *folder = opendir(best->folder);
    if (!folder) return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (!is_trial_file(entry->d_name)) continue;
        char *path = memory_format("%s/%s", best->folder, entry->d_name);
        unlink(path);
        free(path);
    }
    closedir(folder);
}

bool sweep_best_open(struct sweep_best *best, const struct sweep *sweep, const struct sweep_results *results,
                     const char *folder, int lock, struct status *status)
{
    *best = (struct sweep_best){
        .folder = folder, .lock = lock, .kept = sweep->base.checkpoint.best, .best = {.outcome = SWEEP_FAILED}};
    CHECK(pthread_mutex_init(&best->mutex, NULL) == 0);
    if (!best->kept) return true;
    for (int32_t i = 0; i < results->count; i++)
        if (beats(&results->rows[i], &best->best)) best->best = results->rows[i];
    if (best->best.outcome == SWEEP_OK && !promote(best, &best->best, status)) return false;
    remove_trial_files(best);
    return true;
}

void sweep_best_close(struct sweep_best *best)
{
    if (best->folder) CHECK(pthread_mutex_destroy(&best->mutex) == 0);
}

bool sweep_best_offer(struct sweep_best *best, const struct sweep_result *result, struct trainer *trainer,
                      const struct run_result *run, struct status *status)
{
    if (!best->kept) return true;
    pthread_mutex_lock(&best->mutex);
    bool wanted = beats(result, &best->best);
    pthread_mutex_unlock(&best->mutex);
    if (!wanted) return true;
    if (!folder_check(best->folder, "sweep", best->lock, status)) return false;
    char *path = path_of(best, result->trial, result->rung);
    bool good = checkpoint_write(path, trainer, run, status) || status->code == STATUS_DIVERGED;
    free(path);
    return good;
}

bool sweep_best_settle(struct sweep_best *best, const struct sweep_result *result, struct status *status)
{
    if (!best->kept) return true;
    pthread_mutex_lock(&best->mutex);
    bool is_best = beats(result, &best->best);
    if (is_best) best->best = *result;
    pthread_mutex_unlock(&best->mutex);
    if (is_best) return promote(best, result, status);
    char *path = path_of(best, result->trial, result->rung);
    unlink(path);
    free(path);
    return true;
}

char *sweep_best_path(const char *folder)
{
    char *path = memory_format("%s/best.safetensors", folder);
    if (access(path, F_OK) == 0) return path;
    free(path);
    return NULL;
}
