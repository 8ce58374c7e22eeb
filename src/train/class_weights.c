/* Computes the weight of each class in training's loss, and checks lists of weights. */
#include "train/class_weights.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/memory.h"

/* Counts the training samples of each class, in a new array (classes). */
static int64_t *count_labels(const struct dataset *dataset)
{
    int64_t *counts = memory_alloc((size_t)dataset->classes, sizeof *counts);
    for (int64_t i = 0; i < dataset->train.count; i++) counts[dataset->train.labels[i]]++;
    return counts;
}

static bool check_balanced(const struct experiment *experiment, const struct dataset *dataset, struct status *status)
{
    int64_t *counts = count_labels(dataset), missing = 0;
    while (missing < dataset->classes && counts[missing] > 0) missing++;
    free(counts);
    if (missing == dataset->classes) return true;
    return experiment_fail(experiment, "train.class_weights", status,
                           "balanced needs a training sample of each of the %" PRId64
                           " classes, found none of class %" PRId64 "; a list of weights needs none",
                           dataset->classes, missing);
}

bool class_weights_check_list(const struct experiment *experiment, int64_t classes, struct status *status)
{
    const struct class_weights *weights = &experiment->train.class_weights;
    if (weights->kind != CLASS_WEIGHTS_LISTED || weights->count == classes) return true;
    return experiment_fail(experiment, "train.class_weights", status,
                           "expected a weight for each of the %" PRId64 " classes, found %" PRId64, classes,
                           weights->count);
}

bool class_weights_check(const struct experiment *experiment, const struct dataset *dataset, struct status *status)
{
    if (experiment->train.class_weights.kind == CLASS_WEIGHTS_BALANCED)
        return check_balanced(experiment, dataset, status);
    return class_weights_check_list(experiment, dataset->classes, status);
}

double *class_weights_create(const struct experiment *experiment, const struct dataset *dataset)
{
    const struct class_weights *weights = &experiment->train.class_weights;
    if (weights->kind == CLASS_WEIGHTS_NONE) return NULL;
    double *values = memory_alloc((size_t)dataset->classes, sizeof *values);
    if (weights->kind == CLASS_WEIGHTS_LISTED) {
        memcpy(values, weights->value, (size_t)dataset->classes * sizeof *values);
        return values;
    }
    int64_t *counts = count_labels(dataset);
    double samples = (double)dataset->train.count, classes = (double)dataset->classes;
    for (int64_t i = 0; i < dataset->classes; i++) values[i] = samples / (classes * (double)counts[i]);
    free(counts);
    return values;
}

double class_weights_sum(const double *weights, const struct dataset *dataset, const int32_t *order, int64_t n,
                         int64_t slice_size, double second)
{
    const uint16_t *labels = dataset->train.labels;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t partner = i / slice_size * slice_size + (i + 1) % slice_size;
        sum += (1 - second) * weights[labels[order[i]]] + second * weights[labels[order[partner]]];
    }
    return sum;
}
