/* The declarations that the fuzz targets share. A target is a function of bytes that must return, whatever the bytes
 * are; CHECK stops it where an answer is impossible. libFuzzer or replay.c calls it. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Checks that a refusal has an exit code and one line. */
void fuzz_check_refusal(const struct status *status, enum status_code code);

/* Checks that a name that is printed holds no control characters. */
void fuzz_check_name(const char *name);

/* A file in memory that a reader opens by its path; it lives as long as the process. */
struct fuzz_file {
    int file;
    char path[80];
};
void fuzz_file_create(struct fuzz_file *file);

/* Gives the file these bytes as its whole content. */
void fuzz_file_set(const struct fuzz_file *file, const void *bytes, size_t size);

/* The bytes of an input, taken from its front; bytes past the end are zero. */
struct fuzz_bytes {
    const uint8_t *data;
    size_t size;
};
uint8_t fuzz_take_byte(struct fuzz_bytes *bytes);
struct fuzz_bytes fuzz_take(struct fuzz_bytes *bytes, size_t size);

/* A folder in TMPDIR or else in memory, whose files readers find by name. It is removed when the process ends, unless
 * that crashes. */
const char *fuzz_folder(void);
void fuzz_folder_file(struct fuzz_file *file, const char *name);

#endif
