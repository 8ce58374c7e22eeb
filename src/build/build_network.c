/* Makes the network that an experiment describes. */
#include "trainer/build.h"

struct layer_spec *specs_from_experiment(const struct experiment *experiment, struct dataset_description format,
                                         struct shape *input, int *count)
{
    *input = model_input_shape(experiment, format.channels, format.height, format.width);
    return model_specs(experiment, *input, format.classes, count);
}

bool network_from_experiment(struct network **network, const struct experiment *experiment,
                             struct dataset_description format, struct backend *backend, int64_t batch,
                             struct status *status)
{
    struct shape input;
    int count;
    struct layer_spec *specs = specs_from_experiment(experiment, format, &input, &count);
    input.n = batch;
    bool built = network_build(network, backend, specs, count, experiment->model.loss, input,
                               (uint64_t)experiment->experiment.seed, status);
    model_specs_free(specs, count);
    if (built) (*network)->label_smoothing = experiment->train.label_smoothing;
    return built;
}
