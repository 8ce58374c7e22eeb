/* Locks of open files and folders (flock). The process that opened the descriptor has the lock until it closes it or ends,
 * however it does. */
#ifndef UTIL_FILE_LOCK_H
#define UTIL_FILE_LOCK_H

#include <stdbool.h>

#include "util/status.h"

/* Locks a descriptor of `path` without waiting. Where another one holds the lock: "PATH: REFUSAL" (STATUS_RUNTIME). A file
 * system that knows no locks gets a warning that `second` would not be noticed there, and counts as locked. */
bool file_lock(const char *path, int descriptor, const char *refusal, const char *second, struct status *status);

/* Tells whether another descriptor of the file holds a lock. False where the file cannot be opened. */
bool file_is_locked(const char *path);

#endif
