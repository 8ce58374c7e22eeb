/* Computes offset and scale of a dataset from its train set. */
#include "data_private.h"

#include <math.h>
#include <stdlib.h>

#include "trainer/memory.h"

enum { PIXEL_VALUES = 256 };

/* Sums of pixels are exact in integers: only 2^63 / 255 images could overflow them. */
static void subtract_mean_image(struct dataset *dataset)
{
    const struct image_set *train = &dataset->train;
    int64_t sample = dataset->channels * dataset->height * dataset->width;
    int64_t *sum = memory_alloc((size_t)sample, sizeof *sum);
    for (int64_t n = 0; n < train->count; n++) {
        const uint8_t *image = image_set_pixels(train, n, sample);
        for (int64_t i = 0; i < sample; i++) sum[i] += image[i];
    }
    for (int64_t i = 0; i < sample; i++) dataset->offset[i] = (float)((double)sum[i] / (double)train->count);
    free(sum);
}

/* Counts each value of a pixel in channel `c` of the train set. Sums over these counts give a constant channel a
 * deviation of exactly 0. */
static void count_values(const struct dataset *dataset, int64_t c, int64_t occurrences[PIXEL_VALUES])
{
    int64_t plane = dataset->height * dataset->width, sample = dataset->channels * plane;
    for (int value = 0; value < PIXEL_VALUES; value++) occurrences[value] = 0;
    for (int64_t n = 0; n < dataset->train.count; n++) {
        const uint8_t *pixels = image_set_pixels(&dataset->train, n, sample) + c * plane;
        for (int64_t i = 0; i < plane; i++) occurrences[pixels[i]]++;
    }
}

static void standardize_channel(struct dataset *dataset, int64_t c)
{
    int64_t plane = dataset->height * dataset->width, occurrences[PIXEL_VALUES];
    double count = (double)(dataset->train.count * plane), sum = 0, squares = 0;
    count_values(dataset, c, occurrences);
    for (int value = 0; value < PIXEL_VALUES; value++) sum += value * (double)occurrences[value];
    double mean = sum / count;
    for (int value = 0; value < PIXEL_VALUES; value++)
        squares += (value - mean) * (value - mean) * (double)occurrences[value];
    double deviation = sqrt(squares / count);
    for (int64_t i = 0; i < plane; i++) dataset->offset[c * plane + i] = (float)mean;
    dataset->scale[c] = deviation > 0 ? (float)(1 / deviation) : 1;
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
        for (int64_t c = 0; c < channels; c++) standardize_channel(dataset, c);
        break;
    }
}
