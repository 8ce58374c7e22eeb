/* Trains the network of a config, in a new run or in one that goes on. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli_private.h"
#include "comm/comm.h"
#include "config/experiment.h"
#include "train/train.h"
#include "util/memory.h"
#include "util/streams.h"

const char *const cli_progress_choices[] = {PROGRESS_CHOICES(CHOICE_NAME) NULL};

/* Open MPI gives its processes a terminal of its own, also where the launcher's output is a file, so the bar is shown there
 * only where it is asked for. */
static enum progress_mode progress_mode(const struct cli_arguments *arguments)
{
    if (arguments->plain) return PROGRESS_PLAIN;
    for (int i = 0; arguments->progress && cli_progress_choices[i]; i++)
        if (strcmp(arguments->progress, cli_progress_choices[i]) == 0) return (enum progress_mode)i;
    return getenv("OMPI_COMM_WORLD_SIZE") ? PROGRESS_PLAIN : PROGRESS_BAR;
}

const struct run_output *cli_run_output(const struct cli_arguments *arguments, struct run_output *output)
{
    *output = (struct run_output){stdout, progress_mode(arguments)};
    return arguments->quiet ? NULL : output;
}

static bool train(const struct cli_arguments *arguments, cli_load *load, enum train_start start, struct comm *comm,
                  struct status *status)
{
    struct run_output output;
    struct experiment experiment;
    bool loaded = comm && comm->rank > 0 ? true : load(&experiment, arguments, status);
    if (comm) loaded = ranks_share_experiment(comm, loaded, &experiment, status);
    if (!loaded) return false;
    char *folder = start == TRAIN_CONTINUE ? memory_copy_string(arguments->words[0])
                                           : cli_run_folder(arguments, &experiment, experiment.experiment.name);
    streams_outlive_readers();
    bool good = train_run(&experiment, folder, start, comm, cli_run_output(arguments, &output), NULL, status);
    free(folder);
    experiment_free(&experiment);
    return good;
}

bool cli_train_run(const struct cli_arguments *arguments, cli_load *load, enum train_start start, struct status *status)
{
    struct comm *comm;
    if (!cli_join_ranks(&comm, status)) return false;
    bool good = train(arguments, load, start, comm, status);
    cli_leave_ranks(comm, good, status);
    return good;
}

/* Loads the config; --init-from is one more setting of a key. */
static bool load(struct experiment *experiment, const struct cli_arguments *arguments, struct status *status)
{
    if (arguments->resume && arguments->overwrite)
        return status_fail(status, STATUS_USAGE, "--resume and --overwrite: expected one of them");
    int count = arguments->override_count;
    struct experiment_override *overrides = memory_alloc((size_t)count + 1, sizeof *overrides);
    for (int i = 0; i < count; i++) overrides[i] = arguments->overrides[i];
    if (arguments->init_from)
        overrides[count++] =
            (struct experiment_override){.section = "model", .key = "init_from", .value = arguments->init_from};
    bool good = experiment_load(experiment, arguments->words[0], overrides, count, status);
    free(overrides);
    return good;
}

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    enum train_start start = arguments->resume ? TRAIN_RESUME : arguments->overwrite ? TRAIN_OVERWRITE : TRAIN_NEW;
    return cli_train_run(arguments, load, start, status);
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
    {.name = "init-from",
     .kind = CLI_RUN,
     .argument = "RUN",
     .help = "Start from the weights of this run, or of a file of weights: sets model.init_from.",
     .expected = "the folder of a run",
     CLI_FIELD(init_from)},
    {.name = "resume",
     .help = "Go on with the run that the folder holds, from its last checkpoint; where it holds none, start one.",
     CLI_FIELD(resume)},
    {.name = "overwrite", .help = "Remove the run that the folder holds, and start anew.", CLI_FIELD(overwrite)},
    CLI_OPTION_QUIET,
    CLI_OPTION_PROGRESS("evaluation"),
    CLI_OPTION_PLAIN,
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
    .ranks = true,
    .summary = "Train the network that CONFIG describes; write metrics.csv, resolved.ini and pictures of the curves.",
    .description =
        "Checks CONFIG, loads its data, prints the layers, trains, and every train.eval_freq steps evaluates on the "
        "entire training, validation and test sets, as far as there are such. The run's folder gets metrics.csv (a row per evaluation), resolved.ini (every key "
        "with the value that counted; a config that repeats the run) and the curves as pictures. The same config and "
        "seed give the same losses to the last bit, at any number of threads.\n\n"
        "Every checkpoint.freq steps, and at the end, all that the run needs to go on is saved in the folder's "
        "checkpoints/. The first Ctrl-C or SIGTERM finishes the step, saves and exits with code 3; the second exits at "
        "once. A folder that holds a run already is not touched without --resume or --overwrite.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
