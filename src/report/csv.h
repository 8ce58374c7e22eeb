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
    struct metrics_columns columns;
};

/* A new file with its header. Close it in any case. */
bool metrics_csv_open(struct metrics_csv *csv, const char *path, struct metrics_columns columns, struct status *status);
bool metrics_csv_append(struct metrics_csv *csv, const struct metrics_row *row, struct status *status);

/* The file of a run that goes on, cut back to its first row_count rows, which go to a new array as with
 * metrics_csv_read. A file that ends in the middle of a row is no error; one that has fewer rows, or is no regular file,
 * is. A file with other columns, from a program that knew no validation set, is written anew with these, and so is one that a
 * spreadsheet saved. Close it in any
 * case. */
bool metrics_csv_continue(struct metrics_csv *csv, const char *path, struct metrics_columns columns, int64_t row_count,
                          struct metrics_row **rows, struct status *status);

/* Brings what was written to the disk. */
bool metrics_csv_sync(struct metrics_csv *csv, struct status *status);

/* Also frees. Every row has been flushed and checked, so there is nothing left to fail. */
void metrics_csv_close(struct metrics_csv *csv);

/* What a file that is read may be at most. */
enum { METRICS_CSV_LINE_LIMIT = 255, METRICS_CSV_ROW_LIMIT = 1000000 };

/* The rows of a file as the functions above write it, in a new array (free with free(); NULL where there is none), and
 * which columns it has; a row has EVALUATION_NONE for a set without columns.
 * Strict: this header, these columns, numbers that begin and end with their column ("nan" and "inf" are numbers), steps
 * that grow, accuracies of 0..1, and a newline after the last row, without which it may be cut off. What spreadsheets do to a
 * table that they save is taken: lines that end in CR LF, a mark of UTF-8 in front, fields in quotes, and then no newline at
 * the end. Errors say path:line. */
bool metrics_csv_read(const char *path, struct metrics_columns *columns, struct metrics_row **rows, int *row_count,
                      struct status *status);

#endif
