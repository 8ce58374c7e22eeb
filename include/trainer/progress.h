/* What a run shows to people while it goes. On a terminal one line at the bottom is rewritten at most ten times per
 * second, and the evaluations scroll away above it; elsewhere (a file, a pipe) there are the evaluations only, as plain
 * lines. Nothing but ASCII, and no line that is rewritten is wider than the terminal. */
#ifndef TRAINER_PROGRESS_H
#define TRAINER_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "trainer/metrics.h"

struct progress {
    FILE *out; /* NULL: quiet */
    bool terminal;
    bool line_shown; /* the cursor is in a line that will be rewritten */
    int64_t max_steps;
    double started, refreshed; /* seconds of the clock */
};

/* Whether `out` is a terminal decides. out = NULL: nothing is printed, by any of these functions. */
void progress_start(struct progress *progress, FILE *out, int64_t max_steps);

/* Whether the line wants new figures. They cost: reading them waits for the device. */
bool progress_due(const struct progress *progress);

/* Rewrites the line: loss and accuracy (0..1) since the last time, speed of training. */
void progress_training(struct progress *progress, int64_t step, double loss, double accuracy, double images_per_second);

/* Rewrites the line while `set` ("train set") is evaluated. */
void progress_evaluating(struct progress *progress, const char *set, int64_t done, int64_t count);

/* Rewrites the line with any text; share: 0..1 of the bar. */
void progress_show(struct progress *progress, double share, const char *text);

/* A line that stays. */
void progress_row(struct progress *progress, const struct metrics_row *row);

/* The end: best and final figures, time, speed, folder. */
void progress_finish(struct progress *progress, const struct run_result *result, const char *folder);

/* Clears the line that would be rewritten, before something else is printed. */
void progress_clear(struct progress *progress);

#endif
