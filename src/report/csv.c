#include "report/csv.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/experiment_value.h"
#include "trainer/memory.h"
#include "util/file_regular.h"

#define HEADER "step,epoch,train_loss,train_accuracy,test_loss,test_accuracy,learning_rate,elapsed_seconds"

/* COUNT is an int64_t; the others are doubles. Nine digits of a NUMBER tell any two floats apart. */
enum column_type { COUNT, NUMBER, SECONDS };

struct column {
    const char *name;
    size_t offset;
    enum column_type type;
    double low, high; /* nan is in every range */
    const char *expected;
};

static const struct column columns[] = {
    {"step", offsetof(struct metrics_row, step), COUNT, 0, 0, "a whole number"},
    {"epoch", offsetof(struct metrics_row, epoch), COUNT, 0, 0, "a whole number"},
    {"train_loss", offsetof(struct metrics_row, train.loss), NUMBER, -INFINITY, INFINITY, "a number"},
    {"train_accuracy", offsetof(struct metrics_row, train.accuracy), NUMBER, 0, 1, "a number of 0..1"},
    {"test_loss", offsetof(struct metrics_row, test.loss), NUMBER, -INFINITY, INFINITY, "a number"},
    {"test_accuracy", offsetof(struct metrics_row, test.accuracy), NUMBER, 0, 1, "a number of 0..1"},
    {"learning_rate", offsetof(struct metrics_row, learning_rate), NUMBER, 0, INFINITY, "a number >= 0"},
    {"elapsed_seconds", offsetof(struct metrics_row, elapsed_seconds), SECONDS, 0, INFINITY, "a number >= 0"},
};
enum { COLUMN_COUNT = sizeof columns / sizeof *columns };

/* --- writing --- */

static bool fail(const struct metrics_csv *csv, const char *what, struct status *status)
{
    return status_fail(status, STATUS_RUNTIME, "%s: cannot %s: %s", csv->path, what, strerror(errno));
}

bool metrics_csv_open(struct metrics_csv *csv, const char *path, struct status *status)
{
    csv->path = memory_copy_string(path);
    csv->file = fopen(path, "w");
    if (!csv->file) return fail(csv, "create the file", status);
    if (fputs(HEADER "\n", csv->file) < 0 || fflush(csv->file) != 0) return fail(csv, "write", status);
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
        fputs("nan", file); /* the sign that some libraries print before it means nothing */
    } else if (column->type == SECONDS) {
        fprintf(file, "%.3f", value);
    } else {
        fprintf(file, "%.9g", value);
    }
}

bool metrics_csv_append(struct metrics_csv *csv, const struct metrics_row *row, struct status *status)
{
    for (int i = 0; i < COLUMN_COUNT; i++) {
        write_field(csv->file, &columns[i], row);
        fputc(i + 1 < COLUMN_COUNT ? ',' : '\n', csv->file);
    }
    if (fflush(csv->file) != 0 || ferror(csv->file)) return fail(csv, "write", status);
    return true;
}

bool metrics_csv_sync(struct metrics_csv *csv, struct status *status)
{
    int result;
    do {
        result = fsync(fileno(csv->file));
    } while (result != 0 && errno == EINTR);
    /* EINVAL: a pipe or the like, that has no disk. */
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
    struct metrics_row *rows;
    int count, capacity;
};

/* The next line, which may be the end of the file: then *end. */
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
    if (c == EOF && used > 0)
        return status_fail(status, STATUS_RUNTIME, "%s:%d: the line is cut off: no newline at its end", reader->path,
                           reader->line);
    return true;
}

static bool read_header(struct reader *reader, struct status *status)
{
    bool end;
    if (!read_line(reader, &end, status)) return false;
    if (strcmp(reader->text, HEADER) == 0) return true;
    return status_fail(status, STATUS_RUNTIME, "%s:1: expected the header \"" HEADER "\", found \"%s\"", reader->path,
                       reader->text);
}

/* As write_field writes it. */
static bool parse_number(const char *text, double *value)
{
    if (strcmp(text, "nan") == 0) return *value = NAN, true;
    if (strcmp(text, "inf") == 0) return *value = INFINITY, true;
    if (strcmp(text, "-inf") == 0) return *value = -INFINITY, true;
    errno = 0;
    if (value_parse_real(text, value)) return true;
    return errno == ERANGE && fabs(*value) < 1; /* below the normal doubles: imprecise, but what was written */
}

static bool parse_field(const struct reader *reader, const struct column *column, const char *text,
                        struct metrics_row *row, struct status *status)
{
    void *place = (char *)row + column->offset;
    int64_t count = 0;
    double number = 0;
    bool good;
    if (column->type == COUNT) {
        good = value_parse_integer(text, &count) && count >= 0;
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
    int found = 1;
    for (const char *c = reader->text; *c; c++) found += *c == ',';
    if (found != COLUMN_COUNT)
        return status_fail(status, STATUS_RUNTIME, "%s:%d: expected %d columns, found %d", reader->path, reader->line,
                           COLUMN_COUNT, found);
    char *rest = reader->text;
    for (int i = 0; i < COLUMN_COUNT; i++)
        if (!parse_field(reader, &columns[i], strsep(&rest, ","), row, status)) return false;
    if (reader->count == 0 || row->step > reader->rows[reader->count - 1].step) return true;
    return status_fail(status, STATUS_RUNTIME,
                       "%s:%d: step: expected more than the %" PRId64 " of the row before, found %" PRId64,
                       reader->path, reader->line, reader->rows[reader->count - 1].step, row->step);
}

/* Rows up to the end of the file, or up to `limit` of them. */
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

bool metrics_csv_read(const char *path, struct metrics_row **rows, int *row_count, struct status *status)
{
    struct reader reader = {.path = path, .file = fopen(path, "r")};
    *rows = NULL, *row_count = 0;
    if (!reader.file) return status_fail(status, STATUS_RUNTIME, "%s: cannot open: %s", path, strerror(errno));
    bool good = read_header(&reader, status) && read_rows(&reader, INT64_MAX, status);
    fclose(reader.file);
    if (good)
        *rows = reader.rows, *row_count = reader.count;
    else
        free(reader.rows);
    return good;
}

bool metrics_csv_continue(struct metrics_csv *csv, const char *path, int64_t row_count, struct metrics_row **rows,
                          struct status *status)
{
    *rows = NULL;
    csv->path = memory_copy_string(path);
    if (!file_regular_check(path, status)) return false;
    csv->file = fopen(path, "r+");
    if (!csv->file) return fail(csv, "open", status);
    struct reader reader = {.path = path, .file = csv->file};
    bool good = read_header(&reader, status) && read_rows(&reader, row_count, status);
    if (good && reader.count < row_count)
        good = status_fail(status, STATUS_RUNTIME,
                           "%s: expected at least the %" PRId64 " rows of the checkpoint, found %d", path, row_count,
                           reader.count);
    if (good && (fseek(csv->file, 0, SEEK_CUR) != 0 || ftruncate(fileno(csv->file), ftell(csv->file)) != 0))
        good = fail(csv, "cut back", status);
    if (good)
        *rows = reader.rows;
    else
        free(reader.rows);
    return good;
}
