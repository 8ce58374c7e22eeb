/* Runs that are named on the command line: by their folder, or by their metrics.csv. */
#ifndef CLI_RUNS_H
#define CLI_RUNS_H

#include "trainer/metrics.h"
#include "trainer/status.h"

struct cli_source {
    char *folder, *csv;
    char *label; /* tells the runs apart: the folder's name, or the word as it was given */
    struct metrics_row *rows;
    int row_count; /* at least 1 */
};

/* Finds and reads every run, into a new array of `count`; NULL where one of them cannot be. */
struct cli_source *cli_sources_read(char **words, int count, struct status *status);
void cli_sources_free(struct cli_source *sources, int count);

/* The operand of subcommands that take runs. */
#define CLI_OPERAND_RUNS                                                                                               \
    {                                                                                                                  \
        .name = "RUN", .help = "The folder of a run, or its metrics.csv.",                                             \
        .expected = "the folder of a run, or its metrics.csv", .kind = CLI_RUN, .repeated = true                       \
    }

#endif
