/* Writes configs: the defaults with each key's meaning, or a config with the defaults that it leaves out. */
#include "cli/cli_private.h"
#include "sweep/sweep.h"

static bool print_resolved(const struct cli_arguments *arguments, struct status *status)
{
    struct experiment experiment;
    if (!experiment_load(&experiment, arguments->words[0], arguments->overrides, arguments->override_count, status))
        return false;
    experiment_write(&experiment, stdout);
    experiment_free(&experiment);
    return true;
}

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    bool named = arguments->word_count > 0;
    if (named && arguments->defaults)
        return status_fail(status, STATUS_USAGE, "--defaults: expected no config, found \"%s\"", arguments->words[0]);
    if (named) return print_resolved(arguments, status);
    if (!arguments->defaults) return status_fail(status, STATUS_USAGE, "expected a config file, or --defaults");
    const struct experiment_override *set = arguments->overrides;
    if (arguments->override_count > 0)
        return status_fail(status, STATUS_USAGE, "--set %s.%s: expected a config file for it", set->section, set->key);
    experiment_print_defaults(stdout);
    putchar('\n');
    sweep_print_defaults(stdout);
    return true;
}

static const struct cli_operand operands[] = {
    {.name = "CONFIG", .help = "A config file to check and write out.", .kind = CLI_CONFIG, .optional = true},
    {0},
};
static const struct cli_option options[] = {
    {.name = "defaults",
     .letter = 'd',
     .help = "Write every key with its default, its meaning and what it takes.",
     CLI_FIELD(defaults)},
    CLI_OPTION_SET,
    {0},
};
static const struct cli_example examples[] = {
    {"trainer config --defaults > mine.ini", "A config to start from: every key, with its meaning beside it."},
    {"trainer config configs/mlp.ini --set train.max_steps=10", "What this would train."},
    {0},
};

const struct cli_command cli_config = {
    .name = "config",
    .summary = "Write a config with every key: that of CONFIG as it counts, or the defaults.",
    .description = "The output is a config itself, and reads back to the same experiment.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
