#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli_private.h"
#include "config/text.h"
#include "trainer/memory.h"

enum { LETTERS_SIZE = 32 };

static const struct option all_options[] = {
    {"set", required_argument, NULL, 's'},   {"out", required_argument, NULL, 'o'}, {"quiet", no_argument, NULL, 'q'},
    {"steps", required_argument, NULL, 'n'}, {"help", no_argument, NULL, 'h'},      {"version", no_argument, NULL, 'V'},
};
enum { OPTION_COUNT = sizeof all_options / sizeof all_options[0] };

/* Those of the subcommand, ended by zeros as getopt wants them. */
static void select_options(const char *letters, struct option options[OPTION_COUNT + 1])
{
    int count = 0;
    for (int i = 0; i < OPTION_COUNT; i++)
        if (strchr(letters, all_options[i].val)) options[count++] = all_options[i];
    options[count] = (struct option){0};
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

/* What getopt_long met: ':' an argument is missing, '?' the option is unknown or has an argument that it does not take.
 */
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

bool cli_parse(struct cli_arguments *arguments, const struct cli_command *command, int argc, char **argv,
               struct status *status)
{
    struct option options[OPTION_COUNT + 1];
    char letters[LETTERS_SIZE];
    snprintf(letters, sizeof letters, ":%shV", command->options);
    select_options(letters, options);
    *arguments = (struct cli_arguments){.overrides = memory_alloc((size_t)argc + 1, sizeof(char *))};
    optind = 0; /* starts glibc's getopt anew */
    opterr = 0;
    int met;
    while ((met = getopt_long(argc, argv, letters, options, NULL)) != -1) {
        switch (met) {
        case 's':
            arguments->overrides[arguments->override_count++] = optarg;
            break;
        case 'o':
            arguments->folder = optarg;
            break;
        case 'n':
            arguments->steps = optarg;
            break;
        case 'q':
            arguments->quiet = true;
            break;
        case 'h':
            arguments->help = true;
            break;
        case 'V':
            arguments->version = true;
            break;
        default:
            return fail_option(met, argv, options, status);
        }
    }
    arguments->words = argv + optind;
    arguments->word_count = argc - optind;
    return true;
}
