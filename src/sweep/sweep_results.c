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
#include "sweep/sweep_shard.h"
#include "util/check.h"
#include "util/csv_field.h"
#include "util/file_atomic.h"
#include "util/file_lock.h"
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

bool sweep_results_is_in(const struct sweep_results *results, const struct sweep_result *result, const char *path)
{
    int32_t row = *row_slot(results, result->trial, result->rung) - 1;
    CHECK(row >= 0);
    if (strcmp(results->paths[results->places[row].file], path) == 0) return true;
    for (int32_t i = 0; i < results->other_count; i++)
        if (results->others[i].row == row && strcmp(results->paths[results->others[i].file], path) == 0) return true;
    return false;
}

static void add_row(struct sweep_results *results, const struct sweep_result *result, int file, int line)
{
    if (results->count == results->capacity) {
        results->capacity = results->capacity ? 2 * results->capacity : 64;
        results->rows = memory_resize(results->rows, (size_t)results->capacity, sizeof *results->rows);
        results->places = memory_resize(results->places, (size_t)results->capacity, sizeof *results->places);
    }
    results->places[results->count] = (struct sweep_place){results->count, file, line};
    results->rows[results->count++] = *result;
    *row_slot(results, result->trial, result->rung) = results->count;
}

/* Returns the index of the file. */
static int add_path(struct sweep_results *results, const char *path)
{
    for (int i = 0; i < results->path_count; i++)
        if (strcmp(results->paths[i], path) == 0) return i;
    results->paths = memory_resize(results->paths, (size_t)results->path_count + 1, sizeof *results->paths);
    results->paths[results->path_count] = memory_copy_string(path);
    return results->path_count++;
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

/* --- reading a file --- */

/* A file that is being read. */
struct source {
    struct sweep_results *results;
    int index;        /* of its path */
    const char *path; /* borrowed */
    int descriptor;
    bool foreign; /* a spreadsheet saved it */
};

static bool fail(const char *path, const char *what, struct status *status)
{
    return status_fail(status, STATUS_RUNTIME, "%s: cannot %s: %s", path, what, strerror(errno));
}

/* Reads the whole file and ends it with a zero. */
static char *read_all(const struct source *source, size_t *size, struct status *status)
{
    struct stat info;
    if (fstat(source->descriptor, &info) != 0) return fail(source->path, "read", status), NULL;
    char *text = memory_alloc((size_t)info.st_size + 1, 1);
    ssize_t got = 1;
    for (*size = 0; got > 0 && *size < (size_t)info.st_size; *size += (size_t)got) {
        got = read(source->descriptor, text + *size, (size_t)info.st_size - *size);
        if (got >= 0) continue;
        free(text);
        return fail(source->path, "read", status), NULL;
    }
    return text;
}

static bool take_header(const struct source *source, const char *line, struct status *status)
{
    char *header = sweep_row_format(source->results->sweep, NULL), *found = memory_copy_string(line);
    header[strlen(header) - 1] = '\0';
    char *expected_rest = memory_copy_string(header), *found_rest = found, *expected = expected_rest, *a, *b;
    do {
        a = csv_field_next(&expected_rest), b = csv_field_next(&found_rest);
    } while (a && b && strcmp(a, b) == 0);
    bool good = !a && !b;
    if (!good)
        status_fail(status, STATUS_USAGE, "%s:1: expected the header \"%s\", found \"%s\"", source->path, header, line);
    free(header), free(expected), free(found);
    return good;
}

static void add_other(struct sweep_results *results, int32_t row, int file, int line)
{
    results->others = memory_resize(results->others, (size_t)results->other_count + 1, sizeof *results->others);
    results->others[results->other_count++] = (struct sweep_place){row, file, line};
}

/* Handles the row of a trial that has one. */
static bool take_again(const struct source *source, const struct sweep_result *result, int number,
                       struct status *status)
{
    struct sweep_results *results = source->results;
    int32_t row = *row_slot(results, result->trial, result->rung) - 1;
    struct sweep_place place = results->places[row];
    if (place.file == source->index && place.line == number) return true; /* the file was read before */
    if (place.file == source->index)
        return status_fail(status, STATUS_USAGE, "%s:%d: trial %" PRId32 " is there twice", source->path, number,
                           result->trial + 1);
    char *difference = sweep_row_difference(results->sweep, result, &results->rows[row]);
    if (!difference) return add_other(results, row, source->index, number), true;
    status_fail(status, STATUS_RUNTIME,
                "%s:%d: trial %" PRId32 " has another result than in %s:%d: %s; every machine should find the same one",
                source->path, number, result->trial + 1, results->paths[place.file], place.line, difference);
    free(difference);
    return false;
}

static bool take_row(const struct source *source, const char *line, int number, struct status *status)
{
    struct sweep_result result = {0};
    char *copy = memory_copy_string(line);
    bool good = sweep_row_parse(source->results->sweep, copy, &result);
    free(copy);
    if (!good)
        return status_fail(status, STATUS_USAGE, "%s:%d: not a row of this sweep: \"%s\"", source->path, number, line);
    if (sweep_results_find(source->results, result.trial, result.rung))
        return take_again(source, &result, number, status);
    add_row(source->results, &result, source->index, number);
    return true;
}

/* Takes the lines of a text; returns their number, or -1. Notes where one of them ends as a spreadsheet ends it. */
static int take_lines(struct source *source, char *text, struct status *status)
{
    int number = 0;
    for (char *line = text, *end; *line; line = end + 1) {
        end = line + strcspn(line, "\n");
        bool is_last = !*end;
        *end = '\0';
        if (csv_line_trim(line)) source->foreign = true;
        bool good = ++number == 1 ? take_header(source, line, status) : take_row(source, line, number, status);
        if (!good) return -1;
        if (is_last) break;
    }
    return number;
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

/* Reads the complete lines, after which *rest bytes follow; returns the number of lines, or -1. */
static int read_lines(struct source *source, size_t *complete, size_t *rest, struct status *status)
{
    size_t size, mark = 0;
    char *text = read_all(source, &size, status);
    if (!text) return -1;
    *complete = count_complete(text, size);
    *rest = size - *complete;
    text[*complete] = '\0';
    int lines = -1;
    if (strncmp(text, CSV_BYTE_ORDER_MARK, CSV_BYTE_ORDER_MARK_SIZE) == 0) mark = CSV_BYTE_ORDER_MARK_SIZE;
    source->foreign = mark > 0;
    if (strlen(text) == *complete)
        lines = take_lines(source, text + mark, status);
    else
        status_fail(status, STATUS_USAGE, "%s: not a results.csv, it has NUL characters", source->path);
    free(text);
    return lines;
}

/* --- the own file --- */

static bool write_line(struct sweep_results *results, const struct sweep_result *result, struct status *status)
{
    char *line = sweep_row_format(results->sweep, result);
    size_t length = strlen(line);
    errno = ENOSPC; /* a short write means a full disk */
    bool written = write(results->file, line, length) == (ssize_t)length;
    free(line);
    if (!written) return fail(results->paths[0], "write", status);
    results->lines++;
    return true;
}

bool sweep_results_append(struct sweep_results *results, const struct sweep_result *result, struct status *status)
{
    CHECK(!sweep_results_find(results, result->trial, result->rung));
    if (results->lines == 0 && !write_line(results, NULL, status)) return false;
    if (!write_line(results, result, status)) return false;
    add_row(results, result, 0, results->lines);
    return true;
}

static void print_results(const void *body, FILE *out)
{
    const struct sweep_results *results = body;
    sweep_row_write(results->sweep, NULL, out);
    for (int32_t i = 0; i < results->count; i++) sweep_row_write(results->sweep, &results->rows[i], out);
}

/* Tells whether the path still leads to the file. */
static bool is_at(int file, const char *path)
{
    struct stat held, there;
    return fstat(file, &held) == 0 && stat(path, &there) == 0 && held.st_dev == there.st_dev &&
           held.st_ino == there.st_ino;
}

/* Opens and locks the file. The one that was opened may be replaced before it is locked (see rewrite). */
static bool open_file(struct sweep_results *results, struct status *status)
{
    const char *path = results->paths[0];
    do {
        if (results->file >= 0) close(results->file);
        results->file = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (results->file < 0) return fail(path, "open", status);
        if (!file_lock(path, results->file, "another process is appending its results to this file",
                       "a second process that appends to it", status))
            return false;
    } while (!is_at(results->file, path));
    return true;
}

/* Writes a file that a spreadsheet saved as the trainer writes it, so that further rows fit. */
static bool rewrite(struct sweep_results *results, struct status *status)
{
    return file_atomic_print(results->paths[0], print_results, results, status) && open_file(results, status);
}

bool sweep_results_open(struct sweep_results *results, const struct sweep *sweep, const char *path,
                        struct status *status)
{
    size_t slots = (size_t)sweep_rung_count(sweep) * (size_t)sweep->grid_size, complete, rest;
    *results = (struct sweep_results){.sweep = sweep, .file = -1};
    results->row_of = memory_alloc(slots, sizeof *results->row_of);
    add_path(results, path);
    if (!open_file(results, status)) return false;
    struct source source = {.results = results, .path = path, .descriptor = results->file};
    results->lines = read_lines(&source, &complete, &rest, status);
    if (results->lines < 0) return false;
    if (rest > 0 && ftruncate(results->file, (off_t)complete) != 0)
        return fail(path, "remove the last line, which was cut off,", status);
    return !source.foreign || rewrite(results, status);
}

void sweep_results_close(struct sweep_results *results)
{
    if (results->file >= 0) close(results->file);
    for (int i = 0; i < results->path_count; i++) free(results->paths[i]);
    free(results->paths);
    free(results->rows);
    free(results->places);
    free(results->others);
    free(results->row_of);
    *results = (struct sweep_results){.file = -1};
}

/* --- the files of others --- */

static bool read_other(struct sweep_results *results, const char *path, struct status *status)
{
    size_t complete, rest;
    struct source source = {.results = results, .path = path, .descriptor = open(path, O_RDONLY | O_CLOEXEC)};
    if (source.descriptor < 0) return errno == ENOENT || fail(path, "open", status);
    source.index = add_path(results, path);
    bool good = read_lines(&source, &complete, &rest, status) >= 0;
    close(source.descriptor);
    return good;
}

bool sweep_results_read_others(struct sweep_results *results, const char *folder, struct status *status)
{
    int count;
    struct sweep_shard *shards = sweep_shard_list(folder, "results", "csv", &count);
    bool good = true;
    for (int i = 0; i < count && good; i++) {
        char *path = sweep_shard_path(&shards[i], folder, "results", "csv");
        good = strcmp(path, results->paths[0]) == 0 || read_other(results, path, status);
        free(path);
    }
    free(shards);
    return good;
}
