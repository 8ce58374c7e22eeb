#include "table_pixels.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "table_rows.h"
#include "util/memory.h"
#include "util/text.h"

struct loading {
    struct dataset *dataset;
    struct table *table;
    const struct table_columns *columns;
    const struct dataset_source *source;
    struct table_rows rows;
    struct status *status;
};

/* --- the size --- */

static int64_t square_root(int64_t value)
{
    int64_t root = 0;
    while ((root + 1) * (root + 1) <= value) root++;
    return root;
}

static bool find_size(struct loading *loading)
{
    int64_t height = loading->source->pictures.height, width = loading->source->pictures.width;
    int64_t pixels = loading->columns->pixels, side = square_root(pixels);
    if (loading->source->pictures.channels == 3)
        return status_fail(loading->status, STATUS_USAGE,
                           "data.channels: expected auto or 1, as %s holds the pixels of grey images, found 3",
                           loading->table->path);
    if (height == 0) height = width = side;
    loading->dataset->channels = 1, loading->dataset->height = height, loading->dataset->width = width;
    if (height * width == pixels) return true;
    return status_fail(loading->status, STATUS_USAGE,
                       "data.image_size: expected a width and height whose product is %" PRId64
                       ", the number of pixels in a row of %s, found %s",
                       pixels, loading->table->path, loading->source->pictures.height > 0 ? "another one" : "auto");
}

/* --- labels --- */

/* Reads the first record behind the head, and the next ones. */
static bool next_row(struct loading *loading, bool first, bool *more)
{
    if (first) table_rewind(loading->table);
    if (first && loading->columns->has_head && !table_next(loading->table, more, loading->status)) return false;
    return table_next(loading->table, more, loading->status);
}

static bool read_labels(struct loading *loading)
{
    bool more = true;
    for (bool first = true; next_row(loading, first, &more); first = false) {
        if (!more) return true;
        if (!table_rows_add(&loading->rows, loading->table, loading->columns, loading->status)) return false;
    }
    return false;
}

static struct image_set *set_of(struct loading *loading, enum picture_part part)
{
    struct dataset *dataset = loading->dataset;
    return part == PICTURE_TRAIN ? &dataset->train : part == PICTURE_TEST ? &dataset->test : &dataset->validation;
}

static void alloc_set(struct loading *loading, enum picture_part part)
{
    struct image_set *set = set_of(loading, part);
    int64_t count = 0;
    for (int64_t i = 0; i < loading->rows.count; i++) count += loading->rows.rows[i].part == part;
    if (count > 0 && loading->source->labels_only) image_set_alloc_labels(loading->dataset, set, count);
    if (count > 0 && !loading->source->labels_only)
        image_set_alloc(loading->dataset, set, count, loading->columns->pixels);
    set->count = 0;
}

/* --- pixels --- */

/* Reads "0" to "255", also as a program writes a float: "17.0" or "1.7e+01". */
static bool parse_pixel(const char *text, uint8_t *pixel)
{
    char *end;
    int value = 0, digits = 0;
    for (; digits < 4 && text[digits] >= '0' && text[digits] <= '9'; digits++)
        value = 10 * value + (text[digits] - '0');
    double number = value;
    if (digits == 0 || text[digits] != '\0') {
        number = strtod(text, &end);
        while (text_is_blank(*end)) end++;
        if (end == text || *end != '\0') return false;
    }
    if (!(number >= 0 && number <= 255) || number != (int)number) return false;
    *pixel = (uint8_t)number;
    return true;
}

static bool read_pixels(const struct loading *loading, uint8_t *pixels)
{
    const struct table_columns *columns = loading->columns;
    for (int64_t i = 0, field = columns->first_pixel; i < columns->pixels; i++, field++) {
        if (parse_pixel(loading->table->fields[field], &pixels[i])) continue;
        char *shown = text_escape(loading->table->fields[field]);
        table_fail(loading->table, field, loading->status, "\"%.40s\", expected a pixel: a whole number of 0 to 255",
                   shown);
        free(shown);
        return false;
    }
    return true;
}

/* Appends a row to its set: the label, and the pixels of the record that was read last. */
static bool take_row(struct loading *loading, const struct table_row *row)
{
    struct image_set *set = set_of(loading, row->part);
    set->labels[set->count] = row->number;
    if (!loading->source->labels_only && !read_pixels(loading, set->pixels + set->count * loading->columns->pixels))
        return false;
    set->count++;
    return true;
}

static bool read_sets(struct loading *loading)
{
    bool more = true;
    for (int part = 0; part < PICTURE_PARTS; part++) alloc_set(loading, (enum picture_part)part);
    for (int64_t i = 0; i < loading->rows.count; i++) {
        if (!loading->source->labels_only && !next_row(loading, i == 0, &more)) return false;
        if (!take_row(loading, &loading->rows.rows[i])) return false;
    }
    return true;
}

static bool check_memory(const struct loading *loading)
{
    if (loading->rows.count * loading->columns->pixels <= DATA_PIXELS_MAX) return true;
    return status_fail(loading->status, STATUS_RUNTIME,
                       "%s: %" PRId64 " images of %" PRId64 " pixels, expected at most %" PRId64, loading->table->path,
                       loading->rows.count, loading->columns->pixels, DATA_PIXELS_MAX);
}

/* Gives the data set the classes, under the names of the config if there are any. */
static bool take_classes(struct loading *loading, struct class_names classes)
{
    struct class_names names;
    bool good = class_names_read(&names, loading->source->class_names, loading->status);
    int64_t count = classes.count, said = loading->source->classes;
    if (good && names.count > 0 && names.count != count)
        good = status_fail(loading->status, STATUS_USAGE,
                           "data.class_names: %" PRId64 " class names, expected %" PRId64 ": one for each class of %s",
                           names.count, count, loading->table->path);
    if (good && said > 0 && said != count)
        good = status_fail(loading->status, STATUS_USAGE,
                           "data.classes: expected %" PRId64 ", the number of classes of %s, found %" PRId64, count,
                           loading->table->path, said);
    bool named = good && names.count > 0;
    if (good) dataset_take_names(loading->dataset, named ? names : classes);
    if (!good || named) class_names_free(&classes);
    if (!good) class_names_free(&names);
    return good;
}

static bool load(struct loading *loading)
{
    struct class_names classes;
    if (!find_size(loading) || !read_labels(loading) || !check_memory(loading)) return false;
    if (!table_rows_settle(&loading->rows, &classes, loading->source, loading->status)) return false;
    return take_classes(loading, classes) && read_sets(loading);
}

bool table_pixels_load(struct dataset *dataset, struct table *table, const struct table_columns *columns,
                       const struct dataset_source *source, struct status *status)
{
    struct loading loading = {dataset, table, columns, source, {.path = table->path}, status};
    *dataset = (struct dataset){0};
    bool good = load(&loading);
    table_rows_free(&loading.rows);
    if (!good) dataset_free(dataset);
    return good;
}
