/* Folders: made, and locked for one process.
 *
 * A lock holds the folder itself, not its path: a descriptor stays with a folder that is moved or removed. What a run
 * writes later goes by the path, since gnuplot draws there, messages name it and the next command is given it. So
 * before it writes, a holder asks folder_check whether the path still leads to the folder that it locked. Writing
 * through the descriptor (openat) instead would go on into a folder that its owner has put away, and the line about how
 * to go on would name a path where nothing is. */
#ifndef UTIL_FOLDER_H
#define UTIL_FOLDER_H

#include <stdbool.h>

#include "util/status.h"

/* Creates a folder with its parents; one that is there already is fine. Fails with STATUS_RUNTIME, path and cause. */
bool folder_create(const char *path, struct status *status);

/* The same without its parents. */
bool folder_create_last(const char *path, struct status *status);

/* Creates the folder and locks it until folder_unlock, or until the process ends, however it does. Where another
 * process has it: "PATH: another WHAT is running in this folder". A file system that knows no locks gets a warning, and
 * the folder counts as locked. After an error *lock is -1. */
bool folder_lock(const char *path, const char *what, int *lock, struct status *status);
void folder_unlock(int *lock); /* -1 is allowed */

/* Creates and opens the folder without a lock, for processes that share it; *lock serves folder_check and is given up by
 * folder_unlock too. */
bool folder_hold(const char *path, int *lock, struct status *status);

/* Checks that the path still leads to the folder that was locked; the error (STATUS_RUNTIME) says that the folder of this
 * WHAT was removed, or moved and where to. */
bool folder_check(const char *path, const char *what, int lock, struct status *status);

/* Checks that a WHAT may write into the folder: it is empty, or holds an entry that `is_mark` knows as one of a WHAT's.
 * Files that the process itself prints to (PATH/log.txt) do not count. The error (STATUS_USAGE) names an entry; nothing
 * has been written. */
bool folder_check_marks(const char *path, const char *what, bool (*is_mark)(const char *folder, const char *name),
                        struct status *status);

#endif
