/* Runs that the command line names, by their folder or by their metrics.csv. */
#ifndef CLI_RUNS_H
#define CLI_RUNS_H

#include "config/experiment.h"
#include "metrics/metrics.h"
#include "util/status.h"

struct cli_source {
    char *folder, *csv;
    char *label; /* tells the runs apart: the folder's name, or the word as it was given */
    struct metrics_columns columns;
    struct metrics_row *rows;
    int row_count; /* at least 1 */
};

/* Finds and reads the runs that the words name, into a new array of *count. One of several words that names no good run
 * gives a line on the standard error and is left out. Returns NULL where no run is good; `status` then says why. A word
 * may name a pipe with the metrics of another machine's run. In a folder metrics.csv must be a regular file, as a run
 * writes it. Free with cli_sources_free. */
struct cli_source *cli_sources_read(char **words, int word_count, int *count, struct status *status);

/* Fails where some of the words named no good run. Call it when the work on the other runs is done. */
bool cli_sources_check(int count, int word_count, struct status *status);
void cli_sources_free(struct cli_source *sources, int count);

/* Loads the config of the run in a folder: its resolved.ini, a regular file. Free with experiment_free. */
bool cli_run_experiment(struct experiment *experiment, const char *folder, const struct experiment_override *overrides,
                        int override_count, struct status *status);

/* The row of an operand for subcommands that take runs. */
#define CLI_OPERAND_RUNS                                                                                               \
    {                                                                                                                  \
        .name = "RUN",                                                                                                 \
        .help = "The folder of a run, or its metrics.csv. Of several, one that cannot be read is told and left out; "  \
                "the exit code is then 1.",                                                                            \
        .expected = "the folder of a run, or its metrics.csv", .kind = CLI_RUN, .repeated = true                       \
    }

#endif
