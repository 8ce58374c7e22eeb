/* Reads orders of modules and finds the places of names in them (module_order.h). */
#include "train/module_order.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/file_regular.h"
#include "util/memory.h"
#include "util/text.h"

enum { FILE_BYTES_MAX = 1 << 16 };

/* A stretch of the text. */
struct piece {
    const char *text;
    size_t length;
};

struct order_line {
    struct piece pattern;
    int end_count;
    struct piece *ends; /* NULL: the pattern alone is the name */
};

struct module_order {
    char *text; /* to which the lines refer */
    int count;
    struct order_line *lines;
};

/* --- pieces --- */

static struct piece trimmed(struct piece piece)
{
    while (piece.length > 0 && text_is_blank(*piece.text)) piece.text++, piece.length--;
    while (piece.length > 0 && text_is_blank(piece.text[piece.length - 1])) piece.length--;
    return piece;
}

/* Takes what stands before the first `separator`, which is removed too; all where there is none. */
static struct piece take_until(struct piece *rest, char separator)
{
    const char *found = memchr(rest->text, separator, rest->length);
    struct piece piece = {rest->text, found ? (size_t)(found - rest->text) : rest->length};
    size_t used = piece.length + (found != NULL);
    rest->text += used, rest->length -= used;
    return piece;
}

static bool is_word(struct piece word, const char *text)
{
    return word.length == strlen(text) && memcmp(word.text, text, word.length) == 0;
}

static bool is_number(struct piece word)
{
    for (size_t i = 0; i < word.length; i++)
        if (!isdigit((unsigned char)word.text[i])) return false;
    return word.length > 0;
}

static bool same(struct piece a, struct piece b)
{
    return a.length == b.length && memcmp(a.text, b.text, a.length) == 0;
}

/* --- text to lines --- */

/* Returns the fault of a pattern or an end, or NULL. */
static const char *name_problem(struct piece name, bool is_pattern, bool has_ends)
{
    if (name.length == 0) return "the name of a module";
    for (struct piece rest = name; rest.length > 0;) {
        struct piece word = take_until(&rest, '.');
        bool wild = memchr(word.text, '*', word.length) || memchr(word.text, '#', word.length);
        if (word.length == 0 || name.text[name.length - 1] == '.') return "words with single dots between";
        if (memchr(word.text, ' ', word.length) || memchr(word.text, '\t', word.length)) return "no blank in a name";
        if (wild && !is_pattern) return "no * or # behind the colon";
        if (wild && word.length > 1) return "* and # as words of their own";
        if (is_word(word, "*") && (rest.length > 0 || has_ends)) return "* as the last word of the line";
    }
    return NULL;
}

static const char *add_line(struct module_order *order, struct piece text)
{
    bool has_ends = memchr(text.text, ':', text.length) != NULL;
    struct order_line line = {.pattern = trimmed(take_until(&text, ':'))};
    const char *problem = name_problem(line.pattern, true, has_ends);
    while (has_ends && !problem) {
        bool is_last = !memchr(text.text, ',', text.length);
        struct piece end = trimmed(take_until(&text, ','));
        problem = name_problem(end, false, false);
        line.ends = memory_resize(line.ends, (size_t)line.end_count + 1, sizeof *line.ends);
        line.ends[line.end_count++] = end;
        if (is_last) break;
    }
    order->lines = memory_resize(order->lines, (size_t)order->count + 1, sizeof *order->lines);
    order->lines[order->count++] = line;
    return problem;
}

struct module_order *module_order_parse(const char *name, const char *text, struct status *status)
{
    struct module_order *order = memory_alloc(1, sizeof *order);
    *order = (struct module_order){.text = memory_copy_string(text)};
    struct piece rest = {order->text, strlen(order->text)};
    for (int number = 1; rest.length > 0; number++) {
        struct piece line = take_until(&rest, '\n');
        if (line.length > 0 && line.text[line.length - 1] == '\r') line.length--;
        line.length = text_find_comment(line.text, line.length);
        line = trimmed(line);
        const char *problem = line.length > 0 ? add_line(order, line) : NULL;
        if (!problem) continue;
        status_fail(status, STATUS_USAGE, "%s:%d: expected %s", name, number, problem);
        module_order_free(order);
        return NULL;
    }
    if (order->count > 0) return order;
    status_fail(status, STATUS_USAGE, "%s: expected the name of a module in a line", name);
    module_order_free(order);
    return NULL;
}

struct module_order *module_order_read(const char *path, struct status *status)
{
    int64_t size;
    struct module_order *order = NULL;
    FILE *file = file_regular_stream(path, &size, status);
    if (!file) return NULL;
    char *text = memory_alloc((size_t)(size < FILE_BYTES_MAX ? size : FILE_BYTES_MAX) + 1, 1);
    size_t got = size <= FILE_BYTES_MAX ? fread(text, 1, (size_t)size, file) : 0;
    const char *problem;
    bool good = size <= FILE_BYTES_MAX && strlen(text) == got && got == (size_t)size;
    for (size_t at = 0; good && at < got; at += strcspn(text + at, "\n") + 1) {
        size_t length = strcspn(text + at, "\r\n");
        good = text_find_bad_byte(text + at, length, &problem) == length;
    }
    if (good)
        order = module_order_parse(path, text, status);
    else
        status_fail(status, STATUS_RUNTIME, "%s: expected a text of at most %d bytes with names of modules", path,
                    FILE_BYTES_MAX);
    fclose(file);
    free(text);
    return order;
}

void module_order_free(struct module_order *order)
{
    if (!order) return;
    for (int i = 0; i < order->count; i++) free(order->lines[i].ends);
    free(order->lines);
    free(order->text);
    free(order);
}

extern const char resnet_txt[], mobilenet_txt[], features_txt[];

const char *module_order_builtin(int number)
{
    const char *const texts[] = {resnet_txt, mobilenet_txt, features_txt};
    return number < (int)(sizeof texts / sizeof *texts) ? texts[number] : NULL;
}

/* --- places --- */

/* Takes the words that the pattern stands for from *name; false where the name begins otherwise. */
static bool take_pattern(struct piece pattern, struct piece *name)
{
    while (pattern.length > 0) {
        struct piece word = take_until(&pattern, '.');
        if (is_word(word, "*")) {
            bool some = name->length > 0;
            name->text += name->length, name->length = 0;
            return some;
        }
        struct piece own = take_until(name, '.');
        if (is_word(word, "#") ? !is_number(own) : !same(word, own)) return false;
    }
    return true;
}

static bool find_in_line(const struct order_line *line, struct piece name, struct module_place *place)
{
    struct piece rest = name;
    if (!take_pattern(line->pattern, &rest)) return false;
    place->name = name.text;
    place->pattern = name.length - rest.length;
    place->end = 0;
    if (!line->ends) return rest.length == 0;
    for (; place->end < line->end_count; place->end++)
        if (same(line->ends[place->end], rest)) return true;
    return false;
}

bool module_order_find(const struct module_order *order, const char *name, size_t length, struct module_place *place)
{
    struct piece module = {name, length};
    for (place->line = 0; place->line < order->count; place->line++)
        if (find_in_line(&order->lines[place->line], module, place)) return true;
    return false;
}

/* Numbers come before other words, and by value. */
static int compare_words(struct piece a, struct piece b)
{
    if (is_number(a) != is_number(b)) return is_number(a) ? -1 : 1;
    if (is_number(a)) {
        while (a.length > 1 && *a.text == '0') a.text++, a.length--;
        while (b.length > 1 && *b.text == '0') b.text++, b.length--;
        if (a.length != b.length) return a.length < b.length ? -1 : 1;
    }
    int order = memcmp(a.text, b.text, a.length < b.length ? a.length : b.length);
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

int module_place_compare(const struct module_place *a, const struct module_place *b)
{
    struct piece x = {a->name, a->pattern}, y = {b->name, b->pattern};
    if (a->line != b->line) return a->line < b->line ? -1 : 1;
    while (x.length > 0 && y.length > 0) {
        int order = compare_words(take_until(&x, '.'), take_until(&y, '.'));
        if (order != 0) return order;
    }
    if (x.length != y.length) return x.length < y.length ? -1 : 1;
    return a->end - b->end;
}
