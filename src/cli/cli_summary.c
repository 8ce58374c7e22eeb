/* Prints the layers of a config's network, or the operations of its programs, without training and without its data. */
#include "build/build.h"
#include "cli/cli_private.h"
#include "train/train_program.h"

static bool print_network(const struct experiment *experiment, struct backend *backend, struct status *status)
{
    struct network *network;
    struct dataset_description format;
    if (!cli_image_format(&format, experiment, status)) return false;
    if (!cli_build_network(&network, experiment, format, backend, 1, status)) return false;
    bool good = network_tune_from_experiment(network, experiment, status);
    if (good) {
        network_print_summary(network, stdout);
        experiment_print_extras(experiment, stdout);
    }
    network_destroy(network);
    return good;
}

static bool print_ops(const struct experiment *experiment, struct backend *backend, struct status *status)
{
    struct network *network;
    struct dataset_description format;
    if (!cli_image_format(&format, experiment, status)) return false;
    int64_t evaluated = evaluation_batch_from_experiment(experiment, format, backend);
    int64_t batch = experiment->train.batch_size;
    if (batch < evaluated) batch = evaluated;
    if (!cli_build_network(&network, experiment, format, backend, batch, status)) return false;
    bool good = network_tune_from_experiment(network, experiment, status);
    if (good) {
        printf("backend: %s\n\n", backend->description);
        train_program_print(experiment, network, evaluated, stdout);
    }
    network_destroy(network);
    return good;
}

/* The operations depend on what the config's device supports. The layers do not, and any device will do. */
static bool create_backend(struct backend **backend, const struct experiment *experiment, bool ops,
                           struct status *status)
{
    const struct backend_options options = {.device = DEVICE_CPU, .precision = PRECISION_FP32, .threads = 1};
    return ops ? backend_from_experiment_to_list(backend, experiment, status)
               : backend_create(backend, &options, status);
}

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    struct experiment experiment;
    if (!experiment_load(&experiment, arguments->words[0], arguments->overrides, arguments->override_count, status))
        return false;
    struct backend *backend;
    bool good = create_backend(&backend, &experiment, arguments->ops, status);
    if (good) {
        good = (arguments->ops ? print_ops : print_network)(&experiment, backend, status);
        backend_destroy(backend);
    }
    experiment_free(&experiment);
    return good;
}

static const struct cli_operand operands[] = {CLI_OPERAND_CONFIG, {0}};
static const struct cli_option options[] = {
    CLI_OPTION_SET,
    {.name = "ops",
     .help = "Print the operations of a training step and of an evaluation instead: what each reads and writes, its "
             "work, and which layers the device computes in one. For backend.device = cuda, which a program with CUDA "
             "lists without a GPU too, also how many kernels and calls of libraries each "
             "takes, the bytes that these move, and the stream on which it runs.",
     CLI_FIELD(ops)},
    {0},
};
static const struct cli_example examples[] = {
    {"trainer summary configs/convnet.ini", "The layers of the ConvNet."},
    {"trainer summary configs/convnet.ini --ops", "What a step of it computes."},
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
