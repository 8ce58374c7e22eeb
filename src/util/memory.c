#include "trainer/memory.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "trainer/status.h"

enum { CACHE_LINE = 64, HUGE_PAGE = 2 << 20 };

/* Several threads may meet it at once, and only one may exit. */
static _Noreturn void out_of_memory(size_t count, size_t size)
{
    static atomic_flag ending = ATOMIC_FLAG_INIT;
    while (atomic_flag_test_and_set(&ending)) pause();
    fprintf(stderr, "trainer: out of memory (%zu x %zu bytes wanted)\n", count, size);
    exit(STATUS_RUNTIME);
}

void *memory_alloc(size_t count, size_t size)
{
    void *block = calloc(count ? count : 1, size ? size : 1);
    if (!block) out_of_memory(count, size);
    return block;
}

void *memory_alloc_aligned(size_t bytes)
{
    size_t alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : CACHE_LINE;
    if (bytes > SIZE_MAX - alignment) out_of_memory(1, bytes);
    size_t rounded = bytes > 0 ? (bytes + alignment - 1) / alignment * alignment : alignment;
    void *block = aligned_alloc(alignment, rounded);
    if (!block) out_of_memory(1, bytes);
#ifdef MADV_HUGEPAGE
    /* Advice only: without huge pages the processor spends its time looking up addresses. */
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

/* Nothing but memory can be short here. glibc's close then may succeed and leave no text. */
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
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = memory_alloc((size_t)length + 1, 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}
