/* What the scores of an image say: one number per class, as the network gives them before the softmax. */
#ifndef SCORES_H
#define SCORES_H

#include <stdint.h>

/* Returns the class of the largest score, the first of equal ones. Returns `classes`, which is never right, where a
 * score is NaN. */
int64_t scores_predicted(const double *scores, int64_t classes);

/* Returns the number of classes before the label in the order of their scores, of equal ones the first class first.
 * Returns `classes` where a score is NaN. */
int64_t scores_rank(const double *scores, int64_t classes, int64_t label);

/* Computes the softmax: scores (classes) -> probabilities (classes), which may be the same array. */
void scores_probabilities(const double *scores, int64_t classes, double *probabilities);

/* Returns the cross-entropy of the softmax, -log of the label's probability. */
double scores_cross_entropy(const double *scores, int64_t classes, int64_t label);

#endif
