/* The folder of what the program may find out again, and keeps to be quick: $XDG_CACHE_HOME/trainer, or ~/.cache/trainer.
 * It may be removed at any time. */
#ifndef UTIL_CACHE_FOLDER_H
#define UTIL_CACHE_FOLDER_H

#include "util/status.h"

/* Creates the folder and returns its path in a new string. NULL after an error (STATUS_RUNTIME), which is no reason to
 * stop: then nothing is kept. */
char *cache_folder_create(struct status *status);

#endif
