/* The batches in which an experiment's evaluations go through a set. */
#include "build/build.h"
#include "nn/model.h"

/* True where the figures of an evaluation depend on its batches, so that no device may choose others. */
static bool normalizes_by_batch(const struct layer_spec *specs, int count)
{
    for (int i = 0; i < count; i++) {
        bool normalizes = specs[i].kind == LAYER_BATCHNORM || specs[i].kind == LAYER_BATCHNORM_AUTODIFF;
        if (normalizes && specs[i].batchnorm.batch_stats_only) return true;
    }
    return false;
}

/* Half of the memory is left for the data set, the optimizer and the libraries. */
static int64_t fitting_batch(const struct backend *backend, const struct layer_spec *specs, int count,
                             struct shape input, int64_t least)
{
    for (input.n = backend->evaluation_batch; input.n > least; input.n /= 2)
        if (network_fits(backend, specs, count, input, backend->memory_bytes / 2)) return input.n;
    return least;
}

int64_t evaluation_batch_from_experiment(const struct experiment *experiment, struct dataset_description format,
                                         const struct backend *backend)
{
    int64_t batch = experiment_evaluation_batch(experiment);
    if (experiment->train.eval_batch_size > 0 || backend->evaluation_batch <= batch) return batch;
    struct shape input;
    int count;
    struct layer_spec *specs = specs_from_experiment(experiment, format, &input, &count);
    if (!normalizes_by_batch(specs, count)) batch = fitting_batch(backend, specs, count, input, batch);
    model_specs_free(specs, count);
    return batch;
}
