/* Writes event files as TensorBoard reads them (proto/tensorboard.proto, framed by tfrecord.h). Each function that adds
 * writes one event and flushes it, so that a running TensorBoard shows it at once. Errors are STATUS_RUNTIME with path
 * and cause. Only builds with protobuf-c have these functions. */
#ifndef REPORT_TENSORBOARD_H
#define REPORT_TENSORBOARD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "util/status.h"

struct tensorboard {
    FILE *file;
    char *path;
};

struct tensorboard_scalar {
    const char *tag; /* the part before a slash groups the charts */
    double value;    /* stored as a float */
};

/* Opens a new file events.out.tfevents.<time>.<host>.<process> in `folder` (created with its parents). first_step 0
 * stands for a new run and removes the files that are there. Another first_step stands for a run that goes on: the
 * files stay, and their events of first_step and later steps are declared void. Close it in any case. */
bool tensorboard_open(struct tensorboard *board, const char *folder, int64_t first_step, struct status *status);

/* Adds one event with all scalars. */
bool tensorboard_add_scalars(struct tensorboard *board, int64_t step, const struct tensorboard_scalar *scalars,
                             int count, struct status *status);

/* Adds a histogram of the values in 30 buckets of equal width, without those that are not finite. */
bool tensorboard_add_histogram(struct tensorboard *board, int64_t step, const char *tag, const double *values,
                               int64_t count, struct status *status);

/* Adds text in valid UTF-8, which TensorBoard takes for Markdown. */
bool tensorboard_add_text(struct tensorboard *board, int64_t step, const char *tag, const char *text,
                          struct status *status);

/* Closes the file; a zeroed board is allowed. Every event was flushed and checked, so nothing is left to fail. */
void tensorboard_close(struct tensorboard *board);

#endif
