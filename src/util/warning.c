/* Prints warnings on the standard error, or keeps them for the thread that asked for it (warning.h). */
#include "util/warning.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/memory.h"

static _Thread_local bool collecting;
static _Thread_local char *collected; /* NULL: none so far */

/* Takes the text over. */
static void keep(char *text)
{
    char *before = collected;
    collected = before ? memory_format("%s\n%s", before, text) : text;
    if (before) free(before), free(text);
}

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
    if (collecting) {
        keep(text);
        return;
    }
    fprintf(stderr, "trainer: %s\n", text);
    free(text);
}

void warning_collect(void)
{
    collecting = true;
}

char *warning_take(void)
{
    char *text = collected;
    collected = NULL, collecting = false;
    return text;
}
