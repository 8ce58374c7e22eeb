/* Loads the pictures that a table names: data.dataset = csv. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "pictures.h"
#include "table_pixels.h"
#include "table_rows.h"
#include "util/memory.h"
#include "util/text.h"
#include "util/warning.h"

/* A table whose pictures are looked for. */
struct listing {
    struct table table;
    struct table_columns columns;
    struct table_folder folder;
    struct table_rows rows;
    struct picture *pictures; /* (rows.count); the name is NULL where there is no such file */
    int64_t capacity;
    struct picture_list *list;
    struct status *status;
};

/* --- rows --- */

static void add_picture(struct listing *listing, struct picture picture)
{
    if (listing->rows.count > listing->capacity) {
        listing->capacity = listing->rows.capacity;
        listing->pictures = memory_resize(listing->pictures, (size_t)listing->capacity, sizeof *listing->pictures);
    }
    listing->pictures[listing->rows.count - 1] = picture;
}

/* Looks for the picture of the last record. A row whose picture is not there is left out. */
static bool add_row(struct listing *listing)
{
    struct picture picture = {0};
    const char *reason;
    if (!table_rows_add(&listing->rows, &listing->table, &listing->columns, listing->status)) return false;
    const char *name = table_trim(listing->table.fields[listing->columns.image]);
    picture.name = table_picture_find(&listing->folder, name, &picture, &reason);
    add_picture(listing, picture);
    if (picture.name) return true;
    char *words = memory_format("%s (line %" PRId64 " of %s)", reason, listing->table.line, listing->table.path);
    picture_list_skip(listing->list, name, true, words);
    free(words);
    return true;
}

static bool read_rows(struct listing *listing)
{
    bool more = true;
    struct table *table = &listing->table;
    if (listing->columns.has_head && !table_next(table, &more, listing->status)) return false;
    while (true) {
        if (!table_next(table, &more, listing->status)) return false;
        if (!more) return true;
        if (!add_row(listing)) return false;
    }
}

static bool check_any(const struct listing *listing)
{
    for (int64_t i = 0; i < listing->rows.count; i++)
        if (listing->pictures[i].name) return true;
    char *first = text_escape(listing->list->skipped[0].path);
    status_fail(listing->status, STATUS_RUNTIME,
                "%s: none of its %" PRId64
                " pictures is there, the first: %s: %s; expected them beside the table, in train/ "
                "or images/ there, or in data.images",
                listing->table.path, listing->rows.count, first, listing->list->skipped[0].reason);
    free(first);
    return false;
}

/* --- rows that name the same picture --- */

struct place {
    const struct picture *picture;
    int64_t row;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *left = a, *right = b;
    int difference = strcmp(left->picture->name, right->picture->name);
    return difference != 0 ? difference : (left->row > right->row) - (left->row < right->row);
}

static bool fail_twice(const struct listing *listing, const struct place *first, const struct place *second)
{
    static const char *const parts[] = {"training", "validation", "test"};
    const struct table_row *before = &listing->rows.rows[first->row], *row = &listing->rows.rows[second->row];
    bool labels = before->number != row->number;
    char *name = text_escape(first->picture->name);
    status_fail(listing->status, STATUS_RUNTIME,
                "%s:%" PRId64 ": %s has %s%s%s here and %s%s%s in line %" PRId64 ", expected one of them",
                listing->table.path, row->line, name, labels ? "the label \"" : "its place in the ",
                labels ? row->label : parts[row->part], labels ? "\"" : " set", labels ? "\"" : "the ",
                labels ? before->label : parts[before->part], labels ? "\"" : " set", before->line);
    free(name);
    return false;
}

/* Takes a picture that several rows name once. Fails where they do not say the same of it. */
static bool drop_repeated(struct listing *listing)
{
    int64_t count = 0, repeated = 0;
    bool good = true;
    struct place *places = memory_alloc((size_t)listing->rows.count, sizeof *places);
    for (int64_t i = 0; i < listing->rows.count; i++)
        if (listing->pictures[i].name) places[count++] = (struct place){&listing->pictures[i], i};
    qsort(places, (size_t)count, sizeof *places, compare_places);
    for (int64_t i = 1, first = 0; i < count && good; i++) {
        const struct table_row *rows = listing->rows.rows;
        if (strcmp(places[i].picture->name, places[first].picture->name) != 0) {
            first = i;
            continue;
        }
        good = rows[places[i].row].number == rows[places[first].row].number &&
               rows[places[i].row].part == rows[places[first].row].part;
        if (!good) fail_twice(listing, &places[first], &places[i]);
        free(listing->pictures[places[i].row].name);
        listing->pictures[places[i].row].name = NULL;
        repeated++;
    }
    free(places);
    if (good && repeated > 0)
        warning_print("%s: %" PRId64 " row%s name%s a picture of another row, and %s left out", listing->table.path,
                      repeated, repeated == 1 ? "" : "s", repeated == 1 ? "s" : "", repeated == 1 ? "is" : "are");
    return good;
}

/* --- the list --- */

/* Moves the pictures to the list. */
static void fill_list(struct listing *listing)
{
    for (int64_t i = 0; i < listing->rows.count; i++) {
        struct picture *picture = &listing->pictures[i];
        if (!picture->name) continue;
        picture->label = listing->rows.rows[i].number, picture->part = listing->rows.rows[i].part;
        picture_list_add(listing->list, *picture);
        picture->name = NULL;
    }
}

static bool list_pictures(struct listing *listing, const struct dataset_source *source)
{
    table_folder_find(&listing->folder, &listing->table, listing->columns.image, listing->columns.has_head,
                      source->pictures.folder);
    *listing->list = picture_list_start(*listing->folder.path ? listing->folder.path : ".");
    if (!read_rows(listing) || !check_any(listing)) return false;
    if (!table_rows_settle(&listing->rows, &listing->list->classes, source, listing->status)) return false;
    if (!drop_repeated(listing)) return false;
    fill_list(listing);
    return true;
}

static bool listing_open(struct listing *listing, const struct dataset_source *source, struct picture_list *list,
                         struct status *status)
{
    *listing = (struct listing){.list = list, .status = status};
    *list = (struct picture_list){0};
    if (!table_open(&listing->table, source->path, status)) return false;
    listing->rows.path = source->path;
    if (table_columns_find(&listing->columns, &listing->table, source, status)) return true;
    table_close(&listing->table);
    return false;
}

static void listing_close(struct listing *listing)
{
    for (int64_t i = 0; i < listing->rows.count && listing->pictures; i++) free(listing->pictures[i].name);
    free(listing->pictures);
    table_rows_free(&listing->rows);
    table_folder_free(&listing->folder);
    table_columns_free(&listing->columns);
    table_close(&listing->table);
}

bool csv_load(struct dataset *dataset, const struct dataset_source *source, struct status *status)
{
    struct listing listing;
    struct picture_list list;
    *dataset = (struct dataset){0};
    if (!listing_open(&listing, source, &list, status)) return false;
    bool pixels = listing.columns.pixels > 0, good;
    good = pixels ? table_pixels_load(dataset, &listing.table, &listing.columns, source, status)
                  : list_pictures(&listing, source);
    listing_close(&listing);
    if (good && !pixels) return pictures_load(dataset, &list, source, status);
    picture_list_free(&list);
    return good;
}

bool csv_describe(struct dataset_description *description, const struct dataset_source *source, struct status *status)
{
    struct listing listing;
    struct picture_list list;
    struct dataset dataset = {0};
    struct dataset_source labels = *source;
    labels.labels_only = true;
    if (!listing_open(&listing, source, &list, status)) return false;
    bool pixels = listing.columns.pixels > 0, good;
    good = pixels ? table_pixels_load(&dataset, &listing.table, &listing.columns, &labels, status)
                  : list_pictures(&listing, source) && pictures_describe(description, &list, source, status);
    if (good && pixels) *description = dataset_description_of(&dataset);
    listing_close(&listing);
    dataset_free(&dataset);
    picture_list_free(&list);
    return good;
}
