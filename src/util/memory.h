/* Host memory. Out of memory is the one run-time failure that is not carried in a status: these functions print one
 * line to stderr and exit with STATUS_RUNTIME, so callers need no check. A block of 4 MiB or more also counts as too
 * large when it does not fit, beside the memory in use, into the memory that the process may use (util/machine.h);
 * without that the kernel would kill the process when it writes to the block. */
#ifndef MEMORY_H
#define MEMORY_H

#include <stddef.h>
#include <stdio.h>

/* `count` zeroed elements of `size` bytes each, aligned for any scalar type; the product is checked. Free with free().
 */
void *memory_alloc(size_t count, size_t size);

/* `bytes` zeroed bytes on a 64-byte boundary (a cache line, an AVX-512 vector), or on that of a huge page where they
 * fill one. Free with free(). */
void *memory_alloc_aligned(size_t bytes);

/* Grows or shrinks a block of memory_alloc; new bytes are not zeroed. */
void *memory_resize(void *block, size_t count, size_t size);

/* A copy of a string; free with free(). */
char *memory_copy_string(const char *text);

/* Prints into a new string; free with free(). */
char *memory_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A stream whose text is in *text, and its length in *size, once memory_stream_close has closed it; free *text. */
FILE *memory_stream(char **text, size_t *size);
void memory_stream_close(FILE *stream, char *const *text);

#endif
