/* Resizes along one direction at a time: an output is a weighted mean of its neighbours, whose weights fall linearly
 * with the distance. */
#include <math.h>
#include <stdlib.h>

#include "trainer/check.h"
#include "trainer/image.h"
#include "trainer/memory.h"

/* The weights of the inputs first .. first+count-1 in one output; they sum to 1. */
struct window_weights {
    int64_t first, count;
    double *weight;
};

static struct window_weights weights_of(int64_t output, int64_t from, int64_t to)
{
    double scale = (double)from / (double)to, reach = fmax(scale, 1), centre = ((double)output + 0.5) * scale, sum = 0;
    int64_t first = (int64_t)fmax(floor(centre - reach + 0.5), 0);
    int64_t last = (int64_t)fmin(floor(centre + reach + 0.5), (double)from); /* the input after the last one */
    struct window_weights weights = {first, last - first, memory_alloc((size_t)(last - first), sizeof(double))};
    for (int64_t i = 0; i < weights.count; i++) {
        weights.weight[i] = fmax(1 - fabs((double)(first + i) + 0.5 - centre) / reach, 0);
        sum += weights.weight[i];
    }
    for (int64_t i = 0; i < weights.count; i++) weights.weight[i] /= sum;
    return weights;
}

/* Resizes from (outer, from_size, inner) to (outer, to_size, inner). */
static void resize_direction(const double *from, double *to, int64_t outer, int64_t from_size, int64_t to_size,
                             int64_t inner)
{
    for (int64_t i = 0; i < to_size; i++) {
        struct window_weights weights = weights_of(i, from_size, to_size);
        for (int64_t o = 0; o < outer; o++)
            for (int64_t k = 0; k < inner; k++) {
                double sum = 0;
                for (int64_t w = 0; w < weights.count; w++)
                    sum += weights.weight[w] * from[(o * from_size + weights.first + w) * inner + k];
                to[(o * to_size + i) * inner + k] = sum;
            }
        free(weights.weight);
    }
}

/* Resizes one plane. A large picture is done plane by plane, so that it takes little memory beside its own. */
static void resize_plane(const uint8_t *from, int64_t from_height, int64_t from_width, uint8_t *to, int64_t height,
                         int64_t width)
{
    int64_t count = from_height * from_width;
    double *all = memory_alloc((size_t)count, sizeof *all);
    double *narrow = memory_alloc((size_t)(from_height * width), sizeof *narrow);
    double *result = memory_alloc((size_t)(height * width), sizeof *result);
    for (int64_t i = 0; i < count; i++) all[i] = from[i];
    resize_direction(all, narrow, from_height, from_width, width, 1);
    resize_direction(narrow, result, 1, from_height, height, width);
    for (int64_t i = 0; i < height * width; i++) to[i] = (uint8_t)lround(fmin(fmax(result[i], 0), 255));
    free(all), free(narrow), free(result);
}

void image_resize(struct image *image, int64_t height, int64_t width)
{
    CHECK(height >= 1 && width >= 1);
    if (image->height == height && image->width == width) return;
    uint8_t *pixels = memory_alloc((size_t)(height * width), (size_t)image->channels);
    for (int64_t c = 0; c < image->channels; c++)
        resize_plane(image->pixels + c * image->height * image->width, image->height, image->width,
                     pixels + c * height * width, height, width);
    free(image->pixels);
    *image = (struct image){image->channels, height, width, pixels};
}
