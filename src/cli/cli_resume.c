/* Goes on with a run from its last checkpoint. */
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli_private.h"
#include "cli/cli_runs.h"
#include "config/experiment.h"
#include "config/experiment_keys.h"
#include "util/memory.h"

static bool load(struct experiment *experiment, const struct cli_arguments *arguments, struct status *status)
{
    const char *folder = arguments->words[0];
    char *config = memory_format("%s/resolved.ini", folder);
    bool good = access(config, F_OK) == 0 ||
                status_fail(status, STATUS_USAGE, "%s: holds no run: there is no %s", folder, config);
    free(config);
    return good && cli_run_experiment(experiment, folder, arguments->overrides, arguments->override_count, status);
}

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    return cli_train_run(arguments, load, TRAIN_CONTINUE, status);
}

static char *list_keys(void)
{
    return experiment_keys_list_resume(experiment_keys, experiment_key_count);
}

static const struct cli_operand operands[] = {
    {.name = "RUN",
     .help = "The folder of a run, for instance runs/quickstart.",
     .expected = "the folder of a run",
     .kind = CLI_RUN},
    {0},
};
static const struct cli_option options[] = {
    CLI_OPTION_SET, CLI_OPTION_QUIET, CLI_OPTION_PROGRESS("evaluation"), CLI_OPTION_PLAIN, {0}};
static const struct cli_example examples[] = {
    {"trainer resume runs/quickstart", "Go on with the run from its last checkpoint."},
    {"trainer resume runs/convnet --set train.max_steps=10000",
     "Train further than was meant: possible where the schedule is constant or step."},
    {0},
};

const struct cli_command cli_resume = {
    .name = "resume",
    .ranks = true,
    .summary = "Go on with a run that was stopped, from its last checkpoint.",
    .description =
        "The run ends with the weights and metrics, to the last bit, that it would have had without the stop. Its "
        "config is RUN/resolved.ini. A run that train.patience ended goes on where that is raised or 0. Keys that would "
        "make it another run are refused, and so is another data set: a checkpoint knows the images and labels by their "
        "SHA-256. These keys may have other values than before:",
    .describe_rest = list_keys,
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
