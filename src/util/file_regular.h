/* Files that are read as a whole. Only a regular file has a known size and end; a pipe without a writer would be waited
 * for without end. Input that may also come through a pipe is not opened with these functions. */
#ifndef UTIL_FILE_REGULAR_H
#define UTIL_FILE_REGULAR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "util/status.h"

/* Opens a regular file for reading and tells its size; refuses everything else at once. Errors (STATUS_RUNTIME) name
 * path and cause; nothing is open then. */
bool file_regular_open(int *descriptor, int64_t *size, const char *path, struct status *status);

/* The same as a stream: NULL after an error. */
FILE *file_regular_stream(const char *path, int64_t *size, struct status *status);

/* Refuses a path that exists and is not a regular file. A path that does not exist is not this function's error. */
bool file_regular_check(const char *path, struct status *status);

#endif
