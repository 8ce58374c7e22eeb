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

static char *trial_path(const struct sweep_best *best, const struct sweep_shard *shard,
                        const struct sweep_result *result)
{
    char *name = memory_format("trial_%" PRId32 "_rung_%d", result->trial + 1, result->rung);
    char *path = sweep_shard_path(shard, best->folder, name, "safetensors");
    free(name);
    return path;
}

static char *best_path(const struct sweep_best *best, const struct sweep_shard *shard)
{
    return sweep_shard_path(shard, best->folder, "best", "safetensors");
}

static bool beats(const struct sweep_result *a, const struct sweep_result *b)
{
    return a->outcome == SWEEP_OK && (b->outcome != SWEEP_OK || sweep_results_compare(a, b) < 0);
}

/* Makes the file that of the best trial, if it is there. Frees the path. */
static bool promote(const struct sweep_best *best, char *path, struct status *status)
{
    char *to = best_path(best, &best->shard);
    bool good =
        strcmp(path, to) == 0 || rename(path, to) == 0 || errno == ENOENT ||
        status_fail(status, STATUS_RUNTIME, "%s: cannot rename to %s: %s", path, strrchr(to, '/') + 1, strerror(errno));
    free(path), free(to);
    return good;
}

/* Tells whether this process may take and remove a file of the shard. */
static bool is_own(const struct sweep_best *best, const struct sweep_shard *shard)
{
    return sweep_shard_is_whole(&best->shard) || sweep_shard_is_same(&best->shard, shard);
}

/* Takes the weights of the best trial from where a process that wrote its row left them. */
static bool settle_best(const struct sweep_best *best, const struct sweep_results *results, struct status *status)
{
    int count;
    struct sweep_shard *shards = sweep_shard_list(best->folder, "results", "csv", &count);
    bool good = true;
    for (int i = 0; i < count && good; i++) {
        char *table = sweep_shard_path(&shards[i], best->folder, "results", "csv");
        if (is_own(best, &shards[i]) && sweep_results_is_in(results, &best->best, table))
            good = promote(best, best_path(best, &shards[i]), status) &&
                   promote(best, trial_path(best, &shards[i], &best->best), status);
        free(table);
    }
    free(shards);
    return good;
}

/* Tells whether a file is what a process left that was killed, or that of a shard whose trials are not the best ones. */
static bool is_left(const struct sweep_best *best, const char *file)
{
    struct sweep_shard shard;
    int32_t trial;
    int rung, length = 0;
    if (sweep_shard_of_file(file, "best", "safetensors", &shard))
        return sweep_shard_is_whole(&best->shard) && !sweep_shard_is_whole(&shard);
    if (sscanf(file, "trial_%" SCNd32 "_rung_%d%n", &trial, &rung, &length) != 2 || length == 0) return false;
    char *name = memory_format("%.*s", length, file);
    bool left = sweep_shard_of_file(file, name, "safetensors", &shard) && is_own(best, &shard);
    free(name);
    return left;
}

static void remove_left_files(const struct sweep_best *best)
{
    DIR *folder = opendir(best->folder);
    if (!folder) return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (!is_left(best, entry->d_name)) continue;
        char *path = memory_format("%s/%s", best->folder, entry->d_name);
        unlink(path);
        free(path);
    }
    closedir(folder);
}

bool sweep_best_open(struct sweep_best *best, const struct sweep *sweep, const struct sweep_shard *shard,
                     const struct sweep_results *results, const char *folder, int lock, struct status *status)
{
    *best = (struct sweep_best){.folder = folder,
                                .shard = *shard,
                                .lock = lock,
                                .kept = sweep->base.checkpoint.best,
                                .best = {.outcome = SWEEP_FAILED}};
    CHECK(pthread_mutex_init(&best->mutex, NULL) == 0);
    if (!best->kept) return true;
    for (int32_t i = 0; i < results->count; i++)
        if (beats(&results->rows[i], &best->best)) best->best = results->rows[i];
    if (best->best.outcome == SWEEP_OK && !settle_best(best, results, status)) return false;
    remove_left_files(best);
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
    char *path = trial_path(best, &best->shard, result);
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
    if (is_best) return promote(best, trial_path(best, &best->shard, result), status);
    char *path = trial_path(best, &best->shard, result);
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
