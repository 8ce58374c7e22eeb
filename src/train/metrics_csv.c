/* Writes metrics.csv, and reads it, also after a spreadsheet saved it. */
#include "train/metrics_csv.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/csv_field.h"
#include "util/file_atomic.h"
#include "util/file_regular.h"
#include "util/memory.h"
#include "util/number.h"

/* COUNT is an int64_t; the others are doubles. Nine digits of a NUMBER tell any two floats apart. */
enum column_type { COUNT, NUMBER, SECONDS };

/* A group of columns that a file has or lacks as a whole. */
enum column_group { ALWAYS, TRAIN, RUNNING, VALIDATION, TEST };

struct column {
    enum column_group group;
    const char *name;
    size_t offset;
    enum column_type type;
    double low, high; /* the range of valid values; nan is in every range */
    const char *expected;
};

/* clang-format off */
#define PLACE(field) offsetof(struct metrics_row, field)
static const struct column all_columns[] = {
    {ALWAYS, "step", PLACE(step), COUNT, 0, 0, "a whole number"},
    {ALWAYS, "epoch", PLACE(epoch), COUNT, 0, 0, "a whole number"},
    {TRAIN, "train_loss", PLACE(train.loss), NUMBER, -INFINITY, INFINITY, "a number"},
    {TRAIN, "train_accuracy", PLACE(train.accuracy), NUMBER, 0, 1, "a number of 0..1"},
    {RUNNING, "running_loss", PLACE(train.loss), NUMBER, -INFINITY, INFINITY, "a number"},
    {RUNNING, "running_accuracy", PLACE(train.accuracy), NUMBER, 0, 1, "a number of 0..1"},
    {VALIDATION, "val_loss", PLACE(validation.loss), NUMBER, -INFINITY, INFINITY, "a number"},
    {VALIDATION, "val_accuracy", PLACE(validation.accuracy), NUMBER, 0, 1, "a number of 0..1"},
    {TEST, "test_loss", PLACE(test.loss), NUMBER, -INFINITY, INFINITY, "a number"},
    {TEST, "test_accuracy", PLACE(test.accuracy), NUMBER, 0, 1, "a number of 0..1"},
    {ALWAYS, "learning_rate", PLACE(learning_rate), NUMBER, 0, INFINITY, "a number >= 0"},
    {ALWAYS, "elapsed_seconds", PLACE(elapsed_seconds), SECONDS, 0, INFINITY, "a number >= 0"},
};
#undef PLACE
/* clang-format on */
enum { COLUMNS_MAX = sizeof all_columns / sizeof *all_columns };

/* The columns of one file, in its order. */
struct column_list {
    const struct column *list[COLUMNS_MAX];
    int count;
};

static struct column_list list_columns(struct metrics_columns columns)
{
    const bool has[] = {[ALWAYS] = true,
                        [TRAIN] = !columns.running,
                        [RUNNING] = columns.running,
                        [VALIDATION] = columns.validation,
                        [TEST] = columns.test};
    struct column_list list = {.count = 0};
    for (int i = 0; i < COLUMNS_MAX; i++)
        if (has[all_columns[i].group]) list.list[list.count++] = &all_columns[i];
    return list;
}

/* The first line of a file, without its newline. */
struct header {
    char text[METRICS_CSV_LINE_LIMIT + 1];
};

static struct header header_of(struct metrics_columns columns)
{
    struct column_list list = list_columns(columns);
    struct header header = {""};
    for (int i = 0; i < list.count; i++) {
        size_t used = strlen(header.text);
        snprintf(header.text + used, sizeof header.text - used, "%s%s", i > 0 ? "," : "", list.list[i]->name);
    }
    return header;
}

/* --- writing --- */

static bool fail(const struct metrics_csv *csv, const char *what, struct status *status)
{
    return status_fail(status, STATUS_RUNTIME, "%s: cannot %s: %s", csv->path, what, strerror(errno));
}

bool metrics_csv_open(struct metrics_csv *csv, const char *path, struct metrics_columns columns, struct status *status)
{
    *csv = (struct metrics_csv){.path = memory_copy_string(path), .columns = columns};
    csv->file = fopen(path, "w");
    if (!csv->file) return fail(csv, "create the file", status);
    if (fprintf(csv->file, "%s\n", header_of(columns).text) < 0 || fflush(csv->file) != 0)
        return fail(csv, "write", status);
    return true;
}

static void write_field(FILE *file, const struct column *column, const struct metrics_row *row)
{
    const void *place = (const char *)row + column->offset;
    if (column->type == COUNT) {
        fprintf(file, "%" PRId64, *(const int64_t *)place);
        return;
    }
    double value = *(const double *)place;
    if (isnan(value)) {
        /* Some libraries print a sign before nan, which means nothing. */
        fputs("nan", file);
    } else if (column->type == SECONDS) {
        fprintf(file, "%.3f", value);
    } else {
        fprintf(file, "%.9g", value);
    }
}

static void write_row(FILE *file, struct metrics_columns columns, const struct metrics_row *row)
{
    struct column_list list = list_columns(columns);
    for (int i = 0; i < list.count; i++) {
        write_field(file, list.list[i], row);
        fputc(i + 1 < list.count ? ',' : '\n', file);
    }
}

bool metrics_csv_append(struct metrics_csv *csv, const struct metrics_row *row, struct status *status)
{
    write_row(csv->file, csv->columns, row);
    if (fflush(csv->file) != 0 || ferror(csv->file)) return fail(csv, "write", status);
    return true;
}

bool metrics_csv_sync(struct metrics_csv *csv, struct status *status)
{
    int result;
    do {
        result = fsync(fileno(csv->file));
    } while (result != 0 && errno == EINTR);
    /* EINVAL: the file is a pipe or the like, which has no disk. */
    return result == 0 || errno == EINVAL || fail(csv, "write", status);
}

void metrics_csv_close(struct metrics_csv *csv)
{
    if (csv->file) fclose(csv->file);
    free(csv->path);
    *csv = (struct metrics_csv){0};
}

/* --- reading --- */

struct reader {
    const char *path;
    FILE *file;
    int line;                              /* 1 is the header */
    char text[METRICS_CSV_LINE_LIMIT + 1]; /* the line, without its newline */
    bool foreign;                          /* a spreadsheet saved the file: it has a UTF-8 mark, CR LF, or quotes */
    struct metrics_columns columns;        /* the columns that the header names */
    struct metrics_row *rows;
    int count, capacity;
};

/* Removes the quotes around the line's fields. */
static void take_quotes(struct reader *reader)
{
    char *rest = reader->text, *to = reader->text;
    for (char *field; (field = csv_field_next(&rest));) {
        size_t length = strlen(field);
        memmove(to, field, length);
        to += length;
        if (rest) *to++ = ',';
    }
    *to = '\0';
}

/* Turns a line that a spreadsheet saved into the line that the trainer wrote. */
static void take_habits(struct reader *reader)
{
    if (reader->line == 1 && strncmp(reader->text, CSV_BYTE_ORDER_MARK, CSV_BYTE_ORDER_MARK_SIZE) == 0) {
        memmove(reader->text, reader->text + CSV_BYTE_ORDER_MARK_SIZE,
                strlen(reader->text + CSV_BYTE_ORDER_MARK_SIZE) + 1);
        reader->foreign = true;
    }
    if (csv_line_trim(reader->text)) reader->foreign = true;
    if (!strchr(reader->text, '"')) return;
    take_quotes(reader);
    reader->foreign = true;
}

/* Reads the next line; *end becomes true at the end of the file. Spreadsheets may leave the last newline out. In a file
 * of the trainer a line without one is cut off. */
static bool read_line(struct reader *reader, bool *end, struct status *status)
{
    int used = 0, c;
    reader->line++;
    while ((c = getc(reader->file)) != EOF && c != '\n') {
        if (c == '\0')
            return status_fail(status, STATUS_RUNTIME, "%s:%d: not text: a NUL character", reader->path, reader->line);
        if (used == METRICS_CSV_LINE_LIMIT)
            return status_fail(status, STATUS_RUNTIME, "%s:%d: longer than the %d characters that a line may have",
                               reader->path, reader->line, METRICS_CSV_LINE_LIMIT);
        reader->text[used++] = (char)c;
    }
    reader->text[used] = '\0';
    if (ferror(reader->file))
        return status_fail(status, STATUS_RUNTIME, "%s: cannot read: %s", reader->path, strerror(errno));
    *end = c == EOF && used == 0;
    take_habits(reader);
    if (c == EOF && used > 0 && !reader->foreign)
        return status_fail(status, STATUS_RUNTIME, "%s:%d: the line is cut off: no newline at its end", reader->path,
                           reader->line);
    return true;
}

static bool read_header(struct reader *reader, struct status *status)
{
    bool end;
    if (!read_line(reader, &end, status)) return false;
    for (unsigned i = 0; i < 8; i++) {
        reader->columns = (struct metrics_columns){.running = i & 4, .validation = i & 1, .test = i & 2};
        if (strcmp(reader->text, header_of(reader->columns).text) == 0) return true;
    }
    struct metrics_columns usual = {.test = true};
    return status_fail(status, STATUS_RUNTIME,
                       "%s:1: expected the header \"%s\", or that of a run with other figures (running_ for train_, "
                       "val_loss,val_accuracy before those of the test set, either pair missing), found \"%s\"",
                       reader->path, header_of(usual).text, reader->text);
}

/* Reads a number as write_field writes it. */
static bool parse_number(const char *text, double *value)
{
    if (strcmp(text, "nan") == 0) return *value = NAN, true;
    if (strcmp(text, "inf") == 0) return *value = INFINITY, true;
    if (strcmp(text, "-inf") == 0) return *value = -INFINITY, true;
    errno = 0;
    if (number_parse_real(text, value)) return true;
    /* A number below the normal doubles is imprecise, but it is the one that was written. */
    return errno == ERANGE && fabs(*value) < 1;
}

static bool parse_field(const struct reader *reader, const struct column *column, const char *text,
                        struct metrics_row *row, struct status *status)
{
    void *place = (char *)row + column->offset;
    int64_t count = 0;
    double number = 0;
    bool good;
    if (column->type == COUNT) {
        good = number_parse_integer(text, &count) && count >= 0;
        *(int64_t *)place = count;
    } else {
        good = parse_number(text, &number) && !(number < column->low || number > column->high);
        *(double *)place = number;
    }
    return good || status_fail(status, STATUS_RUNTIME, "%s:%d: %s: expected %s, found \"%s\"", reader->path,
                               reader->line, column->name, column->expected, text);
}

static bool parse_row(struct reader *reader, struct metrics_row *row, struct status *status)
{
    struct column_list list = list_columns(reader->columns);
    int found = 1;
    for (const char *c = reader->text; *c; c++) found += *c == ',';
    if (found != list.count)
        return status_fail(status, STATUS_RUNTIME, "%s:%d: expected %d columns, found %d", reader->path, reader->line,
                           list.count, found);
    char *rest = reader->text;
    *row = (struct metrics_row){.validation = EVALUATION_NONE, .test = EVALUATION_NONE};
    for (int i = 0; i < list.count; i++)
        if (!parse_field(reader, list.list[i], strsep(&rest, ","), row, status)) return false;
    if (reader->count == 0 || row->step > reader->rows[reader->count - 1].step) return true;
    return status_fail(status, STATUS_RUNTIME,
                       "%s:%d: step: expected more than the %" PRId64 " of the row before, found %" PRId64,
                       reader->path, reader->line, reader->rows[reader->count - 1].step, row->step);
}

/* Reads rows up to the end of the file, or up to `limit` of them. */
static bool read_rows(struct reader *reader, int64_t limit, struct status *status)
{
    while (reader->count < limit) {
        bool end;
        if (!read_line(reader, &end, status)) return false;
        if (end) return true;
        if (reader->count == METRICS_CSV_ROW_LIMIT)
            return status_fail(status, STATUS_RUNTIME, "%s:%d: more than the %d rows that a file may have",
                               reader->path, reader->line, METRICS_CSV_ROW_LIMIT);
        if (reader->count == reader->capacity) {
            reader->capacity = reader->capacity ? 2 * reader->capacity : 64;
            reader->rows = memory_resize(reader->rows, (size_t)reader->capacity, sizeof *reader->rows);
        }
        struct metrics_row row;
        if (!parse_row(reader, &row, status)) return false;
        reader->rows[reader->count++] = row;
    }
    return true;
}

bool metrics_csv_read(const char *path, struct metrics_columns *columns, struct metrics_row **rows, int *row_count,
                      struct status *status)
{
    struct reader reader = {.path = path, .file = fopen(path, "r")};
    *rows = NULL, *row_count = 0;
    if (!reader.file) return status_fail(status, STATUS_RUNTIME, "%s: cannot open: %s", path, strerror(errno));
    bool good = read_header(&reader, status) && read_rows(&reader, INT64_MAX, status);
    fclose(reader.file);
    *columns = reader.columns;
    if (good)
        *rows = reader.rows, *row_count = reader.count;
    else
        free(reader.rows);
    return good;
}

/* The rows that a rewritten file keeps. */
struct kept {
    struct metrics_columns columns;
    const struct metrics_row *rows;
    int64_t count;
};

static void print_kept(const void *argument, FILE *out)
{
    const struct kept *kept = argument;
    fprintf(out, "%s\n", header_of(kept->columns).text);
    for (int64_t i = 0; i < kept->count; i++) write_row(out, kept->columns, &kept->rows[i]);
}

/* Writes the file anew with the columns that the run has now: "nan" where a row lacks a figure. */
static bool rewrite(struct metrics_csv *csv, const struct reader *reader, struct status *status)
{
    struct kept kept = {csv->columns, reader->rows, reader->count};
    fclose(csv->file);
    csv->file = NULL;
    if (!file_atomic_print(csv->path, print_kept, &kept, status)) return false;
    csv->file = fopen(csv->path, "a");
    return csv->file || fail(csv, "open", status);
}

static bool cut_back(struct metrics_csv *csv, const struct reader *reader, struct status *status)
{
    bool same_columns = memcmp(&csv->columns, &reader->columns, sizeof csv->columns) == 0;
    if (!same_columns || reader->foreign) return rewrite(csv, reader, status);
    return (fseek(csv->file, 0, SEEK_CUR) == 0 && ftruncate(fileno(csv->file), ftell(csv->file)) == 0) ||
           fail(csv, "cut back", status);
}

bool metrics_csv_continue(struct metrics_csv *csv, const char *path, struct metrics_columns columns, int64_t row_count,
                          struct metrics_row **rows, struct status *status)
{
    *rows = NULL;
    *csv = (struct metrics_csv){.path = memory_copy_string(path), .columns = columns};
    if (!file_regular_check(path, status)) return false;
    csv->file = fopen(path, "r+");
    if (!csv->file) return fail(csv, "open", status);
    struct reader reader = {.path = path, .file = csv->file};
    bool good = read_header(&reader, status) && read_rows(&reader, row_count, status);
    if (good && reader.count < row_count)
        good = status_fail(status, STATUS_RUNTIME,
                           "%s: expected at least the %" PRId64 " rows of the checkpoint, found %d", path, row_count,
                           reader.count);
    good = good && cut_back(csv, &reader, status);
    if (good)
        *rows = reader.rows;
    else
        free(reader.rows);
    return good;
}
