/* metrics.csv: one row per evaluation. A row reaches the file as soon as it is known. Errors are STATUS_RUNTIME with
 * path and cause. */
#ifndef TRAIN_METRICS_CSV_H
#define TRAIN_METRICS_CSV_H

#include <stdbool.h>
#include <stdio.h>

#include "metrics/metrics.h"
#include "util/status.h"

struct metrics_csv {
    FILE *file;
    char *path;
    struct metrics_columns columns;
};

/* Creates the file with its header. Close it in any case. */
bool metrics_csv_open(struct metrics_csv *csv, const char *path, struct metrics_columns columns, struct status *status);
bool metrics_csv_append(struct metrics_csv *csv, const struct metrics_row *row, struct status *status);

/* Opens the file of a run that goes on, and cuts it back to its first row_count rows, which go to a new array as with
 * metrics_csv_read. A file that ends in the middle of a row is no error. A file with fewer rows is an error, and so is
 * one that is no regular file. The file is written anew where it has other columns (from a program that knew no
 * validation set) or where a spreadsheet saved it. Close it in any case. */
bool metrics_csv_continue(struct metrics_csv *csv, const char *path, struct metrics_columns columns, int64_t row_count,
                          struct metrics_row **rows, struct status *status);

/* Forces the written rows to the disk. */
bool metrics_csv_sync(struct metrics_csv *csv, struct status *status);

/* Closes the file and frees its path. Every row was flushed and checked, so nothing is left to fail. */
void metrics_csv_close(struct metrics_csv *csv);

/* The longest line and the most rows that a file may have. */
enum { METRICS_CSV_LINE_LIMIT = 255, METRICS_CSV_ROW_LIMIT = 1000000 };

/* Reads the rows of a file that the functions above wrote, into a new array (free with free(); NULL where there is
 * none), and tells which columns it has. A row has EVALUATION_NONE for a set without columns. The reader is strict: it
 * expects this header, these columns, numbers that begin and end with their column ("nan" and "inf" are numbers), steps
 * that grow, accuracies of 0..1, and a newline after the last row, without which the row may be cut off. It accepts the
 * changes of spreadsheets: lines that end in CR LF, a UTF-8 mark in front, fields in quotes, and then no newline at the
 * end. Errors say path:line. */
bool metrics_csv_read(const char *path, struct metrics_columns *columns, struct metrics_row **rows, int *row_count,
                      struct status *status);

#endif
