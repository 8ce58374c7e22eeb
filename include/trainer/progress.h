/* What a run shows to people while it goes.
 *
 * On a terminal one line at the bottom is rewritten at most ten times per second, and the evaluations scroll away above
 * it; elsewhere (a file, a pipe, a terminal that cannot erase) there are the evaluations only, as plain lines of ASCII.
 * The line is never wider than the terminal: where it is narrow, the figures that matter less are left out. Colours are
 * for terminals where the variable NO_COLOR is not set (no-color.org), line-drawing characters for those whose locale
 * is UTF-8. */
#ifndef TRAINER_PROGRESS_H
#define TRAINER_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "trainer/metrics.h"
#include "trainer/usage.h"

enum progress_mode {
    PROGRESS_BAR,   /* the line, where there is a terminal for it */
    PROGRESS_PLAIN, /* a plain line per evaluation, of a sweep per trial, on a terminal too */
    PROGRESS_NONE,  /* neither; what comes before and after a run still */
};

/* Where a run prints, and how much. */
struct run_output {
    FILE *file;
    enum progress_mode progress;
};

struct progress {
    FILE *out; /* NULL: quiet */
    enum progress_mode mode;
    bool terminal, colour, unicode;
    int shown; /* columns of the line that will be rewritten; 0: there is none */
    int64_t first_step, max_steps;
    double started, refreshed; /* seconds of the clock */
    struct usage usage;        /* of the processor; whoever knows a GPU starts it anew with that */
};

/* output NULL, or its file: nothing is printed, by any of these functions. first_step: done before, by the run that
 * this one goes on with. End with progress_close. */
void progress_start(struct progress *progress, const struct run_output *output, int64_t first_step, int64_t max_steps);

/* Whether the line wants new figures. They cost: reading them waits for the device. */
bool progress_due(const struct progress *progress);

/* Rewrites the line: loss and accuracy (0..1) since the last time, speed of training. */
void progress_training(struct progress *progress, int64_t step, double loss, double accuracy, double images_per_second);

/* Rewrites the line while `set` ("train set") is evaluated. */
void progress_evaluating(struct progress *progress, const char *set, int64_t done, int64_t count);

/* Rewrites the line with any text; share: 0..1 of the bar. */
void progress_show(struct progress *progress, double share, const char *text);

/* A line that stays: the last row of the result. */
void progress_row(struct progress *progress, const struct run_result *result);

/* The end: best and final figures, time, speed, and what the run's folder holds. */
void progress_finish(struct progress *progress, const struct run_result *result, const char *folder);

/* Clears the line that would be rewritten, before something else is printed. */
void progress_clear(struct progress *progress);
void progress_close(struct progress *progress); /* the same for the last time; zeroed is allowed */

#endif
