/* What the fuzz targets share. A target is a function of bytes that must come back, whatever they are: CHECK stops it
 * where an answer is impossible. libFuzzer or replay.c calls it. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trainer/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A refusal has an exit code and one line. */
void fuzz_check_refusal(const struct status *status, enum status_code code);

/* A name that is printed holds no control characters. */
void fuzz_check_name(const char *name);

/* A file in memory that a reader opens by its path; it lives as long as the process. */
struct fuzz_file {
    int file;
    char path[80];
};
void fuzz_file_create(struct fuzz_file *file);

/* Makes the bytes all that the file holds. */
void fuzz_file_set(const struct fuzz_file *file, const void *bytes, size_t size);

/* The bytes of an input, taken from its front; what is missing is zero. */
struct fuzz_bytes {
    const uint8_t *data;
    size_t size;
};
uint8_t fuzz_take_byte(struct fuzz_bytes *bytes);
struct fuzz_bytes fuzz_take(struct fuzz_bytes *bytes, size_t size);

/* A folder of its own, in TMPDIR or else in memory, whose files readers find by name; it goes with the process, unless
 * that crashes. */
const char *fuzz_folder(void);
void fuzz_folder_file(struct fuzz_file *file, const char *name);

#endif
