/* Builds the network of a config on a backend, with or without the config's data. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/cli_private.h"
#include "train/class_weights.h"
#include "trainer/dataset.h"

bool cli_image_format_find(struct dataset_description *format, const struct experiment *experiment,
                           struct status *missing, struct status *status)
{
    struct status needed;
    *missing = (struct status){0};
    if (dataset_describe(format, experiment, status)) return true;
    if (status->code == STATUS_USAGE) return false;
    *missing = *status;
    *status = (struct status){0};
    if (dataset_assume(format, experiment, &needed)) return true;
    return status_fail(status, missing->code, "%s; to go on without the data: %s", missing->message, needed.message);
}

bool cli_image_format(struct dataset_description *format, const struct experiment *experiment, struct status *status)
{
    struct status missing;
    if (!cli_image_format_find(format, experiment, &missing, status)) return false;
    if (missing.code != STATUS_OK)
        printf("%s\nAssuming images of %" PRId64 "x%" PRId64 "x%" PRId64 " and %" PRId64 " classes.\n\n",
               missing.message, format->channels, format->height, format->width, format->classes);
    return true;
}

bool cli_network_create(struct network **network, const struct experiment *experiment,
                        struct dataset_description format, struct backend *backend, int64_t batch,
                        struct status *status)
{
    struct shape input = model_input_shape(experiment, format.channels, format.height, format.width);
    int count;
    if (!class_weights_check_list(experiment, format.classes, status)) return false;
    struct layer_spec *specs = model_specs(experiment, input, format.classes, &count);
    input.n = batch;
    bool good = network_build(network, backend, specs, count, experiment->model.loss, input,
                              (uint64_t)experiment->experiment.seed, status);
    model_specs_free(specs, count);
    if (!good) return false;
    (*network)->label_smoothing = experiment->train.label_smoothing;
    if (experiment->train.class_weights.kind == CLASS_WEIGHTS_LISTED)
        network_set_class_weights(*network, experiment->train.class_weights.value);
    return true;
}

bool cli_build_network(struct network **network, const struct experiment *experiment, struct backend *backend,
                       int64_t batch, struct status *status)
{
    struct dataset_description format;
    if (!cli_image_format(&format, experiment, status)) return false;
    if (!cli_network_create(network, experiment, format, backend, batch, status)) return false;
    printf("%s: images of %" PRId64 "x%" PRId64 "x%" PRId64 ", %" PRId64 " classes\n\n", experiment->experiment.name,
           format.channels, format.height, format.width, format.classes);
    return true;
}
