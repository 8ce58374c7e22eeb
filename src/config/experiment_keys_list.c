/* Lists keys for people to read, by a rule of their rows: "experiment.name, [report], [train] but epochs". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/experiment_keys.h"
#include "util/memory.h"

enum { MOST_LEFT_OUT = 2 };

/* The keys of a section, which stand side by side in the table. */
struct section {
    const struct experiment_key *keys;
    int count;
};

static struct section section_at(const struct experiment_key *keys, int count)
{
    int length = 1;
    while (length < count && strcmp(keys[length].section, keys->section) == 0) length++;
    return (struct section){keys, length};
}

/* Writes "train.epochs, train.patience", with `comma` before the first. */
static void write_keys(struct section section, const bool *chosen, const char *comma, FILE *out)
{
    for (int i = 0; i < section.count; i++) {
        if (!chosen[i]) continue;
        fprintf(out, "%s%s.%s", comma, section.keys[i].section, section.keys[i].name);
        comma = ", ";
    }
}

/* Writes "[train] but epochs and patience". */
static void write_section(struct section section, const bool *chosen, const char *comma, FILE *out)
{
    const char *word = " but ";
    fprintf(out, "%s[%s]", comma, section.keys->section);
    for (int i = 0; i < section.count; i++) {
        if (chosen[i]) continue;
        fprintf(out, "%s%s", word, section.keys[i].name);
        word = " and ";
    }
}

char *experiment_keys_list(const struct experiment_key *keys, int count,
                           bool (*belongs)(const struct experiment_key *key, int rule), int rule)
{
    char *text;
    size_t size;
    FILE *out = memory_stream(&text, &size);
    bool *chosen = memory_alloc((size_t)count, sizeof *chosen);
    const char *comma = "";
    for (int first = 0; first < count;) {
        struct section section = section_at(keys + first, count - first);
        int chosen_count = 0;
        for (int i = 0; i < section.count; i++) chosen_count += chosen[i] = belongs(&section.keys[i], rule);
        int left_out = section.count - chosen_count;
        bool whole = left_out <= MOST_LEFT_OUT && chosen_count > left_out;
        (whole ? write_section : write_keys)(section, chosen, comma, out);
        if (chosen_count > 0) comma = ", ";
        first += section.count;
    }
    free(chosen);
    memory_stream_close(out, &text);
    return text;
}

static bool goes_on_by(const struct experiment_key *key, int rule)
{
    return (int)key->resume == rule;
}

char *experiment_keys_list_resume(const struct experiment_key *keys, int count)
{
    static const char *const words[] = {KEY_RESUME_RULES(CHOICE_NAME)};
    char *text = memory_copy_string("");
    for (int rule = KEY_RESUME_KEPT + 1; rule < KEY_RESUME_RULES(CHOICE_COUNT); rule++) {
        char *list = experiment_keys_list(keys, count, goes_on_by, rule), *before = text;
        if (*list) text = memory_format("%s%s%s: %s", before, *before ? "\n\n" : "", list, words[rule]);
        if (text != before) free(before);
        free(list);
    }
    return text;
}

static bool varies(const struct experiment_key *key, int rule)
{
    return (int)key->sweep == rule;
}

char *experiment_keys_list_sweep(void)
{
    return experiment_keys_list(experiment_keys, experiment_key_count, varies, KEY_SWEEP_VARIES);
}
