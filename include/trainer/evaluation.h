/* The figures of an evaluation. */
#ifndef TRAINER_EVALUATION_H
#define TRAINER_EVALUATION_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Figures of a set: the mean loss (natural logarithm) and the share of right answers, 0..1. Both are NaN where nothing
 * was measured. */
struct trainer_figures {
    double loss, accuracy;
};

/* An evaluation, a row of metrics.csv. A set that the data does not have is not measured. With train.eval_train = off
 * the figures of the training set are means over the steps since the evaluation before. */
struct trainer_evaluation {
    int64_t step; /* steps done */
    struct trainer_figures train, validation, test;
};

#ifdef __cplusplus
}
#endif

#endif
