/* Draws a picture of training images and of their augmented forms. */
#include "trainer/samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/augment.h"
#include "trainer/check.h"
#include "trainer/memory.h"

enum { GAP = 4, SMALLEST_SIDE = 64 };

struct painter {
    const struct dataset *dataset;
    struct augment_params params;
    struct image picture;
    int64_t zoom; /* pixels of the picture per pixel of an image */
};

/* Returns the byte whose normalised value is nearest to 0. */
static uint8_t hole_value(const struct dataset *dataset, int64_t pixel)
{
    float value = roundf(dataset->offset[pixel]);
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void paint_pixel(struct painter *painter, int64_t channel, int64_t top, int64_t left, uint8_t value)
{
    const struct image *picture = &painter->picture;
    uint8_t *to = picture->pixels + (channel * picture->height + top) * picture->width + left;
    for (int64_t i = 0; i < painter->zoom; i++) memset(to + i * picture->width, value, (size_t)painter->zoom);
}

/* Paints image `sample` into its place in the grid, moved by `move`, or unchanged where `move` is NULL. */
static void paint(struct painter *painter, int64_t sample, int64_t row, int64_t column, const struct augment_move *move)
{
    const struct dataset *dataset = painter->dataset;
    int height = (int)dataset->height, width = (int)dataset->width;
    int64_t plane = dataset->height * dataset->width, zoom = painter->zoom;
    const uint8_t *pixels = image_set_pixels(&dataset->train, sample, dataset->channels * plane);
    int64_t top = GAP + row * (dataset->height * zoom + GAP), left = GAP + column * (dataset->width * zoom + GAP);
    for (int64_t c = 0; c < dataset->channels; c++)
        for (int h = 0; h < height; h++)
            for (int w = 0; w < width; w++) {
                int64_t place = (int64_t)h * width + w;
                int64_t source = move ? augment_source(move, h, w, height, width) : place;
                uint8_t value = source < 0 ? hole_value(dataset, c * plane + place) : pixels[c * plane + source];
                paint_pixel(painter, c, top + h * zoom, left + w * zoom, value);
            }
}

/* Paints one column: the rows' images as they enter the network in this epoch. */
static void paint_epoch(struct painter *painter, const struct experiment *experiment, int64_t epoch, int64_t rows)
{
    const struct dataset *dataset = painter->dataset;
    int64_t count = dataset->train.count, batch = experiment->train.batch_size, steps = count / batch;
    int32_t *order = memory_alloc((size_t)count, sizeof *order);
    epoch_order(order, (int32_t)count, experiment->data.first_epoch, (uint64_t)experiment->experiment.seed, epoch);
    for (int64_t place = 0; place < count; place++) {
        int64_t sample = order[place];
        if (sample >= rows) continue;
        struct augment_move move = augment_draw(painter->params, (uint32_t)(epoch * steps + place / batch), sample,
                                                (int)dataset->height, (int)dataset->width);
        paint(painter, sample, sample, epoch + 1, &move);
    }
    free(order);
}

struct image samples_picture(const struct experiment *experiment, const struct dataset *dataset, int64_t rows,
                             int64_t columns)
{
    int64_t side = dataset->height > dataset->width ? dataset->height : dataset->width;
    CHECK(rows >= 1 && rows <= dataset->train.count && columns >= 1);
    CHECK(dataset->channels == 1 || dataset->channels == 3);
    struct painter painter = {.dataset = dataset, .zoom = (SMALLEST_SIDE + side - 1) / side};
    painter.params = (struct augment_params){experiment->augment.flip, experiment->augment.crop,
                                             experiment->augment.cutout, (uint64_t)experiment->experiment.seed};
    struct image *picture = &painter.picture;
    picture->channels = dataset->channels;
    picture->height = GAP + rows * (dataset->height * painter.zoom + GAP);
    picture->width = GAP + columns * (dataset->width * painter.zoom + GAP);
    size_t pixels = (size_t)(picture->height * picture->width);
    picture->pixels = memory_alloc(pixels, (size_t)picture->channels);
    memset(picture->pixels, 255, pixels * (size_t)picture->channels);
    for (int64_t row = 0; row < rows; row++) paint(&painter, row, row, 0, NULL);
    for (int64_t epoch = 0; epoch + 1 < columns; epoch++) paint_epoch(&painter, experiment, epoch, rows);
    return painter.picture;
}
