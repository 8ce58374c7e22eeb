/* Folders: making them with their parents, and locking one against other processes. */
#ifndef UTIL_FOLDER_H
#define UTIL_FOLDER_H

#include <stdbool.h>

#include "trainer/status.h"

/* Creates a folder with its parents; one that is there already is fine. Fails with STATUS_RUNTIME, path and cause. */
bool folder_create(const char *path, struct status *status);

/* Creates the folder and locks it until the descriptor `lock` is closed or the process ends, however it does. Where
 * another process has it: "PATH: another WHAT is running in this folder". */
bool folder_lock(const char *path, const char *what, int *lock, struct status *status);

#endif
