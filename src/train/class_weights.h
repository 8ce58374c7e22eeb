/* The weight of each class in training's loss (train.class_weights). */
#ifndef TRAIN_CLASS_WEIGHTS_H
#define TRAIN_CLASS_WEIGHTS_H

#include "trainer/dataset.h"
#include "trainer/experiment.h"

/* STATUS_USAGE where a list has another number of weights than the data set has classes, or a class without a training
 * sample is to be balanced. */
bool class_weights_check(const struct experiment *experiment, const struct dataset *dataset, struct status *status);

/* The same for a list, by the number of classes alone: there is no data yet. */
bool class_weights_check_list(const struct experiment *experiment, int64_t classes, struct status *status);

/* The weights (classes) of an experiment and a data set that class_weights_check accepts, to be freed with free();
 * NULL: every class weighs 1. */
double *class_weights_create(const struct experiment *experiment, const struct dataset *dataset);

#endif
