/* Sorts the arguments of a subcommand into struct cli_arguments, by getopt and the subcommand's tables. */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli_private.h"
#include "util/check.h"
#include "util/memory.h"
#include "util/number.h"
#include "util/text.h"

enum { OPTIONS_MAX = 32 };

const struct cli_option cli_common_options[] = {
    {.name = "help", .letter = 'h', .help = "Print this help.", CLI_FIELD(help)},
    {.name = "version", .letter = 'V', .help = "Print the version.", CLI_FIELD(version)},
    {0},
};

const struct cli_operand cli_no_operands[] = {{0}};
const struct cli_option cli_no_options[] = {{0}};

/* A subcommand's options in the two forms that getopt takes. */
struct grammar {
    const struct cli_option *row[OPTIONS_MAX];
    int count;
    struct option longs[OPTIONS_MAX]; /* val is LONG_FIRST + the option's row; zeros end the list */
    char letters[2 + 2 * OPTIONS_MAX];
};
enum { LONG_FIRST = 256 }; /* a value above every letter's */

static void grammar_add(struct grammar *grammar, const struct cli_option *options)
{
    for (; options->name; options++) {
        CHECK(grammar->count + 1 < OPTIONS_MAX);
        bool takes = options->kind != CLI_FLAG;
        grammar->longs[grammar->count] =
            (struct option){options->name, takes ? required_argument : no_argument, NULL, LONG_FIRST + grammar->count};
        grammar->row[grammar->count++] = options;
        if (options->letter == 0) continue;
        size_t end = strlen(grammar->letters);
        snprintf(grammar->letters + end, sizeof grammar->letters - end, "%c%s", options->letter, takes ? ":" : "");
    }
}

static struct grammar grammar_of(const struct cli_command *command)
{
    struct grammar grammar = {.letters = ":"}; /* makes getopt return ':' for a missing argument */
    grammar_add(&grammar, command->options);
    grammar_add(&grammar, cli_common_options);
    return grammar;
}

/* Returns the option that getopt met, or NULL: the tables have no such option. */
static const struct cli_option *grammar_find(const struct grammar *grammar, int met)
{
    if (met >= LONG_FIRST) return grammar->row[met - LONG_FIRST];
    for (int i = 0; i < grammar->count; i++)
        if (grammar->row[i]->letter == met) return grammar->row[i];
    return NULL;
}

static bool fail_unknown_option(const char *option, const struct option *options, struct status *status)
{
    char name[64] = "";
    if (strncmp(option, "--", 2) == 0 && strcspn(option + 2, "=") < sizeof name)
        memcpy(name, option + 2, strcspn(option + 2, "="));
    for (; options->name; options++)
        if (text_is_slip(name, options->name))
            return status_fail(status, STATUS_USAGE, "unknown option \"%s\"; did you mean --%s?", option,
                               options->name);
    return status_fail(status, STATUS_USAGE, "unknown option \"%s\"; see --help", option);
}

/* Fails for the error that getopt returned: ':' an argument is missing, '?' the option is unknown or has an argument
 * that it does not take. */
static bool fail_option(int met, char **argv, const struct option *options, struct status *status)
{
    const char *word = argv[optind - 1];
    bool is_long = strncmp(word, "--", 2) == 0;
    char letter[3] = {'-', (char)optopt, '\0'};
    const char *shown = is_long ? word : letter;
    if (met == ':') return status_fail(status, STATUS_USAGE, "option %s: expected an argument", shown);
    if (is_long && optopt != 0) return status_fail(status, STATUS_USAGE, "option %s: expected no argument", word);
    return fail_unknown_option(optopt != 0 ? letter : word, options, status);
}

bool cli_check_choice(const char *name, const char *const *choices, const char *argument, struct status *status)
{
    char expected[256] = "";
    for (int i = 0; choices[i]; i++) {
        if (strcmp(argument, choices[i]) == 0) return true;
        size_t end = strlen(expected);
        snprintf(expected + end, sizeof expected - end, "%s%s", i > 0 ? ", " : "", choices[i]);
    }
    return status_fail(status, STATUS_USAGE, "%s: expected one of %s, found \"%s\"", name, expected, argument);
}

static bool parse_number(const struct cli_option *option, const char *argument, int64_t *number, struct status *status)
{
    if (number_parse_integer(argument, number) && *number >= option->low && *number <= option->high) return true;
    return status_fail(status, STATUS_USAGE, "--%s: expected an integer from %" PRId64 " to %" PRId64 ", found \"%s\"",
                       option->name, option->low, option->high, argument);
}

/* Puts an option's argument into the field that its row names. */
static bool take_option(struct cli_arguments *arguments, const struct cli_option *option, const char *argument,
                        struct status *status)
{
    void *field = (char *)arguments + option->offset;
    if (option->kind == CLI_FLAG) {
        *(bool *)field = true;
        return true;
    }
    if (option->kind == CLI_SETTING) {
        int number = ++arguments->override_count;
        return experiment_override_parse(&arguments->overrides[number - 1], argument, number, status);
    }
    if (option->kind == CLI_NUMBER) return parse_number(option, argument, field, status);
    if (option->kind == CLI_CHOICE) {
        char name[CLI_OPTION_SIZE];
        snprintf(name, sizeof name, "--%s", option->name);
        if (!cli_check_choice(name, option->choices, argument, status)) return false;
    }
    if (*argument == '\0')
        return status_fail(status, STATUS_USAGE, "--%s: expected %s, found nothing", option->name,
                           option->expected ? option->expected : option->argument);
    *(const char **)field = argument;
    return true;
}

bool cli_parse(struct cli_arguments *arguments, const struct cli_command *command, int argc, char **argv,
               struct status *status)
{
    struct grammar grammar = grammar_of(command);
    *arguments = (struct cli_arguments){.overrides = memory_alloc((size_t)argc + 1, sizeof *arguments->overrides)};
    optind = 0; /* starts glibc's getopt anew */
    opterr = 0;
    int met;
    while ((met = getopt_long(argc, argv, grammar.letters, grammar.longs, NULL)) != -1) {
        const struct cli_option *option = met == '?' || met == ':' ? NULL : grammar_find(&grammar, met);
        if (!option) return fail_option(met, argv, grammar.longs, status);
        if (!take_option(arguments, option, optarg, status)) return false;
    }
    arguments->words = argv + optind;
    arguments->word_count = argc - optind;
    return true;
}
