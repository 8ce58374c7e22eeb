#include "picture_shape.h"

#include <stdlib.h>
#include <string.h>

#include "picture_decode.h"
#include "util/memory.h"
#include "util/text.h"
#include "util/warning.h"
#include "util/workers.h"

enum { SIDE_MAX = 4096 }; /* of data.image_size */

struct probing {
    const struct picture_list *list;
    const struct dataset_watch *watch;
    struct image_header *headers; /* (count); a height of 0: the picture cannot be read */
};

static void probe_one(void *context, int64_t item)
{
    struct status problem;
    const struct probing *probing = context;
    struct image_header *header = &probing->headers[item];
    char *path = picture_list_path(probing->list, probing->list->pictures[item].name);
    warning_collect();
    if (!image_probe(header, path, &problem)) *header = (struct image_header){0};
    free(warning_take());
    free(path);
}

static void watch(void *context, int64_t done)
{
    const struct probing *probing = context;
    picture_watch(probing->watch, "looking at pictures", done, probing->list->count);
}

static bool fail_none(const struct picture_list *list, struct status *status)
{
    struct status problem;
    struct image_header header;
    char *path = picture_list_path(list, list->pictures[0].name);
    if (image_probe(&header, path, &problem)) /* it has become readable in the meantime */
        snprintf(problem.message, sizeof problem.message, "%s: changed while it was read", path);
    free(path);
    return status_fail(status, STATUS_RUNTIME, "%s: none of the %lld pictures can be read, the first: %s", list->root,
                       (long long)list->count, problem.message);
}

/* --- the size --- */

static int64_t area(const struct image_header *header)
{
    return header->height * header->width;
}

static bool is_same_size(const struct image_header *a, const struct image_header *b)
{
    return a->height == b->height && a->width == b->width;
}

/* Fails with the smallest and the largest picture. */
static bool fail_sizes(const struct probing *probing, int64_t smallest, int64_t largest, struct status *status)
{
    const struct image_header *small = &probing->headers[smallest], *large = &probing->headers[largest];
    char *small_name = text_escape(probing->list->pictures[smallest].name);
    char *large_name = text_escape(probing->list->pictures[largest].name);
    status_fail(status, STATUS_USAGE,
                "data.image_size: expected the size to make all pictures, as they have several: %lldx%lld (%s) to "
                "%lldx%lld (%s), found auto",
                (long long)small->width, (long long)small->height, small_name, (long long)large->width,
                (long long)large->height, large_name);
    free(small_name);
    free(large_name);
    return false;
}

static bool check_side(const struct image_header *header, struct status *status)
{
    if (header->height <= SIDE_MAX && header->width <= SIDE_MAX) return true;
    return status_fail(status, STATUS_USAGE,
                       "data.image_size: expected a size of at most %dx%d to make the pictures, which have %lldx%lld, "
                       "found auto",
                       SIDE_MAX, SIDE_MAX, (long long)header->width, (long long)header->height);
}

static bool find_size(struct image_format *format, const struct probing *probing, struct status *status)
{
    int64_t smallest = -1, largest = -1;
    bool several = false;
    for (int64_t i = 0; i < probing->list->count; i++) {
        const struct image_header *header = &probing->headers[i];
        if (header->height == 0) continue;
        if (smallest < 0) smallest = largest = i;
        if (area(header) < area(&probing->headers[smallest])) smallest = i;
        if (!is_same_size(header, &probing->headers[largest])) several = true;
        if (area(header) > area(&probing->headers[largest])) largest = i;
    }
    if (several) return fail_sizes(probing, smallest, largest, status);
    format->height = probing->headers[smallest].height, format->width = probing->headers[smallest].width;
    return check_side(&probing->headers[smallest], status);
}

/* --- the channels --- */

static int64_t find_channels(const struct probing *probing)
{
    for (int64_t i = 0; i < probing->list->count; i++)
        if (probing->headers[i].colour && probing->list->pictures[i].part == PICTURE_TRAIN) return 3;
    return 1;
}

static bool is_any_readable(const struct probing *probing)
{
    for (int64_t i = 0; i < probing->list->count; i++)
        if (probing->headers[i].height > 0) return true;
    return false;
}

static bool settle(struct image_format *format, const struct probing *probing, struct status *status)
{
    if (!is_any_readable(probing)) return fail_none(probing->list, status);
    if (format->channels == 0) format->channels = find_channels(probing);
    return format->height > 0 || find_size(format, probing, status);
}

bool picture_shape_find(struct image_format *format, const struct picture_list *list,
                        const struct dataset_source *source, struct status *status)
{
    *format = (struct image_format){
        source->pictures.channels, source->pictures.height, source->pictures.width, source->pictures.fit, {0}};
    memcpy(format->background, source->pictures.background, sizeof format->background);
    if (format->channels > 0 && format->height > 0) return true;
    struct probing probing = {list, source->watch, NULL};
    probing.headers = memory_alloc((size_t)list->count, sizeof *probing.headers);
    workers_run(&(struct workers_job){list->count, probe_one, watch, &probing});
    bool good = settle(format, &probing, status);
    free(probing.headers);
    return good;
}
