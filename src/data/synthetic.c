/* Makes a data set that needs no files. Class c shows a smooth pattern of its own, a sum of a few slow waves per
 * channel, and a sample is that pattern plus noise. Sample i belongs to class i mod classes, so classes occur equally
 * often. */
#include "data_private.h"

#include <math.h>
#include <stdlib.h>

#include "util/check.h"
#include "util/memory.h"
#include "util/rng.h"

/* Steps of the random stream, one for each purpose of a draw. */
enum { STEP_PATTERNS, STEP_TRAIN, STEP_TEST };

enum { WAVES = 3 };

static const double two_pi = 6.283185307179586;
static const double wave_amplitude = 24;
static const double cycles_max = 2;       /* cycles over the image: few, so that patterns are smooth */
static const double noise_deviation = 32; /* about the patterns' own, so that no single pixel shows the class */

/* Adds one wave of random direction, frequency and phase to a plane (S,S). */
static void add_wave(struct rng *rng, float *plane, int64_t size)
{
    double across = cycles_max * (2 * rng_uniform(rng) - 1), down = cycles_max * (2 * rng_uniform(rng) - 1);
    double phase = rng_uniform(rng);
    for (int64_t y = 0; y < size; y++)
        for (int64_t x = 0; x < size; x++) {
            double turns = phase + (across * (double)x + down * (double)y) / (double)size;
            plane[y * size + x] += (float)(wave_amplitude * cos(two_pi * turns));
        }
}

/* Returns the patterns (classes,C,S,S), around the middle of the range of a pixel. */
static float *draw_patterns(int64_t planes, int64_t size, uint64_t seed)
{
    struct rng rng = rng_create(seed, RNG_STREAM_SYNTHETIC, STEP_PATTERNS);
    float *patterns = memory_alloc((size_t)(planes * size * size), sizeof *patterns);
    for (int64_t i = 0; i < planes * size * size; i++) patterns[i] = 127.5f;
    for (int64_t p = 0; p < planes; p++)
        for (int wave = 0; wave < WAVES; wave++) add_wave(&rng, &patterns[p * size * size], size);
    return patterns;
}

/* Draws a nearly normal number with mean 0 and deviation 1 from the sum of the four bytes of a word. An exactly normal
 * one per pixel would take most of the time of a test. */
static double draw_noise(struct rng *rng)
{
    uint32_t word = rng_next(rng);
    int sum = (int)((word & 0xFF) + (word >> 8 & 0xFF) + (word >> 16 & 0xFF) + (word >> 24));
    return (sum - 510) / 147.8; /* mean 4 * 127.5; variance 4 * (256^2 - 1) / 12 */
}

static void draw_samples(struct image_set *set, const float *patterns, int64_t classes, int64_t sample, struct rng rng)
{
    for (int64_t n = 0; n < set->count; n++) {
        const float *pattern = &patterns[n % classes * sample];
        set->labels[n] = (uint16_t)(n % classes);
        for (int64_t i = 0; i < sample; i++) {
            double value = round(pattern[i] + noise_deviation * draw_noise(&rng));
            set->pixels[n * sample + i] = (uint8_t)fmin(fmax(value, 0), 255);
        }
    }
}

void synthetic_make(struct dataset *dataset, int64_t train, int64_t test, int64_t classes, int64_t channels,
                    int64_t size, uint64_t seed)
{
    CHECK(train >= 1 && test >= 0 && classes >= 1 && classes <= DATASET_CLASSES_MAX && channels >= 1 && size >= 1);
    int64_t sample = channels * size * size;
    *dataset = (struct dataset){.channels = channels, .height = size, .width = size, .classes = classes};
    float *patterns = draw_patterns(classes * channels, size, seed);
    image_set_alloc(dataset, &dataset->train, train, sample);
    if (test > 0) image_set_alloc(dataset, &dataset->test, test, sample);
    draw_samples(&dataset->train, patterns, classes, sample, rng_create(seed, RNG_STREAM_SYNTHETIC, STEP_TRAIN));
    draw_samples(&dataset->test, patterns, classes, sample, rng_create(seed, RNG_STREAM_SYNTHETIC, STEP_TEST));
    free(patterns);
}

/* Gives the classes the names of the config. */
static bool take_names(struct dataset *dataset, const struct dataset_source *source, struct status *status)
{
    struct class_names names;
    if (!class_names_read(&names, source->class_names, status)) return false;
    if (names.count == dataset->classes) dataset_take_names(dataset, names);
    if (names.count == 0 || names.count == dataset->classes) return true;
    status_fail(status, STATUS_USAGE,
                "data.class_names: %lld class names, expected %lld: one for each of data.synthetic_classes",
                (long long)names.count, (long long)dataset->classes);
    class_names_free(&names);
    return false;
}

bool synthetic_load(struct dataset *dataset, const struct dataset_source *source, struct status *status)
{
    synthetic_make(dataset, source->synthetic.train, source->synthetic.test, source->synthetic.classes,
                   source->synthetic.channels, source->synthetic.size, source->seed);
    if (take_names(dataset, source, status)) return true;
    dataset_free(dataset);
    return false;
}

bool synthetic_describe(struct dataset_description *description, const struct dataset_source *source,
                        struct status *status)
{
    (void)status;
    *description = (struct dataset_description){source->synthetic.channels, source->synthetic.size,
                                                source->synthetic.size, source->synthetic.classes};
    return true;
}
