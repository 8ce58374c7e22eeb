/* Loads the data set of a packed file (pack.h): its pixels stay in the file, which is mapped. */
#include <stdlib.h>
#include <string.h>

#include "data/pack_dataset.h"
#include "pack.h"
#include "pack_settings.h"
#include "util/check.h"
#include "util/memory.h"

/* --- the settings --- */

static bool check_classes(const struct pack *pack, const struct dataset_source *source, struct status *status)
{
    if (source->classes == 0 || source->classes == pack->tables.classes) return true;
    return status_fail(status, STATUS_USAGE, "data.classes: expected %lld, the number of classes of %s, found %lld",
                       (long long)pack->tables.classes, pack->path, (long long)source->classes);
}

static bool check_shape(const struct pack *pack, const struct dataset_source *source, struct status *status)
{
    const struct pack_tables *tables = &pack->tables;
    int64_t height = source->pictures.height, width = source->pictures.width, channels = source->pictures.channels;
    if (height > 0 && (height != tables->height || width != tables->width))
        return status_fail(
            status, STATUS_USAGE, "data.image_size: expected auto or %lldx%lld, the size in %s, found %lldx%lld",
            (long long)tables->width, (long long)tables->height, pack->path, (long long)width, (long long)height);
    if (channels == 0 || channels == tables->channels) return true;
    return status_fail(status, STATUS_USAGE, "data.channels: expected auto or %lld, as in %s, found %lld",
                       (long long)tables->channels, pack->path, (long long)channels);
}

static int64_t count_part(const struct pack_tables *tables, enum pack_part part)
{
    int64_t count = 0;
    for (int64_t i = 0; i < tables->rows; i++) count += tables->parts[i] == part;
    return count;
}

static bool check_source(const struct pack *pack, const struct dataset_source *source, struct status *status)
{
    return check_classes(pack, source, status) && check_shape(pack, source, status) &&
           pack_settings_check(pack, source, status);
}

/* --- names --- */

static struct class_names copy_class_names(const struct pack_tables *tables)
{
    struct class_names names = {0};
    const char *name = tables->texts[PACK_CLASS_NAMES].bytes;
    if (tables->texts[PACK_CLASS_NAMES].size == 0) return names;
    names.name = memory_alloc((size_t)tables->classes, sizeof *names.name);
    for (; names.count < tables->classes; name += strlen(name) + 1)
        names.name[names.count++] = memory_copy_string(name);
    return names;
}

/* Gives the classes the names of the config, or else those of the file. */
static bool take_class_names(struct dataset *dataset, const struct pack *pack, const struct dataset_source *source,
                             struct status *status)
{
    struct class_names names;
    if (!class_names_read(&names, source->class_names, status)) return false;
    if (names.count == 0) names = copy_class_names(&pack->tables);
    bool good = names.count == 0 || names.count == pack->tables.classes;
    if (names.count > 0 && good) dataset_take_names(dataset, names);
    if (good) return dataset->classes = pack->tables.classes, true;
    status_fail(status, STATUS_USAGE, "data.class_names: %lld class names, expected %lld: one for each class of %s",
                (long long)names.count, (long long)pack->tables.classes, pack->path);
    class_names_free(&names);
    return false;
}

static void copy_skipped(struct dataset *dataset, const struct pack_tables *tables)
{
    const char *text = tables->texts[PACK_SKIPPED].bytes;
    if (tables->skipped_count == 0) return;
    dataset->skipped = memory_alloc((size_t)tables->skipped_count, sizeof *dataset->skipped);
    for (int64_t i = 0; i < tables->skipped_count; i++) {
        const char *reason = text + strlen(text) + 1;
        dataset->skipped[dataset->skipped_count++] =
            (struct skipped_file){memory_copy_string(text + 1), memory_copy_string(reason), *text == 'p'};
        text = reason + strlen(reason) + 1;
    }
}

/* --- sets --- */

/* Makes a set of the rows of one part; `rows` has what all sets share. */
static struct image_set make_set(struct dataset *dataset, const struct pack_tables *tables, enum pack_part part,
                                 const struct image_set *rows)
{
    struct image_set set = *rows;
    set.count = count_part(tables, part);
    if (set.count == 0) return (struct image_set){0};
    int32_t *numbers = memory_alloc((size_t)set.count, sizeof *numbers);
    set.labels = memory_alloc((size_t)set.count, sizeof *set.labels);
    for (int64_t i = 0, place = 0; i < tables->rows; i++) {
        if (tables->parts[i] != part) continue;
        numbers[place] = (int32_t)i;
        set.labels[place++] = tables->labels[i];
    }
    dataset_keep(dataset, numbers, 0);
    dataset_keep(dataset, set.labels, 0);
    set.rows = numbers;
    return set;
}

/* Moves all that is in the file into the data set. */
static void fill(struct dataset *dataset, struct pack *pack)
{
    const struct pack_tables *tables = &pack->tables;
    dataset->channels = tables->channels, dataset->height = tables->height, dataset->width = tables->width;
    struct image_set rows = {.pixels = (uint8_t *)(uintptr_t)pack_pixels(pack)};
    if (tables->flags & PACK_ROWS_IDENTIFY) rows.row_digests = tables->digests;
    int64_t *places = pack_name_places(pack);
    if (places) {
        dataset_keep(dataset, places, 0);
        rows.names = tables->texts[PACK_NAMES].bytes, rows.name_places = places;
    }
    dataset->train = make_set(dataset, tables, PACK_TRAIN, &rows);
    dataset->validation = make_set(dataset, tables, PACK_VALIDATION, &rows);
    dataset->test = make_set(dataset, tables, PACK_TEST, &rows);
    copy_skipped(dataset, tables);
    pack_give(pack, dataset);
}

static bool load(struct dataset *dataset, struct pack *pack, const struct dataset_source *source, struct status *status)
{
    if (!check_source(pack, source, status) || (pack_is_checked(pack) && !pack_check_pixels(pack, status)) ||
        !take_class_names(dataset, pack, source, status))
        return false;
    fill(dataset, pack);
    return true;
}

bool pack_load(struct dataset *dataset, const struct dataset_source *source, struct status *status)
{
    struct pack pack;
    *dataset = (struct dataset){0};
    if (!pack_open(&pack, source->path, status)) return false;
    bool good = load(dataset, &pack, source, status);
    if (!good) dataset_free(dataset);
    pack_close(&pack);
    return good;
}

bool pack_describe(struct dataset_description *description, const struct dataset_source *source, struct status *status)
{
    struct pack pack;
    if (!pack_open(&pack, source->path, status)) return false;
    bool good = check_source(&pack, source, status);
    *description =
        (struct dataset_description){pack.tables.channels, pack.tables.height, pack.tables.width, pack.tables.classes};
    pack_close(&pack);
    return good;
}

bool dataset_pack_check(struct pack_summary *summary, const char *path, struct status *status)
{
    struct pack pack;
    if (!pack_open(&pack, path, status)) return false;
    const struct pack_tables *tables = &pack.tables;
    *summary = (struct pack_summary){tables->channels,
                                     tables->height,
                                     tables->width,
                                     tables->classes,
                                     count_part(tables, PACK_TRAIN),
                                     count_part(tables, PACK_VALIDATION),
                                     count_part(tables, PACK_TEST),
                                     pack.size};
    bool good = pack_check_pixels(&pack, status);
    pack_close(&pack);
    return good;
}
