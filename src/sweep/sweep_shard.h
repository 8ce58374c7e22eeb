/* A shard of a sweep: one of N processes, on machines that share the sweep's folder, which divide its trials. They do not
 * talk to each other. Each writes files of its own, whose names have "-K-of-N" before their ending, and reads those of all.
 *
 * A shard's trials are every N-th one of a random permutation, and not every N-th number: the last key changes fastest, so
 * with two values of it and an even N half of the shards would see one of them only. */
#ifndef SWEEP_SHARD_H
#define SWEEP_SHARD_H

#include "sweep/sweep.h"

/* Reads "K/N" with 0 <= K < N, as SLURM_ARRAY_TASK_ID/SLURM_ARRAY_TASK_COUNT is where the array starts at 0. */
bool sweep_shard_parse(const char *text, struct sweep_shard *shard, struct status *status);

bool sweep_shard_is_whole(const struct sweep_shard *shard);
bool sweep_shard_is_same(const struct sweep_shard *a, const struct sweep_shard *b);

/* Returns the path of a shard's file in a new string: "FOLDER/NAME-K-of-N.ENDING", or "FOLDER/NAME.ENDING" of the whole
 * sweep. */
char *sweep_shard_path(const struct sweep_shard *shard, const char *folder, const char *name, const char *ending);

/* Tells whether a file of that name is one of those, and whose it is. */
bool sweep_shard_of_file(const char *file, const char *name, const char *ending, struct sweep_shard *shard);

/* Lists the shards that have such a file in the folder, the whole sweep first, then by N and K. Free with free(). */
struct sweep_shard *sweep_shard_list(const char *folder, const char *name, const char *ending, int *count);

/* Writes a shard's part of `trials`, in their order, to `own` (count); returns its number. The parts of all shards are
 * `trials`, each trial once, and their numbers differ by 1 at most. The whole sweep's part is all of them. */
int32_t sweep_shard_choose(const struct sweep_shard *shard, const struct sweep *sweep, const int32_t *trials,
                           int32_t count, int32_t *own);

/* Returns the largest number of trials that one shard has of so many. */
int32_t sweep_shard_most(const struct sweep_shard *shard, int32_t count);

#endif
