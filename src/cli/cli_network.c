/* Builds the network of a config on a backend, with or without the config's data. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/cli_private.h"
#include "train/class_weights.h"
#include "trainer/dataset.h"

/* Gives the format of images whose files are missing: the one of the best known data set in that file format, with the
 * number of classes that the config sets. */
static bool assumed_format(struct cli_image_format *format, const struct experiment *experiment, struct status *status)
{
    int64_t classes;
    if (!dataset_classes_said(experiment, &classes, status)) return false;
    bool colour = experiment->data.dataset == DATASET_CIFAR10;
    *format = colour ? (struct cli_image_format){3, 32, 32, 10} : (struct cli_image_format){1, 28, 28, 10};
    if (classes > 0) format->classes = classes;
    return true;
}

bool cli_image_format_find(struct cli_image_format *format, const struct experiment *experiment, struct status *status)
{
    struct dataset dataset;
    bool known = experiment->data.dataset == DATASET_CIFAR10 && access(experiment->data.path, F_OK) != 0;
    if (experiment->data.dataset == DATASET_SYNTHETIC) {
        *format = (struct cli_image_format){experiment->data.synthetic_channels, experiment->data.synthetic_size,
                                            experiment->data.synthetic_size, experiment->data.synthetic_classes};
        return true;
    }
    if (known) return assumed_format(format, experiment, status);
    if (!dataset_load_files(&dataset, experiment, status)) return false;
    *format = (struct cli_image_format){dataset.channels, dataset.height, dataset.width, dataset.classes};
    dataset_free(&dataset);
    return true;
}

bool cli_image_format(struct cli_image_format *format, const struct experiment *experiment, struct status *status)
{
    struct status problem;
    if (cli_image_format_find(format, experiment, &problem)) return true;
    if (problem.code == STATUS_USAGE) {
        *status = problem;
        return false;
    }
    if (!assumed_format(format, experiment, status)) return false;
    printf("%s\nAssuming images of %" PRId64 "x%" PRId64 "x%" PRId64 " and %" PRId64 " classes.\n\n", problem.message,
           format->channels, format->height, format->width, format->classes);
    return true;
}

bool cli_network_create(struct network **network, const struct experiment *experiment, struct cli_image_format format,
                        struct backend *backend, int64_t batch, struct status *status)
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
    struct cli_image_format format;
    if (!cli_image_format(&format, experiment, status)) return false;
    if (!cli_network_create(network, experiment, format, backend, batch, status)) return false;
    printf("%s: images of %" PRId64 "x%" PRId64 "x%" PRId64 ", %" PRId64 " classes\n\n", experiment->experiment.name,
           format.channels, format.height, format.width, format.classes);
    return true;
}
