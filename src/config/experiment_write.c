/* Writes keys for people to read: an experiment as a config, and the table of keys as help. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/experiment.h"
#include "config/experiment_keys.h"
#include "config/experiment_value.h"
#include "util/memory.h"

/* Writes "[section]" before the first key of each section. */
static void write_section(const struct experiment_key *key, FILE *out)
{
    bool first = key == experiment_keys;
    if (!first && strcmp(key->section, key[-1].section) == 0) return;
    fprintf(out, "%s[%s]\n", first ? "" : "\n", key->section);
}

/* Returns true for a train.max_steps that train.epochs gives, before it is computed. */
static bool is_unknown(const struct experiment_key *key, const struct experiment *experiment)
{
    return key->offset == offsetof(struct experiment, train.max_steps) && experiment->train.max_steps == 0;
}

void experiment_write(const struct experiment *experiment, FILE *out)
{
    for (int i = 0; i < experiment_key_count; i++) {
        const struct experiment_key *key = &experiment_keys[i];
        char value[VALUE_TEXT_SIZE];
        experiment_value_format(key, experiment, value, sizeof value);
        write_section(key, out);
        if (is_unknown(key, experiment)) continue;
        fprintf(out, "%s =%s%s\n", key->name, *value ? " " : "", value);
    }
}

void experiment_key_print(const struct experiment_key *key, bool commented, FILE *out)
{
    char expected[VALUE_TEXT_SIZE], *readers = experiment_key_readers(key);
    experiment_key_expects(key, expected, sizeof expected);
    fprintf(out, "# %s\n# Takes %s.%s\n", key->help, expected, readers);
    free(readers);
    fprintf(out, "%s%s =%s%s\n", commented ? "# " : "", key->name, *key->default_text ? " " : "", key->default_text);
}

/* Writes "# " before each of the lines. */
void experiment_comment_print(const char *lines, FILE *out)
{
    while (*lines) {
        int length = (int)strcspn(lines, "\n");
        fprintf(out, "# %.*s\n", length, lines);
        lines += length + (lines[length] == '\n');
    }
}

void experiment_print_defaults(FILE *out)
{
    for (int i = 0; i < experiment_key_count; i++) {
        const struct experiment_key *key = &experiment_keys[i];
        bool has_no_value = key->type == KEY_TEXT && *key->default_text == '\0'; /* the file's name gives it */
        write_section(key, out);
        if (key->type == KEY_FEATURES) experiment_comment_print(features_help, out);
        experiment_key_print(key, has_no_value || experiment_key_varies(key), out);
    }
}

char *experiment_text(const struct experiment *experiment)
{
    char *text;
    size_t size;
    FILE *out = memory_stream(&text, &size);
    experiment_write(experiment, out);
    memory_stream_close(out, &text);
    return text;
}
