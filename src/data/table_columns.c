/* Finds out whether a table has a head and which column is which (table_columns.h). */
#include "table_columns.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/memory.h"
#include "util/text.h"

enum { PIXELS_MIN = 16, LIST_MAX = 12 };

/* The names that a column may have, the likelier ones first; a NULL ends each list. */
static const char *const image_names[] = {"image_path", "img_path",  "filepath",   "file_path", "path",
                                          "filename",   "file_name", "image_name", "img_name",  "file",
                                          "image",      "img",       "picture",    "photo",     "image_id",
                                          "img_id",     "id_code",   "id",         "name",      NULL};
static const char *const label_names[] = {"label",  "labels",   "class",       "class_name", "label_name", "category",
                                          "target", "class_id", "category_id", "y",          NULL};
static const char *const part_names[] = {"split", "subset", "set", "part", "partition", "is_valid", NULL};

static const struct {
    const char *word;
    enum picture_part part;
} part_words[] = {{"train", PICTURE_TRAIN},      {"training", PICTURE_TRAIN}, {"val", PICTURE_VALIDATION},
                  {"valid", PICTURE_VALIDATION}, {"dev", PICTURE_VALIDATION}, {"validation", PICTURE_VALIDATION},
                  {"test", PICTURE_TEST},        {"testing", PICTURE_TEST}};

bool table_part_of(const struct table_columns *columns, const char *word, enum picture_part *part)
{
    if (columns->part_is_validation) {
        bool yes = strcasecmp(word, "true") == 0 || strcmp(word, "1") == 0;
        *part = yes ? PICTURE_VALIDATION : PICTURE_TRAIN;
        return yes || strcasecmp(word, "false") == 0 || strcmp(word, "0") == 0;
    }
    for (size_t i = 0; i < sizeof part_words / sizeof *part_words; i++)
        if (strcasecmp(part_words[i].word, word) == 0) return *part = part_words[i].part, true;
    return false;
}

/* --- the head --- */

static bool is_name(const char *text, const char *const *names)
{
    for (; *names; names++)
        if (strcasecmp(*names, text) == 0) return true;
    return false;
}

/* Tells whether a text is a number: digits, and what a float may have. */
static bool is_number(const char *text)
{
    char *end;
    (void)strtod(text, &end);
    return end != text && *end == '\0';
}

/* Tells whether the text names a pixel, as "pixel0", "p12", "1x1", "28x28" or "783". */
static bool is_pixel_name(const char *text)
{
    if (strncasecmp(text, "pixel", 5) == 0)
        text += 5;
    else if (*text == 'p' || *text == 'P')
        text++;
    while (*text == '_' || *text == ' ') text++;
    size_t digits = strspn(text, "0123456789");
    if (digits > 0 && text[digits] == 'x') digits += 1 + strspn(text + digits + 1, "0123456789");
    return digits > 0 && text[digits] == '\0';
}

static int64_t count_fields(const struct table *table, bool (*is)(const char *))
{
    int64_t count = 0;
    for (int64_t i = 0; i < table->columns; i++) count += is(table->fields[i]);
    return count;
}

/* A column that a key names, or -1: the key says auto. */
struct wish {
    const char *key, *value;
    int64_t column;
};

static bool is_auto(const char *value)
{
    return !value || !*value || strcmp(value, "auto") == 0;
}

static bool is_column_number(const char *value)
{
    return *value && strspn(value, "0123456789") == strlen(value) && strlen(value) < 10;
}

/* Tells whether the first row, which was read last, is a head. */
static bool find_head(struct table *table, const struct wish *wishes, const char *folder)
{
    struct table_folder beside;
    struct picture picture;
    const char *reason;
    bool picture_there = false;
    for (int i = 0; i < 2; i++)
        if (!is_auto(wishes[i].value) && !is_column_number(wishes[i].value)) return true;
    if (count_fields(table, picture_name_is_known) > 0) return false;
    if (count_fields(table, is_number) == table->columns) return false;
    for (int64_t i = 0; i < table->columns; i++)
        if (is_name(table->fields[i], image_names) || is_name(table->fields[i], label_names) ||
            is_name(table->fields[i], part_names))
            return true;
    if (table->columns > PIXELS_MIN && count_fields(table, is_number) == table->columns - 1) return false;
    table_folder_find(&beside, table, 0, false, folder);
    struct status ignored;
    bool more;
    if (table_next(table, &more, &ignored) && more) {
        char *found = table_picture_find(&beside, table->fields[0], &picture, &reason);
        picture_there = found != NULL;
        free(found);
    }
    table_folder_free(&beside);
    return !picture_there;
}

static void keep_head(struct table_columns *columns, const struct table *table)
{
    columns->names = memory_alloc((size_t)table->columns, sizeof *columns->names);
    for (int64_t i = 0; i < table->columns; i++) columns->names[i] = memory_copy_string(table->fields[i]);
}

void table_columns_free(struct table_columns *columns)
{
    for (int64_t i = 0; columns->names && i < columns->count; i++) free(columns->names[i]);
    free(columns->names);
    *columns = (struct table_columns){0};
}

/* Returns the first column that has one of the names, or -1. */
static int64_t find_named(const struct table_columns *columns, const char *const *names)
{
    for (; columns->names && *names; names++)
        for (int64_t i = 0; i < columns->count; i++)
            if (strcasecmp(columns->names[i], *names) == 0) return i;
    return -1;
}

/* --- the keys --- */

/* Returns the names of the columns for a message, in a new string. */
static char *list_columns(const struct table_columns *columns)
{
    if (!columns->names) return memory_format("there are %" PRId64 ", without names", columns->count);
    char *list = memory_copy_string("");
    for (int64_t i = 0; i < columns->count && i < LIST_MAX; i++) {
        char *before = list, *name = text_escape(columns->names[i]);
        list = memory_format("%s%s%s", before, i > 0 ? ", " : "", name);
        free(before), free(name);
    }
    char *all = memory_format("%s%s", list, columns->count > LIST_MAX ? ", ..." : "");
    free(list);
    return all;
}

static bool fail_key(const struct table_columns *columns, const struct table *table, const struct wish *wish,
                     struct status *status)
{
    char *list = list_columns(columns);
    status_fail(status, STATUS_USAGE,
                "%s: expected the name or the number (from 1) of a column of %s (%s), found %s%s%s", wish->key,
                table->path, list, is_auto(wish->value) ? "" : "\"", is_auto(wish->value) ? "auto" : wish->value,
                is_auto(wish->value) ? "" : "\"");
    free(list);
    return false;
}

static bool find_wish(const struct table_columns *columns, const struct table *table, struct wish *wish,
                      struct status *status)
{
    wish->column = -1;
    if (is_auto(wish->value)) return true;
    for (int64_t i = 0; columns->names && i < columns->count; i++)
        if (strcmp(columns->names[i], wish->value) == 0) wish->column = i;
    if (wish->column < 0 && is_column_number(wish->value)) wish->column = strtol(wish->value, NULL, 10) - 1;
    if (wish->column >= 0 && wish->column < columns->count) return true;
    return fail_key(columns, table, wish, status);
}

/* --- the columns --- */

/* Finds the column of the sets, whose first value must be the name of one. The first row of values was read last. */
static void find_part(struct table_columns *columns, const struct table *table)
{
    enum picture_part part;
    columns->part = find_named(columns, part_names);
    if (columns->part < 0) return;
    columns->part_is_validation = strcasecmp(columns->names[columns->part], "is_valid") == 0;
    if (!table_part_of(columns, table->fields[columns->part], &part)) columns->part = -1;
}

/* Returns the first column whose value ends like a picture's name, or -1. */
static int64_t find_picture_value(const struct table *table, int64_t but)
{
    for (int64_t i = 0; i < table->columns; i++)
        if (i != but && picture_name_is_known(table->fields[i])) return i;
    return -1;
}

static void find_image(struct table_columns *columns, const struct table *table, const struct wish *image,
                       const struct wish *label)
{
    columns->image = image->column;
    if (columns->image < 0) columns->image = find_picture_value(table, label->column);
    if (columns->image < 0) columns->image = find_named(columns, image_names);
    if (columns->image < 0) columns->image = label->column == 0 || columns->part == 0 ? 1 : 0;
    if (columns->image >= columns->count) columns->image = 0;
}

/* Finds the labels' column: the key's, the one of such a name, or the only one that is left. */
static bool find_label(struct table_columns *columns, const struct table *table, const struct wish *label,
                       struct status *status)
{
    int64_t left = columns->count - 1 - (columns->part >= 0);
    columns->label = label->column >= 0 ? label->column : find_named(columns, label_names);
    if (columns->label == columns->image && label->column < 0) columns->label = -1;
    for (int64_t i = 0; columns->label < 0 && left == 1 && i < columns->count; i++)
        if (i != columns->image && i != columns->part) columns->label = i;
    if (columns->label >= 0 && columns->label != columns->image) return true;
    return fail_key(columns, table, label, status);
}

/* --- tables of pixels --- */

/* Finds a table that holds the pixels themselves: columns named as pixels, or numbers alone. The first row of values
 * was read last. */
static bool find_pixels(struct table_columns *columns, const struct table *table, const struct wish *label,
                        struct status *status)
{
    int64_t named = 0, others = 0, other = -1;
    for (int64_t i = 0; i < columns->count; i++) {
        bool pixel = columns->names ? is_pixel_name(columns->names[i]) : is_number(table->fields[i]);
        named += pixel, others += !pixel;
        if (!pixel && i != columns->part) other = i;
    }
    if (named < PIXELS_MIN || (!columns->names && others > 1)) return true;
    columns->image = -1;
    columns->label = label->column >= 0 ? label->column : find_named(columns, label_names);
    if (columns->label < 0 && others - (columns->part >= 0) == 1) columns->label = other;
    if (columns->label < 0) return fail_key(columns, table, label, status);
    columns->pixels = columns->names ? named : columns->count - 1;
    return true;
}

/* Finds the first pixel, and checks that no other column is among them. */
static bool check_pixels(struct table_columns *columns, const struct table *table, struct status *status)
{
    int64_t first = 0;
    if (columns->pixels == 0) return true;
    while (first == columns->label || first == columns->part ||
           (columns->names && !is_pixel_name(columns->names[first])))
        first++;
    columns->first_pixel = first;
    for (int64_t i = 0; i < columns->pixels; i++) {
        bool good = first + i < columns->count && first + i != columns->label && first + i != columns->part &&
                    (!columns->names || is_pixel_name(columns->names[first + i]));
        if (!good)
            return status_fail(status, STATUS_RUNTIME,
                               "%s: column %" PRId64 " stands among the columns of pixels, expected these side by side",
                               table->path, first + i + 1);
    }
    return true;
}

static bool find_all(struct table_columns *columns, struct table *table, const struct dataset_source *source,
                     struct status *status)
{
    bool more;
    struct wish image = {"data.image_column", source->pictures.image_column, -1};
    struct wish label = {"data.label_column", source->pictures.label_column, -1};
    if (!table_next(table, &more, status)) return false;
    columns->count = more ? table->columns : 0;
    if (!more) return status_fail(status, STATUS_RUNTIME, "%s: no row, expected one for each picture", table->path);
    columns->has_head = find_head(table, (const struct wish[]){image, label}, source->pictures.folder);
    table_rewind(table);
    if (!table_next(table, &more, status)) return false;
    if (columns->has_head) keep_head(columns, table);
    if (columns->has_head && !table_next(table, &more, status)) return false;
    if (!more)
        return status_fail(status, STATUS_RUNTIME, "%s: no row behind the head, expected one for each picture",
                           table->path);
    if (!find_wish(columns, table, &image, status) || !find_wish(columns, table, &label, status)) return false;
    find_part(columns, table);
    if (is_auto(image.value) && !find_pixels(columns, table, &label, status)) return false;
    if (columns->pixels > 0) return check_pixels(columns, table, status);
    find_image(columns, table, &image, &label);
    return find_label(columns, table, &label, status);
}

bool table_columns_find(struct table_columns *columns, struct table *table, const struct dataset_source *source,
                        struct status *status)
{
    *columns = (struct table_columns){.part = -1};
    table_rewind(table);
    bool good = find_all(columns, table, source, status);
    if (!good) table_columns_free(columns);
    table_rewind(table);
    return good;
}
