/* Completes words for shells. The script that a shell loads only calls `trainer completion words -- WORD...` and shows
 * the answer. So the offered words follow from the tables of subcommands and keys. */
#include <string.h>

#include "cli/cli_private.h"
#include "config/experiment_keys.h"
#include "sweep/sweep_keys.h"

/* --- words for the place of the last word, in lines of "kind TAB word TAB help" --- */

static void offer(const char *kind, const char *word, const char *help)
{
    printf("%s\t%s\t%s\n", kind, word, help);
}

static void offer_commands(void)
{
    for (int i = 0; cli_commands[i]; i++) offer("word", cli_commands[i]->name, cli_commands[i]->summary);
}

static void offer_options(const struct cli_option *options)
{
    for (; options->name; options++) {
        char option[CLI_OPTION_SIZE];
        snprintf(option, sizeof option, "--%s", options->name);
        offer("word", option, options->help);
    }
}

static void offer_choices(const char *const *choices)
{
    for (int i = 0; choices && choices[i]; i++) offer("word", choices[i], "");
}

/* Offers "section.key=", after which the shell puts no space. */
static void offer_keys(const struct experiment_key *keys, int count)
{
    for (int i = 0; i < count; i++) {
        char key[128];
        snprintf(key, sizeof key, "%s.%s=", keys[i].section, keys[i].name);
        offer("key", key, keys[i].help);
    }
}

static bool offer_values(const struct experiment_key *keys, int count, const char *setting)
{
    for (int i = 0; i < count; i++) {
        size_t section = strlen(keys[i].section), name = strlen(keys[i].name);
        bool named = strncmp(setting, keys[i].section, section) == 0 && setting[section] == '.' &&
                     strncmp(setting + section + 1, keys[i].name, name) == 0 && setting[section + 1 + name] == '=';
        if (!named) continue;
        bool has_words = keys[i].type == KEY_CHOICE || keys[i].type == KEY_WEIGHTS || keys[i].type == KEY_AMOUNT;
        if (has_words) offer_choices(keys[i].choices);
        if (keys[i].type == KEY_BOOLEAN) offer_choices((const char *const[]){"true", "false", NULL});
        if (keys[i].type == KEY_TEXT) offer("folders", "", "");
        return true;
    }
    return false;
}

/* Offers keys, or values of the key, for `typed`: the beginning of section.key=value. */
static void offer_setting(const char *typed, bool sweeps)
{
    if (strchr(typed, '=')) {
        if (!offer_values(experiment_keys, experiment_key_count, typed) && sweeps)
            offer_values(sweep_keys, SWEEP_KEY_COUNT, typed);
        return;
    }
    offer_keys(experiment_keys, experiment_key_count);
    if (sweeps) offer_keys(sweep_keys, SWEEP_KEY_COUNT);
}

static void offer_kind(enum cli_kind kind, const char *const *choices)
{
    switch (kind) {
    case CLI_CHOICE:
        offer_choices(choices);
        break;
    case CLI_COMMAND:
        offer_commands();
        break;
    case CLI_CONFIG:
        offer("configs", "", "");
        break;
    case CLI_FILE:
        offer("files", "", "");
        break;
    case CLI_FOLDER:
    case CLI_RUN:
        offer("folders", "", "");
        break;
    case CLI_FLAG:
    case CLI_NUMBER:
    case CLI_SETTING:
    case CLI_TEXT:
        break;
    }
}

/* Returns the option whose argument is `*typed`, or NULL; cuts "--option=" off `*typed`. */
static const struct cli_option *option_before(const struct cli_command *command, const char *previous,
                                              const char **typed)
{
    const char *word = *typed;
    for (const struct cli_option *option = command->options; option->name; option++) {
        size_t length = strlen(option->name);
        if (option->kind == CLI_FLAG) continue;
        if (strncmp(word, "--", 2) == 0 && strncmp(word + 2, option->name, length) == 0 && word[2 + length] == '=') {
            *typed = word + 2 + length + 1;
            return option;
        }
        bool is_long = strncmp(previous, "--", 2) == 0 && strcmp(previous + 2, option->name) == 0;
        bool is_letter = previous[0] == '-' && option->letter && previous[1] == option->letter && previous[2] == '\0';
        if (is_long || is_letter) return option;
    }
    return NULL;
}

/* Returns the operand whose place the last word takes, or NULL: there is none left. */
static const struct cli_operand *operand_at_end(const struct cli_command *command, char **words, int count)
{
    const struct cli_operand *operand = command->operands;
    for (int i = 0; i + 1 < count && operand->name; i++) {
        const char *before = i > 0 ? words[i - 1] : "", *word = words[i];
        if (words[i][0] == '-' || option_before(command, before, &word)) continue;
        if (!operand->repeated) operand++;
    }
    return operand->name ? operand : NULL;
}

static void offer_words(char **words, int count)
{
    const struct cli_command *command = count > 1 ? cli_find_command(words[0]) : NULL;
    bool first = count == 1;
    if (command)
        words++, count--;
    else
        command = &cli_train;
    const char *typed = words[count - 1], *previous = count > 1 ? words[count - 2] : "";
    const struct cli_option *option = option_before(command, previous, &typed);
    const struct cli_operand *operand = operand_at_end(command, words, count);
    if (option && option->kind == CLI_SETTING) {
        offer_setting(typed, command == &cli_sweep);
    } else if (option) {
        offer_kind(option->kind, option->choices);
    } else if (typed[0] == '-') {
        offer_options(command->options);
        offer_options(cli_common_options);
    } else {
        if (first) offer_commands();
        if (operand) offer_kind(operand->kind, operand->choices);
    }
}

/* --- the scripts --- */

/* bash cuts the line at each '=' too, so the script first puts the words together again. bash replaces only the piece
 * after the last '='. */
static const char bash_script[] =
    "# bash completion for trainer, written by `trainer completion bash`\n"
    "_trainer() {\n"
    "    local typed=() i word last='' kind\n"
    "    for ((i = 1; i <= COMP_CWORD; i++)); do\n"
    "        word=${COMP_WORDS[i]}\n"
    "        if ((i > 1)) && [[ $word == '=' || $last == '=' ]]; then typed[-1]+=$word; else typed+=(\"$word\"); fi\n"
    "        last=$word\n"
    "    done\n"
    "    local piece=${typed[-1]##*=}\n"
    "    COMPREPLY=()\n"
    "    _trainer_paths() {\n"
    "        mapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY < <(compgen \"$@\" -- \"$piece\")\n"
    "        compopt -o filenames 2>/dev/null\n"
    "    }\n"
    "    while IFS=$'\\t' read -r kind word _; do\n"
    "        case $kind in\n"
    "        word | key) [[ $word == \"$piece\"* ]] && COMPREPLY+=(\"$word\") ;;&\n"
    "        key) compopt -o nospace 2>/dev/null ;;\n"
    "        configs) _trainer_paths -f -X '!*.ini' && _trainer_paths -d ;;\n"
    "        files) _trainer_paths -f ;;\n"
    "        folders) _trainer_paths -d ;;\n"
    "        esac\n"
    "    done < <(\"${1/#\\~/$HOME}\" completion words -- \"${typed[@]}\" 2>/dev/null)\n"
    "    [[ $COMP_WORDBREAKS == *=* ]] || COMPREPLY=(\"${COMPREPLY[@]/#/${typed[-1]%\"$piece\"}}\")\n"
    "}\n"
    "complete -F _trainer trainer\n";

static const char zsh_script[] =
    "#compdef trainer\n"
    "# zsh completion for trainer, written by `trainer completion zsh`\n"
    "_trainer() {\n"
    "    local -a typed entries keys fields\n"
    "    local line\n"
    "    typed=(\"${(@)words[2,CURRENT]}\")\n"
    "    typed[-1]=$PREFIX\n"
    "    local answer=\"$(command ${~words[1]} completion words -- \"${(@)typed}\" 2>/dev/null)\"\n"
    "    compset -P '*='\n"
    "    for line in \"${(@f)answer}\"; do\n"
    "        fields=(\"${(@ps:\\t:)line}\")\n"
    "        case $fields[1] in\n"
    "        word) entries+=(\"${fields[2]//:/\\\\:}:$fields[3]\") ;;\n"
    "        key) keys+=(\"${fields[2]//:/\\\\:}:$fields[3]\") ;;\n"
    "        configs) _files -g '*.ini' ;;\n"
    "        files) _files ;;\n"
    "        folders) _files -/ ;;\n"
    "        esac\n"
    "    done\n"
    "    (($#entries)) && _describe -t words word entries\n"
    "    (($#keys)) && _describe -t keys key keys -S ''\n"
    "}\n"
    "_trainer \"$@\"\n";

/* --- the subcommand --- */

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    const char *shell = arguments->words[0];
    if (strcmp(shell, "words") == 0) {
        if (arguments->word_count > 1) offer_words(arguments->words + 1, arguments->word_count - 1);
        return true;
    }
    if (arguments->word_count > 1)
        return status_fail(status, STATUS_USAGE, "unexpected argument \"%s\"", arguments->words[1]);
    fputs(strcmp(shell, "bash") == 0 ? bash_script : zsh_script, stdout);
    return true;
}

static const char *const shells[] = {"bash", "zsh", "words", NULL};
static const struct cli_operand operands[] = {
    {.name = "SHELL",
     .help = "bash or zsh: write the script that the shell loads. words: answer what the script asks.",
     .expected = "bash or zsh",
     .kind = CLI_CHOICE,
     .choices = shells},
    {.name = "WORD",
     .help = "After words and --: the command line after `trainer`, up to the word to complete.",
     .kind = CLI_TEXT,
     .optional = true,
     .repeated = true},
    {0},
};
static const struct cli_example examples[] = {
    {"source <(trainer completion bash)", "Complete in this shell; an installation does so by itself."},
    {0},
};

const struct cli_command cli_completion = {
    .name = "completion",
    .summary = "Write the script with which bash or zsh completes the program's arguments.",
    .description = "Completes subcommands, options, config files, and for `--set` the keys and what they take.",
    .operands = operands,
    .options = cli_no_options,
    .examples = examples,
    .run = run,
};
