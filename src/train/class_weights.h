/* The weight of each class in training's loss (train.class_weights). */
#ifndef TRAIN_CLASS_WEIGHTS_H
#define TRAIN_CLASS_WEIGHTS_H

#include "config/experiment.h"
#include "data/dataset.h"

/* Refuses (STATUS_USAGE) a list whose number of weights differs from the data set's number of classes, and balanced
 * weights where a class has no training sample. */
bool class_weights_check(const struct experiment *experiment, const struct dataset *dataset, struct status *status);

/* Checks a list by the number of classes alone, before there is data. */
bool class_weights_check_list(const struct experiment *experiment, int64_t classes, struct status *status);

/* Returns the weights (classes) of an experiment and a data set that class_weights_check accepts, to be freed with
 * free(). NULL: every class weighs 1. */
double *class_weights_create(const struct experiment *experiment, const struct dataset *dataset);

/* Returns the sum of the weights of n training samples, whose numbers are order[0..n-1]. A share `second` of each sample's
 * label is that of its partner, the next sample of its slice of slice_size samples (struct batch_mix). */
double class_weights_sum(const double *weights, const struct dataset *dataset, const int32_t *order, int64_t n,
                         int64_t slice_size, double second);

#endif
