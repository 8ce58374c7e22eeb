/* The network of a config on a backend, without needing its data. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/cli_private.h"
#include "trainer/dataset.h"

static bool idx_format(struct cli_image_format *format, const struct experiment *experiment, struct status *status)
{
    struct dataset dataset = {0};
    if (!idx_load(&dataset, experiment->data.path, status)) return false;
    *format = (struct cli_image_format){dataset.channels, dataset.height, dataset.width, dataset.classes};
    dataset_free(&dataset);
    return true;
}

bool cli_image_format_find(struct cli_image_format *format, const struct experiment *experiment, struct status *status)
{
    *format = (struct cli_image_format){3, 32, 32, 10};
    if (experiment->data.dataset == DATASET_IDX) return idx_format(format, experiment, status);
    if (experiment->data.dataset == DATASET_SYNTHETIC)
        *format = (struct cli_image_format){experiment->data.synthetic_channels, experiment->data.synthetic_size,
                                            experiment->data.synthetic_size, experiment->data.synthetic_classes};
    return true;
}

struct cli_image_format cli_image_format(const struct experiment *experiment)
{
    struct cli_image_format format;
    struct status status;
    if (cli_image_format_find(&format, experiment, &status)) return format;
    printf("%s\nAssuming images of 1x28x28 and 10 classes.\n\n", status.message);
    return (struct cli_image_format){1, 28, 28, 10};
}

bool cli_network_create(struct network **network, const struct experiment *experiment, struct cli_image_format format,
                        struct backend *backend, int64_t batch, struct status *status)
{
    struct shape input = model_input_shape(experiment, format.channels, format.height, format.width);
    int count;
    struct layer_spec *specs = model_specs(experiment, input, format.classes, &count);
    input.n = batch;
    bool good = network_build(network, backend, specs, count, experiment->model.loss, input,
                              (uint64_t)experiment->experiment.seed, status);
    model_specs_free(specs, count);
    if (!good) return false;
    (*network)->label_smoothing = experiment->train.label_smoothing;
    return true;
}

bool cli_build_network(struct network **network, const struct experiment *experiment, struct backend *backend,
                       int64_t batch, struct status *status)
{
    struct cli_image_format format = cli_image_format(experiment);
    if (!cli_network_create(network, experiment, format, backend, batch, status)) return false;
    printf("%s: images of %" PRId64 "x%" PRId64 "x%" PRId64 ", %" PRId64 " classes\n\n", experiment->experiment.name,
           format.channels, format.height, format.width, format.classes);
    return true;
}
