/* The weights of the best trial: best.safetensors in the folder of a sweep, a checkpoint of the evaluation that ranks the
 * trial. Trials run side by side, and only at its end is it known whether a trial counts. So a trial that beats all before
 * it writes a file of its own, trial_<number>_rung_<rung>.safetensors, which takes the place of best.safetensors when the
 * trial has ended well, or goes. What is in the folder at any moment is enough to go on after a kill.
 *
 * A shard has files of its own, best-K-of-N.safetensors and trial_<number>_rung_<rung>-K-of-N.safetensors, and leaves those of
 * others alone. The whole sweep runs when no shard does: it takes the weights of the best trial from the shard that has its
 * row, and removes what the shards left. The shard that trained the best trial of all still has its weights, since no
 * other trial beat it. */
#ifndef SWEEP_BEST_H
#define SWEEP_BEST_H

#include <pthread.h>

#include "sweep/sweep_results.h"
#include "sweep/sweep_shard.h"
#include "train/train.h"

struct sweep_best {
    const char *folder; /* borrowed */
    struct sweep_shard shard;
    int lock;  /* descriptor of the folder, for folder_check */
    bool kept; /* checkpoint.best of the sweep's experiment: else nothing here does anything */
    pthread_mutex_t mutex;
    struct sweep_result best; /* guarded: the best of the results; outcome SWEEP_FAILED: there is none */
};

/* Finds the best of the results, and settles what an earlier process of the shard (or of the whole sweep) left. Close in any
 * case. */
bool sweep_best_open(struct sweep_best *best, const struct sweep *sweep, const struct sweep_shard *shard,
                     const struct sweep_results *results, const char *folder, int lock, struct status *status);
void sweep_best_close(struct sweep_best *best);

/* Writes the file of a trial at an evaluation that is its best one, where it beats all trials that have ended.
 * `result`: the trial as if it ended well now. Weights that are not finite are not written. Any thread may call it. */
bool sweep_best_offer(struct sweep_best *best, const struct sweep_result *result, struct trainer *trainer,
                      const struct run_result *run, struct status *status);

/* After the row of a trial is in results.csv: makes the file of a trial that is the best now best.safetensors, and removes
 * that of another. A trial that was stopped has no row, and its file is removed. One thread at a time. */
bool sweep_best_settle(struct sweep_best *best, const struct sweep_result *result, struct status *status);

/* Returns the path of best.safetensors, to be freed, or NULL where there is no such file. */
char *sweep_best_path(const char *folder);

#endif
