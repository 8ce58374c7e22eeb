/* Files that are mapped into memory, read-only: their pages are read when they are first touched, and can be dropped and
 * read again at any time. A page that cannot be read, because somebody cut the file off or its disk failed, would end
 * the process with SIGBUS and no word. While a file is mapped, one line says so instead, and the exit code is 1. */
#ifndef UTIL_MAPPED_FILE_H
#define UTIL_MAPPED_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/status.h"

/* Maps the first `size` bytes, 1 or more, of an open file, whose size was checked. The descriptor may be closed
 * afterwards. Errors (STATUS_RUNTIME) name path and cause. */
bool mapped_file_open(const uint8_t **bytes, int descriptor, size_t size, const char *path, struct status *status);

void mapped_file_close(const void *bytes, size_t size);

#endif
