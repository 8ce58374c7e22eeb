#include "trainer/memory.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/status.h"

static _Noreturn void out_of_memory(size_t count, size_t size)
{
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
    if (bytes > SIZE_MAX - 64) out_of_memory(1, bytes);
    size_t rounded = (bytes + 63) / 64 * 64;
    void *block = aligned_alloc(64, rounded ? rounded : 64);
    if (!block) out_of_memory(1, bytes);
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
