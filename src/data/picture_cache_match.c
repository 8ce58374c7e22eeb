/* Compares the cache of pictures with a list (picture_cache.h). */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "picture_cache.h"
#include "util/memory.h"

/* A picture of the list or of the file. */
struct entry {
    const char *name;
    int64_t place; /* in the list or in the file */
};

struct matching {
    const struct pack_tables *tables;
    const struct picture_list *list;
    const int64_t *name_places;
    const char **reasons; /* (rows): why a picture could not be read, or NULL: it was */
};

static const char *name_of_row(const struct matching *matching, int64_t row)
{
    return matching->tables->texts[PACK_NAMES].bytes + matching->name_places[row];
}

/* Returns the reasons of all rows in a new array; the file has a path and a reason for each row that is unread. */
static const char **find_reasons(const struct pack_tables *tables)
{
    const char *text = tables->texts[PACK_SKIPPED].bytes,
               **reasons = memory_alloc((size_t)tables->rows, sizeof *reasons);
    for (int64_t i = 0; i < tables->rows; i++) {
        if (!(tables->parts[i] & PACK_UNREAD)) continue;
        reasons[i] = text + strlen(text) + 1;
        text = reasons[i] + strlen(reasons[i]) + 1;
    }
    return reasons;
}

/* Tells whether the file could not be opened before, and can be now: a permission leaves the file's time as it is. */
static bool is_readable_now(const struct matching *matching, int64_t row, int64_t picture)
{
    if (!matching->reasons[row] || !strstr(matching->reasons[row], "cannot open")) return false;
    char *path = picture_list_path(matching->list, matching->list->pictures[picture].name);
    bool readable = access(path, R_OK) == 0;
    free(path);
    return readable;
}

static bool is_same_file(const struct matching *matching, int64_t row, int64_t picture)
{
    const struct picture *here = &matching->list->pictures[picture];
    return matching->tables->sizes[row] == here->size && matching->tables->changed[row] == here->changed_ns &&
           !is_readable_now(matching, row, picture);
}

/* The class and the set of a picture may change while its file does not. */
static bool is_same(const struct matching *matching, int64_t row, int64_t picture)
{
    const struct picture *here = &matching->list->pictures[picture];
    return matching->tables->labels[row] == here->label &&
           (matching->tables->parts[row] & ~PACK_UNREAD) == (uint8_t)here->part && is_same_file(matching, row, picture);
}

static bool is_same_list(const struct matching *matching)
{
    const struct picture_list *list = matching->list;
    if (matching->tables->rows != list->count || matching->tables->classes != list->classes.count) return false;
    for (int64_t i = 0; i < list->count; i++)
        if (strcmp(name_of_row(matching, i), list->pictures[i].name) != 0 || !is_same(matching, i, i)) return false;
    return true;
}

/* --- the difference --- */

static int compare_entries(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;
    int difference = strcmp(left->name, right->name);
    return difference != 0 ? difference : (left->place > right->place) - (left->place < right->place);
}

static struct entry *sort_rows(const struct matching *matching)
{
    struct entry *entries = memory_alloc((size_t)matching->tables->rows, sizeof *entries);
    for (int64_t i = 0; i < matching->tables->rows; i++) entries[i] = (struct entry){name_of_row(matching, i), i};
    qsort(entries, (size_t)matching->tables->rows, sizeof *entries, compare_entries);
    return entries;
}

static struct entry *sort_pictures(const struct picture_list *list)
{
    struct entry *entries = memory_alloc((size_t)list->count, sizeof *entries);
    for (int64_t i = 0; i < list->count; i++) entries[i] = (struct entry){list->pictures[i].name, i};
    qsort(entries, (size_t)list->count, sizeof *entries, compare_entries);
    return entries;
}

static void note_pair(const struct matching *matching, int64_t row, int64_t picture, int64_t *found,
                      struct picture_changes *changes)
{
    bool read = !(matching->tables->parts[row] & PACK_UNREAD);
    if (!is_same(matching, row, picture)) changes->changed++;
    found[picture] = read && is_same_file(matching, row, picture) ? row : -1;
}

static void find_changes(const struct matching *matching, int64_t *found, struct picture_changes *changes)
{
    int64_t rows = matching->tables->rows, count = matching->list->count, r = 0, p = 0;
    struct entry *there = sort_rows(matching), *here = sort_pictures(matching->list);
    while (r < rows || p < count) {
        int order = r == rows ? 1 : p == count ? -1 : strcmp(there[r].name, here[p].name);
        if (order < 0) changes->removed++, r++;
        if (order > 0) changes->added++, found[here[p++].place] = -1;
        if (order == 0) note_pair(matching, there[r++].place, here[p++].place, found, changes);
    }
    free(there);
    free(here);
}

bool picture_cache_match(const struct pack *pack, const struct picture_list *list, int64_t *found,
                         struct picture_changes *changes)
{
    int64_t *places = pack_name_places(pack);
    *changes = (struct picture_changes){0};
    for (int64_t i = 0; i < list->count; i++) found[i] = -1;
    const struct matching matching = {&pack->tables, list, places, find_reasons(&pack->tables)};
    bool same = places && is_same_list(&matching);
    if (places && !same) find_changes(&matching, found, changes);
    free(places);
    free(matching.reasons);
    return same;
}
