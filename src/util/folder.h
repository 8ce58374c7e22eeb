#ifndef UTIL_FOLDER_H
#define UTIL_FOLDER_H

#include <stdbool.h>

#include "trainer/status.h"

/* Creates a folder with its parents; one that is there already is fine. Fails with STATUS_RUNTIME, path and cause. */
bool folder_create(const char *path, struct status *status);

#endif
