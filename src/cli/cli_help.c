#include "cli/cli_private.h"
#include "trainer/experiment.h"
#include "trainer/sweep.h"

#include <string.h>

static void print_option(FILE *out, const char *options, char letter, const char *text)
{
    if (strchr(options, letter)) fputs(text, out);
}

static void print_options(const struct cli_command *command, FILE *out)
{
    const char *options = command->options;
    fprintf(out, "\noptions:\n");
    print_option(out, options, 's',
                 "  -s, --set SECTION.KEY=VALUE   set a key, whatever the file says; may be repeated\n");
    if (command->out_help) fprintf(out, "  -o, --out %s\n", command->out_help);
    print_option(out, options, 'n',
                 "  -n, --steps N                 measure N training steps; default: 30\n");
    print_option(out, options, 'q', "  -q, --quiet                   print nothing but errors\n");
    fprintf(out, "  -h, --help                    print this help\n"
                 "  -V, --version                 print the version\n");
}

void cli_print_help(const struct cli_command *command, FILE *out)
{
    if (command) {
        fprintf(out, "usage: trainer %s\n\n%s\n", command->usage, command->summary);
        print_options(command, out);
        return;
    }
    for (int i = 0; cli_commands[i]; i++)
        fprintf(out, "%s trainer %s\n", i == 0 ? "usage:" : "      ", cli_commands[i]->usage);
    fprintf(out, "\nTrains neural networks on images.\n\nsubcommands:\n");
    for (int i = 0; cli_commands[i]; i++) fprintf(out, "  %-9s  %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    print_options(&cli_train, out);
    fprintf(out, "\nA config is an INI file; `trainer keys` lists its keys with defaults and ranges.\n"
                 "Exit codes: 0 success, 1 the run failed, 2 the command line or the config is wrong.\n");
}

static bool run_help(const struct cli_arguments *arguments, struct status *status)
{
    const struct cli_command *command = NULL;
    if (arguments->word_count > 0) {
        command = cli_find_command(arguments->words[0]);
        if (!command) return cli_fail_unknown_command(arguments->words[0], status);
    }
    cli_print_help(command, stdout);
    return true;
}

static bool run_keys(const struct cli_arguments *arguments, struct status *status)
{
    (void)arguments, (void)status;
    experiment_print_keys(stdout);
    putchar('\n');
    sweep_print_keys(stdout);
    return true;
}

const struct cli_command cli_keys = {
    .name = "keys",
    .usage = "keys",
    .summary = "Print every key of a config with its default, its meaning and what it takes.",
    .options = "",
    .run = run_keys,
};

const struct cli_command cli_help = {
    .name = "help",
    .usage = "help [SUBCOMMAND]",
    .summary = "Print help.",
    .options = "",
    .most_words = 1,
    .run = run_help,
};
