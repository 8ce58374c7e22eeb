/* Draws pictures of runs with gnuplot, which runs as a child process without a shell. Where it is not installed, or
 * fails, the status says so; a run does not depend on its pictures. */
#ifndef PLOT_H
#define PLOT_H

#include <stdbool.h>

#include "config/experiment.h"
#include "metrics/metrics.h"
#include "util/status.h"

/* The evaluations of one run. */
struct plot_run {
    const char *label; /* name in the legend, where there are several runs */
    const struct metrics_row *rows;
    int row_count;
    bool running; /* the training set's figures are running means */
};

/* Returns the title of a run's curves: its name, then in a second line model, optimizer, learning rate, batch and seed.
 * Free with free(). */
char *plot_title(const struct experiment *experiment);

/* Writes `base`.png and `base`.svg: loss and accuracy of every measured set against the step, of one run or of several
 * overlaid. The title's first line is large, a second one (after a newline) small below it. Losses that span more than
 * three powers of ten get a logarithmic axis, and values that are not finite are left out. The files appear whole or
 * not at all. */
bool plot_curves(const char *base, const char *title, const struct plot_run *runs, int run_count,
                 struct status *status);

/* One bar of a panel: the spread of an accuracy (0..1) over the trials that share a value of a key. */
struct plot_bar {
    const char *label;
    double low, median, high;
};

/* A panel per key of a sweep, a bar per value. */
struct plot_panel {
    const char *title;
    const struct plot_bar *bars;
    int bar_count;
};

/* Writes `base`.png and `base`.svg: the panels side by side on one accuracy axis. The title is as above. */
bool plot_factors(const char *base, const char *title, const struct plot_panel *panels, int panel_count,
                  struct status *status);

/* A step of `trainer lr`. */
struct plot_rate {
    double rate, loss, smoothed;
};

/* Writes `base`.png and `base`.svg: losses against the learning rate, on a logarithmic axis, with a line at point
 * `marked` (-1: none). */
bool plot_rates(const char *base, const char *title, const struct plot_rate *points, int count, int marked,
                struct status *status);

#endif
