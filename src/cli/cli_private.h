/* What the files of src/cli share: a table with a row per subcommand, and the arguments that they get. */
#ifndef TRAINER_CLI_PRIVATE_H
#define TRAINER_CLI_PRIVATE_H

#include <stdbool.h>
#include <stdio.h>

#include "trainer/experiment.h"
#include "trainer/network.h"
#include "trainer/status.h"

struct cli_arguments {
    char **words; /* what is not an option: the config; borrowed from argv */
    int word_count;
    const char **overrides; /* of --set; owned */
    int override_count;
    const char *folder; /* of --out, or NULL; where the subcommand writes no folder: what its files begin with */
    const char *steps;  /* of --steps, or NULL */
    bool quiet, help, version;
};

struct cli_command {
    const char *name;
    const char *usage;      /* what follows "trainer " */
    const char *summary;    /* one line */
    const char *options;    /* letters as in getopt, for the options beside --help and --version */
    const char *words_help; /* what its first word should be, for an error; NULL: a config file */
    const char *out_help;   /* "--out FOLDER" and what it does, where it has that option */
    int fewest_words, most_words;
    bool (*run)(const struct cli_arguments *arguments, struct status *status);
};

extern const struct cli_command cli_train, cli_sweep, cli_plot, cli_summary, cli_gradcheck, cli_bench, cli_keys, cli_help;

/* The subcommands, ended by NULL. */
extern const struct cli_command *const cli_commands[];

/* NULL where there is none of that name. */
const struct cli_command *cli_find_command(const char *name);

/* status_fail with the nearest subcommand to `name`. */
bool cli_fail_unknown_command(const char *name, struct status *status);

/* Help: of a subcommand, or of the program (NULL). */
void cli_print_help(const struct cli_command *command, FILE *out);

/* Sorts the arguments after the subcommand's name into `arguments`; free arguments->overrides afterwards in any case.
 */
bool cli_parse(struct cli_arguments *arguments, const struct cli_command *command, int argc, char **argv,
               struct status *status);

struct cli_image_format {
    int64_t channels, height, width, classes;
};

/* What the images of a config's data look like; where the files of an idx set are missing, as MNIST's, after saying so. */
struct cli_image_format cli_image_format(const struct experiment *experiment);

/* The network of a config for batches of up to `batch` samples, after a line on standard output that names the
 * experiment and its images. The data need not be there. Destroy with network_destroy. */
bool cli_build_network(struct network **network, const struct experiment *experiment, struct backend *backend,
                       int64_t batch, struct status *status);

#endif
