#include "picture_decode.h"

#include <stdlib.h>
#include <string.h>

#include "trainer/memory.h"
#include "util/sha256.h"
#include "util/warning.h"
#include "util/workers.h"

struct work {
    const struct picture_decode *decode;
    int64_t sample;  /* C*H*W */
    char **warnings; /* (count): what is odd about a picture that was read; NULL: nothing */
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

static void decode_one(void *context, int64_t item)
{
    struct status problem;
    const struct work *work = context;
    const struct picture_decode *decode = work->decode;
    uint8_t *pixels = decode->pixels + item * work->sample;
    char *path = picture_list_path(decode->list, decode->list->pictures[item].name);
    warning_collect();
    bool good = image_read_fitted(pixels, path, &decode->format, &problem);
    work->warnings[item] = warning_take();
    struct sha256 hash = sha256_start();
    sha256_add(&hash, pixels, (size_t)work->sample);
    good = good && sha256_finish_bytes(&hash, decode->digests[item], &problem);
    if (!good) decode->reasons[item] = picture_reason(&problem, path);
    free(path);
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

void picture_decode(const struct picture_decode *decode)
{
    const struct image_format *format = &decode->format;
    struct work work = {decode, format->channels * format->height * format->width, NULL};
    work.warnings = memory_alloc((size_t)decode->list->count, sizeof *work.warnings);
    workers_run(&(struct workers_job){decode->list->count, decode_one, watch, &work});
    print_warnings(&work);
    free(work.warnings);
}
