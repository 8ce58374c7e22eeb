/* Shows people how a run goes.
 *
 * On a terminal one line at the bottom is rewritten at most ten times per second, and the evaluations scroll away above
 * it. Elsewhere (a file, a pipe, a terminal that cannot erase) only the evaluations appear, as plain lines of ASCII.
 * The line is never wider than the terminal: a narrow one lacks the figures that matter less. Terminals get colours
 * where the variable NO_COLOR is not set (no-color.org), and line-drawing characters where the locale is UTF-8. */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "metrics/metrics.h"
#include "report/usage.h"
#include "util/choice.h"
#include "util/status.h"

/* bar: the line, where there is a terminal for it; plain: a line per evaluation, or per trial of a sweep, on a terminal
 * too; none: neither, and the text before and after a run is still printed. */
#define PROGRESS_CHOICES(X) X(PROGRESS_BAR, "bar") X(PROGRESS_PLAIN, "plain") X(PROGRESS_NONE, "none")
enum progress_mode { PROGRESS_CHOICES(CHOICE_ENUMERATOR) };

/* The file that a run prints to, and how much it prints. */
struct run_output {
    FILE *file;
    enum progress_mode progress;
};

struct progress {
    FILE *out; /* NULL: quiet */
    enum progress_mode mode;
    bool terminal, colour, unicode;
    int shown; /* columns of the shown line, which will be rewritten; 0: no line is shown */
    int64_t first_step, max_steps;
    double started, refreshed; /* seconds of the clock */
    struct usage usage;        /* figures of the processor; a caller that knows the GPU starts it anew */
};

/* Starts the display. Where output or its file is NULL, none of these functions prints. first_step: steps done before
 * by the run that goes on. End with progress_close. */
void progress_start(struct progress *progress, const struct run_output *output, int64_t first_step, int64_t max_steps);

/* Returns true where the line is due for new figures. They cost time: reading them waits for the device. */
bool progress_due(const struct progress *progress);

/* Rewrites the line: loss and accuracy (0..1) since the last time, and the speed of training. */
void progress_training(struct progress *progress, int64_t step, double loss, double accuracy, double images_per_second);

/* Rewrites the line while `set` ("train set") is evaluated. */
void progress_evaluating(struct progress *progress, const char *set, int64_t done, int64_t count);

struct dataset;
struct experiment;

/* Loads a data set as dataset_from_experiment does, and shows how far it is while many files are read. `output` may be NULL. */
bool progress_load_data(struct dataset *dataset, const struct experiment *experiment, const struct run_output *output,
                        struct status *status);

/* The same for dataset_files_from_experiment. */
bool progress_load_files(struct dataset *dataset, const struct experiment *experiment, const struct run_output *output,
                         struct status *status);

/* Rewrites the line with any text; share: 0..1 of the bar. */
void progress_show(struct progress *progress, double share, const char *text);

/* Prints a line that stays: the last row of the result. */
void progress_row(struct progress *progress, const struct run_result *result);

/* Prints the end: best and final figures, time, speed, and the files in the run's folder. */
void progress_finish(struct progress *progress, const struct run_result *result, const char *folder);

/* Clears the line that would be rewritten, before something else is printed. */
void progress_clear(struct progress *progress);
void progress_close(struct progress *progress); /* clears it for the last time; zeroed is allowed */

#endif
