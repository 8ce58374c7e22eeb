#include "trainer/progress.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/duration.h"
#include "util/thousands.h"

enum { MAX_WIDTH = 240, DEFAULT_WIDTH = 80, BAR_MIN = 10, BAR_MAX = 40 };
static const double refresh_seconds = 0.1;

/* A terminal that cannot erase a line ("dumb", as in some editors) gets plain lines. */
static bool is_terminal(FILE *out)
{
    const char *term = getenv("TERM");
    return isatty(fileno(out)) && term && *term && strcmp(term, "dumb") != 0;
}

void progress_start(struct progress *progress, FILE *out, int64_t max_steps)
{
    double now = clock_seconds();
    *progress = (struct progress){.out = out, .max_steps = max_steps, .started = now, .refreshed = now};
    if (out) progress->terminal = is_terminal(out);
}

bool progress_due(const struct progress *progress)
{
    return progress->terminal && clock_seconds() - progress->refreshed >= refresh_seconds;
}

/* Columns that a line may take: one less than there are, because some terminals wrap when the last one is written. */
static int line_width(const struct progress *progress)
{
    struct winsize size;
    int columns = DEFAULT_WIDTH;
    if (ioctl(fileno(progress->out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) columns = size.ws_col;
    return columns - 1 < MAX_WIDTH ? columns - 1 : MAX_WIDTH;
}

/* Text with a bar before it if there is room, cut to the width; written at once, so that no half of it is ever seen. */
static void rewrite_line(struct progress *progress, double share, const char *text)
{
    char line[MAX_WIDTH + 8];
    int width = line_width(progress), used = 0;
    int bar = width - (int)strlen(text) - 3;
    if (bar > BAR_MAX) bar = BAR_MAX;
    if (bar >= BAR_MIN) {
        int full = (int)(share * bar);
        line[used++] = '[';
        for (int i = 0; i < bar; i++) line[used++] = i < full ? '=' : ' ';
        line[used++] = ']', line[used++] = ' ';
    }
    snprintf(line + used, (size_t)(width - used + 1), "%s", text);
    fprintf(progress->out, "\r%s\x1b[K", line);
    fflush(progress->out);
    progress->line_shown = true;
    progress->refreshed = clock_seconds();
}

void progress_show(struct progress *progress, double share, const char *text)
{
    if (progress->terminal) rewrite_line(progress, share, text);
}

void progress_training(struct progress *progress, int64_t step, double loss, double accuracy, double images_per_second)
{
    if (!progress->terminal) return;
    char text[MAX_WIDTH];
    double elapsed = clock_seconds() - progress->started;
    double left = step > 0 ? elapsed / (double)step * (double)(progress->max_steps - step) : 0;
    snprintf(text, sizeof text, "%" PRId64 "/%" PRId64 "  loss %.4f  accuracy %.1f%%  %s images/s  %s left", step,
             progress->max_steps, loss, 100 * accuracy, thousands_format((int64_t)images_per_second).text,
             duration_format(left).text);
    rewrite_line(progress, (double)step / (double)progress->max_steps, text);
}

void progress_evaluating(struct progress *progress, const char *set, int64_t done, int64_t count)
{
    if (!progress->terminal) return;
    char text[MAX_WIDTH];
    snprintf(text, sizeof text, "evaluating the %s: %s of %s", set, thousands_format(done).text,
             thousands_format(count).text);
    rewrite_line(progress, (double)done / (double)count, text);
}

void progress_clear(struct progress *progress)
{
    if (!progress->line_shown) return;
    fprintf(progress->out, "\r\x1b[K");
    fflush(progress->out);
    progress->line_shown = false;
}

static void print_row(FILE *out, const struct metrics_row *row)
{
    fprintf(out, "step %6" PRId64 "  train loss %.4f  accuracy %6.2f%%  test loss %.4f  accuracy %6.2f%%", row->step,
            row->train.loss, 100 * row->train.accuracy, row->test.loss, 100 * row->test.accuracy);
}

void progress_row(struct progress *progress, const struct metrics_row *row)
{
    if (!progress->out) return;
    progress_clear(progress);
    print_row(progress->out, row);
    fprintf(progress->out, "  %s\n", duration_format(row->elapsed_seconds).text);
    fflush(progress->out);
}

void progress_finish(struct progress *progress, const struct run_result *result, const char *folder)
{
    if (!progress->out) return;
    FILE *out = progress->out;
    double speed = result->train_seconds > 0 ? (double)result->images / result->train_seconds : 0;
    progress_clear(progress);
    fprintf(out, "\nbest   ");
    print_row(out, &result->best);
    fprintf(out, "\nfinal  ");
    print_row(out, &result->final);
    fprintf(out, "\ntime   %.1f s in all, %.1f s of it training: %s images/s\n", result->final.elapsed_seconds,
            result->train_seconds, thousands_format((int64_t)speed).text);
    fprintf(out, "run    %s\n", folder);
    fflush(out);
}
