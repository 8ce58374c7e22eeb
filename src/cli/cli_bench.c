/* Measures a config's speed, on synthetic images of its data's format. */
#include "cli/cli_private.h"
#include "trainer/bench.h"

enum { STEPS = 30 };

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    struct experiment experiment;
    if (!experiment_load(&experiment, arguments->words[0], arguments->overrides, arguments->override_count, status))
        return false;
    struct cli_image_format format = cli_image_format(&experiment);
    struct shape image = {1, format.channels, format.height, format.width};
    struct bench_result result;
    bool good = bench_run(&result, &experiment, image, format.classes, STEPS, status);
    if (good) {
        printf("%s, batches of %lld images\n", experiment.experiment.name, (long long)experiment.train.batch_size);
        bench_print(&result, stdout);
        bench_free(&result);
    }
    experiment_free(&experiment);
    return good;
}

const struct cli_command cli_bench = {
    .name = "bench",
    .usage = "bench CONFIG [--set SECTION.KEY=VALUE]...",
    .summary = "Measure how fast CONFIG trains and evaluates here, layer by layer.",
    .options = "s:",
    .fewest_words = 1,
    .most_words = 1,
    .run = run,
};
