#include "table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "util/csv_field.h"
#include "util/memory.h"
#include "util/text.h"

#define SIZE_MAX_OF_TABLE ((int64_t)1 << 31) /* bytes of unpacked text */

enum { PIECE_SIZE = 1 << 16, WORDS_SIZE = 1024, KIND_SIZE = 512 };

/* --- the text --- */

/* Reads to the end of the stream. A plain file tells how long its text is. */
static bool read_text(struct table *table, struct data_stream *stream, struct status *status)
{
    int64_t capacity = stream->packed ? PIECE_SIZE : stream->file_size + 1, got = 1;
    if (capacity > SIZE_MAX_OF_TABLE) capacity = SIZE_MAX_OF_TABLE + 1;
    table->text = memory_alloc((size_t)capacity + 1, 1);
    while (got > 0) {
        if (table->size > SIZE_MAX_OF_TABLE)
            return status_fail(status, STATUS_RUNTIME, "%s: more than %" PRId64 " bytes of text, expected a table",
                               table->path, SIZE_MAX_OF_TABLE);
        if (table->size == capacity) table->text = memory_resize(table->text, (size_t)(capacity *= 2) + 1, 1);
        if (!data_stream_read(stream, (uint8_t *)table->text + table->size, capacity - table->size, &got, status))
            return false;
        table->size += got;
    }
    table->text[table->size] = '\0';
    return true;
}

static bool fail_kind(const struct table *table, const char *kind, struct status *status)
{
    return status_fail(status, STATUS_RUNTIME, "%s: this is %s, expected a table: text in UTF-8 with a row per picture",
                       table->path, kind);
}

/* Refuses what is no text. Whether the bytes are UTF-8 shows where a label is read. */
static bool check_text(const struct table *table, struct status *status)
{
    const uint8_t *bytes = (const uint8_t *)table->text;
    int64_t begin = table->size < KIND_SIZE ? table->size : KIND_SIZE;
    const char *kind = file_kind(bytes, (size_t)begin);
    if (table->size == 0) return fail_kind(table, "an empty file", status);
    if (table->size >= 2 && ((bytes[0] == 0xFF && bytes[1] == 0xFE) || (bytes[0] == 0xFE && bytes[1] == 0xFF)))
        return fail_kind(table, "text in UTF-16", status);
    if (kind && strcmp(kind, "a text file") != 0) return fail_kind(table, kind, status);
    const char *zero = memchr(table->text, '\0', (size_t)table->size);
    if (!zero) return true;
    return status_fail(status, STATUS_RUNTIME, "%s: byte %lld: a NUL character, expected text", table->path,
                       (long long)(zero - table->text));
}

/* Counts a separator in the first line that is not empty, outside quotes. */
static int64_t count_separator(const struct table *table, char separator)
{
    int64_t count = 0, at = table->start;
    bool quoted = false;
    while (at < table->size && strchr("\r\n", table->text[at])) at++;
    for (; at < table->size && (quoted || !strchr("\r\n", table->text[at])); at++) {
        quoted ^= table->text[at] == '"';
        count += !quoted && table->text[at] == separator;
    }
    return count;
}

static char find_separator(const struct table *table)
{
    char best = ' ';
    int64_t most = 0;
    for (const char *c = "\t;,"; *c; c++) {
        int64_t count = count_separator(table, *c);
        if (count > most) most = count, best = *c;
    }
    return best;
}

bool table_open(struct table *table, const char *path, struct status *status)
{
    struct data_stream stream;
    *table = (struct table){.path = path};
    if (!data_stream_open(&stream, path, true, status)) return false;
    bool good = read_text(table, &stream, status);
    data_stream_close(&stream);
    if (!good || !check_text(table, status)) {
        table_close(table);
        return false;
    }
    bool marked = strncmp(table->text, CSV_BYTE_ORDER_MARK, CSV_BYTE_ORDER_MARK_SIZE) == 0;
    table->start = marked ? CSV_BYTE_ORDER_MARK_SIZE : 0;
    table->separator = find_separator(table);
    table_rewind(table);
    return true;
}

void table_close(struct table *table)
{
    free(table->text);
    free(table->scratch);
    free(table->fields);
    *table = (struct table){0};
}

void table_rewind(struct table *table)
{
    table->at = table->start;
    table->next_line = 1;
}

/* --- records --- */

static bool fail_quotes(const struct table *table, int64_t opened, int64_t line, struct status *status)
{
    int64_t first = opened;
    while (first > table->start && !strchr("\r\n", table->text[first - 1])) first--;
    return status_fail(status, STATUS_RUNTIME,
                       "%s:%" PRId64 ":%" PRId64 ": quotes that are not closed, expected a second '\"'", table->path,
                       line, opened - first + 1);
}

/* Finds the end of the record at table->at, and counts its lines. */
static bool find_end(struct table *table, int64_t *end, struct status *status)
{
    bool quotes = table->separator != ' ', quoted = false;
    int64_t at = table->at, opened = at, opened_line = table->next_line;
    for (; at < table->size; at++) {
        char c = table->text[at];
        if (c == '"' && quotes) {
            quoted = !quoted;
            if (quoted) opened = at, opened_line = table->next_line;
        } else if (c == '\n' || c == '\r') {
            if (!quoted) break;
            table->next_line += c == '\n' || table->text[at + 1] != '\n';
        }
    }
    *end = at;
    return !quoted || fail_quotes(table, opened, opened_line, status);
}

/* Passes over a line's end: CR LF, LF or CR. */
static void skip_line_end(struct table *table)
{
    if (table->at == table->size) return;
    bool both = table->text[table->at] == '\r' && table->text[table->at + 1] == '\n';
    table->at += both ? 2 : 1;
    table->next_line++;
}

static void add_field(struct table *table, int64_t number, char *field)
{
    if (number == table->fields_capacity) {
        table->fields_capacity = number > 0 ? 2 * number : 16;
        table->fields = memory_resize(table->fields, (size_t)table->fields_capacity, sizeof *table->fields);
    }
    table->fields[number] = field;
}

/* Cuts a line before its last word. */
static int64_t split_at_blank(struct table *table)
{
    char *text = table->scratch, *end = strchr(text, '\0');
    while (end > text && text_is_blank(end[-1])) *--end = '\0';
    char *word = end;
    while (word > text && !text_is_blank(word[-1])) word--;
    char *cut = word;
    while (cut > text && text_is_blank(cut[-1])) cut--;
    add_field(table, 0, text);
    if (cut == text) return 1;
    *cut = '\0';
    add_field(table, 1, word);
    return 2;
}

static int64_t split_fields(struct table *table)
{
    int64_t count = 0;
    char *rest = table->scratch;
    if (table->separator == ' ') return split_at_blank(table);
    for (char *field; (field = csv_field_next_before(&rest, table->separator));) add_field(table, count++, field);
    return count;
}

/* Makes the record up to `end` the last one. */
static bool take_record(struct table *table, int64_t end, struct status *status)
{
    int64_t size = end - table->at;
    if (size >= table->scratch_size) {
        table->scratch_size = size + size / 2 + 1;
        table->scratch = memory_resize(table->scratch, (size_t)table->scratch_size, 1);
    }
    memcpy(table->scratch, table->text + table->at, (size_t)size);
    table->scratch[size] = '\0';
    table->record = table->at;
    int64_t count = split_fields(table);
    if (table->columns == 0) table->columns = count;
    if (count == table->columns) return true;
    return status_fail(status, STATUS_RUNTIME,
                       "%s:%" PRId64 ": %" PRId64 " fields, expected %" PRId64 " as in the first row", table->path,
                       table->line, count, table->columns);
}

/* Tells whether a record has blanks alone, and so no field. */
static bool is_blank(const struct table *table, int64_t end)
{
    int64_t at = table->at;
    char separator = table->separator == ' ' ? '\0' : table->separator;
    while (at < end && text_is_blank(table->text[at]) && table->text[at] != separator) at++;
    return at == end;
}

bool table_next(struct table *table, bool *more, struct status *status)
{
    int64_t end;
    for (*more = true; table->at < table->size; skip_line_end(table)) {
        table->line = table->next_line;
        if (!find_end(table, &end, status)) return false;
        bool blank = is_blank(table, end);
        bool good = blank || take_record(table, end, status);
        table->at = end;
        if (!good) return false;
        if (!blank) return skip_line_end(table), true;
    }
    return *more = false, true;
}

bool table_fail(const struct table *table, int64_t field, struct status *status, const char *format, ...)
{
    char words[WORDS_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    return status_fail(status, STATUS_RUNTIME, "%s:%" PRId64 ":%" PRId64 ": %s", table->path, table->line,
                       (int64_t)(table->fields[field] - table->scratch) + 1, words);
}
