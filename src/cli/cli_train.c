#include <stdlib.h>
#include <string.h>

#include "cli/cli_private.h"
#include "trainer/experiment.h"
#include "trainer/memory.h"
#include "trainer/train.h"

static const char *const progress_choices[] = {"bar", "plain", "none", NULL}; /* in the order of enum progress_mode */

static enum progress_mode progress_mode(const struct cli_arguments *arguments)
{
    if (arguments->plain) return PROGRESS_PLAIN;
    for (int i = 0; arguments->progress && progress_choices[i]; i++)
        if (strcmp(arguments->progress, progress_choices[i]) == 0) return (enum progress_mode)i;
    return PROGRESS_BAR;
}

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    struct experiment experiment;
    if (!experiment_load(&experiment, arguments->words[0], arguments->overrides, arguments->override_count, status))
        return false;
    char *folder = arguments->folder ? memory_copy_string(arguments->folder)
                                     : memory_format("runs/%s", experiment.experiment.name);
    struct run_output output = {stdout, progress_mode(arguments)};
    bool good = train_run(&experiment, folder, arguments->quiet ? NULL : &output, NULL, status);
    free(folder);
    experiment_free(&experiment);
    return good;
}

static const struct cli_operand operands[] = {CLI_OPERAND_CONFIG, {0}};
static const struct cli_option options[] = {
    CLI_OPTION_SET,
    {.name = "out",
     .letter = 'o',
     .kind = CLI_FOLDER,
     .argument = "FOLDER",
     .help = "Write to FOLDER instead of runs/<experiment.name>.",
     .expected = "a folder",
     CLI_FIELD(folder)},
    CLI_OPTION_QUIET,
    {.name = "progress",
     .kind = CLI_CHOICE,
     .argument = "bar|plain|none",
     .help = "bar: a line that is rewritten, where the output is a terminal; plain: a line per evaluation, without "
             "colours; "
             "none: only what comes before and after training. Default: bar.",
     .choices = progress_choices,
     CLI_FIELD(progress)},
    {.name = "plain", .help = "The same as --progress=plain.", CLI_FIELD(plain)},
    {0},
};
static const struct cli_example examples[] = {
    {"trainer configs/quickstart.ini", "Train a small ConvNet on Fashion-MNIST into runs/quickstart."},
    {"trainer configs/quickstart.ini --set optimizer.learning_rate=3e-3 --out runs/faster",
     "The same with another learning rate, into another folder."},
    {0},
};

const struct cli_command cli_train = {
    .name = "train",
    .name_optional = true,
    .summary = "Train the network that CONFIG describes; write metrics.csv, resolved.ini and pictures of the curves.",
    .description = "Checks CONFIG, loads its data, prints the layers, trains, and every train.eval_freq steps "
                   "evaluates on the entire "
                   "train and test sets. The run's folder gets metrics.csv (a row per evaluation), resolved.ini (every "
                   "key with the "
                   "value that counted; a config that repeats the run) and the curves as pictures. The same config and "
                   "seed give the "
                   "same losses to the last bit, at any number of threads.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
