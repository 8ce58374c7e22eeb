/* Shows the progress of a run: a line that is rewritten, and lines that stay (progress.h). */
#include "report/progress.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report/progress_line.h"
#include "util/clock.h"
#include "util/duration.h"
#include "util/memory.h"
#include "util/streams.h"
#include "util/thousands.h"

/* Widths in columns of a row with all its words: of the row itself, and of each set in it. */
enum { ROW_WIDTH = 20, SET_WIDTH = 36 };
static const double refresh_seconds = 0.1;

void progress_start(struct progress *progress, const struct run_output *output, int64_t first_step, int64_t max_steps)
{
    double now = clock_seconds();
    *progress = (struct progress){.first_step = first_step, .max_steps = max_steps};
    progress->started = progress->refreshed = now;
    usage_start(&progress->usage, "");
    if (!output || !output->file) return;
    progress->out = output->file;
    progress->mode = output->progress;
    progress_line_prepare(progress);
}

bool progress_due(const struct progress *progress)
{
    return progress->terminal && clock_seconds() - progress->refreshed >= refresh_seconds;
}

/* --- the line --- */

void progress_show(struct progress *progress, double share, const char *text)
{
    struct progress_field field = {text, 0};
    if (progress->terminal) progress_line_show(progress, share, &field, 1);
}

void progress_training(struct progress *progress, int64_t step, double loss, double accuracy, double images_per_second)
{
    if (!progress->terminal) return;
    char steps[64], losses[32], accuracies[32], speed[64], left[64];
    double elapsed = clock_seconds() - progress->started;
    int64_t done = step - progress->first_step;
    double seconds = done > 0 ? elapsed / (double)done * (double)(progress->max_steps - step) : 0;
    snprintf(steps, sizeof steps, "%" PRId64 "/%" PRId64, step, progress->max_steps);
    snprintf(losses, sizeof losses, loss < 1e6 ? "loss %.4f" : "loss %.4g", loss);
    snprintf(accuracies, sizeof accuracies, "accuracy %.1f%%", 100 * accuracy);
    snprintf(speed, sizeof speed, "%s images/s", thousands_format((int64_t)images_per_second).text);
    snprintf(left, sizeof left, "%s left", duration_format(seconds).text);
    usage_refresh(&progress->usage);
    const struct progress_field fields[] = {{steps, 0},
                                            {losses, 1},
                                            {accuracies, 2},
                                            {speed, 4},
                                            {progress->usage.gpu_text, 5},
                                            {progress->usage.cpu_text, 6},
                                            {left, 3}};
    progress_line_show(progress, (double)step / (double)progress->max_steps, fields, sizeof fields / sizeof *fields);
}

void progress_evaluating(struct progress *progress, const char *set, int64_t done, int64_t count)
{
    if (!progress->terminal) return;
    char what[64], share[80];
    snprintf(what, sizeof what, "evaluating the %s", set);
    snprintf(share, sizeof share, "%s of %s", thousands_format(done).text, thousands_format(count).text);
    const struct progress_field fields[] = {{what, 0}, {share, 1}};
    progress_line_show(progress, (double)done / (double)count, fields, 2);
}

void progress_clear(struct progress *progress)
{
    progress_line_erase(progress);
}

void progress_close(struct progress *progress)
{
    progress_clear(progress);
    usage_stop(&progress->usage);
}

/* --- what stays --- */

static bool is_narrow(const struct progress *progress, const struct metrics_row *row)
{
    int sets = evaluation_exists(&row->train) + evaluation_exists(&row->validation) + evaluation_exists(&row->test);
    return progress->terminal && progress_line_columns(progress) < ROW_WIDTH + sets * SET_WIDTH;
}

static void print_set(const struct progress *progress, const char *name, const struct evaluation *figures, bool narrow,
                      bool bright)
{
    if (!evaluation_exists(figures)) return;
    bright = bright && progress->colour;
    fprintf(progress->out, "  %s %s%.4f  %s%s%6.2f%%%s", name, narrow ? "" : "loss ", figures->loss,
            narrow ? "" : "accuracy ", bright ? "\x1b[1;32m" : "", 100 * figures->accuracy, bright ? "\x1b[0m" : "");
}

/* Prints a row. The accuracy that made it the best one is bright. */
static void print_row(const struct progress *progress, const struct run_result *result, const struct metrics_row *row,
                      bool best)
{
    bool narrow = is_narrow(progress, row);
    fprintf(progress->out, "step %6" PRId64, row->step);
    print_set(progress, result->columns.running ? "running" : "train", &row->train, narrow, false);
    print_set(progress, "val", &row->validation, narrow, best && result->best_by == BEST_BY_VALIDATION);
    print_set(progress, "test", &row->test, narrow, best && result->best_by == BEST_BY_TEST);
}

void progress_row(struct progress *progress, const struct run_result *result)
{
    if (!progress->out || progress->mode == PROGRESS_NONE) return;
    progress_clear(progress);
    print_row(progress, result, &result->final, result->since_best == 0);
    fprintf(progress->out, "  %s\n", duration_format(result->final.elapsed_seconds).text);
    streams_flush(progress->out);
}

/* The files that the folder of a run may hold, with words that explain them. */
static const struct {
    const char *name, *words;
} run_files[] = {
    {"metrics.csv", "every evaluation"},
    {"curves.png", "the curves; curves.svg is the same picture"},
    {"resolved.ini", "every key of the config; repeats the run"},
    {"skipped.txt", "files of the data that were left out, and why"},
    {"checkpoints", "the best weights, and what the run can go on from"},
    {"tensorboard", "for tensorboard --logdir"},
};

static void print_files(FILE *out, const char *folder)
{
    for (size_t i = 0; i < sizeof run_files / sizeof *run_files; i++) {
        char *path = memory_format("%s/%s", folder, run_files[i].name);
        if (access(path, F_OK) == 0) fprintf(out, "       %-14s %s\n", run_files[i].name, run_files[i].words);
        free(path);
    }
}

/* Formats a duration; a short one has tenths of seconds. */
static struct duration format_time(double seconds)
{
    struct duration duration;
    if (seconds >= 60) return duration_format(seconds);
    snprintf(duration.text, sizeof duration.text, "%.1f s", seconds);
    return duration;
}

void progress_finish(struct progress *progress, const struct run_result *result, const char *folder)
{
    if (!progress->out) return;
    FILE *out = progress->out;
    double speed = result->train_seconds > 0 ? (double)result->images / result->train_seconds : 0;
    progress_clear(progress);
    fprintf(out, "\nbest   ");
    print_row(progress, result, &result->best, true);
    if (result->best_by == BEST_BY_VALIDATION) fprintf(out, "  by validation accuracy");
    fprintf(out, "\nfinal  ");
    print_row(progress, result, &result->final, false);
    fprintf(out, "\ntime   %s in all, %s of it training: %s images/s\n",
            format_time(result->final.elapsed_seconds).text, format_time(result->train_seconds).text,
            thousands_format((int64_t)speed).text);
    fprintf(out, "run    %s\n", folder);
    print_files(out, folder);
    streams_flush(out);
}
