/* Reads the alternatives of a key: "A | B | C", and products of lists. */
#include "sweep/sweep_values.h"

#include <stdlib.h>
#include <string.h>

#include "config/experiment_value.h"
#include "sweep/sweep.h"
#include "util/memory.h"
#include "util/text.h"

enum { POWER_MAX = 16 };

/* A stretch of the line without blanks at its ends. */
struct piece {
    const char *start;
    int length;
};

struct parser {
    struct sweep_values *values;
    const struct experiment_key *key;
    int alternative; /* number of the alternative, from 1 */
    struct status *problem;
};

static struct piece trim(const char *start, const char *end)
{
    while (start < end && text_is_blank(*start)) start++;
    while (end > start && text_is_blank(end[-1])) end--;
    return (struct piece){start, (int)(end - start)};
}

/* Cuts the text at each '|' outside parentheses, into a new array; returns the number of pieces. */
static int split(const char *start, const char *end, struct piece **pieces)
{
    int count = 0, depth = 0;
    size_t most = 1;
    const char *first = start;
    for (const char *c = start; c < end; c++) most += *c == '|';
    *pieces = memory_alloc(most, sizeof **pieces);
    for (const char *c = start; c < end; c++) {
        if (*c == '(') depth++;
        if (*c == ')') depth--;
        if (*c != '|' || depth > 0) continue;
        (*pieces)[count++] = trim(first, c);
        first = c + 1;
    }
    (*pieces)[count++] = trim(first, end);
    return count;
}

static bool fail(const struct parser *parser, const char *message)
{
    return status_fail(parser->problem, STATUS_USAGE, "alternative %d: %s", parser->alternative, message);
}

static bool add_value(struct parser *parser, const char *text)
{
    struct sweep_values *values = parser->values;
    struct experiment scratch = {0};
    struct status problem;
    char written[VALUE_TEXT_SIZE];
    if (!experiment_value_parse(parser->key, text, &scratch, &problem)) return fail(parser, problem.message);
    experiment_value_format(parser->key, &scratch, written, sizeof written);
    for (int i = 0; i < values->count; i++)
        if (strcmp(values->text[i], written) == 0)
            return status_fail(parser->problem, STATUS_USAGE, "alternative %d: \"%s\" is there twice",
                               parser->alternative, written);
    if (values->count == SWEEP_VALUES_MAX)
        return status_fail(parser->problem, STATUS_USAGE, "expected at most %d alternatives", SWEEP_VALUES_MAX);
    if ((values->count & (values->count - 1)) == 0) /* room doubles at each power of two */
        values->text = memory_resize(values->text, (size_t)(values->count ? 2 * values->count : 1), sizeof(char *));
    values->text[values->count++] = memory_copy_string(written);
    return true;
}

/* --- products --- */

struct product {
    struct piece *entries; /* (entry_count); owned */
    int entry_count;
    int low, high; /* shortest and longest length of the lists */
};

/* Reads one or two digits at *text, which moves behind them; returns -1 where there are none or more. */
static int take_power(const char **text, const char *end)
{
    int power = 0, digits = 0;
    for (; *text < end && **text >= '0' && **text <= '9'; (*text)++, digits++)
        if (digits < 2) power = 10 * power + (**text - '0');
    return digits >= 1 && digits <= 2 ? power : -1;
}

/* A value of model.features may begin with a parenthesis too, but has neither alternatives nor a power. */
static bool is_product(const struct parser *parser, struct piece piece)
{
    if (piece.length == 0 || *piece.start != '(') return false;
    return parser->key->type != KEY_FEATURES || memchr(piece.start, '^', (size_t)piece.length) ||
           memchr(piece.start, '|', (size_t)piece.length);
}

/* Returns the end of the parenthesis that the piece begins with; NULL: it has none, or others are inside and the key has
 * no values with parentheses. */
static const char *find_close(const struct parser *parser, struct piece piece)
{
    int depth = 0;
    for (const char *c = piece.start; c < piece.start + piece.length; c++) {
        if (*c == '(' && ++depth > 1 && parser->key->type != KEY_FEATURES) return NULL;
        if (*c == ')' && --depth == 0) return c;
    }
    return NULL;
}

static bool parse_product(struct parser *parser, struct piece piece, struct product *product)
{
    const char *end = piece.start + piece.length, *close = find_close(parser, piece);
    bool good = close && end - close >= 3 && close[1] == '^';
    if (good) {
        const char *at = close + 2;
        product->entry_count = split(piece.start + 1, close, &product->entries);
        product->low = product->high = take_power(&at, end);
        if (end - at > 2 && memcmp(at, "..", 2) == 0) at += 2, product->high = take_power(&at, end);
        good = at == end && product->low >= 0 && product->high >= product->low && product->high <= POWER_MAX;
    }
    if (good) return true;
    return status_fail(
        parser->problem, STATUS_USAGE,
        "alternative %d: expected a product like (128 | 256)^2 or (128 | 256)^1..3, with powers up to %d, "
        "found \"%.*s\"",
        parser->alternative, POWER_MAX, piece.length, piece.start);
}

/* Joins the entries that `digits` selects, in a new string. */
static char *join(const struct product *product, const int *digits, int length)
{
    char *text;
    size_t size;
    FILE *out = memory_stream(&text, &size);
    for (int i = 0; i < length; i++) {
        struct piece entry = product->entries[digits[i]];
        fprintf(out, "%s%.*s", i ? "," : "", entry.length, entry.start);
    }
    memory_stream_close(out, &text);
    return text;
}

/* Adds every list of `length` entries: `digits` counts through them like a number, the last digit fastest. */
static bool add_lists(struct parser *parser, const struct product *product, int length)
{
    int digits[POWER_MAX] = {0};
    for (;;) {
        char *text = join(product, digits, length);
        bool good = add_value(parser, text);
        free(text);
        if (!good) return false;
        int last = length - 1;
        while (last >= 0 && ++digits[last] == product->entry_count) digits[last--] = 0;
        if (last < 0) return true;
    }
}

static bool add_product(struct parser *parser, struct piece piece)
{
    struct product product = {0};
    if (parser->key->type != KEY_INTEGERS && parser->key->type != KEY_FEATURES)
        return fail(parser, "products are for keys that take lists, like model.hidden");
    bool good = parse_product(parser, piece, &product);
    for (int length = product.low; good && length <= product.high; length++) good = add_lists(parser, &product, length);
    free(product.entries);
    return good;
}

bool sweep_values_parse(struct sweep_values *values, const struct experiment_key *key, const char *text,
                        struct status *problem)
{
    struct piece *pieces;
    struct parser parser = {.values = values, .key = key, .problem = problem};
    *values = (struct sweep_values){0};
    int count = split(text, text + strlen(text), &pieces);
    bool good = true;
    for (int i = 0; i < count && good; i++) {
        parser.alternative = i + 1;
        if (is_product(&parser, pieces[i])) {
            good = add_product(&parser, pieces[i]);
        } else {
            char *value = memory_format("%.*s", pieces[i].length, pieces[i].start);
            good = add_value(&parser, value);
            free(value);
        }
    }
    free(pieces);
    return good;
}

void sweep_values_free(struct sweep_values *values)
{
    for (int i = 0; i < values->count; i++) free(values->text[i]);
    free(values->text);
    *values = (struct sweep_values){0};
}
