/* Finds characters, comments and slips in text that a user wrote. */
#include "util/text.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "util/memory.h"

/* Returns the length in bytes of the UTF-8 character at `s` and stores its code, or returns 0 for bytes that are none
 * (cut off, over-long, a surrogate, too big). */
static size_t decode_utf8(const unsigned char *s, size_t size, uint32_t *code)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (s[0] < 0x80) return *code = s[0], 1;
    size_t length = s[0] >= 0xF8 ? 0 : s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : s[0] >= 0xC0 ? 2 : 0;
    if (length == 0 || length > size) return 0;
    *code = s[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80) return 0;
        *code = *code << 6 | (s[i] & 0x3F);
    }
    bool surrogate = *code >= 0xD800 && *code <= 0xDFFF;
    return *code < smallest[length] || *code > 0x10FFFF || surrogate ? 0 : length;
}

size_t text_utf8_length(const char *text, size_t size)
{
    uint32_t code;
    return size > 0 ? decode_utf8((const unsigned char *)text, size, &code) : 0;
}

size_t text_find_bad_byte(const char *text, size_t size, const char **problem)
{
    size_t at = 0;
    while (at < size) {
        uint32_t code = 0;
        size_t length = decode_utf8((const unsigned char *)text + at, size - at, &code);
        bool control = code < 0x20 ? code != '\t' : code >= 0x7F && code <= 0x9F;
        if (length == 0 || control) {
            *problem = length == 0 ? "invalid UTF-8" : code == 0 ? "NUL character" : "control character";
            return at;
        }
        at += length;
    }
    return size;
}

size_t text_find_bad_name_byte(const char *text, size_t size, const char **problem)
{
    const char *tab = memchr(text, '\t', size);
    size_t before = tab ? (size_t)(tab - text) : size, bad = text_find_bad_byte(text, before, problem);
    if (tab && bad == before) *problem = "control character";
    return bad;
}

static void print_escaped(unsigned char byte, FILE *out)
{
    if (byte == '\n' || byte == '\t' || byte == '\\')
        fprintf(out, "\\%c", byte == '\n' ? 'n' : byte == '\t' ? 't' : '\\');
    else
        fprintf(out, "\\x%02x", byte);
}

/* Tells whether the good character at `text` stands for itself; a good control character may have two bytes. */
static bool is_plain(const char *text, size_t length)
{
    const char *problem;
    return length > 0 && *text != '\\' && text_find_bad_name_byte(text, length, &problem) == length;
}

char *text_escape(const char *text)
{
    char *escaped;
    size_t size, left = strlen(text);
    FILE *out = memory_stream(&escaped, &size);
    for (size_t length; left > 0; text += length, left -= length) {
        length = text_utf8_length(text, left);
        bool plain = is_plain(text, length);
        if (length == 0) length = 1;
        for (size_t i = 0; i < length; i++)
            if (plain)
                fputc(text[i], out);
            else
                print_escaped((unsigned char)text[i], out);
    }
    memory_stream_close(out, &escaped);
    return escaped;
}

bool text_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

size_t text_find_comment(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((text[i] == '#' || text[i] == ';') && (i == 0 || text_is_blank(text[i - 1]))) return i;
    return size;
}

static int min(int a, int b)
{
    return a < b ? a : b;
}

int text_distance(const char *a, const char *b)
{
    enum { SIZE = 64 };
    size_t m = strlen(a), n = strlen(b);
    if (m >= SIZE || n >= SIZE) return INT_MAX;
    int distance[SIZE][SIZE]; /* [i][j]: between the first i bytes of a and the first j of b */
    for (size_t i = 0; i <= m; i++) {
        for (size_t j = 0; j <= n; j++) {
            if (i == 0 || j == 0) {
                distance[i][j] = (int)(i + j);
                continue;
            }
            int replaced = distance[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            distance[i][j] = min(replaced, min(distance[i - 1][j], distance[i][j - 1]) + 1);
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped) distance[i][j] = min(distance[i][j], distance[i - 2][j - 2] + 1);
        }
    }
    return distance[m][n];
}

bool text_is_slip(const char *typed, const char *known)
{
    int distance = text_distance(typed, known);
    return distance <= 2 && (size_t)distance <= strlen(typed) / 2;
}
