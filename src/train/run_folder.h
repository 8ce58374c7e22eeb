/* The folder of a run: its lock, and its checkpoints. */
#ifndef TRAIN_RUN_FOLDER_H
#define TRAIN_RUN_FOLDER_H

#include "trainer/train.h"

struct run_folder {
    const char *path; /* borrowed */
    int lock;         /* descriptor, or -1 */
    bool created;     /* it was not there before */
};

/* Creates and locks it; TRAIN_NEW refuses (STATUS_USAGE) one that holds a run. What a killed process left half-written
 * is removed. Close in any case, also after an error. */
bool run_folder_open(struct run_folder *folder, const char *path, enum train_start start, struct status *status);

/* Unlocks; a folder that was made for this run and in which nothing was put goes away again. */
void run_folder_close(struct run_folder *folder);

/* Removes the checkpoints of an earlier run. */
bool run_folder_clear(const struct run_folder *folder, struct status *status);

/* checkpoint_write to checkpoints/step_<step>.safetensors; then only the last checkpoint.keep of them stay. */
bool run_folder_save(const struct run_folder *folder, struct trainer *trainer, const struct run_result *result,
                     struct status *status);

/* checkpoint_write to checkpoints/best.safetensors. */
bool run_folder_save_best(const struct run_folder *folder, struct trainer *trainer, const struct run_result *result,
                          struct status *status);

#endif
