/* Draws the pictures of a run, curves.png and curves.svg in its folder: at its end, and while a long run goes on. */
#ifndef TRAIN_CURVES_H
#define TRAIN_CURVES_H

#include "config/experiment.h"
#include "metrics/metrics.h"
#include "util/status.h"

struct run_curves {
    char *base, *title;
    bool running; /* the training set's figures are running means */
    struct metrics_row *rows;
    int count, capacity;
    double drawn; /* clock at the last try of a picture */
    bool failed;  /* a picture failed: only the last one is tried again */
};

/* Removes the pictures that an earlier run left in the folder. Free with run_curves_free, in any case. */
void run_curves_start(struct run_curves *curves, const struct experiment *experiment, const char *folder);
void run_curves_free(struct run_curves *curves);

/* Takes the next row, and draws if the last picture is half a minute old. */
void run_curves_add(struct run_curves *curves, const struct metrics_row *row);

/* Draws the last picture, of all rows. */
bool run_curves_finish(struct run_curves *curves, struct status *status);

#endif
