/* Prints the layers of a config's network, without training and without its data. */
#include "cli/cli_private.h"

static bool print_network(const struct experiment *experiment, struct backend *backend, struct status *status)
{
    struct network *network;
    if (!cli_build_network(&network, experiment, backend, 1, status)) return false;
    network_print_summary(network, stdout);
    experiment_print_extras(experiment, stdout);
    network_destroy(network);
    return true;
}

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    struct experiment experiment;
    if (!experiment_load(&experiment, arguments->words[0], arguments->overrides, arguments->override_count, status))
        return false;
    struct backend_options options = {.device = DEVICE_CPU, .precision = PRECISION_FP32, .threads = 1};
    struct backend *backend;
    bool good = backend_create(&backend, &options, status);
    if (good) {
        good = print_network(&experiment, backend, status);
        backend_destroy(backend);
    }
    experiment_free(&experiment);
    return good;
}

static const struct cli_operand operands[] = {CLI_OPERAND_CONFIG, {0}};
static const struct cli_option options[] = {
    CLI_OPTION_SET,
    {0},
};
static const struct cli_example examples[] = {
    {"trainer summary configs/convnet.ini", "The layers of the ConvNet."},
    {0},
};

const struct cli_command cli_summary = {
    .name = "summary",
    .summary = "Print the layers of the network that CONFIG describes.",
    .description =
        "A table: output shape, parameters, multiplications and additions per image of each layer. Neither trains nor "
        "needs the data.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
