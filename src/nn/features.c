/* Reads and writes the features of a convolutional network (features.h). */
#include "nn/features.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util/text.h"

enum { LARGEST_CHANNELS = 65536, LARGEST_WINDOW = 99, ENTRY_SIZE = 64 };

const char features_help[] =
    "model.features lists what a convnet is made of, with commas between:\n"
    "  C[kK][sS][pP][gG]\n"
    "                   convolution with C output channels, then model.block: KxK kernel (default 3),\n"
    "                   stride S (default 1), padding P on each side (default K/2 rounded down),\n"
    "                   G groups of channels (default 1), each convolved for itself: 64g64 behind 64\n"
    "                   channels is depthwise\n"
    "  M                max-pool 3x3, stride 2, padding 1\n"
    "  MK[sS][pP]       max-pool KxK, stride S (default K), padding P (default 0, at most K/2)\n"
    "  A                average pool 1x1\n"
    "  AK[sS][pP]       average pool KxK, like MK\n"
    "  G                global average pool: the mean of each channel\n"
    "  WK               whitening convolution KxK, the first entry: 2*K*K filters per channel of the images,\n"
    "                   computed from the training set and fixed, no padding; then a bias that is trained\n"
    "                   and the activation\n"
    "  SR               squeeze-and-excitation, right behind a convolution of C channels: of the mean of each\n"
    "                   channel a 1x1 convolution makes C/R values, the activation follows, another makes C,\n"
    "                   and each channel is multiplied by the sigmoid of its own\n"
    "  64M2, 64k5A2s1   convolution with a pool of its own, which comes before model.block\n"
    "  (C..., C...)+    residual block: convolutions one after the other, whose input is added to their\n"
    "                   output. The last one's activation comes after the sum. Where the shapes\n"
    "                   differ, the input goes through a 1x1 convolution with the block's stride and\n"
    "                   batch normalization first. (C..., C..., SR)+ is the block of an SE-ResNet\n"
    "  (C..., C...)+ xN N such blocks, one after the other; only the first of them has strides\n"
    "Example: 64, M, 128, M2s2p0, 256k5s2p2, A\n"
    "A residual network: 16, (16, 16)+ x3, (32s2, 32)+ x3, (64s2, 64)+ x3, G\n"
    "Its bottlenecks:    16, (16k1, 16, 64k1)+ x3, (32k1, 32s2, 128k1)+ x3, G\n";

int64_t features_entry_length(const struct feature *first)
{
    return first->block > 0 ? first->block : 1;
}

static bool is_convolution(const struct feature *feature)
{
    return feature->kind == FEATURE_CONV || feature->kind == FEATURE_WHITENING;
}

struct feature_counts features_count(const struct feature_list *list)
{
    struct feature_counts counts = {0};
    for (int64_t i = 0; i < list->count; i += features_entry_length(&list->value[i])) {
        const struct feature *first = &list->value[i];
        int64_t own = 0;
        for (int64_t k = 0; k < features_entry_length(first); k++) own += is_convolution(&first[k]);
        counts.convolutions += first->block > 0 ? first->repeats * own : own;
        counts.blocks += first->repeats;
    }
    return counts;
}

/* --- text to list --- */

/* A stretch of the text. */
struct piece {
    const char *start, *end;
};

struct parser {
    struct feature_list *list;
    int64_t entry;    /* number of the entry at hand, from 1 */
    int64_t channels; /* those of the convolution right before; 0: something else is there */
    struct status *problem;
};

static struct piece trim(struct piece piece)
{
    while (piece.start < piece.end && text_is_blank(*piece.start)) piece.start++;
    while (piece.end > piece.start && text_is_blank(piece.end[-1])) piece.end--;
    return piece;
}

/* Takes the text up to the next comma outside parentheses from *rest. Nothing is left after the last entry: start is
 * NULL. */
static struct piece next_entry(struct piece *rest)
{
    struct piece entry = *rest;
    int depth = 0;
    const char *c = rest->start;
    for (; c < rest->end && (*c != ',' || depth > 0); c++) depth += (*c == '(') - (*c == ')');
    entry.end = c;
    rest->start = c < rest->end ? c + 1 : NULL;
    return trim(entry);
}

static bool fail(const struct parser *parser, const char *expected, struct piece found)
{
    int length = (int)(found.end - found.start < ENTRY_SIZE ? found.end - found.start : ENTRY_SIZE - 1);
    return status_fail(parser->problem, STATUS_USAGE, "entry %" PRId64 ": expected %s, found \"%.*s\"", parser->entry,
                       expected, length, found.start);
}

/* Returns the number that the piece begins with and takes it away: -1 where there is none, a number above
 * LARGEST_CHANNELS for all larger ones. */
static int64_t take_number(struct piece *piece)
{
    int64_t number = 0;
    const char *first = piece->start;
    for (; piece->start < piece->end && *piece->start >= '0' && *piece->start <= '9'; piece->start++)
        if (number <= LARGEST_CHANNELS) number = number * 10 + (*piece->start - '0');
    return piece->start > first ? number : -1;
}

static bool take_letter(struct piece *piece, char letter)
{
    bool found = piece->start < piece->end && *piece->start == letter;
    piece->start += found;
    return found;
}

/* Returns the number after `letter`, the default where the piece does not begin with the letter, or -1 for a letter
 * without a number. */
static int64_t take_option(struct piece *piece, char letter, int64_t default_value)
{
    return take_letter(piece, letter) ? take_number(piece) : default_value;
}

/* What a pool of letters alone means. */
static struct window usual_pool(enum feature_kind kind)
{
    return kind == FEATURE_MAX_POOL ? (struct window){3, 2, 1} : (struct window){1, 1, 0};
}

static bool parse_pool_window(struct piece text, enum feature_kind kind, struct window *window)
{
    *window = usual_pool(kind);
    if (text.start == text.end) return true;
    window->kernel = take_number(&text);
    window->stride = take_option(&text, 's', window->kernel);
    window->padding = take_option(&text, 'p', 0);
    return text.start == text.end && window->kernel >= 0 && window->stride >= 0 && window->padding >= 0;
}

static bool parse_pool(struct piece text, enum feature_kind kind, struct feature *feature)
{
    *feature = (struct feature){.kind = kind};
    return parse_pool_window(text, kind, &feature->window);
}

/* Reads the pool that a convolution's entry ends with, if it does. */
static bool parse_own_pool(struct piece text, struct feature *feature)
{
    if (text.start == text.end) return true;
    feature->pool.present = true;
    feature->pool.kind = *text.start == 'M' ? FEATURE_MAX_POOL : FEATURE_AVERAGE_POOL;
    if (!take_letter(&text, 'M') && !take_letter(&text, 'A')) return false;
    return parse_pool_window(text, feature->pool.kind, &feature->pool.window);
}

static bool parse_conv(struct piece text, struct feature *feature)
{
    *feature = (struct feature){.kind = FEATURE_CONV, .channels = take_number(&text)};
    struct window *window = &feature->window;
    window->kernel = take_option(&text, 'k', 3);
    window->stride = take_option(&text, 's', 1);
    window->padding = take_option(&text, 'p', window->kernel / 2);
    feature->groups = take_option(&text, 'g', 1);
    return feature->channels >= 0 && window->kernel >= 0 && window->stride >= 0 && window->padding >= 0 &&
           feature->groups >= 0 && parse_own_pool(text, feature);
}

static bool parse_whitening(struct piece text, struct feature *feature)
{
    *feature = (struct feature){.kind = FEATURE_WHITENING, .window = {take_number(&text), 1, 0}};
    return text.start == text.end && feature->window.kernel >= 0;
}

/* Squeeze-and-excitation has the window of a layer that changes no shape. add_feature sets the channels. */
static bool parse_excitation(struct piece text, struct feature *feature)
{
    *feature = (struct feature){.kind = FEATURE_EXCITATION, .window = {1, 1, 0}, .reduction = take_number(&text)};
    return text.start == text.end && feature->reduction >= 0;
}

static bool parse_feature(struct piece text, struct feature *feature)
{
    if (take_letter(&text, 'M')) return parse_pool(text, FEATURE_MAX_POOL, feature);
    if (take_letter(&text, 'A')) return parse_pool(text, FEATURE_AVERAGE_POOL, feature);
    if (take_letter(&text, 'W')) return parse_whitening(text, feature);
    if (take_letter(&text, 'S')) return parse_excitation(text, feature);
    if (!take_letter(&text, 'G')) return parse_conv(text, feature);
    *feature = (struct feature){.kind = FEATURE_GLOBAL_POOL};
    return text.start == text.end;
}

/* Returns the fault of a kernel and its stride, or NULL. */
static const char *window_problem(struct window window)
{
    if (window.kernel < 1 || window.kernel > LARGEST_WINDOW) return "a kernel from 1 to 99";
    return window.stride < 1 || window.stride > LARGEST_WINDOW ? "a stride from 1 to 99" : NULL;
}

static const char *pool_problem(struct window window)
{
    const char *problem = window_problem(window);
    if (problem) return problem;
    return window.padding > window.kernel / 2 ? "a padding of at most half the pool's kernel" : NULL;
}

static const char *conv_problem(const struct feature *feature)
{
    const char *problem = window_problem(feature->window);
    if (feature->channels < 1 || feature->channels > LARGEST_CHANNELS) return "1 to 65536 channels";
    if (problem) return problem;
    if (feature->window.padding > LARGEST_WINDOW) return "a padding from 0 to 99";
    if (feature->groups < 1 || feature->channels % feature->groups != 0)
        return "groups that divide the channels evenly";
    return feature->pool.present ? pool_problem(feature->pool.window) : NULL;
}

static const char *excitation_problem(const struct feature *feature)
{
    if (feature->channels == 0) return "squeeze-and-excitation right behind a convolution alone";
    bool divides = feature->reduction > 0 && feature->channels % feature->reduction == 0;
    return divides ? NULL : "a reduction that divides the channels evenly";
}

/* Returns the fault of a feature that has the right form, or NULL: the feature is good. */
static const char *feature_problem(const struct feature *feature)
{
    if (feature->kind == FEATURE_GLOBAL_POOL) return NULL;
    if (feature->kind == FEATURE_WHITENING) return window_problem(feature->window);
    if (feature->kind == FEATURE_EXCITATION) return excitation_problem(feature);
    return feature->kind == FEATURE_CONV ? conv_problem(feature) : pool_problem(feature->window);
}

static bool add_feature(struct parser *parser, struct piece text, struct feature *feature)
{
    struct feature_list *list = parser->list;
    if (feature->kind == FEATURE_EXCITATION) feature->channels = parser->channels;
    const char *problem = feature_problem(feature);
    if (problem) return fail(parser, problem, text);
    if (feature->kind == FEATURE_WHITENING && list->count > 0)
        return fail(parser, "a whitening convolution as the first entry alone", text);
    if (list->count == FEATURES_SIZE)
        return status_fail(parser->problem, STATUS_USAGE,
                           "expected at most %d convolutions, pools and squeeze-and-excitations", FEATURES_SIZE);
    list->value[list->count++] = *feature;
    parser->channels = feature->kind == FEATURE_CONV ? feature->channels : 0;
    return true;
}

static bool parse_single(struct parser *parser, struct piece text)
{
    struct feature feature;
    if (parse_feature(text, &feature)) return add_feature(parser, text, &feature);
    return fail(parser,
                "a convolution like 64 or 64k5s2p2, a pool like M, M2s2p0, A4 or G, S16 behind a convolution, or a "
                "residual block like (64, 64)+ x3",
                text);
}

/* Reads what stands behind the parentheses, "+ x3"; -1: something else does. */
static int64_t parse_repeats(struct piece text)
{
    if (!take_letter(&text, '+')) return -1;
    text = trim(text);
    if (text.start == text.end) return 1;
    int64_t repeats = take_letter(&text, 'x') ? take_number(&text) : -1;
    return text.start == text.end ? repeats : -1;
}

static bool is_inside_block(const struct feature *feature)
{
    return (feature->kind == FEATURE_CONV && !feature->pool.present) || feature->kind == FEATURE_EXCITATION;
}

static bool parse_block(struct parser *parser, struct piece text)
{
    struct feature *first = &parser->list->value[parser->list->count];
    int64_t before = parser->list->count;
    struct piece inside = {text.start + 1, memchr(text.start, ')', (size_t)(text.end - text.start))};
    if (inside.end && memchr(inside.start, '(', (size_t)(inside.end - inside.start)))
        return fail(parser, "no block within a residual block", text);
    int64_t repeats = inside.end ? parse_repeats((struct piece){inside.end + 1, text.end}) : -1;
    if (repeats < 0) return fail(parser, "a residual block like (64, 64)+ or (64, 64)+ x3", text);
    if (repeats < 1 || repeats > FEATURES_WITH_REPEATS) return fail(parser, "1 to 1024 repeats", text);
    parser->channels = 0;
    while (inside.start) {
        struct feature feature;
        struct piece entry = next_entry(&inside);
        bool good = parse_feature(entry, &feature) && is_inside_block(&feature);
        if (!good)
            return fail(parser, "convolutions like 64 or 64k5s2p2, and S16 behind them, in a residual block", entry);
        if (!add_feature(parser, entry, &feature)) return false;
    }
    parser->channels = 0;
    first->block = parser->list->count - before;
    first->repeats = repeats;
    return true;
}

bool features_parse(const char *text, struct feature_list *list, struct status *problem)
{
    struct parser parser = {.list = list, .problem = problem};
    struct piece rest = {*text ? text : NULL, text + strlen(text)};
    list->count = 0;
    while (rest.start) {
        struct piece entry = next_entry(&rest);
        parser.entry++;
        bool is_block = entry.start < entry.end && *entry.start == '(';
        if (!(is_block ? parse_block : parse_single)(&parser, entry)) return false;
    }
    int64_t found = features_count(list).convolutions;
    if (found <= FEATURES_WITH_REPEATS) return true;
    return status_fail(problem, STATUS_USAGE,
                       "expected at most %d convolutions, those of repeated blocks counted, found %" PRId64,
                       FEATURES_WITH_REPEATS, found);
}

/* --- list to text --- */

static void append(char *text, size_t size, const char *part)
{
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s", part);
}

/* Appends "k5" where the value is not the default. */
static void append_option(char *text, size_t size, const char *letter, int64_t value, int64_t default_value)
{
    size_t used = strlen(text);
    if (value != default_value) snprintf(text + used, size - used, "%s%" PRId64, letter, value);
}

static void append_pool(char *text, size_t size, enum feature_kind kind, struct window window)
{
    struct window usual = usual_pool(kind);
    append(text, size, kind == FEATURE_MAX_POOL ? "M" : "A");
    if (window.kernel == usual.kernel && window.stride == usual.stride && window.padding == usual.padding) return;
    append_option(text, size, "", window.kernel, 0);
    append_option(text, size, "s", window.stride, window.kernel);
    append_option(text, size, "p", window.padding, 0);
}

static void append_feature(char *text, size_t size, const struct feature *feature)
{
    struct window window = feature->window;
    switch (feature->kind) {
    case FEATURE_CONV:
        append_option(text, size, "", feature->channels, 0);
        append_option(text, size, "k", window.kernel, 3);
        append_option(text, size, "s", window.stride, 1);
        append_option(text, size, "p", window.padding, window.kernel / 2);
        append_option(text, size, "g", feature->groups, 1);
        if (feature->pool.present) append_pool(text, size, feature->pool.kind, feature->pool.window);
        return;
    case FEATURE_MAX_POOL:
    case FEATURE_AVERAGE_POOL:
        append_pool(text, size, feature->kind, window);
        return;
    case FEATURE_GLOBAL_POOL:
        append(text, size, "G");
        return;
    case FEATURE_WHITENING:
        append_option(text, size, "W", window.kernel, 0);
        return;
    case FEATURE_EXCITATION:
        append_option(text, size, "S", feature->reduction, 0);
    }
}

void features_format_entry(const struct feature *first, char *text, size_t size)
{
    *text = '\0';
    if (first->block == 0) {
        append_feature(text, size, first);
        return;
    }
    for (int64_t i = 0; i < first->block; i++) {
        append(text, size, i > 0 ? ", " : "(");
        append_feature(text, size, &first[i]);
    }
    append(text, size, ")+");
    append_option(text, size, " x", first->repeats, 1);
}

void features_format(const struct feature_list *list, char *text, size_t size)
{
    *text = '\0';
    for (int64_t i = 0; i < list->count; i += features_entry_length(&list->value[i])) {
        if (i > 0) append(text, size, ", ");
        size_t used = strlen(text);
        features_format_entry(&list->value[i], text + used, size - used);
    }
}
