/* metrics.csv: one row per evaluation, on the disk as soon as it is known. Errors are STATUS_RUNTIME with path and
 * cause. */
#ifndef REPORT_CSV_H
#define REPORT_CSV_H

#include <stdbool.h>
#include <stdio.h>

#include "trainer/metrics.h"
#include "trainer/status.h"

struct metrics_csv {
    FILE *file;
    char *path;
};

/* A new file with its header. Close it in any case. */
bool metrics_csv_open(struct metrics_csv *csv, const char *path, struct status *status);
bool metrics_csv_append(struct metrics_csv *csv, const struct metrics_row *row, struct status *status);

/* Also frees. Every row has been flushed and checked, so there is nothing left to fail. */
void metrics_csv_close(struct metrics_csv *csv);

#endif
