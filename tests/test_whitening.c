/* Tests the whitening layer: its eigenvalues, what its filters do to the patches of the training set, and that training
 * leaves them as they are. And the other starting values that a config can ask for. */
#include <math.h>
#include <stdlib.h>
#include <criterion/criterion.h>

#include "network_support.h"
#include "session_support.h"
#include "train/whitening.h"
#include "util/eigen.h"

enum { LARGEST = 40 };

/* Fills a symmetric matrix with numbers of -1..1; its rank is `rank` at most. */
static void fill_symmetric(double *matrix, int64_t n, int64_t rank, uint32_t seed)
{
    double factor[LARGEST * LARGEST];
    support_fill(factor, n * rank, 11, seed, 0, 1);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            matrix[i * n + j] = 0;
            for (int64_t k = 0; k < rank; k++)
                matrix[i * n + j] += (k % 3 == 0 ? -1 : 1) * factor[i * rank + k] * factor[j * rank + k];
        }
}

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* The vectors are orthogonal and of length 1, and matrix * vector = value * vector. */
static void expect_eigen(const double *matrix, int64_t n)
{
    double vectors[LARGEST * LARGEST], values[LARGEST], scale = 0;
    for (int64_t i = 0; i < n * n; i++) vectors[i] = matrix[i], scale = fmax(scale, fabs(matrix[i]));
    eigen_symmetric(n, vectors, values);
    for (int64_t i = 0; i < n; i++) {
        const double *v = vectors + i * n;
        cr_expect(i == 0 || values[i] <= values[i - 1], "value %d", (int)i);
        for (int64_t j = 0; j < n; j++) {
            cr_expect_float_eq(dot(v, vectors + j * n, n), i == j, 1e-13, "%d and %d", (int)i, (int)j);
            cr_expect_float_eq(dot(matrix + j * n, v, n), values[i] * v[j], 1e-13 * scale * (double)n, "vector %d",
                               (int)i);
        }
    }
}

Test(whitening, eigenvectors)
{
    double matrix[LARGEST * LARGEST];
    for (uint32_t seed = 0; seed < 20; seed++)
        for (int64_t n = 1; n <= LARGEST; n += 13)
            for (int64_t rank = n / 2 + 1; rank <= n; rank += n / 2 + 1) {
                fill_symmetric(matrix, n, rank, seed);
                expect_eigen(matrix, n);
            }
}

Test(whitening, eigenvalues_that_are_known)
{
    double diagonal[] = {1, 0, 0, 0, 5, 0, 0, 0, 3}, zero[4] = {0}, turned[] = {2, 1, 1, 2}, values[3];
    eigen_symmetric(3, diagonal, values);
    cr_expect(values[0] == 5 && values[1] == 3 && values[2] == 1 && diagonal[1] == 1 && diagonal[6] == 1);
    eigen_symmetric(2, zero, values);
    cr_expect(values[0] == 0 && values[1] == 0 && zero[0] == 1 && zero[3] == 1);
    eigen_symmetric(2, turned, values);
    cr_expect_float_eq(values[0], 3, 1e-15);
    cr_expect_float_eq(values[1], 1, 1e-15);
}

#define CONFIG(features)                                                                                               \
    "[experiment]\nseed = 5\n[data]\ndataset = synthetic\nsynthetic_train = 40\nsynthetic_size = 9\n"                  \
    "normalization = channel\n[model]\nkind = convnet\nactivation = gelu\nfeatures = " features                        \
    "\nbatchnorm = custom\n[train]\nbatch_size = 10\nmax_steps = 4\n[backend]\nprecision = fp64\n"

/* Pixel (c,h,w) of a training image as the network sees it. */
static double pixel(const struct dataset *dataset, int64_t sample, int64_t c, int64_t h, int64_t w)
{
    int64_t area = dataset->height * dataset->width, place = c * area + h * dataset->width + w;
    uint8_t byte = image_set_pixels(&dataset->train, sample, dataset->channels * area)[place];
    return ((double)byte - (double)dataset->offset[place]) * (double)dataset->scale[c];
}

/* What a filter (C,K,K) makes of the patch at (h,w). */
static double response(const struct dataset *dataset, const double *filter, int64_t k, int64_t sample, int64_t h,
                       int64_t w)
{
    double sum = 0;
    for (int64_t i = 0; i < dataset->channels * k * k; i++)
        sum += filter[i] * pixel(dataset, sample, i / (k * k), h + i / k % k, w + i % k);
    return sum;
}

/* Returns the mean of the product of two filters' responses over all patches. */
static double together(const struct dataset *dataset, const double *a, const double *b, int64_t k)
{
    double sum = 0;
    int64_t side = dataset->height - k + 1, count = 0;
    for (int64_t sample = 0; sample < dataset->train.count; sample++)
        for (int64_t place = 0; place < side * side; place++, count++)
            sum += response(dataset, a, k, sample, place / side, place % side) *
                   response(dataset, b, k, sample, place / side, place % side);
    return sum / (double)count;
}

/* Responses are uncorrelated, and their mean square is e / (e + 5e-4), which is 1 but for a small eigenvalue e. */
Test(whitening, filters_whiten_the_patches_of_the_training_set)
{
    enum { K = 2, VALUES = 3 * K * K };
    struct session *session = session_open(CONFIG("W2, 4"), 2);
    const struct layer *layer = &session->trainer.network->layers[0];
    double *filters = support_read(session->backend, &layer->parameter[0].value);
    cr_assert_eq(layer->parameter[0].value.shape.n, 2 * VALUES);
    for (int i = 0; i < VALUES; i++) {
        const double *filter = filters + i * VALUES;
        double length = 1 / dot(filter, filter, VALUES), e = length - 5e-4; /* the filter is v / sqrt(e + 5e-4) */
        for (int j = 0; j < VALUES; j++)
            cr_expect_float_eq(together(&session->dataset, filter, filters + j * VALUES, K), i == j ? e / length : 0,
                               1e-12, "%d and %d", i, j);
        for (int j = 0; j < VALUES; j++)
            cr_expect_eq(filters[(VALUES + i) * VALUES + j], -filter[j], "filter %d", VALUES + i);
    }
    free(filters);
    session_close(session);
}

Test(whitening, training_moves_the_bias_alone)
{
    struct session *session = session_open(CONFIG("W2, 4"), 1);
    const struct layer *layer = &session->trainer.network->layers[0];
    double *weight = support_read(session->backend, &layer->parameter[0].value);
    double *bias = support_read(session->backend, &layer->parameter[1].value);
    for (int i = 0; i < 4; i++) trainer_step(&session->trainer);
    double *weight_after = support_read(session->backend, &layer->parameter[0].value);
    double *bias_after = support_read(session->backend, &layer->parameter[1].value);
    cr_expect(memcmp(weight, weight_after, sizeof(double) * 24 * 12) == 0);
    cr_expect(memcmp(bias, bias_after, sizeof(double) * 24) != 0);
    free(weight), free(bias), free(weight_after), free(bias_after);
    session_close(session);
}

/* --- other starting values --- */

static double *starting_weights(const char *settings, int layer)
{
    struct experiment experiment;
    struct status status = {0};
    struct backend *backend = backend_of(PRECISION_FP64, 1);
    experiment_from(&experiment, settings);
    struct network *network = network_from(&experiment, backend, (struct shape){1, 3, 8, 8}, 10, &status);
    cr_assert(network, "%s", status.message);
    double *values = support_read(backend, &network->layers[layer].parameter[0].value);
    network_destroy(network);
    backend_destroy(backend);
    experiment_free(&experiment);
    return values;
}

/* 3 channels into 5 of 3x3 filters, 5 into 2 of 2x2 filters. The other filters are drawn as without the key. */
Test(whitening, identity_filters_pass_their_channel_on)
{
    static const struct {
        int layer, out, in, kernel, middle;
    } layers[] = {{0, 5, 3, 3, 4}, {2, 2, 5, 2, 3}};
    const char *plain = "[model]\nkind = convnet\nfeatures = 5, 2k2\n";
    const char *identity = "[model]\nkind = convnet\nfeatures = 5, 2k2\nidentity_filters = true\n";
    for (int l = 0; l < 2; l++) {
        int size = layers[l].in * layers[l].kernel * layers[l].kernel, area = layers[l].kernel * layers[l].kernel;
        double *values = starting_weights(identity, layers[l].layer), *drawn = starting_weights(plain, layers[l].layer);
        for (int i = 0; i < layers[l].out * size; i++) {
            int o = i / size, middle = o * area + layers[l].middle;
            cr_expect_eq(values[i], o < layers[l].in ? i % size == middle : drawn[i], "layer %d, weight %d", l, i);
        }
        free(values), free(drawn);
    }
}

Test(whitening, the_head_starts_with_the_deviation_that_is_asked_for)
{
    double *values = starting_weights("[model]\nkind = mlp\nhidden = 7\nhead_std = 0.25\nhead_bias = false\n", 2);
    double sum = 0, squares = 0;
    for (int i = 0; i < 70; i++) sum += values[i];
    for (int i = 0; i < 70; i++) squares += pow(values[i] - sum / 70, 2);
    cr_expect_float_eq(sqrt(squares / 70), 0.25, 1e-14);
    free(values);
}
