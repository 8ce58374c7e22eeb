/* The figures that a run measures. */
#ifndef METRICS_H
#define METRICS_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"

/* The result of an evaluation: means over the samples that it covers. A loss that is not finite stays as it is. Both
 * figures are NAN where nothing was measured. */
struct evaluation {
    double loss;
    double accuracy; /* 0..1 */
};
#define EVALUATION_NONE                                                                                                \
    {                                                                                                                  \
        NAN, NAN                                                                                                       \
    }

/* Returns true where the evaluation measured something. */
bool evaluation_exists(const struct evaluation *evaluation);

/* Returns the means of the sums; EVALUATION_NONE where they are of no sample. */
struct evaluation evaluation_mean(struct metrics sums);

/* One line of metrics.csv. A set that the run does not have, or does not evaluate, is EVALUATION_NONE. */
struct metrics_row {
    int64_t step;            /* steps done */
    int64_t epoch;           /* epochs completed */
    struct evaluation train; /* with metrics_columns.running the running means of training */
    struct evaluation validation, test;
    double learning_rate;   /* of the step just done */
    double elapsed_seconds; /* since the start of training, evaluations included */
};

/* Which figures the rows of a run have. */
struct metrics_columns {
    /* The training set is not evaluated (train.eval_train = off): its figures are means over the batches since the last
     * evaluation, as training saw them. */
    bool running;
    bool validation, test;
};

/* The set whose accuracy tells which evaluation of a run is the best. */
enum best_by {
    BEST_BY_TEST,
    BEST_BY_VALIDATION,
    BEST_BY_NONE, /* the run has neither set: the last evaluation counts as the best */
};

/* Returns "test", "validation" or "none". */
const char *best_by_name(enum best_by by);

/* Returns the accuracy by which a row is judged; NAN where there is none. */
double best_by_accuracy(enum best_by by, const struct metrics_row *row);

/* The results of a whole run; its rows are those of metrics.csv. */
struct run_result {
    struct metrics_columns columns; /* set before the first row is added, as is best_by */
    enum best_by best_by;
    int64_t row_count;
    struct metrics_row final, best; /* best: highest accuracy of the set of best_by, the first of equal ones */
    int64_t since_best;             /* rows after the best one */
    int64_t images;                 /* number that training has seen; repeated images count each time */
    double train_seconds;           /* seconds of training alone, without evaluations */
};

/* Adds the next row to the result. */
void run_result_add(struct run_result *result, const struct metrics_row *row);

/* Returns true where none of the last `patience` rows was better than the best one before; never where patience is
 * 0. */
bool run_result_is_exhausted(const struct run_result *result, int64_t patience);

#endif
