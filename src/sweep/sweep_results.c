#include "sweep/sweep_results.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/experiment_keys.h"
#include "trainer/check.h"
#include "trainer/memory.h"

static const char *const outcome_names[] = {"ok", "nan", "failed"};
enum { OUTCOME_COUNT = sizeof outcome_names / sizeof *outcome_names };

const char *sweep_outcome_name(enum sweep_outcome outcome)
{
    CHECK((int)outcome < OUTCOME_COUNT);
    return outcome_names[outcome];
}

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

/* --- a row as text --- */

/* Lists have commas in them. */
static void write_text(FILE *out, const char *text)
{
    fprintf(out, strchr(text, ',') ? "\"%s\"," : "%s,", text);
}

static void write_values(const struct sweep *sweep, int32_t trial, FILE *out)
{
    fprintf(out, "%" PRId32 ",", trial + 1);
    for (int f = 0; f < sweep->factor_count; f++) write_text(out, sweep_value(sweep, trial, f));
}

static void write_header(const struct sweep *sweep, FILE *out)
{
    fprintf(out, "trial,");
    for (int f = 0; f < sweep->factor_count; f++) {
        const struct experiment_key *key = &experiment_keys[sweep->factors[f].key];
        fprintf(out, "%s.%s,", key->section, key->name);
    }
    fprintf(out, "rung,steps,status,best_accuracy,best_step,validation_accuracy,validation_loss,test_accuracy,"
                 "test_loss,train_accuracy,train_loss,seconds\n");
}

/* Nine digits tell any two accuracies apart, so that what is read again ranks like what was measured. The sign that
 * some libraries print before a nan means nothing. */
static void write_number(FILE *out, double value)
{
    if (isnan(value))
        fputs("nan,", out);
    else
        fprintf(out, "%.9g,", value);
}

static void write_row(const struct sweep *sweep, const struct sweep_result *result, FILE *out)
{
    write_values(sweep, result->trial, out);
    fprintf(out, "%d,%" PRId64 ",%s,", result->rung, result->steps, sweep_outcome_name(result->outcome));
    write_number(out, result->best_accuracy);
    fprintf(out, "%" PRId64 ",", result->best_step);
    write_number(out, result->validation.accuracy);
    write_number(out, result->validation.loss);
    write_number(out, result->test.accuracy);
    write_number(out, result->test.loss);
    write_number(out, result->train.accuracy);
    write_number(out, result->train.loss);
    fprintf(out, "%.3f\n", result->seconds);
}

/* The line of a result, or the header (NULL), in a new string. */
static char *format_line(const struct sweep *sweep, const struct sweep_result *result)
{
    char *text;
    size_t size;
    FILE *out = memory_stream(&text, &size);
    if (result)
        write_row(sweep, result, out);
    else
        write_header(sweep, out);
    memory_stream_close(out, &text);
    return text;
}

/* What follows the values in a row. */
static bool parse_figures(const char *text, struct sweep_result *result)
{
    char outcome[8];
    int end = -1, name = 0;
    sscanf(text, "%d,%" SCNd64 ",%7[a-z],%lf,%" SCNd64 ",%lf,%lf,%lf,%lf,%lf,%lf,%lf%n", &result->rung, &result->steps,
           outcome, &result->best_accuracy, &result->best_step, &result->validation.accuracy, &result->validation.loss,
           &result->test.accuracy, &result->test.loss, &result->train.accuracy, &result->train.loss, &result->seconds,
           &end);
    if (end < 0 || text[end] != '\0') return false;
    while (name < OUTCOME_COUNT && strcmp(outcome, outcome_names[name]) != 0) name++;
    result->outcome = (enum sweep_outcome)name;
    return name < OUTCOME_COUNT;
}

/* A line without its newline. */
static bool parse_row(const struct sweep *sweep, const char *line, struct sweep_result *result)
{
    char *end;
    errno = 0;
    long trial = strtol(line, &end, 10);
    if (errno != 0 || *end != ',' || trial < 1 || trial > sweep->grid_size) return false;
    result->trial = (int32_t)trial - 1;
    char *values;
    size_t size;
    FILE *out = memory_stream(&values, &size);
    write_values(sweep, result->trial, out);
    memory_stream_close(out, &values);
    bool good = strncmp(line, values, size) == 0 && parse_figures(line + size, result);
    free(values);
    return good && result->rung >= 1 && result->rung <= sweep_rung_count(sweep);
}

/* --- the file --- */

static bool fail(const struct sweep_results *results, const char *what, struct status *status)
{
    return status_fail(status, STATUS_RUNTIME, "%s: cannot %s: %s", results->path, what, strerror(errno));
}

static bool write_line(struct sweep_results *results, const struct sweep_result *result, struct status *status)
{
    char *line = format_line(results->sweep, result);
    size_t length = strlen(line);
    errno = ENOSPC; /* what a short write means */
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

/* The whole file, ended by a zero. */
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
    char *header = format_line(results->sweep, NULL);
    header[strlen(header) - 1] = '\0';
    bool good = strcmp(line, header) == 0;
    if (!good)
        status_fail(status, STATUS_USAGE, "%s:1: expected the header \"%s\", found \"%s\"", results->path, header,
                    line);
    free(header);
    return good;
}

static bool take_row(struct sweep_results *results, const char *line, int number, struct status *status)
{
    struct sweep_result result = {0};
    if (!parse_row(results->sweep, line, &result))
        return status_fail(status, STATUS_USAGE, "%s:%d: not a row of this sweep: \"%s\"", results->path, number, line);
    if (sweep_results_find(results, result.trial, result.rung))
        return status_fail(status, STATUS_USAGE, "%s:%d: trial %" PRId32 " is there twice", results->path, number,
                           result.trial + 1);
    add_row(results, &result);
    return true;
}

/* Complete lines only. */
static bool take_lines(struct sweep_results *results, char *text, struct status *status)
{
    bool good = true;
    int number = 1;
    for (char *line = text, *end; good && (end = strchr(line, '\n')); line = end + 1, number++) {
        *end = '\0';
        good = number == 1 ? take_header(results, line, status) : take_row(results, line, number, status);
    }
    return good;
}

static bool read_file(struct sweep_results *results, struct status *status)
{
    size_t size, complete;
    char *text = read_all(results, &size, status);
    if (!text) return false;
    for (complete = size; complete > 0 && text[complete - 1] != '\n';) complete--;
    text[complete] = '\0';
    bool good = strlen(text) == complete ||
                status_fail(status, STATUS_USAGE, "%s: not a results.csv, it has NUL characters", results->path);
    if (good && complete < size && ftruncate(results->file, (off_t)complete) != 0)
        good = fail(results, "remove the last line, which was cut off,", status);
    good = good && take_lines(results, text, status);
    free(text);
    results->has_header = complete > 0;
    return good;
}

bool sweep_results_open(struct sweep_results *results, const struct sweep *sweep, const char *path,
                        struct status *status)
{
    size_t slots = (size_t)sweep_rung_count(sweep) * (size_t)sweep->grid_size;
    *results = (struct sweep_results){.sweep = sweep, .path = memory_copy_string(path)};
    results->row_of = memory_alloc(slots, sizeof *results->row_of);
    results->file = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (results->file < 0) return fail(results, "open", status);
    return read_file(results, status);
}

void sweep_results_close(struct sweep_results *results)
{
    if (results->file >= 0) close(results->file);
    free(results->path);
    free(results->rows);
    free(results->row_of);
    *results = (struct sweep_results){.file = -1};
}
