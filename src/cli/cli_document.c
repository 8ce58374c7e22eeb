/* Writes the text of the pages about the program, in any of the forms of text. */
#include "cli/cli_document.h"

#include <stdlib.h>
#include <string.h>

#include "config/experiment_keys.h"
#include "config/experiment_value.h"
#include "sweep/sweep_keys.h"
#include "util/file_atomic.h"
#include "util/folder.h"
#include "util/memory.h"

static const char exit_codes[] =
    "0 success; 1 the run failed: data, disk, device; 2 the command line or the config is wrong. An error "
    "is one line on the standard error that starts with `trainer: `.";

/* --- a subcommand --- */

static void write_options(const struct document_style *style, const struct cli_option *options, FILE *out)
{
    for (; options->name; options++) {
        char term[CLI_OPTION_SIZE];
        cli_format_option(options, term, sizeof term);
        style->item(out, term + strspn(term, " "), options->help);
    }
}

void document_command(const struct document_style *style, const struct cli_command *command, FILE *out)
{
    char *name = memory_format("trainer-%s", command->name), usage[CLI_USAGE_SIZE];
    cli_format_usage(command, usage, sizeof usage);
    char *synopsis = memory_format("trainer %s", usage), *description = cli_command_description(command);
    style->begin(out, name, 1, command->summary);
    style->heading(out, "Synopsis");
    style->code(out, synopsis);
    if (description) {
        style->heading(out, "Description");
        style->paragraph(out, description);
    }
    if (command->operands->name) style->heading(out, "Arguments");
    for (const struct cli_operand *operand = command->operands; operand->name; operand++)
        style->item(out, operand->name, operand->help);
    style->heading(out, "Options");
    write_options(style, command->options, out);
    write_options(style, cli_common_options, out);
    if (command->examples) style->heading(out, "Examples");
    for (const struct cli_example *example = command->examples; example && example->command; example++)
        style->item(out, example->command, example->effect);
    style->heading(out, "Exit status");
    style->paragraph(out, exit_codes);
    free(name);
    free(synopsis);
    free(description);
}

/* --- keys --- */

static void write_key(const struct document_style *style, const struct experiment_key *key, FILE *out)
{
    char expected[VALUE_TEXT_SIZE];
    experiment_key_expects(key, expected, sizeof expected);
    char *term = memory_format("%s.%s", key->section, key->name);
    char *has_default =
        *key->default_text ? memory_format(" Default: `%s`.", key->default_text) : memory_copy_string("");
    char *readers = experiment_key_readers(key);
    char *text = memory_format("%s\n\nTakes %s.%s%s", key->help, expected, has_default, readers);
    style->item(out, term, text);
    free(term), free(text), free(has_default), free(readers);
}

/* Writes the keys of a section, and the syntax of its longer values. */
static void write_section(const struct document_style *style, const char *section, FILE *out)
{
    bool has_features = false;
    for (int i = 0; i < experiment_key_count; i++) {
        if (strcmp(experiment_keys[i].section, section) != 0) continue;
        write_key(style, &experiment_keys[i], out);
        has_features = has_features || experiment_keys[i].type == KEY_FEATURES;
    }
    if (has_features) style->code(out, features_help);
    if (strcmp(section, sweep_keys[0].section) != 0) return;
    for (int i = 0; i < SWEEP_KEY_COUNT; i++) write_key(style, &sweep_keys[i], out);
    char *factors = sweep_factors_help();
    style->code(out, factors);
    free(factors);
}

/* Calls visit for each section in the order of a config, then for the section of a sweep. */
static void each_section(void (*visit)(void *argument, const char *section), void *argument)
{
    for (int i = 0; i < experiment_key_count; i++)
        if (i == 0 || strcmp(experiment_keys[i].section, experiment_keys[i - 1].section) != 0)
            visit(argument, experiment_keys[i].section);
    visit(argument, sweep_keys[0].section);
}

static const char config_summary[] = "The file that describes an experiment.";
static const char config_syntax[] = "A config is an INI file: UTF-8, one `[section]` or `key = value` per line, in the "
                                    "first column. A `#` or `;` at the start of a line or after a blank begins a "
                                    "comment. What a file leaves out has its default. An unknown or repeated key, a "
                                    "value that a key does not take, and a shape that cannot be are errors that name "
                                    "the file, the line and the key.\n\n"
                                    "`--set SECTION.KEY=VALUE` sets a key on the command line, whatever the file says. "
                                    "`trainer config --defaults` writes a config with every key.";

/* --- manual pages --- */

static void man_section(void *out, const char *section)
{
    char *heading = memory_format("[%s]", section);
    document_man.heading(out, heading);
    write_section(&document_man, section, out);
    free(heading);
}

static void man_config(const void *argument, FILE *out)
{
    (void)argument;
    document_man.begin(out, "trainer-config", 5, config_summary);
    document_man.heading(out, "Description");
    document_man.paragraph(out, config_syntax);
    each_section(man_section, out);
    document_man.heading(out, "See also");
    document_man.paragraph(out, "trainer(1), trainer-config(1)");
}

static void man_command(const void *command, FILE *out)
{
    document_command(&document_man, command, out);
    document_man.heading(out, "See also");
    document_man.paragraph(out, "trainer(1), trainer-config(5)");
}

static void man_program(const void *argument, FILE *out)
{
    (void)argument;
    const struct document_style *style = &document_man;
    style->begin(out, "trainer", 1, "Trains neural networks on images.");
    style->heading(out, "Synopsis");
    style->code(out, "trainer CONFIG [OPTION]...\ntrainer SUBCOMMAND [ARGUMENT]... [OPTION]...");
    style->heading(out, "Subcommands");
    for (int i = 0; cli_commands[i]; i++) style->item(out, cli_commands[i]->name, cli_commands[i]->summary);
    style->heading(out, "Options");
    write_options(style, cli_common_options, out);
    style->heading(out, "Exit status");
    style->paragraph(out, exit_codes);
    style->heading(out, "See also");
    style->paragraph(out, "trainer-config(5); trainer-train(1) and so on for each subcommand");
}

/* --- files --- */

static bool write_page(const char *folder, const char *name, void (*write)(const void *argument, FILE *file),
                       const void *argument, struct status *status)
{
    char *path = memory_format("%s/%s", folder, name);
    bool good = file_atomic_print(path, write, argument, status);
    free(path);
    return good;
}

bool document_write_man(const char *folder, struct status *status)
{
    bool good = folder_create(folder, status) && write_page(folder, "trainer.1", man_program, NULL, status) &&
                write_page(folder, "trainer-config.5", man_config, NULL, status);
    for (int i = 0; good && cli_commands[i]; i++) {
        char *name = memory_format("trainer-%s.1", cli_commands[i]->name);
        good = write_page(folder, name, man_command, cli_commands[i], status);
        free(name);
    }
    return good;
}

static void markdown_command(const void *command, FILE *out)
{
    document_command(&document_markdown, command, out);
}

static void markdown_section(const void *section, FILE *out)
{
    char *name = memory_format("[%s]", (const char *)section);
    document_markdown.begin(out, name, 5, "A section of the config: [how a config is written](README.md).");
    write_section(&document_markdown, section, out);
    free(name);
}

static void list_section(void *out, const char *section)
{
    fprintf(out, "- [`[%s]`](config-%s.md)\n", section, section);
}

static void markdown_index(const void *argument, FILE *out)
{
    (void)argument;
    const struct document_style *style = &document_markdown;
    style->begin(out, "Reference", 1,
                 "Generated from the tables that check the command line and the config; `scripts/update-reference` "
                 "writes them anew.");
    style->heading(out, "Subcommands");
    fputc('\n', out);
    for (int i = 0; cli_commands[i]; i++)
        fprintf(out, "- [`trainer %s`](%s.md): %s\n", cli_commands[i]->name, cli_commands[i]->name,
                cli_commands[i]->summary);
    style->heading(out, "The config");
    style->paragraph(out, config_syntax);
    fputc('\n', out);
    each_section(list_section, out);
}

struct markdown_folder {
    const char *path;
    bool good;
    struct status *status;
};

static void write_section_page(void *argument, const char *section)
{
    struct markdown_folder *folder = argument;
    char *name = memory_format("config-%s.md", section);
    folder->good = folder->good && write_page(folder->path, name, markdown_section, section, folder->status);
    free(name);
}

bool document_write_markdown(const char *path, struct status *status)
{
    struct markdown_folder folder = {path, true, status};
    folder.good = folder_create(path, status) && write_page(path, "README.md", markdown_index, NULL, status);
    for (int i = 0; folder.good && cli_commands[i]; i++) {
        char *name = memory_format("%s.md", cli_commands[i]->name);
        folder.good = write_page(path, name, markdown_command, cli_commands[i], status);
        free(name);
    }
    each_section(write_section_page, &folder);
    return folder.good;
}
