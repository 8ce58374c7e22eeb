/* The functions of dataset.h and pack.h for the data set of an experiment. */
#ifndef TESTS_DATASET_SUPPORT_H
#define TESTS_DATASET_SUPPORT_H

#include "build/build.h"
#include "data/pack_dataset.h"

static inline bool describe_data(struct dataset_description *description, const struct experiment *experiment,
                                 struct status *status)
{
    struct dataset_spec spec = dataset_spec_from_experiment(experiment);
    return dataset_describe(description, &spec, status);
}

static inline bool assume_data(struct dataset_description *description, const struct experiment *experiment,
                               struct status *status)
{
    struct dataset_spec spec = dataset_spec_from_experiment(experiment);
    return dataset_assume(description, &spec, status);
}

static inline bool pack_dataset(const struct dataset *dataset, const struct experiment *experiment, const char *path,
                                int64_t *bytes, struct status *status)
{
    struct dataset_spec spec = dataset_spec_from_experiment(experiment);
    return dataset_pack(dataset, &spec, path, bytes, status);
}

#endif
