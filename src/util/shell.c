/* Quotes names for a shell (shell.h). */
#include "util/shell.h"

#include <stdbool.h>
#include <string.h>

#include "util/memory.h"

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7F;
}

/* True where every character of the text stands for itself in every shell. */
static bool is_plain(const char *text)
{
    const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+,-";
    return *text && strspn(text, plain) == strlen(text);
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if (is_control(*text)) return true;
    return false;
}

static void quote(const char *text, FILE *out)
{
    fputc('\'', out);
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", out);
        else
            fputc(*text, out);
    }
    fputc('\'', out);
}

static void quote_with_escapes(const char *text, FILE *out)
{
    fputs("$'", out);
    for (; *text; text++) {
        if (is_control(*text))
            fprintf(out, "\\%03o", (unsigned char)*text);
        else if (*text == '\'' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else
            fputc(*text, out);
    }
    fputc('\'', out);
}

static void write_word(const char *text, FILE *out)
{
    if (is_plain(text))
        fputs(text, out);
    else if (has_control(text))
        quote_with_escapes(text, out);
    else
        quote(text, out);
}

char *shell_quote_path(const char *path)
{
    char *word;
    size_t size;
    FILE *out = memory_stream(&word, &size);
    if (*path == '-') fputs("./", out);
    write_word(path, out);
    memory_stream_close(out, &word);
    return word;
}
