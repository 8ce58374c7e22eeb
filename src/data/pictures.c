#include "pictures.h"

#include <stdlib.h>
#include <string.h>

#include "picture_cache.h"
#include "picture_decode.h"
#include "picture_shape.h"
#include "util/check.h"
#include "util/machine.h"
#include "util/memory.h"
#include "util/text.h"

enum { EXAMPLES = 3 }; /* reasons that a message gives */

/* --- before the pictures are read --- */

/* Gives the classes the names of the config, if there are any. */
static bool rename_classes(struct picture_list *list, const struct dataset_source *source, struct status *status)
{
    struct class_names names;
    int64_t count = list->classes.count;
    if (!class_names_read(&names, source->class_names, status)) return false;
    if (names.count == 0) return true;
    if (names.count != count) {
        status_fail(status, STATUS_USAGE, "data.class_names: %lld class names, expected %lld: one for each class of %s",
                    (long long)names.count, (long long)count, list->root);
        class_names_free(&names);
        return false;
    }
    class_names_free(&list->classes);
    list->classes = names;
    return true;
}

static bool check_classes(const struct picture_list *list, const struct dataset_source *source, struct status *status)
{
    if (source->classes == 0 || source->classes == list->classes.count) return true;
    return status_fail(status, STATUS_USAGE, "data.classes: expected %lld, the number of classes of %s, found %lld",
                       (long long)list->classes.count, list->root, (long long)source->classes);
}

static bool has_part(const struct picture_list *list, enum picture_part part)
{
    for (int64_t i = 0; i < list->count; i++)
        if (list->pictures[i].part == part) return true;
    return false;
}

static bool check_parts(const struct picture_list *list, const struct dataset_source *source, struct status *status)
{
    if (list->count > INT32_MAX)
        return status_fail(status, STATUS_RUNTIME, "%s: %lld pictures, expected at most %d", list->root,
                           (long long)list->count, INT32_MAX);
    if (!has_part(list, PICTURE_TRAIN))
        return status_fail(status, STATUS_RUNTIME, "%s: no training picture, expected .png, .jpg or .jpeg files",
                           list->root);
    if (source->pictures.test_size == 0 || !has_part(list, PICTURE_TEST)) return true;
    return status_fail(status, STATUS_USAGE, "data.test_size: expected 0, as %s has a test set of its own, found %lld",
                       list->root, (long long)source->pictures.test_size);
}

/* --- what was left out --- */

/* Moves the pictures that could not be read, with their reasons, to the files that are left out. */
static void skip_unread(struct picture_list *list, char **reasons)
{
    for (int64_t i = 0; i < list->count; i++)
        if (reasons[i]) picture_list_skip(list, list->pictures[i].name, true, reasons[i]);
}

static int compare_skipped(const void *a, const void *b)
{
    const struct skipped_file *left = a, *right = b;
    return strcmp(left->path, right->path);
}

/* Returns the first few of the pictures that were left out with their reasons, in a new string. */
static char *describe_skipped(const struct dataset *dataset)
{
    int listed = 0;
    char *text = memory_copy_string("");
    for (int64_t i = 0; i < dataset->skipped_count && listed < EXAMPLES; i++) {
        if (!dataset->skipped[i].picture) continue;
        char *before = text, *path = text_escape(dataset->skipped[i].path);
        text = memory_format("%s%s%s: %s", before, listed++ > 0 ? "; " : "", path, dataset->skipped[i].reason);
        free(before);
        free(path);
    }
    return text;
}

static int64_t count_skipped_pictures(const struct dataset *dataset)
{
    int64_t count = 0;
    for (int64_t i = 0; i < dataset->skipped_count; i++) count += dataset->skipped[i].picture;
    return count;
}

/* Checks the share of pictures that were left out; `read` pictures were read. */
static bool check_skipped(const struct dataset *dataset, const struct dataset_source *source, int64_t read,
                          struct status *status)
{
    int64_t skipped = count_skipped_pictures(dataset);
    if ((double)skipped <= source->pictures.max_skipped * (double)(skipped + read)) return true;
    char *examples = describe_skipped(dataset);
    status_fail(status, STATUS_USAGE,
                "data.max_skipped: %lld of the %lld pictures cannot be read, expected a share of at most %g: %s%s",
                (long long)skipped, (long long)(skipped + read), source->pictures.max_skipped, examples,
                skipped > EXAMPLES ? "; ..." : "");
    free(examples);
    return false;
}

/* Takes over the list's files that are left out, in the order of their paths. */
static void take_skipped(struct dataset *dataset, struct picture_list *list)
{
    if (list->skipped_count > 1)
        qsort(list->skipped, (size_t)list->skipped_count, sizeof *list->skipped, compare_skipped);
    dataset->skipped = list->skipped, dataset->skipped_count = list->skipped_count;
    list->skipped = NULL, list->skipped_count = list->skipped_capacity = 0;
}

/* --- sets --- */

/* Puts the names of all rows into memory of the data set. */
static void keep_names(struct dataset *dataset, const struct picture_list *list, struct image_set *rows)
{
    size_t size = 0;
    int64_t *places = memory_alloc((size_t)list->count, sizeof *places);
    for (int64_t i = 0; i < list->count; i++) {
        places[i] = (int64_t)size;
        size += strlen(list->pictures[i].name) + 1;
    }
    char *names = memory_alloc(size, 1);
    for (int64_t i = 0; i < list->count; i++) strcpy(names + places[i], list->pictures[i].name);
    dataset_keep(dataset, names, 0);
    dataset_keep(dataset, places, 0);
    rows->names = names, rows->name_places = places;
}

/* Makes a set of the rows of one part that could be read; `rows` has the memory that all sets share. */
static struct image_set make_set(struct dataset *dataset, const struct picture_list *list, char *const *reasons,
                                 enum picture_part part, const struct image_set *rows)
{
    struct image_set set = *rows;
    for (int64_t i = 0; i < list->count; i++) set.count += list->pictures[i].part == part && !reasons[i];
    if (set.count == 0) return (struct image_set){0};
    int32_t *numbers = memory_alloc((size_t)set.count, sizeof *numbers);
    set.labels = memory_alloc((size_t)set.count, sizeof *set.labels);
    for (int64_t i = 0, place = 0; i < list->count; i++) {
        if (list->pictures[i].part != part || reasons[i]) continue;
        numbers[place] = (int32_t)i;
        set.labels[place++] = list->pictures[i].label;
    }
    dataset_keep(dataset, numbers, 0);
    dataset_keep(dataset, set.labels, 0);
    set.rows = numbers;
    return set;
}

static void make_sets(struct dataset *dataset, const struct picture_list *list, char *const *reasons,
                      struct image_set *rows)
{
    keep_names(dataset, list, rows);
    dataset->train = make_set(dataset, list, reasons, PICTURE_TRAIN, rows);
    dataset->validation = make_set(dataset, list, reasons, PICTURE_VALIDATION, rows);
    dataset->test = make_set(dataset, list, reasons, PICTURE_TEST, rows);
}

/* --- loading --- */

/* Fails where the pixels do not fit into memory; `reason` says why they are not in a file. */
static bool check_memory(const struct picture_list *list, const struct image_format *format, const char *reason,
                         struct status *status)
{
    double wanted = (double)list->count * (double)(format->channels * format->height * format->width);
    double limit = (double)machine_read("").memory_and_swap;
    if (wanted <= limit) return true;
    return status_fail(
        status, STATUS_RUNTIME,
        "%s: %lld pictures of %lldx%lldx%lld need %.1f GiB, and this process may use %.1f GiB of memory; "
        "the cache of decoded pictures would need as much on a disk, but %s",
        list->root, (long long)list->count, (long long)format->channels, (long long)format->height,
        (long long)format->width, wanted / 0x1p30, limit / 0x1p30, reason);
}

/* Reads the pictures into memory. */
static bool read_into_memory(struct dataset *dataset, const struct picture_list *list,
                             const struct dataset_source *source, struct picture_rows *rows, const char *reason,
                             struct status *status)
{
    struct image_format *format = &rows->format;
    if (format->height == 0 && !picture_shape_find(format, list, source, status)) return false;
    if (!check_memory(list, format, reason, status)) return false;
    uint8_t(*digests)[32] = memory_alloc((size_t)list->count, sizeof *digests);
    uint8_t *pixels = memory_alloc_aligned((size_t)(list->count * format->channels * format->height * format->width));
    dataset_keep(dataset, digests, 0);
    dataset_keep(dataset, pixels, 0);
    rows->pixels = pixels, rows->digests = (const uint8_t(*)[32])digests;
    return picture_decode(&(struct picture_decode){.list = list,
                                                   .format = *format,
                                                   .pixels = pixels,
                                                   .digests = digests,
                                                   .reasons = rows->reasons,
                                                   .watch = source->watch},
                          status);
}

/* Reads the pictures, from the cache where there is one. */
static bool read_rows(struct dataset *dataset, const struct picture_list *list, const struct dataset_source *source,
                      struct picture_rows *rows, struct status *status)
{
    struct status reason = {.message = "data.cache is false"};
    enum picture_cache_result result =
        source->pictures.cache ? picture_cache_read(dataset, rows, list, source, &reason) : PICTURE_CACHE_NONE;
    if (result == PICTURE_CACHE_GOOD) return true;
    if (result == PICTURE_CACHE_NONE) return read_into_memory(dataset, list, source, rows, reason.message, status);
    *status = reason;
    return false;
}

/* Completes the data set from rows that were read. */
static bool finish(struct dataset *dataset, struct picture_list *list, const struct dataset_source *source,
                   char **reasons, struct image_set *rows, struct status *status)
{
    skip_unread(list, reasons);
    make_sets(dataset, list, reasons, rows);
    take_skipped(dataset, list);
    dataset_take_names(dataset, list->classes);
    list->classes = (struct class_names){0};
    int64_t read = dataset->train.count + dataset->validation.count + dataset->test.count;
    if (!check_skipped(dataset, source, read, status)) return false;
    if (dataset->train.count > 0) return true;
    return status_fail(status, STATUS_RUNTIME, "%s: none of the training pictures can be read", list->root);
}

static bool read_and_finish(struct dataset *dataset, struct picture_list *list, const struct dataset_source *source,
                            struct picture_rows *read, struct status *status)
{
    if (!read_rows(dataset, list, source, read, status)) return false;
    struct image_set rows = {.pixels = (uint8_t *)(uintptr_t)read->pixels, .row_digests = read->digests};
    dataset->channels = read->format.channels, dataset->height = read->format.height,
    dataset->width = read->format.width;
    return finish(dataset, list, source, read->reasons, &rows, status);
}

static bool load(struct dataset *dataset, struct picture_list *list, const struct dataset_source *source,
                 struct status *status)
{
    struct picture_rows read = {0};
    if (!check_parts(list, source, status) || !check_classes(list, source, status) ||
        !rename_classes(list, source, status))
        return false;
    read.reasons = memory_alloc((size_t)list->count, sizeof *read.reasons);
    bool good = read_and_finish(dataset, list, source, &read, status);
    for (int64_t i = 0; i < list->count; i++) free(read.reasons[i]);
    free(read.reasons);
    return good;
}

bool pictures_load(struct dataset *dataset, struct picture_list *list, const struct dataset_source *source,
                   struct status *status)
{
    *dataset = (struct dataset){0};
    bool good = load(dataset, list, source, status);
    if (!good) dataset_free(dataset);
    picture_list_free(list);
    return good;
}

bool pictures_describe(struct dataset_description *description, const struct picture_list *list,
                       const struct dataset_source *source, struct status *status)
{
    struct image_format format;
    if (!check_parts(list, source, status) || !check_classes(list, source, status) ||
        !picture_shape_find(&format, list, source, status))
        return false;
    *description = (struct dataset_description){format.channels, format.height, format.width, list->classes.count};
    return true;
}
