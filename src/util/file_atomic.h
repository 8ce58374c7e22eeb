/* A file that appears whole or not at all, whatever happens: it is written beside its place under a name that ends with
 * ".part", brought to the disk (fsync), renamed, and the folder is brought to the disk too. Where anything fails, the
 * part is removed, the file that was there before is as it was, and the error (STATUS_RUNTIME) names path and cause. An
 * exit by any thread removes parts too. */
#ifndef UTIL_FILE_ATOMIC_H
#define UTIL_FILE_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "util/status.h"

struct file_atomic {
    char *path, *part;
    int descriptor;
};

/* Each discards the file after an error. Without one, end with file_atomic_commit or file_atomic_discard. */
bool file_atomic_open(struct file_atomic *file, const char *path, struct status *status);
bool file_atomic_write(struct file_atomic *file, const void *bytes, size_t size, struct status *status);
bool file_atomic_commit(struct file_atomic *file, struct status *status);
void file_atomic_discard(struct file_atomic *file);

/* Writes at a place of its own, whatever was written before. Several threads may do that at once. After an error the file
 * is still there to discard. */
bool file_atomic_write_at(const struct file_atomic *file, const void *bytes, size_t size, int64_t place,
                          struct status *status);

/* Does all of it at once, with the text that `write_body` prints. */
bool file_atomic_print(const char *path, void (*write_body)(const void *body, FILE *out), const void *body,
                       struct status *status);

#endif
