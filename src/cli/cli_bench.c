/* Measures a config's speed, on noise of its data's format. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli_private.h"
#include "trainer/bench.h"

enum { DEFAULT_STEPS = 30, MOST_STEPS = 1000000 };

static bool parse_steps(int *steps, const char *text, struct status *status)
{
    *steps = DEFAULT_STEPS;
    if (!text) return true;
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < 1 || value > MOST_STEPS)
        return status_fail(status, STATUS_USAGE, "--steps: expected 1 to %d, found \"%s\"", MOST_STEPS, text);
    *steps = (int)value;
    return true;
}

static bool write_file(const char *path, const struct bench_result *result, const struct experiment *experiment,
                       struct status *status)
{
    FILE *file = fopen(path, "w");
    bool written = file != NULL;
    if (file) {
        bench_write(result, experiment, file);
        written = fflush(file) == 0 && !ferror(file);
        int cause = errno;
        if (fclose(file) != 0 && written) written = false, cause = errno;
        errno = cause;
    }
    return written || status_fail(status, STATUS_RUNTIME, "%s: cannot write: %s", path, strerror(errno));
}

static bool measure(const struct experiment *experiment, int steps, const char *path, struct status *status)
{
    struct cli_image_format format = cli_image_format(experiment);
    struct shape image = {1, format.channels, format.height, format.width};
    struct bench_result result;
    if (!bench_run(&result, experiment, image, format.classes, steps, status)) return false;
    printf("%s, batches of %lld images\n", experiment->experiment.name, (long long)experiment->train.batch_size);
    bench_print(&result, stdout);
    bool good = !path || write_file(path, &result, experiment, status);
    bench_free(&result);
    return good;
}

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    struct experiment experiment;
    int steps;
    if (!parse_steps(&steps, arguments->steps, status)) return false;
    if (!experiment_load(&experiment, arguments->words[0], arguments->overrides, arguments->override_count, status))
        return false;
    bool good = measure(&experiment, steps, arguments->folder, status);
    experiment_free(&experiment);
    return good;
}

const struct cli_command cli_bench = {
    .name = "bench",
    .usage = "bench CONFIG [--set SECTION.KEY=VALUE]... [--steps N] [--out FILE]",
    .summary = "Measure how fast CONFIG trains and evaluates here, layer by layer.",
    .options = "s:n:o:",
    .out_help = "FILE                also write the figures and every key of the config to FILE, as INI",
    .fewest_words = 1,
    .most_words = 1,
    .run = run,
};
