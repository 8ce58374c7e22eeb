#include "picture_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "picture_decode.h"
#include "picture_shape.h"
#include "util/memory.h"
#include "util/warning.h"

/* A list on its way through the cache. */
struct caching {
    struct dataset *dataset;
    struct picture_rows *rows;
    const struct picture_list *list;
    const struct dataset_source *source;
    char *path;
    struct pack before;     /* the file as it was; its path is NULL where there is none */
    int64_t *found;         /* (count): the rows in it of pictures that are still the same, or -1 */
    uint8_t (*digests)[32]; /* (count) */
    struct status *status;
};

/* --- a file that is there --- */

/* Takes the reasons against pictures from the file, which has them in the order of the rows. */
static void take_reasons(const struct caching *caching, const struct pack *pack)
{
    const char *text = pack->tables.texts[PACK_SKIPPED].bytes;
    for (int64_t i = 0; i < caching->list->count; i++) {
        if (!(pack->tables.parts[i] & PACK_UNREAD)) continue;
        const char *reason = text + strlen(text) + 1;
        if (!caching->rows->reasons[i]) caching->rows->reasons[i] = memory_copy_string(reason);
        text = reason + strlen(reason) + 1;
    }
}

static void take_rows(const struct caching *caching, struct pack *pack)
{
    struct picture_rows *rows = caching->rows;
    rows->format.channels = pack->tables.channels;
    rows->format.height = pack->tables.height, rows->format.width = pack->tables.width;
    rows->pixels = pack_pixels(pack), rows->digests = pack->tables.digests;
    take_reasons(caching, pack);
    pack_give(pack, caching->dataset);
}

/* Checks the file as far as it is checked at every start. A damaged cache is made anew. */
static bool is_whole(const struct pack *pack, bool tells)
{
    struct status problem;
    if (!pack_is_checked(pack) || pack_check_pixels(pack, &problem)) return true;
    if (tells) warning_print("%s; decoding again", problem.message);
    return false;
}

/* Tells whether the reasons against unread pictures are one for each: other packed files have other lists. */
static bool has_reasons(const struct pack *pack)
{
    int64_t unread = 0;
    for (int64_t i = 0; i < pack->tables.rows; i++) unread += (pack->tables.parts[i] & PACK_UNREAD) != 0;
    return unread == pack->tables.skipped_count;
}

static void tell_changes(const struct caching *caching, const struct picture_changes *changes)
{
    if (changes->changed + changes->added + changes->removed == 0) return; /* only their order is another one */
    warning_print("%s: %lld pictures changed, %lld added, %lld removed since they were decoded; decoding what is new",
                  caching->source->path, (long long)changes->changed, (long long)changes->added,
                  (long long)changes->removed);
}

static void close_before(struct caching *caching)
{
    if (caching->before.path) pack_close(&caching->before);
}

/* Opens the file and takes it if it holds the list. Else keeps it open where some of its pictures are good. `tells` asks for
 * a line on what changed. */
static bool take_file(struct caching *caching, bool tells)
{
    struct status problem;
    struct picture_changes changes;
    close_before(caching);
    if (access(caching->path, F_OK) != 0) return false;
    if (!pack_open(&caching->before, caching->path, &problem)) {
        if (tells) warning_print("%s; decoding again", problem.message);
        return false;
    }
    bool same =
        has_reasons(&caching->before) && picture_cache_match(&caching->before, caching->list, caching->found, &changes);
    if (same && is_whole(&caching->before, tells)) return take_rows(caching, &caching->before), true;
    if (!same && tells) tell_changes(caching, &changes);
    if (same) close_before(caching); /* it is damaged */
    return false;
}

/* --- a new file --- */

/* Returns what is known of the pictures that have not changed, in a new array; NULL: nothing. */
static struct picture_known *find_known(const struct caching *caching)
{
    const struct pack_tables *tables = &caching->before.tables;
    const struct image_format *format = &caching->rows->format;
    int64_t sample = format->channels * format->height * format->width;
    if (!caching->before.path || tables->channels != format->channels || tables->height != format->height ||
        tables->width != format->width)
        return NULL;
    struct picture_known *known = memory_alloc((size_t)caching->list->count, sizeof *known);
    for (int64_t i = 0; i < caching->list->count; i++)
        if (caching->found[i] >= 0)
            known[i] = (struct picture_known){pack_pixels(&caching->before) + caching->found[i] * sample,
                                              tables->digests[caching->found[i]]};
    return known;
}

/* Fails where the disk has too little room, before any work is done. */
static bool check_room(const struct caching *caching)
{
    struct statvfs disk;
    const struct image_format *format = &caching->rows->format;
    char *folder = memory_format("%.*s", (int)(strrchr(caching->path, '/') - caching->path), caching->path);
    bool known = statvfs(folder, &disk) == 0;
    double wanted = (double)caching->list->count * (double)(format->channels * format->height * format->width);
    double room = known ? (double)disk.f_bavail * (double)disk.f_frsize : 0;
    if (known && wanted > room)
        status_fail(caching->status, STATUS_RUNTIME, "%s: %.1f MiB wanted, %.1f MiB free on this disk", folder,
                    wanted / 0x1p20, room / 0x1p20);
    free(folder);
    return !known || wanted <= room;
}

static void print_string(FILE *out, const char *string)
{
    fwrite(string, 1, strlen(string) + 1, out);
}

/* Prints the names of all rows, and the reasons against those that could not be read. */
static void print_texts(const struct caching *caching, struct pack_tables *tables, char **names, char **skipped)
{
    size_t names_size, skipped_size;
    FILE *names_out = memory_stream(names, &names_size), *skipped_out = memory_stream(skipped, &skipped_size);
    for (int64_t i = 0; i < caching->list->count; i++) {
        print_string(names_out, caching->list->pictures[i].name);
        if (!caching->rows->reasons[i]) continue;
        fputc('p', skipped_out);
        print_string(skipped_out, caching->list->pictures[i].name);
        print_string(skipped_out, caching->rows->reasons[i]);
        tables->skipped_count++;
    }
    memory_stream_close(names_out, names);
    memory_stream_close(skipped_out, skipped);
    tables->texts[PACK_NAMES].bytes = *names, tables->texts[PACK_NAMES].size = (int64_t)names_size;
    tables->texts[PACK_SKIPPED].bytes = *skipped, tables->texts[PACK_SKIPPED].size = (int64_t)skipped_size;
}

/* The columns of the tables, as the list gives them. */
struct columns {
    int64_t *sizes, *changed;
    uint16_t *labels;
    uint8_t *parts;
};

static void fill_columns(const struct caching *caching, const struct columns *columns)
{
    for (int64_t i = 0; i < caching->list->count; i++) {
        const struct picture *picture = &caching->list->pictures[i];
        columns->sizes[i] = picture->size, columns->changed[i] = picture->changed_ns;
        columns->labels[i] = picture->label;
        columns->parts[i] = (uint8_t)((int)picture->part | (caching->rows->reasons[i] ? PACK_UNREAD : 0));
    }
}

static bool finish_file(const struct caching *caching, struct pack_writer *writer)
{
    size_t count = (size_t)caching->list->count;
    const struct image_format *format = &caching->rows->format;
    struct columns columns = {memory_alloc(count, 8), memory_alloc(count, 8), memory_alloc(count, 2),
                              memory_alloc(count, 1)};
    struct pack_tables tables = {.channels = format->channels,
                                 .height = format->height,
                                 .width = format->width,
                                 .classes = caching->list->classes.count,
                                 .rows = caching->list->count,
                                 .flags = PACK_ROWS_IDENTIFY,
                                 .digests = (const uint8_t(*)[32])caching->digests,
                                 .sizes = columns.sizes,
                                 .changed = columns.changed,
                                 .labels = columns.labels,
                                 .parts = columns.parts};
    char *names, *skipped;
    fill_columns(caching, &columns);
    print_texts(caching, &tables, &names, &skipped);
    bool good = pack_write_finish(writer, &tables, caching->status);
    free(names), free(skipped);
    free(columns.sizes), free(columns.changed), free(columns.labels), free(columns.parts);
    return good;
}

/* Tells whether any training picture could be read; a packed file without one is none, and the run ends anyway. */
static bool is_any_read(const struct caching *caching)
{
    for (int64_t i = 0; i < caching->list->count; i++)
        if (caching->list->pictures[i].part == PICTURE_TRAIN && !caching->rows->reasons[i]) return true;
    return status_fail(caching->status, STATUS_RUNTIME, "none of the training pictures can be read");
}

/* Decodes into the file. */
static bool decode(const struct caching *caching, struct pack_writer *writer)
{
    struct picture_known *known = find_known(caching);
    const struct picture_decode decoding = {.list = caching->list,
                                            .format = caching->rows->format,
                                            .digests = caching->digests,
                                            .reasons = caching->rows->reasons,
                                            .watch = caching->source->watch,
                                            .writer = writer,
                                            .known = known};
    bool good = picture_decode(&decoding, caching->status);
    free(known);
    return good;
}

static void forget_reasons(const struct caching *caching)
{
    for (int64_t i = 0; i < caching->list->count; i++) {
        free(caching->rows->reasons[i]);
        caching->rows->reasons[i] = NULL;
    }
}

static bool write_file(const struct caching *caching)
{
    struct pack_writer writer;
    const struct image_format *format = &caching->rows->format;
    int64_t sample = format->channels * format->height * format->width;
    if (!check_room(caching) || !pack_write_open(&writer, caching->path, sample, caching->status)) return false;
    if (decode(caching, &writer) && is_any_read(caching)) return finish_file(caching, &writer);
    pack_write_discard(&writer);
    return false;
}

/* Makes the file and takes it. */
static enum picture_cache_result make_file(struct caching *caching)
{
    struct pack pack;
    if (!picture_shape_find(&caching->rows->format, caching->list, caching->source, caching->status))
        return PICTURE_CACHE_FAILED;
    if (write_file(caching) && pack_open(&pack, caching->path, caching->status))
        return take_rows(caching, &pack), PICTURE_CACHE_GOOD;
    forget_reasons(caching);
    return PICTURE_CACHE_NONE;
}

/* --- all of it --- */

static enum picture_cache_result read_list(struct caching *caching)
{
    if (take_file(caching, false)) return PICTURE_CACHE_GOOD;
    int lock = picture_cache_lock(caching->path);
    enum picture_cache_result result = PICTURE_CACHE_GOOD;
    if (!take_file(caching, true)) result = make_file(caching); /* another process may have made it in the meantime */
    if (lock >= 0) close(lock);
    return result;
}

enum picture_cache_result picture_cache_read(struct dataset *dataset, struct picture_rows *rows,
                                             const struct picture_list *list, const struct dataset_source *source,
                                             struct status *reason)
{
    size_t count = (size_t)list->count;
    struct caching caching = {.dataset = dataset, .rows = rows, .list = list, .source = source, .status = reason};
    enum picture_cache_result result = PICTURE_CACHE_NONE;
    caching.path = picture_cache_path(source, reason);
    caching.found = memory_alloc(count, sizeof *caching.found);
    caching.digests = memory_alloc(count, sizeof *caching.digests);
    if (caching.path) result = read_list(&caching);
    close_before(&caching);
    free(caching.path), free(caching.found), free(caching.digests);
    if (result == PICTURE_CACHE_NONE)
        warning_print("decoded pictures are not kept for the next start: %s", reason->message);
    return result;
}
