/* Measures a config's speed, on noise of its data's format. */
#include "bench/bench.h"
#include "cli/cli_private.h"
#include "util/file_atomic.h"

enum { DEFAULT_STEPS = 30, MOST_STEPS = 1000000 };

struct figures {
    const struct bench_result *result;
    const struct experiment *experiment;
};

static void write_figures(const void *argument, FILE *file)
{
    const struct figures *figures = argument;
    bench_write(figures->result, figures->experiment, file);
}

static bool measure(const struct experiment *experiment, const struct cli_arguments *arguments, struct status *status)
{
    int steps = arguments->steps > 0 ? (int)arguments->steps : DEFAULT_STEPS;
    const char *path = arguments->folder;
    struct dataset_description format;
    struct bench_result result;
    if (!cli_image_format(&format, experiment, status)) return false;
    struct shape image = {1, format.channels, format.height, format.width};
    if (!bench_run(&result, experiment, image, format.classes, steps, arguments->ops, status)) return false;
    printf("%s, batches of %lld images\n", experiment->experiment.name, (long long)experiment->train.batch_size);
    bench_print(&result, stdout);
    struct figures figures = {&result, experiment};
    bool good = !path || file_atomic_print(path, write_figures, &figures, status);
    bench_free(&result);
    return good;
}

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    struct experiment experiment;
    if (!experiment_load(&experiment, arguments->words[0], arguments->overrides, arguments->override_count, status))
        return false;
    bool good = measure(&experiment, arguments, status);
    experiment_free(&experiment);
    return good;
}

static const struct cli_operand operands[] = {CLI_OPERAND_CONFIG, {0}};
static const struct cli_option options[] = {
    CLI_OPTION_SET,
    {.name = "steps",
     .letter = 'n',
     .kind = CLI_NUMBER,
     .argument = "N",
     .help = "Measure N training steps; default: 30.",
     .low = 1,
     .high = MOST_STEPS,
     CLI_FIELD(steps)},
    {.name = "ops",
     .help = "Also measure each operation of a training step alone, and how many bytes a second it moves at least.",
     CLI_FIELD(ops)},
    {.name = "out",
     .letter = 'o',
     .kind = CLI_FILE,
     .argument = "FILE",
     .help = "Also write the figures and every key of the config to FILE, as INI.",
     .expected = "a file",
     CLI_FIELD(folder)},
    {0},
};
static const struct cli_example examples[] = {
    {"trainer bench configs/convnet.ini --set backend.threads=1", "Measure on one thread."},
    {0},
};

const struct cli_command cli_bench = {
    .name = "bench",
    .summary = "Measure how fast CONFIG trains and evaluates here, layer by layer.",
    .description = "Uses noise in the shape of the data's images, so the data need not be there.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
