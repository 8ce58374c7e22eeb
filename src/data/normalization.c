/* Computes offset and scale of a dataset from its train set. */
#include "data_private.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "util/memory.h"
#include "util/workers.h"

enum { PIXEL_VALUES = 256, IMAGES_AT_ONCE = 256 };

/* The train set, which all cores read once, IMAGES_AT_ONCE images at a time. What they find are whole numbers, so that the
 * order in which it is added up does not matter. */
struct counting {
    const struct dataset *dataset;
    int64_t sample, plane; /* C*H*W, H*W */
    pthread_mutex_t mutex; /* over the arrays below */
    int64_t *sums;         /* (C,H,W): the sum of each pixel; 2^63 / 255 images could overflow it */
    int64_t *occurrences;  /* (C,PIXEL_VALUES): how often a channel has each value */
};

static int64_t end_of(const struct counting *counting, int64_t item)
{
    int64_t end = (item + 1) * IMAGES_AT_ONCE, count = counting->dataset->train.count;
    return end < count ? end : count;
}

/* The sums of so many images fit into 16 bits. */
static void sum_images(void *context, int64_t item)
{
    struct counting *counting = context;
    int64_t sample = counting->sample;
    uint16_t *sums = memory_alloc((size_t)sample, sizeof *sums);
    _Static_assert(IMAGES_AT_ONCE * (PIXEL_VALUES - 1) <= UINT16_MAX, "a sum of pixels is a uint16_t");
    for (int64_t n = item * IMAGES_AT_ONCE; n < end_of(counting, item); n++) {
        const uint8_t *image = image_set_pixels(&counting->dataset->train, n, sample);
        for (int64_t i = 0; i < sample; i++) sums[i] = (uint16_t)(sums[i] + image[i]);
    }
    pthread_mutex_lock(&counting->mutex);
    for (int64_t i = 0; i < sample; i++) counting->sums[i] += sums[i];
    pthread_mutex_unlock(&counting->mutex);
    free(sums);
}

/* Counts in two tables by turns, since a counter waits for itself where neighbours have the same value. */
static void count_plane(const uint8_t *pixels, int64_t plane, int64_t *occurrences)
{
    uint32_t other[PIXEL_VALUES] = {0};
    int64_t i = 0;
    for (; i + 1 < plane; i += 2) occurrences[pixels[i]]++, other[pixels[i + 1]]++;
    if (i < plane) occurrences[pixels[i]]++;
    for (int value = 0; value < PIXEL_VALUES; value++) occurrences[value] += other[value];
}

static void count_images(void *context, int64_t item)
{
    struct counting *counting = context;
    int64_t channels = counting->dataset->channels;
    int64_t *occurrences = memory_alloc((size_t)channels, PIXEL_VALUES * sizeof *occurrences);
    for (int64_t n = item * IMAGES_AT_ONCE; n < end_of(counting, item); n++) {
        const uint8_t *image = image_set_pixels(&counting->dataset->train, n, counting->sample);
        for (int64_t c = 0; c < channels; c++)
            count_plane(image + c * counting->plane, counting->plane, occurrences + c * PIXEL_VALUES);
    }
    pthread_mutex_lock(&counting->mutex);
    for (int64_t i = 0; i < channels * PIXEL_VALUES; i++) counting->occurrences[i] += occurrences[i];
    pthread_mutex_unlock(&counting->mutex);
    free(occurrences);
}

static void count(struct counting *counting, void (*work)(void *context, int64_t item))
{
    int64_t items = (counting->dataset->train.count + IMAGES_AT_ONCE - 1) / IMAGES_AT_ONCE;
    workers_run(&(struct workers_job){items, work, NULL, counting});
}

static struct counting start_counting(const struct dataset *dataset)
{
    int64_t plane = dataset->height * dataset->width;
    return (struct counting){
        .dataset = dataset, .sample = dataset->channels * plane, .plane = plane, .mutex = PTHREAD_MUTEX_INITIALIZER};
}

static void subtract_mean_image(struct dataset *dataset)
{
    struct counting counting = start_counting(dataset);
    double images = (double)dataset->train.count;
    counting.sums = memory_alloc((size_t)counting.sample, sizeof *counting.sums);
    count(&counting, sum_images);
    for (int64_t i = 0; i < counting.sample; i++) dataset->offset[i] = (float)((double)counting.sums[i] / images);
    free(counting.sums);
}

/* Sums over the counts give a constant channel a deviation of exactly 0. */
static void standardize_channel(struct dataset *dataset, int64_t c, const int64_t occurrences[PIXEL_VALUES])
{
    int64_t plane = dataset->height * dataset->width;
    double count = (double)(dataset->train.count * plane), sum = 0, squares = 0;
    for (int value = 0; value < PIXEL_VALUES; value++) sum += value * (double)occurrences[value];
    double mean = sum / count;
    for (int value = 0; value < PIXEL_VALUES; value++)
        squares += (value - mean) * (value - mean) * (double)occurrences[value];
    double deviation = sqrt(squares / count);
    for (int64_t i = 0; i < plane; i++) dataset->offset[c * plane + i] = (float)mean;
    dataset->scale[c] = deviation > 0 ? (float)(1 / deviation) : 1;
}

static void standardize_channels(struct dataset *dataset)
{
    struct counting counting = start_counting(dataset);
    counting.occurrences = memory_alloc((size_t)dataset->channels, PIXEL_VALUES * sizeof *counting.occurrences);
    count(&counting, count_images);
    for (int64_t c = 0; c < dataset->channels; c++)
        standardize_channel(dataset, c, counting.occurrences + c * PIXEL_VALUES);
    free(counting.occurrences);
}

void dataset_normalize(struct dataset *dataset, enum normalization normalization)
{
    int64_t channels = dataset->channels, sample = channels * dataset->height * dataset->width;
    dataset->offset = memory_alloc((size_t)sample, sizeof *dataset->offset);
    dataset->scale = memory_alloc((size_t)channels, sizeof *dataset->scale);
    for (int64_t c = 0; c < channels; c++) dataset->scale[c] = 1;
    switch (normalization) {
    case NORMALIZATION_NONE:
        break;
    case NORMALIZATION_MEAN_IMAGE:
        subtract_mean_image(dataset);
        break;
    case NORMALIZATION_UNIT:
        for (int64_t c = 0; c < channels; c++) dataset->scale[c] = 1.0f / 255;
        break;
    case NORMALIZATION_CHANNEL:
        standardize_channels(dataset);
        break;
    }
}
