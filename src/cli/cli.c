/* Chooses the subcommand that the command line names, runs it, and turns its status into an exit code. */
#include "cli/cli.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli_private.h"
#include "comm/comm.h"
#include "util/launcher.h"
#include "util/memory.h"
#include "util/streams.h"
#include "util/text.h"
#include "util/warning.h"

/* One subcommand per line, so that a new one touches no other line. */
/* clang-format off */
const struct cli_command *const cli_commands[] = {
    &cli_train,
    &cli_resume,
    &cli_sweep,
    &cli_plot,
    &cli_report,
    &cli_eval,
    &cli_predict,
    &cli_export,
    &cli_import,
    &cli_pack,
    &cli_summary,
    &cli_samples,
    &cli_gradcheck,
    &cli_lr,
    &cli_bench,
    &cli_doctor,
    &cli_config,
    &cli_completion,
    &cli_help,
    NULL,
};
/* clang-format on */

const struct cli_command *cli_find_command(const char *name)
{
    for (int i = 0; cli_commands[i]; i++)
        if (strcmp(cli_commands[i]->name, name) == 0) return cli_commands[i];
    return NULL;
}

bool cli_fail_unknown_command(const char *name, struct status *status)
{
    for (int i = 0; cli_commands[i]; i++)
        if (text_is_slip(name, cli_commands[i]->name))
            return status_fail(status, STATUS_USAGE, "unknown subcommand \"%s\"; did you mean %s?", name,
                               cli_commands[i]->name);
    return status_fail(status, STATUS_USAGE, "\"%s\" is neither a subcommand nor a config file; see trainer --help",
                       name);
}

/* Tells whether a word in the place of a config can be none: no such file exists, and the word has no "." and no
 * "/". */
static bool is_no_config(const char *word)
{
    return !strpbrk(word, "./") && access(word, F_OK) != 0;
}

static bool fail_words(const struct cli_command *command, const char *problem, const char *word, struct status *status)
{
    char usage[CLI_USAGE_SIZE];
    cli_format_usage(command, usage, sizeof usage);
    return status_fail(status, STATUS_USAGE, "%s%s; usage: trainer %s", problem, word, usage);
}

static bool check_words(const struct cli_command *command, const struct cli_arguments *arguments, bool named,
                        struct status *status)
{
    const char *first = arguments->word_count > 0 ? arguments->words[0] : NULL;
    if (!named && first && cli_find_command(first))
        return status_fail(status, STATUS_USAGE, "subcommand %s: expected before the options", first);
    if (!named && first && is_no_config(first)) return cli_fail_unknown_command(first, status);
    int most = 0;
    for (const struct cli_operand *operand = command->operands; operand->name; operand++, most++) {
        if (most >= arguments->word_count && !operand->optional)
            return fail_words(command, "expected ", operand->expected, status);
        if (operand->choices && most < arguments->word_count &&
            !cli_check_choice(operand->name, operand->choices, arguments->words[most], status))
            return false;
        if (operand->repeated) return true;
    }
    if (arguments->word_count <= most) return true;
    char *word = memory_format("\"%s\"", arguments->words[most]);
    fail_words(command, "unexpected argument ", word, status);
    free(word);
    return false;
}

/* A launcher's processes would all do the same work, and write the same files, where a command does not share it. */
static bool check_ranks(const struct cli_command *command, struct status *status)
{
    struct launcher launcher;
    if (command->ranks || !launcher_read(&launcher)) return true;
    return status_fail(status, STATUS_USAGE,
                       "%s: one process is enough; expected no launcher, found one that starts %d (%s)", command->name,
                       launcher.size, launcher.size_name);
}

/* Without it nothing is run. */
static bool check(const struct cli_command *command, const struct cli_arguments *arguments, bool named,
                  struct status *status)
{
    return check_words(command, arguments, named, status) && check_ranks(command, status);
}

/* `named` tells that the subcommand's name was written: it is then argv[0]. */
static bool run_command(const struct cli_command *command, bool named, int argc, char **argv, struct status *status)
{
    struct cli_arguments arguments;
    bool good = cli_parse(&arguments, command, argc, argv, status);
    if (good && arguments.help)
        cli_print_help(named ? command : NULL, stdout);
    else if (good && arguments.version)
        puts("trainer " TRAINER_VERSION);
    else if (good && check(command, &arguments, named, status))
        good = command->run(&arguments, status);
    else
        good = comm_leave_report(status);
    experiment_overrides_free(arguments.overrides, arguments.override_count);
    return good;
}

static bool dispatch(int argc, char **argv, struct status *status)
{
    const struct cli_command *command = argc > 1 ? cli_find_command(argv[1]) : NULL;
    if (command) return run_command(command, true, argc - 1, argv + 1, status);
    return run_command(&cli_train, false, argc, argv, status);
}

/* Fails where output was lost, for instance on a full disk. The program does its work to the end before it says so. */
static bool flush_output(struct status *status)
{
    if (streams_flush(stdout)) return true;
    int cause = streams_error();
    return status_fail(status, STATUS_RUNTIME, "cannot write to the standard output: %s",
                       cause ? strerror(cause) : "part of it is lost");
}

int cli_run(int argc, char **argv)
{
    struct status status = {.code = STATUS_OK};
    signal(SIGXFSZ, SIG_IGN); /* a file that passes a limit (ulimit -f) is an error with path and cause */
    bool good = dispatch(argc, argv, &status);
    struct status output = {.code = STATUS_OK};
    if (!flush_output(&output) && good) status = output, good = false;
    if (!good && status.message[0]) warning_print("%s", status.message);
    return (int)status.code;
}
