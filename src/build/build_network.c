/* Makes the network that an experiment describes. */
#include "build/build.h"

#include <stdio.h>
#include <string.h>

#include "nn/model.h"
#include "nn/parameter_group.h"

/* Writes the beginning of an error about an entry of a key's value, "file:line: section.key: entry". */
static void write_place(const void *context, const char *key, const char *entry, char *text, size_t size)
{
    struct status place;
    experiment_fail(context, key, &place, "%s", entry);
    snprintf(text, size, "%s", place.message);
}

struct layer_spec *specs_from_experiment(const struct experiment *experiment, struct dataset_description format,
                                         struct shape *input, int *count)
{
    const struct model_places places = {write_place, experiment};
    *input = model_input_shape(experiment->model.kind, format.channels, format.height, format.width);
    return model_specs(&experiment->model, *input, format.classes, &places, count);
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

bool network_tune_from_experiment(struct network *network, const struct experiment *experiment, struct status *status)
{
    const struct {
        const char *key, *value;
        bool (*apply)(struct network *, const char *, struct status *);
    } parts[] = {{"model.freeze", experiment->model.freeze, network_freeze},
                 {"optimizer.rates", experiment->optimizer.rates, network_set_rates},
                 {"optimizer.decays", experiment->optimizer.decays, network_set_decays}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct status problem;
        if (strcmp(parts[i].value, "none") == 0) continue;
        if (!parts[i].apply(network, parts[i].value, &problem))
            return experiment_fail(experiment, parts[i].key, status, "%s", problem.message);
    }
    return true;
}
