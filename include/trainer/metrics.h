/* What a run measures. */
#ifndef TRAINER_METRICS_H
#define TRAINER_METRICS_H

#include <stdint.h>

/* What an evaluation finds: means over the entire set. A loss that is not finite stays as it is. */
struct evaluation {
    double loss;
    double accuracy; /* 0..1 */
};

/* One line of metrics.csv. */
struct metrics_row {
    int64_t step;  /* steps done */
    int64_t epoch; /* epochs completed */
    struct evaluation train, test;
    double learning_rate;   /* of the step just done */
    double elapsed_seconds; /* since the start of training, evaluations included */
};

/* What a whole run reports: the rows are those of metrics.csv. */
struct run_result {
    int64_t row_count;
    struct metrics_row final, best; /* best: highest test accuracy, the first of equal ones */
    int64_t images;                 /* that training has seen, each as often as it has */
    double train_seconds;           /* in training alone */
};

/* Takes the next row into the result. */
void run_result_add(struct run_result *result, const struct metrics_row *row);

#endif
