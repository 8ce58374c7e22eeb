/* Computes the weights of a whitening layer (whitening.h). */
#include "train/whitening.h"

#include <math.h>
#include <stdlib.h>

#include "util/check.h"
#include "util/eigen.h"
#include "util/memory.h"

static const double ridge = 5e-4; /* keeps the smallest eigenvalues' filters at a length that noise does not fill */

/* Patches of images, and the sum of p p^T over them. */
struct patches {
    const struct dataset *dataset;
    int64_t kernel, n; /* n: values of a patch (C,K,K) */
    double *image;     /* (C,H,W): normalised */
    double *patch;     /* (n) */
    double *sums;      /* (n,n): the lower triangle */
    int64_t count;
};

static void normalize(const struct patches *patches, int64_t sample)
{
    const struct dataset *dataset = patches->dataset;
    int64_t area = dataset->height * dataset->width, size = dataset->channels * area;
    const uint8_t *pixels = image_set_pixels(&dataset->train, sample, size);
    for (int64_t i = 0; i < size; i++)
        patches->image[i] = ((double)pixels[i] - (double)dataset->offset[i]) * (double)dataset->scale[i / area];
}

static void cut_patch(const struct patches *patches, int64_t top, int64_t left)
{
    const struct dataset *dataset = patches->dataset;
    double *to = patches->patch;
    for (int64_t c = 0; c < dataset->channels; c++)
        for (int64_t h = 0; h < patches->kernel; h++)
            for (int64_t w = 0; w < patches->kernel; w++)
                *to++ = patches->image[(c * dataset->height + top + h) * dataset->width + left + w];
}

static void add_image(struct patches *patches)
{
    int64_t n = patches->n, rows = patches->dataset->height - patches->kernel + 1;
    int64_t columns = patches->dataset->width - patches->kernel + 1;
    for (int64_t place = 0; place < rows * columns; place++) {
        cut_patch(patches, place / columns, place % columns);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j <= i; j++) patches->sums[i * n + j] += patches->patch[i] * patches->patch[j];
    }
    patches->count += rows * columns;
}

/* Returns the mean of p p^T, a symmetric (n,n), in new memory. */
static double *mean_product(const struct dataset *dataset, int64_t kernel)
{
    int64_t n = dataset->channels * kernel * kernel, images = dataset->train.count;
    struct patches patches = {.dataset = dataset, .kernel = kernel, .n = n};
    if (images > WHITENING_IMAGES) images = WHITENING_IMAGES;
    patches.image = memory_alloc((size_t)(dataset->channels * dataset->height * dataset->width), sizeof *patches.image);
    patches.patch = memory_alloc((size_t)n, sizeof *patches.patch);
    patches.sums = memory_alloc((size_t)(n * n), sizeof *patches.sums);
    for (int64_t i = 0; i < images; i++) {
        normalize(&patches, i);
        add_image(&patches);
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++)
            patches.sums[i * n + j] = patches.sums[j * n + i] = patches.sums[i * n + j] / (double)patches.count;
    free(patches.image), free(patches.patch);
    return patches.sums;
}

/* Writes the filter of an eigenvector and its opposite, n filters further on. */
static void write_filters(const double *vector, double value, int64_t n, double *filter)
{
    int64_t largest = 0;
    for (int64_t i = 1; i < n; i++)
        if (fabs(vector[i]) > fabs(vector[largest])) largest = i;
    double factor = (vector[largest] < 0 ? -1 : 1) / sqrt(fmax(value, 0) + ridge);
    for (int64_t i = 0; i < n; i++) {
        filter[i] = factor * vector[i];
        filter[n * n + i] = -filter[i];
    }
}

void whitening_compute(struct network *network, const struct dataset *dataset)
{
    const struct layer *layer = &network->layers[0];
    if (layer->spec.kind != LAYER_CONV2D || !layer->spec.conv2d.whitening) return;
    struct shape shape = layer->parameter[0].value.shape; /* (2n,C,K,K) */
    int64_t n = shape_sample_count(shape);
    CHECK(shape.n == 2 * n && n <= WHITENING_VALUES);
    double *product = mean_product(dataset, shape.h), *values = memory_alloc((size_t)n, sizeof *values);
    double *filters = memory_alloc((size_t)(2 * n * n), sizeof *filters);
    eigen_symmetric(n, product, values);
    for (int64_t i = 0; i < n; i++) write_filters(product + i * n, values[i], n, filters + i * n);
    network->backend->table->tensor_write(network->backend, &layer->parameter[0].value, filters);
    free(product), free(values), free(filters);
}
