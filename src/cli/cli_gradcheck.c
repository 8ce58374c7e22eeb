/* Checks every derivative of a config's network against finite differences, in double precision. */
#include <inttypes.h>

#include "build/build.h"
#include "cli/cli_private.h"
#include "nn/gradcheck.h"
#include "util/streams.h"

struct totals {
    int checks, failures;
    int name_width; /* width of the table's first column */
};

static void print_result(void *argument, const struct gradcheck_result *result)
{
    struct totals *totals = argument;
    printf("%-*s  %-8s  %6" PRId64 "  %14.2e  %7.0e  %s\n", totals->name_width, result->layer, result->tensor,
           result->values, result->error, result->bound, result->passed ? "pass" : "FAIL");
    streams_flush(stdout);
    totals->checks++;
    totals->failures += !result->passed;
}

static bool check_network(const struct experiment *experiment, struct backend *backend, struct status *status)
{
    struct network *network;
    struct dataset_description format;
    if (!cli_image_format(&format, experiment, status)) return false;
    if (!cli_build_network(&network, experiment, format, backend, GRADCHECK_BATCH, status)) return false;
    if (!gradcheck_check_support(network, status)) {
        network_destroy(network);
        return false;
    }
    struct totals totals = {.name_width = network_name_width(network)};
    printf("%-*s  %-8s  %6s  %14s  %7s  %s\n", totals.name_width, "layer", "tensor", "values", "relative error",
           "bound", "result");
    gradcheck_network(network, (uint64_t)experiment->experiment.seed, print_result, &totals);
    network_destroy(network);
    if (totals.failures > 0)
        return status_fail(status, STATUS_RUNTIME, "%d of %d gradient checks failed", totals.failures, totals.checks);
    printf("\nall %d gradient checks passed\n", totals.checks);
    return true;
}

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    struct experiment experiment;
    if (!experiment_load(&experiment, arguments->words[0], arguments->overrides, arguments->override_count, status))
        return false;
    experiment.backend.precision = PRECISION_FP64; /* finite differences need it */
    if (experiment.backend.device != DEVICE_REFERENCE) experiment.backend.device = DEVICE_CPU;
    struct backend *backend;
    bool good = backend_from_experiment(&backend, &experiment, status);
    if (good) {
        good = check_network(&experiment, backend, status);
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
    {"trainer gradcheck configs/quickstart.ini", "Check a small ConvNet."},
    {0},
};

const struct cli_command cli_gradcheck = {
    .name = "gradcheck",
    .summary = "Check every derivative of CONFIG's network against finite differences, in double precision.",
    .description = "Derivatives by each parameter and each input are compared with central differences on a random "
                   "batch. A layer whose relative error is beyond its bound fails the command. The error of the "
                   "differences themselves is estimated, so that a derivative which is nearly zero is not taken for a "
                   "wrong one.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
