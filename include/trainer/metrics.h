/* What a run measures. */
#ifndef TRAINER_METRICS_H
#define TRAINER_METRICS_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

/* What an evaluation finds: means over the samples that it covers. A loss that is not finite stays as it is. Both are NAN
 * where nothing was measured. */
struct evaluation {
    double loss;
    double accuracy; /* 0..1 */
};
#define EVALUATION_NONE                                                                                                \
    {                                                                                                                  \
        NAN, NAN                                                                                                       \
    }

/* Whether something was measured. */
bool evaluation_exists(const struct evaluation *evaluation);

/* One line of metrics.csv. A set that the run does not have, or does not evaluate, is EVALUATION_NONE. */
struct metrics_row {
    int64_t step;  /* steps done */
    int64_t epoch; /* epochs completed */
    struct evaluation train, validation, test;
    double learning_rate;   /* of the step just done */
    double elapsed_seconds; /* since the start of training, evaluations included */
};

/* Which figures the rows of a run have beside those of the training set. */
struct metrics_columns {
    bool validation, test;
};

/* The set whose accuracy tells which evaluation of a run is the best. */
enum best_by {
    BEST_BY_TEST,
    BEST_BY_VALIDATION,
    BEST_BY_NONE, /* the run has neither set: the last evaluation counts as the best */
};

/* "test", "validation" or "none". */
const char *best_by_name(enum best_by by);

/* The accuracy by which a row is judged; NAN where there is none. */
double best_by_accuracy(enum best_by by, const struct metrics_row *row);

/* What a whole run reports: the rows are those of metrics.csv. */
struct run_result {
    enum best_by best_by; /* set before the first row is added */
    int64_t row_count;
    struct metrics_row final, best; /* best: highest accuracy of the set of best_by, the first of equal ones */
    int64_t since_best;             /* rows after the best one */
    int64_t images;                 /* that training has seen, each as often as it has */
    double train_seconds;           /* in training alone */
};

/* Takes the next row into the result. */
void run_result_add(struct run_result *result, const struct metrics_row *row);

/* Whether the last `patience` rows brought nothing better; never where patience is 0. */
bool run_result_is_exhausted(const struct run_result *result, int64_t patience);

#endif
