/* Makes images of noise for measuring speed, where only their number and size matter. */
#include "data_private.h"

#include <string.h>

#include "util/check.h"
#include "util/rng.h"

static void draw_images(struct dataset *dataset, struct image_set *set, int64_t count, int64_t sample, int64_t classes,
                        uint64_t seed, uint32_t step)
{
    struct philox_words words;
    image_set_alloc(dataset, set, count, sample);
    for (int64_t start = 0; start < count * sample; start += (int64_t)sizeof words) {
        words = philox_draw(seed, RNG_STREAM_NOISE, step, (uint64_t)start / sizeof words);
        int64_t left = count * sample - start;
        memcpy(set->pixels + start, &words, left < (int64_t)sizeof words ? (size_t)left : sizeof words);
    }
    for (int64_t n = 0; n < count; n++) set->labels[n] = (uint16_t)(n % classes);
}

void dataset_noise(struct dataset *dataset, struct shape image, int64_t classes, int64_t train, int64_t test,
                   enum normalization normalization, uint64_t seed)
{
    enum { STEP_TRAIN, STEP_TEST };
    CHECK(train >= 1 && test >= 1 && classes >= 1 && classes <= DATASET_CLASSES_MAX);
    int64_t sample = shape_sample_count(image);
    *dataset = (struct dataset){.channels = image.c, .height = image.h, .width = image.w, .classes = classes};
    draw_images(dataset, &dataset->train, train, sample, classes, seed, STEP_TRAIN);
    draw_images(dataset, &dataset->test, test, sample, classes, seed, STEP_TEST);
    dataset_normalize(dataset, normalization);
}
