/* results.csv: a row per trial and rung. The shards of a sweep have a file each; a process appends to its own one, and reads
 * all of them. */
#ifndef SWEEP_RESULTS_H
#define SWEEP_RESULTS_H

#include "metrics/metrics.h"
#include "sweep/sweep.h"

enum sweep_outcome {
    SWEEP_OK,
    SWEEP_NAN,       /* a loss, or at the end a weight or running statistic, is not finite; the trial ended there */
    SWEEP_FAILED,    /* the network could not be built */
    SWEEP_PREVENTED, /* this machine lacks what the trial needs; never in the file */
    SWEEP_STOPPED,   /* the sweep ended before the trial did; never in the file */
};

/* The result of a trial in a rung. Figures that were not measured are NAN. Accuracies are 0..1. */
struct sweep_result {
    int32_t trial; /* 0 is the first; people see 1 */
    int rung;      /* 1 is the first */
    int64_t steps; /* steps done */
    enum sweep_outcome outcome;
    double best_accuracy;               /* best accuracy that evaluations found on the set that ranks */
    int64_t best_step;                  /* first step with that accuracy; 0: none */
    struct evaluation validation, test; /* figures after the last step */
    struct evaluation train;            /* mean over the batches since the evaluation before the last, while training */
    double seconds;
};

/* A place where a row stands: a file, by its index in `paths`, and a line, from 1. */
struct sweep_place {
    int32_t row; /* index of the row */
    int file, line;
};

struct sweep_results {
    const struct sweep *sweep;
    int file;                   /* descriptor of the first of `paths`, the one that rows are appended to */
    int lines;                  /* its lines, with the header */
    struct sweep_result *rows;  /* in the order in which they were read or appended */
    struct sweep_place *places; /* (count) the place where each row was read first, or appended */
    int32_t count, capacity;
    struct sweep_place *others; /* (other_count) further places, of rows that several files have */
    int32_t other_count;
    int32_t *row_of; /* [rung][trial]: 1 + the index of the trial's row, or 0 */
    char **paths;    /* (path_count) the files whose rows are here */
    int path_count;
};

/* Opens or creates the file that rows will be appended to, locks it, reads its rows, and removes a last line that was cut
 * off. The header is written with the first row, so a file that is not empty holds results. Errors name file and line.
 * Close in any case. */
bool sweep_results_open(struct sweep_results *results, const struct sweep *sweep, const char *path,
                        struct status *status);

/* Reads the rows of the sweep's other files in the folder, as far as they are complete; others may be appending to them.
 * May be called again. A row of a trial that has one already must be the same but for its seconds; the error
 * (STATUS_RUNTIME) names both places. */
bool sweep_results_read_others(struct sweep_results *results, const char *folder, struct status *status);
void sweep_results_close(struct sweep_results *results);

/* Returns the result of a trial in a rung, or NULL. */
const struct sweep_result *sweep_results_find(const struct sweep_results *results, int32_t trial, int rung);

/* Tells whether the file of that path has the row, which is one of the results. */
bool sweep_results_is_in(const struct sweep_results *results, const struct sweep_result *result, const char *path);

/* Appends a row with one write. */
bool sweep_results_append(struct sweep_results *results, const struct sweep_result *result, struct status *status);

/* Compares results for qsort, in the order for people: the furthest rung first, then trials that ended well, then the
 * best accuracy, then the first trial. */
int sweep_results_compare(const void *a, const void *b);

const char *sweep_outcome_name(enum sweep_outcome outcome);

#endif
