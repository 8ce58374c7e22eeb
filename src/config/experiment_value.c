/* Turns text into the field of a key and back. Lists are in experiment_list.c. */
#include "config/experiment_value.h"
#include "util/number.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/check.h"
#include "util/memory.h"
#include "util/text.h"

static void expects_real(const struct experiment_key *key, char *text, size_t size)
{
    char from[32], to[32];
    number_format_real(key->from, from, sizeof from);
    number_format_real(key->to, to, sizeof to);
    snprintf(text, size, "a number %s %s %s %s", key->from_excluded ? "above" : "from", from,
             key->to_excluded     ? "to below"
             : key->from_excluded ? "up to"
                                  : "to",
             to);
}

static void expects_choice(const struct experiment_key *key, char *text, size_t size)
{
    snprintf(text, size, "one of");
    for (int i = 0; key->choices[i]; i++) {
        size_t length = strlen(text);
        snprintf(text + length, size - length, "%s %s", i > 0 ? "," : "", key->choices[i]);
    }
}

static void expects_amount(const struct experiment_key *key, char *text, size_t size)
{
    expects_choice(key, text, size);
    size_t length = strlen(text);
    snprintf(text + length, size - length, ", or an integer from %" PRId64 " to %" PRId64, key->low, key->high);
}

void experiment_key_expects(const struct experiment_key *key, char *text, size_t size)
{
    switch (key->type) {
    case KEY_INTEGER:
        snprintf(text, size, "an integer from %" PRId64 " to %" PRId64, key->low, key->high);
        break;
    case KEY_REAL:
        expects_real(key, text, size);
        break;
    case KEY_BOOLEAN:
        snprintf(text, size, "true or false");
        break;
    case KEY_TEXT:
        snprintf(text, size, "text");
        break;
    case KEY_CHOICE:
        expects_choice(key, text, size);
        break;
    case KEY_AMOUNT:
        expects_amount(key, text, size);
        break;
    case KEY_INTEGERS:
        snprintf(text, size, "integers from %" PRId64 " to %" PRId64 " with commas between", key->low, key->high);
        break;
    case KEY_FEATURES:
        snprintf(text, size, "convolutions, pools and residual blocks with commas between");
        break;
    case KEY_BLOCK:
        snprintf(text, size, BLOCK_CHOICES(CHOICE_WORD) "each once");
        break;
    case KEY_SIZE:
        snprintf(text, size, "auto, a side, or WIDTHxHEIGHT, each from %" PRId64 " to %" PRId64, key->low, key->high);
        break;
    case KEY_WEIGHTS:
        snprintf(text, size,
                 CLASS_WEIGHTS_CHOICES(CHOICE_WORD) "or a weight from %g to %g per class with commas between",
                 key->from, key->to);
        break;
    }
}

static bool fail_expected(const struct experiment_key *key, const char *found, struct status *problem)
{
    char expected[VALUE_TEXT_SIZE];
    experiment_key_expects(key, expected, sizeof expected);
    return status_fail(problem, STATUS_USAGE, "expected %s, found \"%s\"", expected, found);
}

/* Takes only a text that comes back the same when a config file holds it. */
static bool parse_text(const struct experiment_key *key, const char *text, char *field, struct status *problem)
{
    size_t length = strlen(text);
    if (length == 0) return status_fail(problem, STATUS_USAGE, "expected text, found nothing");
    if (length > (size_t)key->high)
        return status_fail(problem, STATUS_USAGE, "expected at most %" PRId64 " bytes, found %zu", key->high, length);
    if (text_find_comment(text, length) < length)
        return status_fail(problem, STATUS_USAGE, "expected text without a comment sign (\" #\", \" ;\"), found \"%s\"",
                           text);
    bool quoted = length > 1 && (text[0] == '"' || text[0] == '\'') && text[length - 1] == text[0];
    if (quoted) return status_fail(problem, STATUS_USAGE, "expected text without quotation marks, found %s", text);
    memcpy(field, text, length + 1);
    return true;
}

static bool parse_boolean(const char *text, bool *field)
{
    *field = strcmp(text, "true") == 0;
    return *field || strcmp(text, "false") == 0;
}

static bool parse_choice(const struct experiment_key *key, const char *text, void *field)
{
    for (unsigned i = 0; key->choices[i]; i++) {
        if (strcmp(text, key->choices[i]) != 0) continue;
        memcpy(field, &i, sizeof i);
        return true;
    }
    return false;
}

static bool parse_integer(const struct experiment_key *key, const char *text, int64_t *field)
{
    return number_parse_integer(text, field) && *field >= key->low && *field <= key->high;
}

static bool parse_amount(const struct experiment_key *key, const char *text, int64_t *field)
{
    for (int i = 0; key->choices[i]; i++) {
        if (strcmp(text, key->choices[i]) != 0) continue;
        *field = -1 - i;
        return true;
    }
    return parse_integer(key, text, field);
}

static void format_amount(const struct experiment_key *key, int64_t value, char *text, size_t size)
{
    if (value < 0)
        snprintf(text, size, "%s", key->choices[-1 - value]);
    else
        snprintf(text, size, "%" PRId64, value);
}

static bool parse_side(const struct experiment_key *key, const char *text, size_t length, int64_t *side)
{
    char *word = memory_format("%.*s", (int)length, text);
    bool good = parse_integer(key, word, side);
    free(word);
    return good;
}

static bool parse_size(const struct experiment_key *key, const char *text, struct image_size *field)
{
    *field = (struct image_size){0};
    if (strcmp(text, "auto") == 0) return true;
    size_t width = strcspn(text, "x");
    const char *height = text[width] == 'x' ? text + width + 1 : text;
    return parse_side(key, text, width, &field->width) && parse_side(key, height, strlen(height), &field->height);
}

static void format_size(const struct image_size *field, char *text, size_t size)
{
    if (field->width == 0)
        snprintf(text, size, "auto");
    else if (field->width == field->height)
        snprintf(text, size, "%" PRId64, field->width);
    else
        snprintf(text, size, "%" PRId64 "x%" PRId64, field->width, field->height);
}

static bool parse_real(const struct experiment_key *key, const char *text, double *field)
{
    if (!number_parse_real(text, field)) return false;
    if (*field == 0) *field = 0; /* -0 becomes 0 */
    bool above = key->from_excluded ? *field > key->from : *field >= key->from;
    bool below = key->to_excluded ? *field < key->to : *field <= key->to;
    return above && below;
}

bool experiment_value_parse(const struct experiment_key *key, const char *text, void *record, struct status *problem)
{
    const char *what = NULL;
    size_t length = strlen(text), bad = text_find_bad_byte(text, length, &what);
    if (bad < length)
        return status_fail(problem, STATUS_USAGE, "%s (byte 0x%02x) in the value", what, (unsigned char)text[bad]);
    void *field = (char *)record + key->offset;
    switch (key->type) {
    case KEY_INTEGER:
        return parse_integer(key, text, field) || fail_expected(key, text, problem);
    case KEY_REAL:
        return parse_real(key, text, field) || fail_expected(key, text, problem);
    case KEY_BOOLEAN:
        return parse_boolean(text, field) || fail_expected(key, text, problem);
    case KEY_CHOICE:
        return parse_choice(key, text, field) || fail_expected(key, text, problem);
    case KEY_AMOUNT:
        return parse_amount(key, text, field) || fail_expected(key, text, problem);
    case KEY_TEXT:
        return parse_text(key, text, field, problem);
    case KEY_INTEGERS:
        return list_parse_integers(key, text, field, problem);
    case KEY_FEATURES:
        return features_parse(text, field, problem);
    case KEY_BLOCK:
        return list_parse_block(text, field, problem);
    case KEY_SIZE:
        return parse_size(key, text, field) || fail_expected(key, text, problem);
    case KEY_WEIGHTS:
        return list_parse_weights(key, text, field, problem);
    }
    check_failed("a key's type", __FILE__, __LINE__);
}

void experiment_value_format(const struct experiment_key *key, const void *record, char *text, size_t size)
{
    const void *field = (const char *)record + key->offset;
    unsigned choice;
    switch (key->type) {
    case KEY_INTEGER:
        snprintf(text, size, "%" PRId64, *(const int64_t *)field);
        break;
    case KEY_REAL:
        number_format_real(*(const double *)field, text, size);
        break;
    case KEY_BOOLEAN:
        snprintf(text, size, "%s", *(const bool *)field ? "true" : "false");
        break;
    case KEY_TEXT:
        snprintf(text, size, "%s", (const char *)field);
        break;
    case KEY_CHOICE:
        memcpy(&choice, field, sizeof choice);
        snprintf(text, size, "%s", key->choices[choice]);
        break;
    case KEY_AMOUNT:
        format_amount(key, *(const int64_t *)field, text, size);
        break;
    case KEY_INTEGERS:
        list_format_integers(field, text, size);
        break;
    case KEY_FEATURES:
        features_format(field, text, size);
        break;
    case KEY_BLOCK:
        list_format_block(field, text, size);
        break;
    case KEY_SIZE:
        format_size(field, text, size);
        break;
    case KEY_WEIGHTS:
        list_format_weights(key, field, text, size);
        break;
    }
}
