/* Prints warnings on the standard error (warning.h). */
#include "util/warning.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "trainer/memory.h"

void warning_print(const char *format, ...)
{
    char *text;
    size_t size;
    FILE *out = memory_stream(&text, &size);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(out, format, arguments);
    va_end(arguments);
    memory_stream_close(out, &text);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F) *c = '?';
    fprintf(stderr, "trainer: %s\n", text);
    free(text);
}
