/* The folder of a run: its lock, and its checkpoints.
 *
 * A folder is a run's where it holds resolved.ini, metrics.csv or a checkpoint in checkpoints/. Another folder with
 * files in it (/, ., a home folder) is refused before anything is written. */
#ifndef TRAIN_RUN_FOLDER_H
#define TRAIN_RUN_FOLDER_H

#include "train/train.h"

struct run_folder {
    const char *path; /* borrowed */
    int lock;         /* descriptor, or -1 */
    bool created;     /* it did not exist before */
    bool empty;       /* it had no entry when it was opened */
};

/* Creates the folder and locks it. TRAIN_NEW refuses (STATUS_USAGE) a folder that holds a run, and TRAIN_CONTINUE one
 * with rows in metrics.csv but no checkpoint. Removes half-written files of a killed process. Close in any case, also
 * after an error. */
bool run_folder_open(struct run_folder *folder, const char *path, enum train_start start, struct status *status);

/* Checks that the path still leads to the locked folder; see folder_check. The functions below that write call it
 * themselves; all others call it before they write into the folder. */
bool run_folder_check(const struct run_folder *folder, struct status *status);

/* Unlocks the folder. A folder that was made for this run and is still empty goes away, if this process has its
 * lock. */
void run_folder_close(struct run_folder *folder);

/* Call it after an error: where the folder was empty before, it removes metrics.csv, skipped.txt, resolved.ini and the
 * checkpoints. */
void run_folder_abandon(const struct run_folder *folder);

/* Removes the checkpoints of an earlier run. */
bool run_folder_clear(const struct run_folder *folder, struct status *status);

/* Writes a checkpoint to checkpoints/step_<step>.safetensors, and keeps only the last checkpoint.keep of those. */
bool run_folder_save(const struct run_folder *folder, struct trainer *trainer, const struct run_result *result,
                     struct status *status);

/* Writes a checkpoint to checkpoints/best.safetensors. */
bool run_folder_save_best(const struct run_folder *folder, struct trainer *trainer, const struct run_result *result,
                          struct status *status);

#endif
