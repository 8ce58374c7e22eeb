/* Runs the trials of a sweep. */
#include <stdlib.h>

#include "cli/cli_private.h"
#include "sweep/sweep.h"
#include "sweep/sweep_keys.h"
#include "sweep/sweep_shard.h"
#include "util/launcher.h"
#include "util/streams.h"

/* The shard of --shard, or else that of a launcher which started several processes; zeros: the whole sweep. */
static bool choose_shard(const struct cli_arguments *arguments, struct sweep_shard *shard, struct status *status)
{
    struct launcher launcher;
    *shard = (struct sweep_shard){0, 0};
    if (arguments->shard) return sweep_shard_parse(arguments->shard, shard, status);
    if (!launcher_read(&launcher)) return true;
    *shard = (struct sweep_shard){launcher.rank, launcher.size};
    if (arguments->quiet) return true;
    printf("shard %d/%d, by %s and %s\n", shard->index, shard->count, launcher.rank_name, launcher.size_name);
    streams_flush(stdout);
    return true;
}

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    struct sweep sweep;
    struct sweep_shard shard;
    struct run_output output;
    if (!choose_shard(arguments, &shard, status)) return false;
    if (!sweep_load(&sweep, arguments->words[0], arguments->overrides, arguments->override_count, status)) return false;
    char *folder = cli_run_folder(arguments, &sweep.base, sweep.name);
    streams_outlive_readers();
    bool good = sweep_run(&sweep, folder, &shard, cli_run_output(arguments, &output), status);
    free(folder);
    sweep_free(&sweep);
    return good;
}

static char *list_keys(void)
{
    return experiment_keys_list_resume(sweep_keys, SWEEP_KEY_COUNT);
}

static const struct cli_operand operands[] = {CLI_OPERAND_CONFIG, {0}};
static const struct cli_option options[] = {
    CLI_OPTION_SET,
    {.name = "out",
     .letter = 'o',
     .kind = CLI_FOLDER,
     .argument = "FOLDER",
     .help = "Write to FOLDER instead of runs/<experiment.name>, or go on there.",
     .expected = "a folder",
     CLI_FIELD(folder)},
    {.name = "shard",
     .kind = CLI_TEXT,
     .argument = "K/N",
     .help = "Run only part K of N, from 0/N to N-1/N, beside the other parts on machines that share FOLDER. The same "
             "command without --shard then runs what is missing and ranks all. Started by mpirun or srun as one of "
             "several processes, K/N is taken from them.",
     .expected = "K/N, such as 0/16",
     CLI_FIELD(shard)},
    CLI_OPTION_QUIET,
    CLI_OPTION_PROGRESS("trial"),
    CLI_OPTION_PLAIN,
    {0},
};
static const struct cli_example examples[] = {
    {"trainer sweep configs/sweep_mlp.ini --set sweep.limit=20", "Run the first 20 trials."},
    {"trainer sweep configs/sweep_mlp.ini --shard "
     "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT",
     "In a script for sbatch --array=0-15: run a sixteenth of the trials in each job."},
    {0},
};

const struct cli_command cli_sweep = {
    .name = "sweep",
    .ranks = true,
    .summary = "Train every combination of the values in CONFIG's [sweep] section and rank them.",
    .description =
        "Trials run side by side. Results go to results.csv in the folder as they come; a search that was stopped, "
        "however it was stopped, goes on where it was when the same command is given again. best.safetensors there has "
        "the weights of the best trial, for eval, predict and export. trainer-config(5) "
        "describes the section [sweep]. A search with results may go on with another experiment.name, and with other "
        "values of these keys:",
    .describe_rest = list_keys,
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
