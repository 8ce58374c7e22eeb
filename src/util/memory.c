/* Allocates host memory, or ends the program (memory.h). */
#include "util/memory.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "util/launcher.h"
#include "util/machine.h"
#include "util/status.h"

enum { CACHE_LINE = 64, HUGE_PAGE = 2 << 20 };

/* Smaller blocks are not compared with the limit: looking it up takes longer than they do. */
enum { COMPARED_BYTES = 4 << 20 };

enum { FORMATTED_ONCE = 256 }; /* bytes; a text that is longer is printed twice, first to learn its length */

/* Several threads may run out of memory at once, and only one may exit: the others wait here. Prints the beginning of the
 * line that says why. */
static void begin_ending(void)
{
    static atomic_flag ending = ATOMIC_FLAG_INIT;
    while (atomic_flag_test_and_set(&ending)) pause();
    struct launcher launcher;
    fputs("trainer: ", stderr);
    if (launcher_read(&launcher)) fprintf(stderr, "rank %d: ", launcher.rank);
}

static _Noreturn void out_of_memory(size_t count, size_t size)
{
    begin_ending();
    fprintf(stderr, "out of memory (%zu x %zu bytes wanted)\n", count, size);
    exit(STATUS_RUNTIME);
}

/* The memory of this process that is its own, in bytes; the pages of files can be read again and do not count. */
static int64_t memory_in_use(void)
{
    long long size, resident, shared;
    FILE *file = fopen("/proc/self/statm", "re");
    bool known = file && fscanf(file, "%lld %lld %lld", &size, &resident, &shared) == 3;
    if (file) fclose(file);
    return known ? (resident - shared) * sysconf(_SC_PAGESIZE) : 0;
}

/* The kernel hands out more addresses than it has memory, and kills a process that uses too many of them. A block that
 * cannot fit is refused before that, with a line. */
static void compare_with_limit(size_t bytes)
{
    if (bytes < COMPARED_BYTES) return;
    int64_t used = memory_in_use(), limit = machine_read("").memory_and_swap;
    if (bytes <= (size_t)INT64_MAX && (int64_t)bytes <= limit - used) return;
    begin_ending();
    fprintf(stderr,
            "out of memory: %.1f MiB more, beside the %.1f MiB in use, do not fit into the %.1f MiB that "
            "this process may use\n",
            (double)bytes / 0x1p20, (double)used / 0x1p20, (double)limit / 0x1p20);
    exit(STATUS_RUNTIME);
}

void *memory_alloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) out_of_memory(count, size);
    compare_with_limit(bytes);
    void *block = calloc(count ? count : 1, size ? size : 1);
    if (!block) out_of_memory(count, size);
    return block;
}

void *memory_alloc_aligned(size_t bytes)
{
    size_t alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : CACHE_LINE;
    if (bytes > SIZE_MAX - alignment) out_of_memory(1, bytes);
    size_t rounded = bytes > 0 ? (bytes + alignment - 1) / alignment * alignment : alignment;
    compare_with_limit(rounded);
    void *block = aligned_alloc(alignment, rounded);
    if (!block) out_of_memory(1, bytes);
#ifdef MADV_HUGEPAGE
    /* This is advice only. Without huge pages the processor spends its time looking up addresses. */
    if (bytes >= HUGE_PAGE) madvise(block, rounded, MADV_HUGEPAGE);
#endif
    return memset(block, 0, rounded);
}

void *memory_resize(void *block, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) out_of_memory(count, size);
    void *grown = realloc(block, bytes ? bytes : 1);
    if (!grown) out_of_memory(count, size);
    return grown;
}

FILE *memory_stream(char **text, size_t *size)
{
    FILE *stream = open_memstream(text, size);
    if (!stream) out_of_memory(1, BUFSIZ);
    return stream;
}

/* Only memory can be short here. glibc's fclose may then succeed and leave no text. */
void memory_stream_close(FILE *stream, char *const *text)
{
    bool failed = fflush(stream) != 0 || ferror(stream);
    if (fclose(stream) != 0 || failed || !*text) out_of_memory(1, BUFSIZ);
}

char *memory_copy_string(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(memory_alloc(size, 1), text, size);
}

char *memory_format(const char *format, ...)
{
    va_list arguments, again;
    char first[FORMATTED_ONCE];
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(first, sizeof first, format, arguments);
    va_end(arguments);
    char *text = memory_alloc((size_t)length + 1, 1);
    if (length < FORMATTED_ONCE)
        memcpy(text, first, (size_t)length);
    else
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}
