/* Keeps the results of a sweep in memory and in results.csv. */
#include "sweep/sweep_results.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sweep/sweep_row.h"
#include "util/check.h"
#include "util/csv_field.h"
#include "util/file_atomic.h"
#include "util/memory.h"

/* --- in memory --- */

static int32_t *row_slot(const struct sweep_results *results, int32_t trial, int rung)
{
    const struct sweep *sweep = results->sweep;
    CHECK(trial >= 0 && trial < sweep->grid_size && rung >= 1 && rung <= sweep_rung_count(sweep));
    return &results->row_of[(size_t)(rung - 1) * (size_t)sweep->grid_size + (size_t)trial];
}

const struct sweep_result *sweep_results_find(const struct sweep_results *results, int32_t trial, int rung)
{
    int32_t row = *row_slot(results, trial, rung);
    return row > 0 ? &results->rows[row - 1] : NULL;
}

static void add_row(struct sweep_results *results, const struct sweep_result *result)
{
    if (results->count == results->capacity) {
        results->capacity = results->capacity ? 2 * results->capacity : 64;
        results->rows = memory_resize(results->rows, (size_t)results->capacity, sizeof *results->rows);
    }
    results->rows[results->count++] = *result;
    *row_slot(results, result->trial, result->rung) = results->count;
}

int sweep_results_compare(const void *a, const void *b)
{
    const struct sweep_result *x = a, *y = b;
    if (x->rung != y->rung) return x->rung > y->rung ? -1 : 1;
    if (x->outcome != y->outcome) return x->outcome < y->outcome ? -1 : 1;
    if (x->outcome == SWEEP_OK && x->best_accuracy != y->best_accuracy)
        return x->best_accuracy > y->best_accuracy ? -1 : 1;
    return (x->trial > y->trial) - (x->trial < y->trial);
}

/* --- the file --- */

static bool fail(const struct sweep_results *results, const char *what, struct status *status)
{
    return status_fail(status, STATUS_RUNTIME, "%s: cannot %s: %s", results->path, what, strerror(errno));
}

static bool write_line(struct sweep_results *results, const struct sweep_result *result, struct status *status)
{
    char *line = sweep_row_format(results->sweep, result);
    size_t length = strlen(line);
    errno = ENOSPC; /* a short write means a full disk */
    bool written = write(results->file, line, length) == (ssize_t)length;
    free(line);
    return written || fail(results, "write", status);
}

bool sweep_results_append(struct sweep_results *results, const struct sweep_result *result, struct status *status)
{
    CHECK(!sweep_results_find(results, result->trial, result->rung));
    if (!results->has_header && !write_line(results, NULL, status)) return false;
    results->has_header = true;
    if (!write_line(results, result, status)) return false;
    add_row(results, result);
    return true;
}

/* Reads the whole file and ends it with a zero. */
static char *read_all(struct sweep_results *results, size_t *size, struct status *status)
{
    struct stat info;
    if (fstat(results->file, &info) != 0) return fail(results, "read", status), NULL;
    char *text = memory_alloc((size_t)info.st_size + 1, 1);
    ssize_t got = 1;
    for (*size = 0; got > 0 && *size < (size_t)info.st_size; *size += (size_t)got) {
        got = read(results->file, text + *size, (size_t)info.st_size - *size);
        if (got >= 0) continue;
        free(text);
        return fail(results, "read", status), NULL;
    }
    return text;
}

static bool take_header(const struct sweep_results *results, const char *line, struct status *status)
{
    char *header = sweep_row_format(results->sweep, NULL), *found = memory_copy_string(line);
    header[strlen(header) - 1] = '\0';
    char *expected_rest = memory_copy_string(header), *found_rest = found, *expected = expected_rest, *a, *b;
    do {
        a = csv_field_next(&expected_rest), b = csv_field_next(&found_rest);
    } while (a && b && strcmp(a, b) == 0);
    bool good = !a && !b;
    if (!good)
        status_fail(status, STATUS_USAGE, "%s:1: expected the header \"%s\", found \"%s\"", results->path, header,
                    line);
    free(header), free(expected), free(found);
    return good;
}

static bool take_row(struct sweep_results *results, const char *line, int number, struct status *status)
{
    struct sweep_result result = {0};
    char *copy = memory_copy_string(line);
    bool good = sweep_row_parse(results->sweep, copy, &result);
    free(copy);
    if (!good)
        return status_fail(status, STATUS_USAGE, "%s:%d: not a row of this sweep: \"%s\"", results->path, number, line);
    if (sweep_results_find(results, result.trial, result.rung))
        return status_fail(status, STATUS_USAGE, "%s:%d: trial %" PRId32 " is there twice", results->path, number,
                           result.trial + 1);
    add_row(results, &result);
    return true;
}

/* Takes the lines of a text; *foreign becomes true where one of them ends as a spreadsheet ends it. */
static bool take_lines(struct sweep_results *results, char *text, bool *foreign, struct status *status)
{
    int number = 1;
    for (char *line = text, *end; *line; line = end + 1, number++) {
        end = line + strcspn(line, "\n");
        bool is_last = !*end;
        *end = '\0';
        if (csv_line_trim(line)) *foreign = true;
        if (!(number == 1 ? take_header(results, line, status) : take_row(results, line, number, status))) return false;
        if (is_last) break;
    }
    return true;
}

static void print_results(const void *body, FILE *out)
{
    const struct sweep_results *results = body;
    sweep_row_write(results->sweep, NULL, out);
    for (int32_t i = 0; i < results->count; i++) sweep_row_write(results->sweep, &results->rows[i], out);
}

static bool open_file(struct sweep_results *results, struct status *status)
{
    results->file = open(results->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    return results->file >= 0 || fail(results, "open", status);
}

/* Writes a file that a spreadsheet saved as the trainer writes it, so that further rows fit. */
static bool rewrite(struct sweep_results *results, struct status *status)
{
    close(results->file);
    results->file = -1;
    return file_atomic_print(results->path, print_results, results, status) && open_file(results, status);
}

/* Returns the length of the text that counts: its complete lines. Where a spreadsheet saved the text, all of it counts,
 * because a spreadsheet may leave the last newline out but does not cut a line off. */
static size_t count_complete(const char *text, size_t size)
{
    const char *end = memchr(text, '\n', size);
    if (end && end > text && end[-1] == '\r') return size;
    while (size > 0 && text[size - 1] != '\n') size--;
    return size;
}

static bool read_text(struct sweep_results *results, char *text, size_t size, struct status *status)
{
    size_t complete = count_complete(text, size), mark = 0;
    text[complete] = '\0';
    if (strlen(text) != complete)
        return status_fail(status, STATUS_USAGE, "%s: not a results.csv, it has NUL characters", results->path);
    if (complete < size && ftruncate(results->file, (off_t)complete) != 0)
        return fail(results, "remove the last line, which was cut off,", status);
    if (strncmp(text, CSV_BYTE_ORDER_MARK, CSV_BYTE_ORDER_MARK_SIZE) == 0) mark = CSV_BYTE_ORDER_MARK_SIZE;
    bool foreign = mark > 0;
    results->has_header = complete > mark;
    if (!take_lines(results, text + mark, &foreign, status)) return false;
    return !foreign || rewrite(results, status);
}

static bool read_file(struct sweep_results *results, struct status *status)
{
    size_t size;
    char *text = read_all(results, &size, status);
    bool good = text && read_text(results, text, size, status);
    free(text);
    return good;
}

bool sweep_results_open(struct sweep_results *results, const struct sweep *sweep, const char *path,
                        struct status *status)
{
    size_t slots = (size_t)sweep_rung_count(sweep) * (size_t)sweep->grid_size;
    *results = (struct sweep_results){.sweep = sweep, .path = memory_copy_string(path)};
    results->row_of = memory_alloc(slots, sizeof *results->row_of);
    return open_file(results, status) && read_file(results, status);
}

void sweep_results_close(struct sweep_results *results)
{
    if (results->file >= 0) close(results->file);
    free(results->path);
    free(results->rows);
    free(results->row_of);
    *results = (struct sweep_results){.file = -1};
}
