/* Measures the outermost pixels of images. */
#include <math.h>

#include "data_private.h"

enum { IMAGES_MAX = 4096, CLEAR = 64 }; /* CLEAR: see enum image_background */

/* Sums of whole numbers, so that they are exact and no order of the images matters. */
struct sums {
    int64_t count, sum, squares;
};

static void add(struct sums *sums, int64_t pixel)
{
    sums->count++;
    sums->sum += pixel;
    sums->squares += pixel * pixel;
}

static void add_plane(struct sums *sums, const uint8_t *plane, int64_t height, int64_t width)
{
    for (int64_t y = 0; y < height; y++) {
        bool inner = y > 0 && y + 1 < height;
        int64_t step = inner && width > 1 ? width - 1 : 1;
        for (int64_t x = 0; x < width; x += step) add(sums, plane[y * width + x]);
    }
}

static void add_image(struct sums *sums, const uint8_t *pixels, int64_t channels, int64_t height, int64_t width)
{
    for (int64_t c = 0; c < channels; c++) add_plane(sums, pixels + c * height * width, height, width);
}

static struct image_border border_of(struct sums sums)
{
    double count = (double)sums.count, mean = (double)sums.sum / count;
    return (struct image_border){true, mean, sqrt(fmax(0, (double)sums.squares / count - mean * mean))};
}

struct image_border image_border_measure(const uint8_t *pixels, int64_t channels, int64_t height, int64_t width)
{
    struct sums sums = {0};
    add_image(&sums, pixels, channels, height, width);
    return border_of(sums);
}

void dataset_measure_border(struct dataset *dataset)
{
    struct sums sums = {0};
    const struct image_set *train = &dataset->train;
    int64_t sample = dataset->channels * dataset->height * dataset->width;
    int64_t images = train->count < IMAGES_MAX ? train->count : IMAGES_MAX;
    for (int64_t i = 0; i < images; i++)
        add_image(&sums, image_set_pixels(train, i * train->count / images, sample), dataset->channels, dataset->height,
                  dataset->width);
    dataset->border = border_of(sums);
}

enum image_background image_border_background(struct image_border border)
{
    if (!border.known || border.deviation >= CLEAR) return BACKGROUND_MIXED;
    return border.mean < CLEAR               ? BACKGROUND_DARK
           : border.mean > UINT8_MAX - CLEAR ? BACKGROUND_LIGHT
                                             : BACKGROUND_MIXED;
}
