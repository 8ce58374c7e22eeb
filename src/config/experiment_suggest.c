/* Finds keys by name, and the known name that is nearest to an unknown one. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "config/experiment_keys.h"
#include "util/text.h"

int experiment_key_find(const char *section, const char *name)
{
    for (int i = 0; i < experiment_key_count; i++)
        if (strcmp(experiment_keys[i].section, section) == 0 && strcmp(experiment_keys[i].name, name) == 0) return i;
    return -1;
}

static bool starts_section(int key)
{
    return key == 0 || strcmp(experiment_keys[key].section, experiment_keys[key - 1].section) != 0;
}

bool experiment_section_exists(const char *section)
{
    for (int i = 0; i < experiment_key_count; i++)
        if (strcmp(experiment_keys[i].section, section) == 0) return true;
    return false;
}

/* Appends `before` and `word` to a text and cuts the part that does not fit. */
static void append(char *text, size_t size, const char *before, const char *word)
{
    size_t length = strlen(text);
    snprintf(text + length, size - length, "%s%s", before, word);
}

void experiment_suggest_section(const char *section, char *text, size_t size)
{
    for (int i = 0; i < experiment_key_count; i++) {
        if (starts_section(i) && text_is_slip(section, experiment_keys[i].section)) {
            snprintf(text, size, "; did you mean [%s]?", experiment_keys[i].section);
            return;
        }
    }
    snprintf(text, size, "; known are");
    for (int i = 0; i < experiment_key_count; i++) {
        if (!starts_section(i)) continue;
        append(text, size, i > 0 ? ", " : " ", "[");
        append(text, size, experiment_keys[i].section, "]");
    }
}

/* Returns the distance of a typed key from a known one. A slip in the name counts most: the right name in the wrong
 * section comes before a slip within the section. */
static int key_distance(const char *section, const char *name, const struct experiment_key *key)
{
    bool same_name = strcmp(name, key->name) == 0;
    if (!same_name && !text_is_slip(name, key->name)) return INT_MAX;
    bool same_section = strcmp(section, key->section) == 0;
    int section_distance = same_section ? 0 : text_is_slip(section, key->section) ? 1 : 2;
    return 3 * text_distance(name, key->name) + section_distance;
}

/* What other programs call a key. */
static const struct {
    const char *theirs, *ours;
} synonyms[] = {{"accumulate", "train.slices"},
                {"gradient_accumulation", "train.slices"},
                {"accumulate_grad_batches", "train.slices"},
                {"gradient_accumulation_steps", "train.slices"}};

void experiment_suggest_key(const char *section, const char *name, char *text, size_t size)
{
    int nearest = -1, least = INT_MAX;
    for (int i = 0; i < experiment_key_count; i++) {
        int distance = key_distance(section, name, &experiment_keys[i]);
        if (distance < least) nearest = i, least = distance;
    }
    if (nearest >= 0) {
        snprintf(text, size, "; did you mean %s.%s?", experiment_keys[nearest].section, experiment_keys[nearest].name);
        return;
    }
    if (!experiment_section_exists(section)) {
        experiment_suggest_section(section, text, size);
        return;
    }
    for (size_t i = 0; i < sizeof synonyms / sizeof *synonyms; i++)
        if (strcmp(name, synonyms[i].theirs) == 0) {
            snprintf(text, size, "; did you mean %s?", synonyms[i].ours);
            return;
        }
    snprintf(text, size, "; [%s] has", section);
    const char *before = " ";
    for (int i = 0; i < experiment_key_count; i++) {
        if (strcmp(experiment_keys[i].section, section) != 0) continue;
        append(text, size, before, experiment_keys[i].name);
        before = ", ";
    }
}
