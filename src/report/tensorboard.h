/* Event files as TensorBoard reads them (proto/tensorboard.proto, framed by tfrecord.h). Each function that adds writes
 * one event and flushes it, so that a TensorBoard that is open shows it at once. Errors are STATUS_RUNTIME with path
 * and cause. Only in builds with protobuf-c. */
#ifndef REPORT_TENSORBOARD_H
#define REPORT_TENSORBOARD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "trainer/status.h"

struct tensorboard {
    FILE *file;
    char *path;
};

struct tensorboard_scalar {
    const char *tag; /* what stands before a slash groups the charts */
    double value;    /* kept as a float */
};

/* A new file events.out.tfevents.<time>.<host>.<process> in `folder` (created with its parents). With first_step 0 the
 * files that are there are removed: a new run. Else they stay, except that what they say of first_step and later steps
 * is declared void: a run that goes on. Close it in any case. */
bool tensorboard_open(struct tensorboard *board, const char *folder, int64_t first_step, struct status *status);

/* One event with all of them. */
bool tensorboard_add_scalars(struct tensorboard *board, int64_t step, const struct tensorboard_scalar *scalars,
                             int count, struct status *status);

/* How the values are spread, in 30 buckets of equal width; those that are not finite are left out. */
bool tensorboard_add_histogram(struct tensorboard *board, int64_t step, const char *tag, const double *values,
                               int64_t count, struct status *status);

/* Text, which TensorBoard takes for Markdown. Valid UTF-8. */
bool tensorboard_add_text(struct tensorboard *board, int64_t step, const char *tag, const char *text,
                          struct status *status);

/* Every event has been flushed and checked, so there is nothing left to fail. Zeroed: nothing to close. */
void tensorboard_close(struct tensorboard *board);

#endif
