/* Reads pictures by all cores, and computes their scores. */
#include "build/build.h"
#include "predict/picture_queue.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/check.h"
#include "util/memory.h"
#include "util/warning.h"
#include "util/workers.h"

static int64_t sample_size(const struct picture_queue *queue)
{
    return queue->format.channels * queue->format.height * queue->format.width;
}

struct picture_queue picture_queue_create(struct predictor *predictor, int64_t capacity, bool invert)
{
    const struct checkpoint_input *input = &predictor->input;
    struct picture_queue queue = {.predictor = predictor, .invert = invert, .capacity = capacity};
    queue.format = image_format_from_experiment(&predictor->experiment, input->channels, input->height, input->width);
    queue.pictures = memory_alloc((size_t)capacity, sizeof *queue.pictures);
    queue.pixels = memory_alloc((size_t)capacity, (size_t)sample_size(&queue));
    queue.logits = memory_alloc((size_t)(capacity * input->classes), sizeof *queue.logits);
    return queue;
}

void picture_queue_clear(struct picture_queue *queue)
{
    for (int64_t i = 0; i < queue->count; i++) {
        free(queue->pictures[i].path);
        free(queue->pictures[i].warnings);
    }
    queue->count = 0;
}

void picture_queue_free(struct picture_queue *queue)
{
    picture_queue_clear(queue);
    free(queue->pictures);
    free(queue->pixels);
    free(queue->logits);
    *queue = (struct picture_queue){0};
}

bool picture_queue_check(const struct predictor *predictor, struct status *status)
{
    const struct checkpoint_input *input = &predictor->input;
    if (input->channels != 1 && input->channels != 3)
        return status_fail(status, STATUS_RUNTIME,
                           "%s: the network takes images of %" PRId64 " channels, and pictures have 1 or 3",
                           predictor->path, input->channels);
    if (input->height <= IMAGE_MAX_SIDE && input->width <= IMAGE_MAX_SIDE) return true;
    return status_fail(status, STATUS_RUNTIME,
                       "%s: the network takes images of %" PRId64 "x%" PRId64
                       " pixels, and pictures have at most %d on a side",
                       predictor->path, input->width, input->height, IMAGE_MAX_SIDE);
}

void picture_queue_add(struct picture_queue *queue, const char *path, const struct status *problem)
{
    CHECK(queue->count < queue->capacity);
    struct queued_picture *picture = &queue->pictures[queue->count++];
    *picture = (struct queued_picture){.path = memory_copy_string(path), .good = !problem};
    if (problem) picture->problem = *problem;
}

/* --- reading --- */

static void invert(uint8_t *pixels, int64_t count)
{
    for (int64_t i = 0; i < count; i++) pixels[i] = (uint8_t)(UINT8_MAX - pixels[i]);
}

/* Reads a picture. The probe after it finds the size of the file's picture; it warns of nothing new. */
static void read_one(void *context, int64_t item)
{
    struct picture_queue *queue = context;
    struct queued_picture *picture = &queue->pictures[item];
    const struct image_format *format = &queue->format;
    uint8_t *pixels = queue->pixels + item * sample_size(queue);
    if (!picture->good) return;
    warning_collect();
    picture->good = image_read_fitted(pixels, picture->path, format, &picture->problem);
    picture->warnings = warning_take();
    if (!picture->good) return;
    warning_collect();
    picture->good = image_probe(&picture->header, picture->path, &picture->problem);
    free(warning_take());
    if (queue->invert) invert(pixels, sample_size(queue));
    picture->border = image_border_measure(pixels, format->channels, format->height, format->width);
}

/* --- scores --- */

/* A picture enters the network alone. A backend may choose its algorithms by the size of the batch (backend.winograd), so
 * in a batch the last digits of the scores would depend on how many pictures are beside it. */
static void score(struct picture_queue *queue, int64_t item)
{
    double *logits = queue->logits + item * queue->predictor->input.classes;
    queue->pictures[item].logits = logits;
    predictor_logits(queue->predictor, queue->pixels + item * sample_size(queue), 1, logits);
}

void picture_queue_run(struct picture_queue *queue)
{
    workers_run(&(struct workers_job){queue->count, read_one, NULL, queue});
    for (int64_t i = 0; i < queue->count; i++)
        if (queue->pictures[i].good) score(queue, i);
}
