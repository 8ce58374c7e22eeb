/* Reads and writes values that are lists: "512, 128, 384"; "activation, batchnorm, dropout"; "1, 0.5, 19". Those of
 * model.features are in nn/features.c. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config/experiment_value.h"
#include "util/check.h"
#include "util/number.h"
#include "util/text.h"

enum { ENTRY_SIZE = 64 };

static const char *const block_names[] = {BLOCK_CHOICES(CHOICE_NAME)};

/* Takes the text up to the next comma out of *rest, without the blanks around it; *rest becomes NULL after the last
 * entry. Returns false for an entry that is longer than any good one; `entry` then holds its beginning, for a
 * message. */
static bool next_entry(const char **rest, char entry[ENTRY_SIZE])
{
    const char *start = *rest, *comma = strchr(start, ',');
    size_t length = comma ? (size_t)(comma - start) : strlen(start);
    *rest = comma ? comma + 1 : NULL;
    while (length > 0 && text_is_blank(*start)) start++, length--;
    while (length > 0 && text_is_blank(start[length - 1])) length--;
    bool whole = length < ENTRY_SIZE;
    if (!whole) length = ENTRY_SIZE - 1;
    memcpy(entry, start, length);
    entry[length] = '\0';
    return whole;
}

static bool check_count(int64_t count, struct status *problem)
{
    if (count < INT_LIST_SIZE) return true;
    return status_fail(problem, STATUS_USAGE, "expected at most %d entries", INT_LIST_SIZE);
}

bool list_parse_integers(const struct experiment_key *key, const char *text, struct int_list *list,
                         struct status *problem)
{
    char entry[ENTRY_SIZE];
    list->count = 0;
    for (const char *rest = *text ? text : NULL; rest;) {
        bool whole = next_entry(&rest, entry);
        if (!check_count(list->count, problem)) return false;
        int64_t value;
        bool good = whole && number_parse_integer(entry, &value) && value >= key->low && value <= key->high;
        if (!good)
            return status_fail(problem, STATUS_USAGE,
                               "entry %" PRId64 ": expected an integer from %" PRId64 " to %" PRId64 ", found \"%s\"",
                               list->count + 1, key->low, key->high, entry);
        list->value[list->count++] = value;
    }
    return true;
}

bool list_parse_block(const char *text, enum block_part block[BLOCK_PART_COUNT], struct status *problem)
{
    char entry[ENTRY_SIZE];
    bool seen[BLOCK_PART_COUNT] = {false};
    const char *rest = text;
    bool good = true;
    for (int i = 0; i < BLOCK_PART_COUNT && good; i++) {
        int part = 0;
        *entry = '\0';
        bool whole = !rest || next_entry(&rest, entry);
        while (part < BLOCK_PART_COUNT && strcmp(entry, block_names[part]) != 0) part++;
        good = whole && part < BLOCK_PART_COUNT && !seen[part];
        if (good) block[i] = (enum block_part)part, seen[part] = true;
    }
    if (good && !rest) return true;
    return status_fail(problem, STATUS_USAGE,
                       "expected " BLOCK_CHOICES(CHOICE_WORD) "each once, with commas between, found \"%s\"", text);
}

/* Checks that the list, written in its numbers' shortest form with ", " between, fits into VALUE_TEXT_SIZE. */
static bool check_weights(const struct class_weights *weights, struct status *problem)
{
    size_t length = 0;
    double largest = 0;
    for (int64_t i = 0; i < weights->count; i++) {
        char entry[32];
        number_format_real(weights->value[i], entry, sizeof entry);
        length += strlen(entry) + 2;
        if (weights->value[i] > largest) largest = weights->value[i];
    }
    if (largest == 0) return status_fail(problem, STATUS_USAGE, "expected a weight above 0, found none");
    if (length <= VALUE_TEXT_SIZE) return true;
    return status_fail(problem, STATUS_USAGE, "expected weights that take at most %d bytes when written, found %zu",
                       VALUE_TEXT_SIZE, length);
}

bool list_parse_weights(const struct experiment_key *key, const char *text, struct class_weights *weights,
                        struct status *problem)
{
    char entry[ENTRY_SIZE];
    *weights = (struct class_weights){0};
    for (int i = 0; key->choices[i]; i++) {
        weights->kind = (enum class_weighting)i;
        if (strcmp(text, key->choices[i]) == 0) return true;
    }
    weights->kind = CLASS_WEIGHTS_LISTED;
    for (const char *rest = text; rest;) {
        bool whole = next_entry(&rest, entry);
        double value;
        if (weights->count == EXPERIMENT_CLASSES_MAX)
            return status_fail(problem, STATUS_USAGE, "expected at most %d entries", EXPERIMENT_CLASSES_MAX);
        if (!whole || !number_parse_real(entry, &value) || value < key->from || value > key->to)
            return status_fail(problem, STATUS_USAGE,
                               "entry %" PRId64 ": expected " CLASS_WEIGHTS_CHOICES(
                                   CHOICE_WORD) "or weights from %g to %g with commas between, "
                                                "found \"%s\"",
                               weights->count + 1, key->from, key->to, entry);
        weights->value[weights->count++] = value == 0 ? 0 : value; /* -0 becomes 0 */
    }
    return check_weights(weights, problem);
}

/* Appends an entry with the separator before it. */
static void append(char *text, size_t size, int64_t index, const char *entry)
{
    size_t length = strlen(text);
    CHECK(length + strlen(entry) + 3 <= size);
    snprintf(text + length, size - length, "%s%s", index > 0 ? "," : "", entry);
}

/* Puts a blank after each comma, for people. */
static void spread(char *text, size_t size)
{
    size_t length = strlen(text), commas = 0;
    for (const char *c = text; *c; c++) commas += *c == ',';
    CHECK(length + commas < size);
    char *to = text + length + commas, *from = text + length;
    while (to > from) {
        *to-- = *from;
        if (from > text && from[-1] == ',') *to-- = ' ';
        from--;
    }
}

void list_format_integers(const struct int_list *list, char *text, size_t size)
{
    *text = '\0';
    for (int64_t i = 0; i < list->count; i++) {
        char entry[32];
        snprintf(entry, sizeof entry, "%" PRId64, list->value[i]);
        append(text, size, i, entry);
    }
    spread(text, size);
}

void list_format_block(const enum block_part block[BLOCK_PART_COUNT], char *text, size_t size)
{
    *text = '\0';
    for (int i = 0; i < BLOCK_PART_COUNT; i++) append(text, size, i, block_names[block[i]]);
    spread(text, size);
}

void list_format_weights(const struct experiment_key *key, const struct class_weights *weights, char *text, size_t size)
{
    *text = '\0';
    if (weights->kind != CLASS_WEIGHTS_LISTED) append(text, size, 0, key->choices[weights->kind]);
    for (int64_t i = 0; i < weights->count; i++) {
        char entry[32];
        number_format_real(weights->value[i], entry, sizeof entry);
        append(text, size, i, entry);
    }
    spread(text, size);
}
