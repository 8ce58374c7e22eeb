/* results.csv: a row per trial and rung. */
#ifndef SWEEP_RESULTS_H
#define SWEEP_RESULTS_H

#include "metrics/metrics.h"
#include "sweep/sweep.h"

enum sweep_outcome {
    SWEEP_OK,
    SWEEP_NAN,     /* a loss, or at the end a weight or running statistic, is not finite; the trial ended there */
    SWEEP_FAILED,  /* the network could not be built */
    SWEEP_STOPPED, /* the sweep ended before the trial did; never in the file */
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

struct sweep_results {
    const struct sweep *sweep;
    char *path;
    int file;
    bool has_header;
    struct sweep_result *rows; /* in the file's order */
    int32_t count, capacity;
    int32_t *row_of; /* [rung][trial]: 1 + the index of the trial's row, or 0 */
};

/* Opens or creates the file, reads its rows, and removes a last line that was cut off. The header is written with the
 * first row, so a file that is not empty holds results. Errors name file and line. Close in any case. */
bool sweep_results_open(struct sweep_results *results, const struct sweep *sweep, const char *path,
                        struct status *status);
void sweep_results_close(struct sweep_results *results);

/* Returns the result of a trial in a rung, or NULL. */
const struct sweep_result *sweep_results_find(const struct sweep_results *results, int32_t trial, int rung);

/* Appends a row with one write. */
bool sweep_results_append(struct sweep_results *results, const struct sweep_result *result, struct status *status);

/* Compares results for qsort, in the order for people: the furthest rung first, then trials that ended well, then the
 * best accuracy, then the first trial. */
int sweep_results_compare(const void *a, const void *b);

const char *sweep_outcome_name(enum sweep_outcome outcome);

#endif
