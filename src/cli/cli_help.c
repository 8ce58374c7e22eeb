/* Prints help on the terminal, from the tables of the subcommands. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli_document.h"
#include "cli/cli_private.h"
#include "util/memory.h"

enum { COLUMN = 32, WIDTH = 100 };

static const struct cli_operand operands[] = {
    {.name = "SUBCOMMAND",
     .help = "What to print help about; without it: the program.",
     .kind = CLI_COMMAND,
     .optional = true},
    {0},
};

static void append(char *text, size_t size, const char *piece)
{
    size_t length = strlen(text);
    snprintf(text + length, size - length, "%s", piece);
}

void cli_format_usage(const struct cli_command *command, char *text, size_t size)
{
    snprintf(text, size, command->name_optional ? "[%s]" : "%s", command->name);
    for (const struct cli_operand *operand = command->operands; operand->name; operand++) {
        append(text, size, operand->optional ? " [" : " ");
        append(text, size, operand->name);
        append(text, size, operand->repeated ? "..." : "");
        append(text, size, operand->optional ? "]" : "");
    }
    for (const struct cli_option *option = command->options; option->name; option++) {
        append(text, size, " [--");
        append(text, size, option->name);
        append(text, size, option->argument ? " " : "");
        append(text, size, option->argument ? option->argument : "");
        append(text, size, option->kind == CLI_SETTING ? "]..." : "]");
    }
}

void cli_format_option(const struct cli_option *option, char *text, size_t size)
{
    const char letter[] = {'-', option->letter, ',', ' ', '\0'};
    snprintf(text, size, "%s--%s%s%s", option->letter ? letter : "    ", option->name, option->argument ? " " : "",
             option->argument ? option->argument : "");
}

char *cli_command_description(const struct cli_command *command)
{
    if (!command->description) return NULL;
    if (!command->describe_rest) return memory_copy_string(command->description);
    char *rest = command->describe_rest(), *text = memory_format("%s\n\n%s", command->description, rest);
    free(rest);
    return text;
}

/* Prints the words of `text` from column `at` on, in lines of at most WIDTH that start in column `indent`. */
static void print_wrapped(FILE *out, const char *text, int at, int indent)
{
    while (*text) {
        int word = (int)strcspn(text, " \n"), gap = at > indent ? 1 : 0;
        if (*text == '\n') {
            fputs("\n\n", out);
            at = 0;
            text += strspn(text, "\n");
            continue;
        }
        if (gap && at + gap + word > WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            at = indent;
            gap = 0;
        }
        fprintf(out, "%*s%.*s", gap, "", word, text);
        at += gap + word;
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void print_item(FILE *out, const char *term, const char *text)
{
    int at = fprintf(out, "  %s", term);
    if (at + 2 > COLUMN) fputc('\n', out), at = 0;
    fprintf(out, "%*s", COLUMN - at, "");
    print_wrapped(out, text, COLUMN, COLUMN);
}

static void print_option_rows(const struct cli_option *options, FILE *out)
{
    for (; options->name; options++) {
        char term[CLI_OPTION_SIZE];
        cli_format_option(options, term, sizeof term);
        print_item(out, term, options->help);
    }
}

static void print_options(const struct cli_command *command, FILE *out)
{
    fprintf(out, "\noptions:\n");
    print_option_rows(command->options, out);
    print_option_rows(cli_common_options, out);
}

static void print_command(const struct cli_command *command, FILE *out)
{
    char usage[CLI_USAGE_SIZE];
    cli_format_usage(command, usage, sizeof usage);
    fprintf(out, "usage: trainer %s\n\n%s\n", usage, command->summary);
    char *description = cli_command_description(command);
    if (description) {
        fputc('\n', out);
        print_wrapped(out, description, 0, 0);
    }
    free(description);
    if (command->operands->name) fprintf(out, "\narguments:\n");
    for (const struct cli_operand *operand = command->operands; operand->name; operand++)
        print_item(out, operand->name, operand->help);
    print_options(command, out);
    if (command->examples) fprintf(out, "\nexamples:\n");
    for (const struct cli_example *example = command->examples; example && example->command; example++)
        fprintf(out, "  %s\n      %s\n", example->command, example->effect);
}

static void print_program(FILE *out)
{
    for (int i = 0; cli_commands[i]; i++) {
        char usage[CLI_USAGE_SIZE];
        cli_format_usage(cli_commands[i], usage, sizeof usage);
        fprintf(out, "%s trainer %s\n", i == 0 ? "usage:" : "      ", usage);
    }
    fprintf(out, "\nTrains neural networks on images.\n\nsubcommands:\n");
    for (int i = 0; cli_commands[i]; i++)
        fprintf(out, "  %-10s  %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    print_options(&cli_train, out);
    fprintf(out,
            "\nA config is an INI file; `trainer config --defaults` lists its keys with defaults and ranges.\n"
            "`trainer SUBCOMMAND --help` tells more about a subcommand.\n"
            "Exit codes: 0 success, 1 the run failed, 2 the command line or the config is wrong, 3 a signal stopped\n"
            "the run, which is saved, 4 a loss or weight is not finite.\n");
}

void cli_print_help(const struct cli_command *command, FILE *out)
{
    if (command)
        print_command(command, out);
    else
        print_program(out);
}

/* --- the subcommand --- */

static bool write_pages(const struct cli_arguments *arguments, struct status *status)
{
    if (arguments->word_count > 0)
        return status_fail(status, STATUS_USAGE, "--out: expected no subcommand, found \"%s\"", arguments->words[0]);
    if (arguments->format && strcmp(arguments->format, "man") == 0)
        return document_write_man(arguments->folder, status);
    if (arguments->format && strcmp(arguments->format, "markdown") == 0)
        return document_write_markdown(arguments->folder, status);
    return status_fail(status, STATUS_USAGE, "--out: expected --format man or --format markdown with it");
}

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    if (arguments->folder) return write_pages(arguments, status);
    const struct cli_command *command = NULL;
    if (arguments->word_count > 0) {
        command = cli_find_command(arguments->words[0]);
        if (!command) return cli_fail_unknown_command(arguments->words[0], status);
    }
    if (!arguments->format || strcmp(arguments->format, "text") == 0)
        cli_print_help(command, stdout);
    else if (!command)
        return status_fail(status, STATUS_USAGE, "--format %s: expected a subcommand, or --out FOLDER for every page",
                           arguments->format);
    else
        document_command(strcmp(arguments->format, "man") == 0 ? &document_man : &document_markdown, command, stdout);
    return true;
}

static const char *const formats[] = {"text", "man", "markdown", NULL};
static const struct cli_option options[] = {
    {.name = "format",
     .letter = 'f',
     .kind = CLI_CHOICE,
     .argument = "FORMAT",
     .help = "text (default), man or markdown.",
     .choices = formats,
     CLI_FIELD(format)},
    {.name = "out",
     .letter = 'o',
     .kind = CLI_FOLDER,
     .argument = "FOLDER",
     .help = "With --format man or markdown: write every page into FOLDER.",
     .expected = "a folder",
     CLI_FIELD(folder)},
    {0},
};
static const struct cli_example examples[] = {
    {"trainer help --format man train | man -l -", "The manual page of a subcommand, without installing it."},
    {0},
};

const struct cli_command cli_help = {
    .name = "help",
    .summary = "Print help.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
