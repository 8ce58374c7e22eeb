/* Writes the ranking of a sweep, for a file and for a terminal. */
#include "sweep/sweep_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config/experiment_keys.h"
#include "sweep/sweep_best.h"
#include "sweep/sweep_factors.h"
#include "util/check.h"
#include "util/file_atomic.h"
#include "util/memory.h"
#include "util/streams.h"
#include "util/thousands.h"

enum { PRINTED_ROWS = 20, FIXED_COLUMNS = 7 };

/* --- ranking --- */

struct ranking {
    const struct sweep *sweep;
    struct sweep_result *rows; /* (count) the result of each trial's furthest rung, the best first */
    int32_t count;
};

static struct ranking rank(const struct sweep *sweep, const struct sweep_results *results)
{
    struct ranking ranking = {.sweep = sweep};
    ranking.rows = memory_alloc((size_t)results->count, sizeof *ranking.rows);
    for (int32_t trial = 0; trial < sweep->grid_size; trial++) {
        const struct sweep_result *furthest = NULL, *row;
        for (int rung = 1; rung <= sweep_rung_count(sweep); rung++)
            if ((row = sweep_results_find(results, trial, rung))) furthest = row;
        if (furthest) ranking.rows[ranking.count++] = *furthest;
    }
    qsort(ranking.rows, (size_t)ranking.count, sizeof *ranking.rows, sweep_results_compare);
    return ranking;
}

/* --- a table that reads well as text and as Markdown --- */

struct table {
    int columns;
    int32_t rows;
    char **cells; /* [rows][columns]; the first row is the heading */
};

static void table_add_row(struct table *table)
{
    table->rows++;
    table->cells = memory_resize(table->cells, (size_t)table->rows * (size_t)table->columns, sizeof(char *));
}

static void table_set(struct table *table, int column, char *text)
{
    table->cells[(size_t)(table->rows - 1) * (size_t)table->columns + (size_t)column] = text;
}

static char *percent(double share)
{
    return isnan(share) ? memory_copy_string("-") : memory_format("%.2f%%", 100 * share);
}

static void add_heading(struct table *table, const struct sweep *sweep)
{
    bool validation = sweep->settings.rank_by == SWEEP_RANK_VALIDATION;
    int column = 0;
    table_add_row(table);
    table_set(table, column++, memory_copy_string("rank"));
    table_set(table, column++, memory_copy_string("trial"));
    for (int f = 0; f < sweep->factor_count; f++) {
        const struct experiment_key *key = &experiment_keys[sweep->factors[f].key];
        table_set(table, column++, memory_format("%s.%s", key->section, key->name));
    }
    table_set(table, column++, memory_format("best %s accuracy", validation ? "validation" : "test"));
    table_set(table, column++, memory_copy_string("at step"));
    table_set(table, column++, memory_copy_string("final test accuracy"));
    table_set(table, column++, memory_copy_string("steps"));
    table_set(table, column++, memory_copy_string("status"));
    CHECK(column == table->columns);
}

static void add_result(struct table *table, const struct sweep *sweep, const struct sweep_result *result)
{
    int column = 0;
    table_add_row(table);
    table_set(table, column++, memory_format("%" PRId32, table->rows - 1));
    table_set(table, column++, memory_format("%" PRId32, result->trial + 1));
    for (int f = 0; f < sweep->factor_count; f++)
        table_set(table, column++, memory_copy_string(sweep_value(sweep, result->trial, f)));
    table_set(table, column++, percent(result->best_accuracy));
    table_set(table, column++, memory_format("%" PRId64, result->best_step));
    table_set(table, column++, percent(result->test.accuracy));
    table_set(table, column++, memory_format("%" PRId64, result->steps));
    table_set(table, column++, memory_copy_string(sweep_outcome_name(result->outcome)));
}

static int column_width(const struct table *table, int column)
{
    size_t width = 0;
    for (int32_t row = 0; row < table->rows; row++) {
        size_t length = strlen(table->cells[(size_t)row * (size_t)table->columns + (size_t)column]);
        if (length > width) width = length;
    }
    return (int)width;
}

static void table_write(const struct table *table, FILE *out)
{
    int *widths = memory_alloc((size_t)table->columns, sizeof *widths);
    for (int c = 0; c < table->columns; c++) widths[c] = column_width(table, c);
    for (int32_t row = 0; row < table->rows; row++) {
        fputs("|", out);
        for (int c = 0; c < table->columns; c++)
            fprintf(out, " %*s |", widths[c], table->cells[(size_t)row * (size_t)table->columns + (size_t)c]);
        fputs("\n", out);
        if (row > 0) continue;
        fputs("|", out);
        for (int c = 0; c < table->columns; c++) {
            for (int i = -1; i < widths[c]; i++) fputc('-', out);
            fputs(":|", out);
        }
        fputs("\n", out);
    }
    free(widths);
}

static void write_ranking(const struct ranking *ranking, int32_t rows, FILE *out)
{
    struct table table = {.columns = FIXED_COLUMNS + ranking->sweep->factor_count};
    add_heading(&table, ranking->sweep);
    for (int32_t i = 0; i < rows; i++) add_result(&table, ranking->sweep, &ranking->rows[i]);
    table_write(&table, out);
    for (int32_t i = 0; i < table.rows * table.columns; i++) free(table.cells[i]);
    free(table.cells);
}

static void write_document(const void *body, FILE *out)
{
    const struct ranking *ranking = body;
    const struct sweep *sweep = ranking->sweep;
    fprintf(out, "# %s: %s trials\n\n", sweep->name, thousands_format(ranking->count).text);
    fprintf(out, "Ranked by the best accuracy that the evaluations of the %s set found%s.\n\n",
            sweep->settings.rank_by == SWEEP_RANK_VALIDATION ? "validation" : "test",
            sweep_rung_count(sweep) > 1 ? ", those that trained longest first" : "");
    write_ranking(ranking, ranking->count, out);
}

/* --- all together --- */

static void print_best(const struct ranking *ranking, const char *folder, FILE *out)
{
    int32_t rows = ranking->count < PRINTED_ROWS ? ranking->count : PRINTED_ROWS;
    fputc('\n', out);
    write_ranking(ranking, rows, out);
    if (rows < ranking->count)
        fprintf(out, "... and %s more in %s/ranking.md\n", thousands_format(ranking->count - rows).text, folder);
    streams_flush(out);
}

static void print_files(const char *folder, FILE *out)
{
    char *best = sweep_best_path(folder);
    fprintf(out, "\nsweep  %s\n", folder);
    if (best) fprintf(out, "       best.safetensors   the weights of the best trial, for eval, predict and export\n");
    free(best);
}

bool sweep_report(const struct sweep *sweep, const struct sweep_results *results, const char *folder, FILE *out,
                  struct status *status)
{
    struct ranking ranking = rank(sweep, results);
    char *path = memory_format("%s/ranking.md", folder), *base = memory_format("%s/factors", folder);
    bool good = file_atomic_print(path, write_document, &ranking, status);
    if (good) {
        struct status problem;
        if (out) print_best(&ranking, folder, out);
        bool drawn = sweep_factors_draw(sweep, results, base, &problem);
        if (!drawn) fprintf(stderr, "trainer: no picture of the sweep: %s\n", problem.message);
        if (out) print_files(folder, out);
    }
    free(path);
    free(base);
    free(ranking.rows);
    return good;
}
