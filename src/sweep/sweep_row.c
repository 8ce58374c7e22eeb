/* Rows of results.csv as text (sweep_row.h). */
#include "sweep/sweep_row.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/experiment_keys.h"
#include "util/check.h"
#include "util/csv_field.h"
#include "util/memory.h"
#include "util/number.h"

static const char *const outcome_names[] = {"ok", "nan", "failed"};
enum { OUTCOME_COUNT = sizeof outcome_names / sizeof *outcome_names };

const char *sweep_outcome_name(enum sweep_outcome outcome)
{
    CHECK((int)outcome < OUTCOME_COUNT);
    return outcome_names[outcome];
}

/* --- a row as text --- */

static void write_values(const struct sweep *sweep, int32_t trial, FILE *out)
{
    fprintf(out, "%" PRId32 ",", trial + 1);
    for (int f = 0; f < sweep->factor_count; f++) {
        /* Lists have commas in them. */
        csv_field_write(sweep_value(sweep, trial, f), out);
        fputc(',', out);
    }
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

/* Nine digits tell any two accuracies apart. */
#define NUMBER_FORMAT "%.9g"

/* Writes a number. Some libraries print a sign before nan, which means nothing. */
static void write_number(FILE *out, double value)
{
    if (isnan(value))
        fputs("nan,", out);
    else
        fprintf(out, NUMBER_FORMAT ",", value);
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

void sweep_row_write(const struct sweep *sweep, const struct sweep_result *result, FILE *out)
{
    if (result)
        write_row(sweep, result, out);
    else
        write_header(sweep, out);
}

char *sweep_row_format(const struct sweep *sweep, const struct sweep_result *result)
{
    char *text;
    size_t size;
    FILE *out = memory_stream(&text, &size);
    sweep_row_write(sweep, result, out);
    memory_stream_close(out, &text);
    return text;
}

/* --- a row from text, which a spreadsheet may have saved --- */

static bool take_number(char **rest, double *value)
{
    char *field = csv_field_next(rest), *end;
    if (!field || !*field) return false;
    *value = strtod(field, &end);
    return *end == '\0';
}

static bool take_count(char **rest, int64_t *value)
{
    char *field = csv_field_next(rest);
    return field && number_parse_integer(field, value);
}

static bool take_outcome(char **rest, enum sweep_outcome *outcome)
{
    char *field = csv_field_next(rest);
    for (int i = 0; field && i < OUTCOME_COUNT; i++)
        if (strcmp(field, outcome_names[i]) == 0) return *outcome = (enum sweep_outcome)i, true;
    return false;
}

/* Compares values as numbers or words: spreadsheets write 0.10 as 0.1, 1e-3 as 0.001 and true as TRUE. */
static bool is_same_value(const char *found, const char *expected)
{
    double a, b;
    if (strcasecmp(found, expected) == 0) return true;
    return number_parse_real(found, &a) && number_parse_real(expected, &b) && a == b;
}

static bool take_values(const struct sweep *sweep, char **rest, int32_t trial)
{
    for (int f = 0; f < sweep->factor_count; f++) {
        char *field = csv_field_next(rest);
        if (!field || !is_same_value(field, sweep_value(sweep, trial, f))) return false;
    }
    return true;
}

static bool take_figures(char **rest, struct sweep_result *result)
{
    return take_number(rest, &result->best_accuracy) && take_count(rest, &result->best_step) &&
           take_number(rest, &result->validation.accuracy) && take_number(rest, &result->validation.loss) &&
           take_number(rest, &result->test.accuracy) && take_number(rest, &result->test.loss) &&
           take_number(rest, &result->train.accuracy) && take_number(rest, &result->train.loss) &&
           take_number(rest, &result->seconds) && !*rest;
}

bool sweep_row_parse(const struct sweep *sweep, char *line, struct sweep_result *result)
{
    char *rest = line;
    int64_t trial, rung;
    if (!take_count(&rest, &trial) || trial < 1 || trial > sweep->grid_size) return false;
    result->trial = (int32_t)trial - 1;
    if (!take_values(sweep, &rest, result->trial)) return false;
    if (!take_count(&rest, &rung) || rung < 1 || rung > sweep_rung_count(sweep)) return false;
    result->rung = (int)rung;
    return take_count(&rest, &result->steps) && take_outcome(&rest, &result->outcome) && take_figures(&rest, result);
}

/* --- figures --- */

static void round_number(double *value)
{
    char text[32];
    snprintf(text, sizeof text, NUMBER_FORMAT, *value);
    *value = strtod(text, NULL);
}

void sweep_row_round(struct sweep_result *result)
{
    double *const figures[] = {&result->best_accuracy, &result->validation.accuracy, &result->validation.loss,
                               &result->test.accuracy, &result->test.loss,           &result->train.accuracy,
                               &result->train.loss};
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) round_number(figures[i]);
}

/* --- comparison --- */

char *sweep_row_difference(const struct sweep *sweep, const struct sweep_result *here, const struct sweep_result *there)
{
    struct sweep_result a = *here, b = *there;
    a.seconds = b.seconds = 0;
    char *lines[] = {sweep_row_format(sweep, NULL), sweep_row_format(sweep, &a), sweep_row_format(sweep, &b)};
    char *rest[] = {lines[0], lines[1], lines[2]}, *difference = NULL;
    for (const char *name; !difference && (name = csv_field_next(&rest[0]));) {
        const char *x = csv_field_next(&rest[1]), *y = csv_field_next(&rest[2]);
        if (strcmp(x, y) != 0) difference = memory_format("%s is %s here, %s there", name, x, y);
    }
    for (int i = 0; i < 3; i++) free(lines[i]);
    return difference;
}
