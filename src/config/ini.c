/* Reads config files by libinih, which tells sections, keys and empty lines apart. The reader here feeds it line by
 * line. It keeps the line numbers, which libinih does not pass on, and refuses every line that libinih would misread
 * without a message (ini.h). libinih's buffer has 200 bytes in Debian's package, and a longer line would be cut without
 * a message. So libinih gets a line without its value, and the reader keeps the value, which may be a path of 4,095
 * bytes. */
#include "config/ini.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/check.h"
#include "util/memory.h"
#include "util/text.h"

struct reader {
    struct ini_file *ini;
    const char *path;
    const char *text;  /* the whole file */
    size_t size, at;   /* at: where the next line starts */
    int line;          /* number of the line read last */
    const char *value; /* value of that line, where it has a key: value_length bytes of `text` */
    size_t value_length;
    bool failed; /* `status` says why; libinih would go on */
    struct status *status;
};

/* A line without its comment and without blanks at the end; not terminated. */
struct line {
    const char *text;
    size_t length;
};

/* Returns how many bytes of the line a message shows. */
static int shown_length(struct line line)
{
    enum { MOST = 200 };
    size_t length = line.length;
    if (length > MOST)
        for (length = MOST; length > 0 && ((unsigned char)line.text[length] & 0xC0) == 0x80;) length--;
    return (int)length;
}

#define FAIL(reader, format, ...)                                                                                      \
    ((reader)->failed = true,                                                                                          \
     status_fail((reader)->status, STATUS_USAGE, "%s:%d: " format, (reader)->path, (reader)->line, __VA_ARGS__))

static bool check_characters(struct reader *reader, const char *text, size_t length)
{
    const char *problem;
    size_t bad = text_find_bad_byte(text, length, &problem);
    if (bad == length) return true;
    return FAIL(reader, "%s (byte 0x%02x) in column %zu", problem, (unsigned char)text[bad], bad + 1);
}

static bool take_section(struct reader *reader, struct line line)
{
    struct ini_file *ini = reader->ini;
    const char *end = memchr(line.text, ']', line.length);
    if (!end) return FAIL(reader, "expected \"]\" at the end of \"%.*s\"", shown_length(line), line.text);
    const char *name = line.text + 1;
    int length = (int)(end - name), rest = (int)(line.text + line.length - end) - 1;
    if (rest > 0) return FAIL(reader, "expected nothing after \"]\", found \"%.*s\"", rest, end + 1);
    if (length == 0) return FAIL(reader, "%s", "empty section name");
    if (length > INI_NAME_LIMIT)
        return FAIL(reader, "section name of %d bytes, expected at most %d", length, INI_NAME_LIMIT);
    if (text_is_blank(name[0]) || text_is_blank(name[length - 1]))
        return FAIL(reader, "expected no blanks inside the brackets of \"%.*s\"", shown_length(line), line.text);
    for (int i = 0; i < ini->section_count; i++)
        if (strlen(ini->sections[i].name) == (size_t)length && memcmp(ini->sections[i].name, name, (size_t)length) == 0)
            return FAIL(reader, "section [%s] opened again, first in line %d", ini->sections[i].name,
                        ini->sections[i].line);
    if (ini->section_count == INI_ENTRY_LIMIT) return FAIL(reader, "more than %d sections", INI_ENTRY_LIMIT);
    ini->sections[ini->section_count++] =
        (struct ini_section){.name = memory_format("%.*s", length, name), .line = reader->line};
    return true;
}

/* Checks a line with a key, and finds its value. */
static bool take_key(struct reader *reader, struct line line)
{
    const char *equals = memchr(line.text, '=', line.length);
    const char *colon = memchr(line.text, ':', line.length);
    if (!equals || (colon && colon < equals)) /* libinih would take "key : value" too */
        return FAIL(reader, "expected \"key = value\" or \"[section]\", found \"%.*s\"", shown_length(line), line.text);
    if (equals == line.text) return FAIL(reader, "%s", "expected a key before \"=\"");
    int length = (int)(equals - line.text);
    while (text_is_blank(line.text[length - 1])) length--;
    if (length > INI_NAME_LIMIT) return FAIL(reader, "key of %d bytes, expected at most %d", length, INI_NAME_LIMIT);
    if (reader->ini->section_count == 0)
        return FAIL(reader, "key \"%.*s\" before the first [section]", length, line.text);
    const char *value = equals + 1, *end = line.text + line.length;
    while (value < end && text_is_blank(*value)) value++;
    reader->value = value;
    reader->value_length = (size_t)(end - value);
    return true;
}

static bool check_line(struct reader *reader, struct line line)
{
    if (line.length == 0) return true;
    if (text_is_blank(line.text[0])) /* libinih would take it as more of the value before */
        return FAIL(reader, "%s", "indented line; a key or [section] starts in the first column");
    return line.text[0] == '[' ? take_section(reader, line) : take_key(reader, line);
}

/* Puts the line into libinih's buffer: a section's line whole, another one up to the "=" behind its key. */
static char *pass_on(struct line line, char *buffer, int size)
{
    const char *equals = line.length > 0 && line.text[0] != '[' ? memchr(line.text, '=', line.length) : NULL;
    size_t length = equals ? (size_t)(equals - line.text) : line.length;
    while (equals && text_is_blank(line.text[length - 1])) length--;
    const char *ending = equals ? "=\n" : "\n";
    CHECK(length + strlen(ending) < (size_t)size);
    memcpy(buffer, line.text, length);
    strcpy(buffer + length, ending);
    return buffer;
}

/* libinih's reader: puts the next line, without its value but with its newline, into `buffer`. Returns NULL at the end
 * and after an error. */
static char *read_line(char *buffer, int size, void *stream)
{
    struct reader *reader = stream;
    if (reader->failed || reader->at >= reader->size) return NULL;
    const char *text = reader->text + reader->at;
    const char *newline = memchr(text, '\n', reader->size - reader->at);
    size_t length = newline ? (size_t)(newline - text) : reader->size - reader->at;
    reader->at += length + 1;
    reader->line++;
    if (length > 0 && text[length - 1] == '\r') length--;
    if (!check_characters(reader, text, length)) return NULL;
    length = text_find_comment(text, length);
    while (length > 0 && text_is_blank(text[length - 1])) length--;
    struct line line = {text, length};
    return check_line(reader, line) ? pass_on(line, buffer, size) : NULL;
}

/* libinih's handler: 1 is success. libinih cuts a section's name to 49 bytes and got no value, so both come from the
 * reader. */
static int take_entry(void *user, const char *section, const char *key, const char *value)
{
    (void)section, (void)value;
    struct reader *reader = user;
    struct ini_file *ini = reader->ini;
    if (reader->failed) return 0;
    const char *name = ini->sections[ini->section_count - 1].name;
    for (int i = 0; i < ini->entry_count; i++)
        if (ini->entries[i].section == name && strcmp(ini->entries[i].key, key) == 0)
            return FAIL(reader, "%s.%s: given twice, first in line %d", name, key, ini->entries[i].line);
    if (ini->entry_count == INI_ENTRY_LIMIT) return FAIL(reader, "more than %d keys", INI_ENTRY_LIMIT);
    ini->entries[ini->entry_count++] =
        (struct ini_entry){.section = name,
                           .key = memory_copy_string(key),
                           .value = memory_format("%.*s", (int)reader->value_length, reader->value),
                           .line = reader->line};
    return 1;
}

/* Reads the whole file, up to the limit. A pipe is read the same way, since it has no size to ask for. */
static bool read_file(const char *path, char *text, size_t *size, struct status *status)
{
    FILE *file = fopen(path, "rb");
    if (!file) return status_fail(status, STATUS_USAGE, "%s: cannot open: %s", path, strerror(errno));
    errno = 0;
    *size = fread(text, 1, INI_FILE_LIMIT + 1, file);
    bool failed = ferror(file);
    int error = errno;
    fclose(file);
    if (failed) return status_fail(status, STATUS_USAGE, "%s: cannot read: %s", path, strerror(error));
    return true;
}

static bool check_size(const char *path, size_t size, struct status *status)
{
    if (size <= INI_FILE_LIMIT) return true;
    return status_fail(status, STATUS_USAGE, "%s: larger than %d bytes, not a config file", path, INI_FILE_LIMIT);
}

static bool parse(struct reader *reader)
{
    const char byte_order_mark[] = "\xEF\xBB\xBF";
    if (reader->size >= 3 && memcmp(reader->text, byte_order_mark, 3) == 0) reader->at = 3;
    int result = ini_parse_stream(read_line, reader, take_entry, reader);
    if (reader->failed) return false;
    if (result > 0) /* the checks above let the line pass, libinih does not */
        return status_fail(reader->status, STATUS_USAGE, "%s:%d: expected \"key = value\" or \"[section]\"",
                           reader->path, result);
    if (result < 0) return status_fail(reader->status, STATUS_RUNTIME, "%s: libinih failed", reader->path);
    return true;
}

bool ini_read_text(struct ini_file *ini, const char *path, const char *text, size_t size, struct status *status)
{
    *ini = (struct ini_file){.sections = memory_alloc(INI_ENTRY_LIMIT, sizeof(struct ini_section)),
                             .entries = memory_alloc(INI_ENTRY_LIMIT, sizeof(struct ini_entry))};
    struct reader reader = {.ini = ini, .path = path, .text = text, .size = size, .status = status};
    bool good = check_size(path, size, status) && parse(&reader);
    if (!good) ini_free(ini);
    return good;
}

bool ini_read(struct ini_file *ini, const char *path, struct status *status)
{
    char *text = memory_alloc(INI_FILE_LIMIT + 1, 1);
    size_t size = 0;
    *ini = (struct ini_file){0};
    bool good = read_file(path, text, &size, status) && ini_read_text(ini, path, text, size, status);
    free(text);
    return good;
}

void ini_free(struct ini_file *ini)
{
    for (int i = 0; i < ini->section_count; i++) free(ini->sections[i].name);
    for (int i = 0; i < ini->entry_count; i++) free(ini->entries[i].key), free(ini->entries[i].value);
    free(ini->sections);
    free(ini->entries);
    *ini = (struct ini_file){0};
}
