/* The folder of a run: its lock, and its checkpoints.
 *
 * A folder is a run's where it holds resolved.ini, metrics.csv or a checkpoint in checkpoints/. Another folder with files in
 * it (/, ., somebody's home) is refused before anything is written. */
#ifndef TRAIN_RUN_FOLDER_H
#define TRAIN_RUN_FOLDER_H

#include "trainer/train.h"

struct run_folder {
    const char *path; /* borrowed */
    int lock;         /* descriptor, or -1 */
    bool created;     /* it was not there before */
    bool empty;       /* there was nothing in it when it was opened */
};

/* Creates and locks it. TRAIN_NEW refuses (STATUS_USAGE) a folder that holds a run, and TRAIN_CONTINUE one with rows in
 * metrics.csv but no checkpoint. Half-written files of a killed process are removed. Close in any case, also after an
 * error. */
bool run_folder_open(struct run_folder *folder, const char *path, enum train_start start, struct status *status);

/* Whether the path still leads to the folder that was locked; see folder_check. The functions below that write ask it
 * themselves; all others ask it before they write into the folder. */
bool run_folder_check(const struct run_folder *folder, struct status *status);

/* Unlocks. A folder that was made for this run and that is still empty goes away again, if this process has its lock. */
void run_folder_close(struct run_folder *folder);

/* After an error: removes metrics.csv, resolved.ini and the checkpoints where the folder was empty before. */
void run_folder_abandon(const struct run_folder *folder);

/* Removes the checkpoints of an earlier run. */
bool run_folder_clear(const struct run_folder *folder, struct status *status);

/* checkpoint_write to checkpoints/step_<step>.safetensors; then only the last checkpoint.keep of them stay. */
bool run_folder_save(const struct run_folder *folder, struct trainer *trainer, const struct run_result *result,
                     struct status *status);

/* checkpoint_write to checkpoints/best.safetensors. */
bool run_folder_save_best(const struct run_folder *folder, struct trainer *trainer, const struct run_result *result,
                          struct status *status);

#endif
