/* Draws a picture of training images and of their augmented forms. The forms are those that a CPU backend gathers. */
#include "build/build.h"
#include "report/samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/prepared.h"
#include "data/mix.h"
#include "util/check.h"
#include "util/memory.h"

enum { GAP = 4, SMALLEST_SIDE = 64 };

struct painter {
    const struct experiment *experiment;
    const struct dataset *dataset;
    int64_t *shown; /* (rows): the sample of each row */
    int64_t rows;
    struct image picture;
    int64_t zoom; /* pixels of the picture per pixel of an image */
    struct augment_params params;
    struct backend *backend;
    float *offset, *scale;         /* (C,H,W), (C): a pixel p becomes p + 1, and a hole is 0 */
    struct device_dataset *images; /* normalised by them */
    struct tensor batch;
    struct tensor labels; /* (N,1,1,1) */
    double *values;       /* of the batch, in the order of the file */
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

/* Paints an image of gathered values into its place in the grid. */
static void paint(struct painter *painter, const double *values, int64_t row, int64_t column)
{
    const struct dataset *dataset = painter->dataset;
    int64_t height = dataset->height, width = dataset->width, zoom = painter->zoom;
    int64_t top = GAP + row * (height * zoom + GAP), left = GAP + column * (width * zoom + GAP);
    for (int64_t c = 0; c < dataset->channels; c++)
        for (int64_t h = 0; h < height; h++)
            for (int64_t w = 0; w < width; w++) {
                int64_t pixel = (c * height + h) * width + w;
                uint8_t value = values[pixel] > 0 ? (uint8_t)(values[pixel] - 1) : hole_value(dataset, pixel);
                paint_pixel(painter, c, top + h * zoom, left + w * zoom, value);
            }
}

/* Gathers the `count` samples from place `first` of the order on, as they are or as a step augments them. */
static void gather(struct painter *painter, struct step_state state, int64_t count, bool augmented)
{
    const struct run_input input = {.state = state, .n = count, .data = painter->images};
    struct op op = op_make(OP_GATHER);
    op.gather = (struct gather_params){.augmented = augmented, .augment = painter->params};
    painter->batch.shape.n = painter->labels.shape.n = count;
    backend_run_op(painter->backend, op, input,
                   OPERANDS([GATHER_X] = &painter->batch, [GATHER_LABELS] = &painter->labels));
    painter->backend->table->tensor_read(painter->backend, &painter->batch, painter->values);
}

/* Returns the row of a sample, or -1. */
static int64_t row_of(const struct painter *painter, int64_t sample)
{
    for (int64_t row = 0; row < painter->rows; row++)
        if (painter->shown[row] == sample) return row;
    return -1;
}

/* Paints those images of a batch that have a row, as they enter the network in this step. */
static void paint_step(struct painter *painter, const int32_t *order, struct step_state state, int64_t count,
                       int64_t column)
{
    const struct dataset *dataset = painter->dataset;
    int64_t pixels = dataset->channels * dataset->height * dataset->width;
    bool wanted = false;
    for (int64_t n = 0; n < count; n++) wanted |= row_of(painter, order[state.batch_first + n]) >= 0;
    if (!wanted) return;
    gather(painter, state, count, true);
    for (int64_t n = 0; n < count; n++) {
        int64_t row = row_of(painter, order[state.batch_first + n]);
        if (row >= 0) paint(painter, painter->values + n * pixels, row, column);
    }
}

/* Paints one column: the rows' images as they enter the network in this epoch. Samples that fill no batch are shown as
 * a batch of their own. */
static void paint_epoch(struct painter *painter, int64_t epoch)
{
    const struct experiment *experiment = painter->experiment;
    int64_t count = painter->dataset->train.count, batch = experiment->train.batch_size, steps = count / batch;
    int32_t *order = memory_alloc((size_t)count, sizeof *order);
    epoch_order(order, (int32_t)count, experiment->data.first_epoch, (uint64_t)experiment->experiment.seed, epoch);
    painter->backend->table->dataset_set_order(painter->backend, painter->images, order);
    for (int64_t first = 0; first < count; first += batch) {
        struct step_state state = {.step = (uint64_t)(epoch * steps + first / batch), .batch_first = first};
        state.mix = mix_draw(&painter->params, state.step, painter->dataset->height, painter->dataset->width);
        paint_step(painter, order, state, count - first < batch ? count - first : batch, epoch + 1);
    }
    free(order);
}

static void paint_unchanged(struct painter *painter)
{
    for (int64_t row = 0; row < painter->rows; row++) {
        gather(painter, (struct step_state){.batch_first = painter->shown[row]}, 1, false);
        paint(painter, painter->values, row, 0);
    }
}

static void create_picture(struct painter *painter, int64_t columns)
{
    const struct dataset *dataset = painter->dataset;
    int64_t side = dataset->height > dataset->width ? dataset->height : dataset->width;
    painter->zoom = (SMALLEST_SIDE + side - 1) / side;
    struct image *picture = &painter->picture;
    picture->channels = dataset->channels;
    picture->height = GAP + painter->rows * (dataset->height * painter->zoom + GAP);
    picture->width = GAP + columns * (dataset->width * painter->zoom + GAP);
    size_t pixels = (size_t)(picture->height * picture->width);
    picture->pixels = memory_alloc(pixels, (size_t)picture->channels);
    memset(picture->pixels, 255, pixels * (size_t)picture->channels);
}

/* Normalised as it is in training, a pixel that takes its own offset along could not be told from a hole. */
static void upload_images(struct painter *painter)
{
    const struct dataset *dataset = painter->dataset;
    int64_t pixels = dataset->channels * dataset->height * dataset->width;
    painter->offset = memory_alloc((size_t)pixels, sizeof *painter->offset);
    painter->scale = memory_alloc((size_t)dataset->channels, sizeof *painter->scale);
    for (int64_t i = 0; i < pixels; i++) painter->offset[i] = -1;
    for (int64_t c = 0; c < dataset->channels; c++) painter->scale[c] = 1;
    struct dataset_view view = dataset_view(dataset, &dataset->train);
    view.offset = painter->offset, view.scale = painter->scale;
    painter->images = painter->backend->table->dataset_upload(painter->backend, &view);
}

static void open_backend(struct painter *painter)
{
    const struct dataset *dataset = painter->dataset;
    int64_t batch = painter->experiment->train.batch_size;
    struct shape shape = {batch, dataset->channels, dataset->height, dataset->width};
    struct status status;
    CHECK(backend_create(&painter->backend, &(struct backend_options){.device = DEVICE_CPU}, &status));
    upload_images(painter);
    painter->batch = tensor_alloc(painter->backend, TENSOR_ACTIVATION, shape);
    painter->labels = tensor_alloc(painter->backend, TENSOR_LABELS, (struct shape){batch, 1, 1, 1});
    painter->values = memory_alloc((size_t)shape_count(shape), sizeof *painter->values);
}

static void close_backend(struct painter *painter)
{
    free(painter->values), free(painter->offset), free(painter->scale);
    tensor_free(painter->backend, &painter->labels);
    tensor_free(painter->backend, &painter->batch);
    painter->backend->table->dataset_free(painter->backend, painter->images);
    backend_destroy(painter->backend);
}

void samples_choose(const struct dataset *dataset, int64_t *shown, int64_t rows)
{
    const struct image_set *train = &dataset->train;
    bool *taken = memory_alloc((size_t)train->count, sizeof *taken);
    CHECK(rows <= train->count);
    for (int64_t row = 0, class = 0; row < rows; class = (class + 1) % dataset->classes) {
        int64_t sample = 0;
        while (sample < train->count && (taken[sample] || train->labels[sample] != class)) sample++;
        if (sample == train->count) continue;
        taken[sample] = true, shown[row++] = sample;
    }
    free(taken);
}

struct image samples_picture(const struct experiment *experiment, const struct dataset *dataset, int64_t rows,
                             int64_t columns)
{
    CHECK(rows >= 1 && rows <= dataset->train.count && columns >= 1);
    CHECK(dataset->channels == 1 || dataset->channels == 3);
    int64_t epoch_steps = dataset->train.count / experiment->train.batch_size;
    struct painter painter = {.experiment = experiment,
                              .dataset = dataset,
                              .params = augment_from_experiment(experiment, epoch_steps > 0 ? epoch_steps : 1)};
    painter.rows = rows, painter.shown = memory_alloc((size_t)rows, sizeof *painter.shown);
    samples_choose(dataset, painter.shown, rows);
    create_picture(&painter, columns);
    open_backend(&painter);
    paint_unchanged(&painter);
    for (int64_t epoch = 0; epoch + 1 < columns; epoch++) paint_epoch(&painter, epoch);
    close_backend(&painter);
    free(painter.shown);
    return painter.picture;
}
