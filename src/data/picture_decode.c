#include "picture_decode.h"

#include <stdlib.h>
#include <string.h>

#include "util/memory.h"
#include "util/sha256.h"
#include "util/warning.h"
#include "util/workers.h"

struct work {
    const struct picture_decode *decode;
    int64_t sample;  /* C*H*W */
    char **warnings; /* (count): what is odd about a picture that was read; NULL: nothing */
    struct workers_error error;
};

char *picture_reason(const struct status *problem, const char *path)
{
    size_t length = strlen(path);
    const char *message = problem->message;
    if (strncmp(message, path, length) == 0 && strncmp(message + length, ": ", 2) == 0) message += length + 2;
    return memory_copy_string(message);
}

void picture_watch(const struct dataset_watch *watch, const char *what, int64_t done, int64_t count)
{
    if (watch) watch->show(watch->context, what, done, count);
}

static bool digest(const struct work *work, const uint8_t *pixels, int64_t item, struct status *status)
{
    struct sha256 hash = sha256_start();
    sha256_add(&hash, pixels, (size_t)work->sample);
    return sha256_finish_bytes(&hash, work->decode->digests[item], status);
}

/* Takes the pixels of a picture that has not changed. */
static bool copy_known(const struct work *work, int64_t item, uint8_t *pixels)
{
    struct status problem;
    const struct picture_known *known = work->decode->known ? &work->decode->known[item] : NULL;
    if (!known || !known->pixels) return false;
    memcpy(pixels, known->pixels, (size_t)work->sample);
    return digest(work, pixels, item, &problem) && memcmp(work->decode->digests[item], known->digest, 32) == 0;
}

static bool read_picture(const struct work *work, int64_t item, uint8_t *pixels)
{
    struct status problem;
    const struct picture_decode *decode = work->decode;
    char *path = picture_list_path(decode->list, decode->list->pictures[item].name);
    warning_collect();
    bool good = image_read_fitted(pixels, path, &decode->format, &problem);
    work->warnings[item] = warning_take();
    good = good && digest(work, pixels, item, &problem);
    if (!good) decode->reasons[item] = picture_reason(&problem, path);
    free(path);
    return good;
}

static void decode_to_file(struct work *work, int64_t item)
{
    struct status problem;
    if (workers_error_met(&work->error)) return;
    uint8_t *pixels = memory_alloc((size_t)work->sample, 1);
    bool good = copy_known(work, item, pixels) || read_picture(work, item, pixels);
    if (good && !pack_write_row(work->decode->writer, item, pixels, &problem))
        workers_error_note(&work->error, &problem);
    free(pixels);
}

static void decode_one(void *context, int64_t item)
{
    struct work *work = context;
    if (!work->decode->pixels) {
        decode_to_file(work, item);
        return;
    }
    uint8_t *pixels = work->decode->pixels + item * work->sample;
    if (!copy_known(work, item, pixels)) read_picture(work, item, pixels);
}

static void watch(void *context, int64_t done)
{
    const struct work *work = context;
    picture_watch(work->decode->watch, "reading pictures", done, work->decode->list->count);
}

/* Prints one line on what is odd about pictures that were read, and frees the texts. */
static void print_warnings(const struct work *work)
{
    int64_t odd = 0, first = -1, count = work->decode->list->count;
    for (int64_t i = 0; i < count; i++) {
        if (!work->warnings[i] || work->decode->reasons[i]) continue;
        if (odd++ == 0) first = i;
    }
    if (odd == 1) warning_print("%s", work->warnings[first]);
    if (odd > 1)
        warning_print("%lld pictures were read with a warning, the first one: %s", (long long)odd,
                      work->warnings[first]);
    for (int64_t i = 0; i < count; i++) free(work->warnings[i]);
}

bool picture_decode(const struct picture_decode *decode, struct status *status)
{
    const struct image_format *format = &decode->format;
    struct work work = {decode, format->channels * format->height * format->width, NULL, WORKERS_NO_ERROR};
    work.warnings = memory_alloc((size_t)decode->list->count, sizeof *work.warnings);
    workers_run(&(struct workers_job){decode->list->count, decode_one, watch, &work});
    if (work.error.met) *status = work.error.status;
    print_warnings(&work);
    free(work.warnings);
    return !work.error.met;
}
