/* Builds the network of a config on a backend, with or without the config's data. */
#include <inttypes.h>
#include <stdio.h>

#include "build/build.h"
#include "cli/cli_private.h"
#include "train/class_weights.h"

bool cli_image_format(struct dataset_description *format, const struct experiment *experiment, struct status *status)
{
    struct status missing;
    if (!description_from_experiment(format, experiment, &missing, status)) return false;
    if (missing.code != STATUS_OK)
        printf("%s\nAssuming images of %" PRId64 "x%" PRId64 "x%" PRId64 " and %" PRId64 " classes.\n\n",
               missing.message, format->channels, format->height, format->width, format->classes);
    return true;
}

bool cli_network_create(struct network **network, const struct experiment *experiment,
                        struct dataset_description format, struct backend *backend, int64_t batch,
                        struct status *status)
{
    if (!class_weights_check_list(experiment, format.classes, status) ||
        !network_from_experiment(network, experiment, format, backend, batch, status))
        return false;
    if (experiment->train.class_weights.kind == CLASS_WEIGHTS_LISTED)
        network_set_class_weights(*network, experiment->train.class_weights.value);
    return true;
}

bool cli_build_network(struct network **network, const struct experiment *experiment, struct dataset_description format,
                       struct backend *backend, int64_t batch, struct status *status)
{
    if (!cli_network_create(network, experiment, format, backend, batch, status)) return false;
    printf("%s: images of %" PRId64 "x%" PRId64 "x%" PRId64 ", %" PRId64 " classes\n\n", experiment->experiment.name,
           format.channels, format.height, format.width, format.classes);
    return true;
}
