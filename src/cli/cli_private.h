/* The parts that the files of src/cli share: a table with a row per subcommand, and the arguments that subcommands get.
 *
 * Everything about an argument stands once, in the tables of its subcommand: parsing and its errors (cli_parse.c), the
 * help (cli_help.c) and the pages about the command line follow from there. A new option is a row in the table of a
 * subcommand and a field in struct cli_arguments. */
#ifndef TRAINER_CLI_PRIVATE_H
#define TRAINER_CLI_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "comm/comm.h"
#include "config/experiment.h"
#include "nn/network.h"
#include "train/train.h"
#include "util/status.h"

struct cli_arguments {
    char **words; /* the arguments that are no options, such as the config; borrowed from argv */
    int word_count;
    struct experiment_override *overrides; /* values of --set; owned */
    int override_count;
    const char *folder;     /* --out, or NULL: a folder, or a file or the beginning of files' paths */
    const char *format;     /* --format, or NULL */
    const char *checkpoint; /* --checkpoint, or NULL */
    const char *image_set;  /* --on, or NULL */
    const char *table;      /* the file of --csv, or NULL */
    const char *progress;   /* --progress, or NULL */
    const char *check;      /* --check, or NULL */
    const char *init_from;  /* --init-from, or NULL */
    const char *names;      /* --names, or NULL */
    const char *from, *to;  /* --from and --to, or NULL */
    const char *views;      /* --views, or NULL */
    const char *shard;      /* --shard, or NULL */
    int64_t steps;          /* --steps, or 0 */
    int64_t top;            /* --top, or 0 */
    bool plain, no_evaluation, quiet, help, version, defaults, json, csv, invert, recursive, resume, overwrite, ops;
};

/* The kind of a word on the command line. It decides which words are refused at once and which a shell offers. */
enum cli_kind {
    CLI_FLAG,    /* an option without an argument; its field is a bool, that of most others a const char * */
    CLI_NUMBER,  /* an integer from `low` to `high`; its field is an int64_t */
    CLI_TEXT,    /* any text but the empty one */
    CLI_CHOICE,  /* one of `choices` */
    CLI_SETTING, /* section.key=value; may be repeated; goes to `overrides` */
    CLI_CONFIG,  /* a config file */
    CLI_RUN,     /* the folder of a run */
    CLI_FILE,
    CLI_FOLDER,
    CLI_COMMAND, /* a subcommand's name */
};

struct cli_option {
    const char *name; /* without the dashes */
    char letter;      /* the short form; 0: the option has none */
    enum cli_kind kind;
    const char *argument;       /* "FOLDER"; NULL for a CLI_FLAG */
    const char *help;           /* a sentence or two */
    const char *expected;       /* "a folder", for the error on an empty argument; NULL: the argument's name says it */
    const char *const *choices; /* CLI_CHOICE: ended by NULL */
    int64_t low, high;          /* CLI_NUMBER */
    size_t offset;              /* bytes before the field in struct cli_arguments */
};

#define CLI_FIELD(field) .offset = offsetof(struct cli_arguments, field)

/* Rows that several subcommands have. */
#define CLI_OPTION_SET                                                                                                 \
    {                                                                                                                  \
        .name = "set", .letter = 's', .kind = CLI_SETTING, .argument = "SECTION.KEY=VALUE",                            \
        .help = "Set a key of the config, whatever the file says; may be repeated."                                    \
    }
#define CLI_OPTION_QUIET                                                                                               \
    {                                                                                                                  \
        .name = "quiet", .letter = 'q', .help = "Print nothing but errors.", CLI_FIELD(quiet)                          \
    }

#define CLI_OPTION_JSON                                                                                                \
    {                                                                                                                  \
        .name = "json", .letter = 'j', .help = "Print JSON.", CLI_FIELD(json)                                          \
    }
#define CLI_OPTION_CHECKPOINT                                                                                          \
    {                                                                                                                  \
        .name = "checkpoint", .letter = 'c', .kind = CLI_FILE, .argument = "WHICH",                                    \
        .help = "best (the highest test accuracy), last, or a file. Default: best, or last where there is no best.",   \
        .expected = "best, last or a file", CLI_FIELD(checkpoint)                                                      \
    }
#define CLI_OPTION_VIEWS                                                                                               \
    {                                                                                                                  \
        .name = "views", .kind = CLI_CHOICE, .argument = "N",                                                          \
        .help = "Score each image by the mean of N views: 2, as it is and mirrored left to right; 6, both also moved " \
                "by a pixel up and left, and down and right, at half the weight. Default: 1.",                         \
        .choices = CHOICE_NAMES(VIEWS_CHOICES), CLI_FIELD(views)                                                       \
    }
/* `event` names the event that gets a line of its own. */
#define CLI_OPTION_PROGRESS(event)                                                                                     \
    {                                                                                                                  \
        .name = "progress", .kind = CLI_CHOICE, .argument = "bar|plain|none",                                          \
        .help = "bar: a line that is rewritten, where the output is a terminal; plain: a line per " event              \
                ", without colours; none: only what comes before and after training. Default: bar.",                   \
        .choices = cli_progress_choices, CLI_FIELD(progress)                                                           \
    }
#define CLI_OPTION_PLAIN                                                                                               \
    {                                                                                                                  \
        .name = "plain", .help = "The same as --progress=plain.", CLI_FIELD(plain)                                     \
    }

struct cli_operand {
    const char *name;     /* "CONFIG" */
    const char *help;     /* a sentence or two */
    const char *expected; /* "a config file", for the error on a missing word */
    enum cli_kind kind;
    const char *const *choices; /* CLI_CHOICE: ended by NULL */
    bool optional, repeated;
};

#define CLI_OPERAND_CONFIG                                                                                             \
    {                                                                                                                  \
        .name = "CONFIG", .help = "A config file, for instance configs/quickstart.ini.", .expected = "a config file",  \
        .kind = CLI_CONFIG                                                                                             \
    }

#define CLI_OPERAND_RUN                                                                                                \
    {                                                                                                                  \
        .name = "RUN", .help = "The folder of a run, or a checkpoint file.", .expected = "the folder of a run",        \
        .kind = CLI_RUN                                                                                                \
    }

struct cli_example {
    const char *command, *effect;
};

/* The tables end with a row whose name is NULL (in examples: whose command is NULL). */
struct cli_command {
    const char *name;
    bool name_optional;      /* `trainer CONFIG` is `trainer train CONFIG` */
    bool ranks;              /* several processes of a launcher share the work */
    const char *summary;     /* one line */
    const char *description; /* more paragraphs, with an empty line between them, or NULL */
    char *(*describe_rest)(
        void); /* returns paragraphs after the description, made from tables, in a new string; or NULL */
    const struct cli_operand *operands;
    const struct cli_option *options; /* beside cli_common_options */
    const struct cli_example *examples;
    bool (*run)(const struct cli_arguments *arguments, struct status *status);
};

/* clang-format off */
extern const struct cli_command
    cli_train, cli_resume, cli_sweep, cli_plot, cli_report,
    cli_eval, cli_predict, cli_export, cli_import,
    cli_pack, cli_summary, cli_samples, cli_gradcheck, cli_lr, cli_bench, cli_doctor,
    cli_config, cli_completion, cli_help;
/* clang-format on */

/* The subcommands, ended by NULL. */
extern const struct cli_command *const cli_commands[];

/* The options of every subcommand: --help and --version. */
extern const struct cli_option cli_common_options[];

/* Empty tables, for subcommands without operands or without options of their own. */
extern const struct cli_operand cli_no_operands[];
extern const struct cli_option cli_no_options[];

/* Returns the subcommand of that name, or NULL. */
const struct cli_command *cli_find_command(const char *name);

/* Fails with a message that names the subcommand nearest to `name`. */
bool cli_fail_unknown_command(const char *name, struct status *status);

/* Writes "train CONFIG [--set SECTION.KEY=VALUE]... [--out FOLDER]", with a name that may be left out in brackets. */
void cli_format_usage(const struct cli_command *command, char *text, size_t size);

/* Writes "-o, --out FOLDER". */
void cli_format_option(const struct cli_option *option, char *text, size_t size);

enum { CLI_USAGE_SIZE = 512, CLI_OPTION_SIZE = 64 };

/* Returns the paragraphs that describe a subcommand in a new string, or NULL: it has none. */
char *cli_command_description(const struct cli_command *command);

/* Prints the help of a subcommand, or of the program (NULL). */
void cli_print_help(const struct cli_command *command, FILE *out);

/* Sorts the arguments after the subcommand's name into `arguments`. Free arguments->overrides with
 * experiment_overrides_free, after an error too. */
bool cli_parse(struct cli_arguments *arguments, const struct cli_command *command, int argc, char **argv,
               struct status *status);

struct predictor;

/* Opens the network of the first word's run, from the checkpoint that --checkpoint names; close with
 * predictor_close. */
bool cli_open_predictor(struct predictor *predictor, const struct cli_arguments *arguments, struct status *status);

/* The same for another run. */
bool cli_open_predictor_of(struct predictor *predictor, const struct cli_arguments *arguments, const char *run,
                           struct status *status);

/* Returns the path of the checkpoint of `run` that --checkpoint names, in a new string, or NULL. Without --checkpoint
 * it is the best one. A run without a best one gives its last one, and a line on standard error says so. */
char *cli_find_checkpoint(const struct cli_arguments *arguments, const char *run, struct status *status);

/* Returns the folder of a new run in a new string: the folder of --out, or runs/NAME. Where the name was made from the
 * config's file name and differs from it, a line on standard error says so, but not with --quiet. */
char *cli_run_folder(const struct cli_arguments *arguments, const struct experiment *experiment, const char *name);

/* Checks that `argument` is one of the choices; the error names the option or operand. */
bool cli_check_choice(const char *name, const char *const *choices, const char *argument, struct status *status);

extern const char *const cli_progress_choices[];

/* Fills and returns `output`, which says where a run prints and how much, as the arguments ask; or returns NULL: the
 * run prints nothing. */
const struct run_output *cli_run_output(const struct cli_arguments *arguments, struct run_output *output);

/* Joins the other ranks of a launcher, for a subcommand that they do together; *comm is NULL where there are none. Warnings of
 * all ranks but the first are kept, as rank 0 has the same. */
bool cli_join_ranks(struct comm **comm, struct status *status);

/* Leaves the other ranks; comm may be NULL. Rank 0 alone reports how all have ended, and the others wait until it has: a
 * launcher ends the rest with the first process that fails. After a failed exchange this ends all ranks, with a line of the
 * first that knows of it. The status then has no message any more. */
void cli_leave_ranks(struct comm *comm, bool good, struct status *status);

/* Loads the experiment of a subcommand that trains; free it with experiment_free. */
typedef bool cli_load(struct experiment *experiment, const struct cli_arguments *arguments, struct status *status);

/* Joins the launcher's other ranks, if there are any, and calls train_run with the folder and output that the arguments ask
 * for. Rank 0 alone loads the experiment. */
bool cli_train_run(const struct cli_arguments *arguments, cli_load *load, enum train_start start,
                   struct status *status);

/* Warns on the standard error where the data set differs from the one that the network was trained with, and names the
 * difference. Does not warn where the command line asks for other data. */
void cli_warn_of_other_data(const struct predictor *predictor, const struct dataset *dataset,
                            const struct cli_arguments *arguments);

/* Calls description_from_experiment; a line on standard output says that the files are missing. */
bool cli_image_format(struct dataset_description *format, const struct experiment *experiment, struct status *status);

/* Creates the network of a config for images of that format, in batches of up to `batch`. Destroy with
 * network_destroy. */
bool cli_network_create(struct network **network, const struct experiment *experiment,
                        struct dataset_description format, struct backend *backend, int64_t batch,
                        struct status *status);

/* Creates it too, and prints a line that names the experiment and its images. */
bool cli_build_network(struct network **network, const struct experiment *experiment, struct dataset_description format,
                       struct backend *backend, int64_t batch, struct status *status);

#endif
