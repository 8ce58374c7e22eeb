/* Compares the backward passes of whole networks with central differences of the loss, in double: h = 1e-5,
 * rel_error = |a - b| / max(1e-8, |a| + |b|) < 1e-5.
 *
 * Some gradients are zero by construction: that of the bias of a linear layer or convolution right before a batch
 * normalization, whose mean takes the bias away again, and those of values that ReLU or dropout blocks. They have no
 * relative error. The loss carries roundings of about 1e-16 * 100 operations, so the difference quotient is off by
 * about 1e-14 / 2e-5. Differences below 1e-9 pass.
 *
 * ReLU and max-pooling have kinks. A value within h times its sensitivity of one would fail. With a few thousand values
 * of size 1 the chance of that is a few percent; with the seeds here no value is so near. */
#include <math.h>
#include <stdlib.h>
#include <criterion/criterion.h>

#include "experiment_support.h"

enum { MAX_LAYERS = 16, SEED = 42 };

struct gradient_case {
    struct shape input; /* (N,C,H,W) */
    enum loss_kind loss;
    int count;
    struct layer_spec specs[MAX_LAYERS];
};

#define LINEAR(n)                                                                                                      \
    {                                                                                                                  \
        .kind = LAYER_LINEAR, .linear = {.units = n }                                                                  \
    }
#define CONV(n, k, s, p)                                                                                               \
    {                                                                                                                  \
        .kind = LAYER_CONV2D, .conv2d = {.channels = n, .window = {k, s, p} }                                          \
    }
#define MAX_POOL(k, s, p)                                                                                              \
    {                                                                                                                  \
        .kind = LAYER_POOL, .pool = { POOL_MAX, {k, s, p} }                                                            \
    }
#define AVERAGE_POOL(k, s, p)                                                                                          \
    {                                                                                                                  \
        .kind = LAYER_POOL, .pool = { POOL_AVERAGE, {k, s, p} }                                                        \
    }
#define BATCHNORM                                                                                                      \
    {                                                                                                                  \
        .kind = LAYER_BATCHNORM, .batchnorm = { {1e-5, 0.1}, false }                                                   \
    }
#define BATCHNORM_STATELESS                                                                                            \
    {                                                                                                                  \
        .kind = LAYER_BATCHNORM, .batchnorm = { {1e-5, 0.1}, true }                                                    \
    }
#define RELU                                                                                                           \
    {                                                                                                                  \
        .kind = LAYER_ACTIVATION, .activation = { ACTIVATION_RELU, 0 }                                                 \
    }
#define LEAKY_RELU                                                                                                     \
    {                                                                                                                  \
        .kind = LAYER_ACTIVATION, .activation = { ACTIVATION_LEAKY_RELU, 0.1 }                                         \
    }
#define ELU                                                                                                            \
    {                                                                                                                  \
        .kind = LAYER_ACTIVATION, .activation = { ACTIVATION_ELU, 1 }                                                  \
    }
#define DROPOUT(r)                                                                                                     \
    {                                                                                                                  \
        .kind = LAYER_DROPOUT, .dropout = { r }                                                                        \
    }
#define FLATTEN                                                                                                        \
    {                                                                                                                  \
        .kind = LAYER_FLATTEN                                                                                          \
    }
#define SOFTMAX                                                                                                        \
    {                                                                                                                  \
        .kind = LAYER_SOFTMAX                                                                                          \
    }

/* Fills a batch by gather, as in training, with random images and their labels. Then it overwrites the input with
 * values that are on no grid. */
static void fill_batch(struct network *network)
{
    struct backend *backend = network->backend;
    struct shape shape = network->input.shape;
    int64_t sample = shape_sample_count(shape), classes = network->activations[network->layer_count - 1].shape.c;
    uint8_t *pixels = memory_alloc((size_t)(shape.n * sample), 1);
    uint16_t *labels = memory_alloc((size_t)shape.n, sizeof *labels);
    float *offset = memory_alloc((size_t)sample, sizeof *offset), *scale = memory_alloc((size_t)shape.c, sizeof *scale);
    double *values = memory_alloc((size_t)(shape.n * sample), sizeof *values);
    for (int64_t n = 0; n < shape.n; n++) labels[n] = (uint16_t)((n * 7 + 3) % classes);
    support_fill(values, shape.n * sample, SEED, 1, 0, 1);
    struct dataset_view view = {shape.n, shape.c, shape.h, shape.w, pixels, labels, offset, scale, NULL, false};
    struct device_dataset *dataset = backend->ops->dataset_upload(backend, &view);
    backend->ops->gather(backend, dataset, NULL, &network->input, network->labels);
    backend->ops->tensor_write(backend, &network->input, values);
    backend->ops->dataset_free(backend, dataset);
    free(pixels), free(labels), free(offset), free(scale), free(values);
}

static double mean_loss(struct network *network)
{
    struct backend *backend = network->backend;
    backend->ops->metrics_reset(backend);
    network_forward(network, LAYER_TRAIN);
    network_loss(network, 0);
    struct metrics sums = backend->ops->metrics_read(backend);
    cr_assert_eq(sums.count, network->input.shape.n);
    return sums.loss / (double)sums.count;
}

/* Checks the gradient of every element of a tensor against central differences. */
static void check_tensor(struct network *network, const struct tensor *tensor, const double *gradient, int layer,
                         const char *name)
{
    const double h = 1e-5;
    struct backend *backend = network->backend;
    double *values = support_read(backend, tensor);
    for (int64_t i = 0; i < shape_count(tensor->shape); i++) {
        double kept = values[i];
        values[i] = kept + h;
        backend->ops->tensor_write(backend, tensor, values);
        double above = mean_loss(network);
        values[i] = kept - h;
        backend->ops->tensor_write(backend, tensor, values);
        double difference = (above - mean_loss(network)) / (2 * h), found = gradient[i];
        values[i] = kept;
        backend->ops->tensor_write(backend, tensor, values);
        double error = fabs(found - difference), size = fmax(1e-8, fabs(found) + fabs(difference));
        cr_assert(error < 1e-9 || error / size < 1e-5, "layer %d %s[%ld]: %.12g, by differences %.12g", layer, name,
                  (long)i, found, difference);
    }
    free(values);
}

/* Reads all gradients first, because the checks run forward passes. */
static void check_network(struct network *network)
{
    struct backend *backend = network->backend;
    struct step_state state = {.step = 5};
    double *gradients[MAX_LAYERS][LAYER_MAX_PARAMETERS];
    backend->ops->set_state(backend, &state);
    fill_batch(network);
    struct tensor dinput = tensor_alloc(backend, TENSOR_ACTIVATION, network->input.shape);
    network_forward(network, LAYER_TRAIN);
    network_backward(network, &dinput);
    double *dx = support_read(backend, &dinput);
    for (int i = 0; i < network->layer_count; i++)
        for (int p = 0; p < network->layers[i].parameter_count; p++)
            gradients[i][p] = support_read(backend, &network->layers[i].parameter[p].gradient);

    check_tensor(network, &network->input, dx, -1, "input");
    for (int i = 0; i < network->layer_count; i++)
        for (int p = 0; p < network->layers[i].parameter_count; p++) {
            const struct parameter *parameter = &network->layers[i].parameter[p];
            check_tensor(network, &parameter->value, gradients[i][p], i, parameter->name);
            cr_assert(support_padding_is_zero(backend, &parameter->gradient), "layer %d %s", i, parameter->name);
            free(gradients[i][p]);
        }
    free(dx), tensor_free(backend, &dinput);
}

static void check(const struct gradient_case *c)
{
    int variants;
    const struct variant *variant = variant_list(&variants);
    for (int v = 0; v < variants; v++) {
        if (variant[v].precision != PRECISION_FP64) continue;
        struct backend *backend = variant_create(&variant[v], 2);
        if (!backend) continue;
        struct network *network;
        struct status status = {0};
        bool built = network_build(&network, backend, c->specs, c->count, c->loss, c->input, SEED, &status);
        cr_assert(built, "%s", status.message);
        check_network(network);
        network_destroy(network);
        backend_destroy(backend);
    }
}

#define CASE(test_name, loss_kind, n, ch, h, w, ...)                                                                   \
    Test(network_gradients, test_name)                                                                                 \
    {                                                                                                                  \
        const struct layer_spec specs[] = {__VA_ARGS__};                                                               \
        struct gradient_case c = {{n, ch, h, w}, loss_kind, sizeof specs / sizeof specs[0], {{0}}};                    \
        memcpy(c.specs, specs, sizeof specs);                                                                          \
        check(&c);                                                                                                     \
    }

CASE(linear_alone, LOSS_FUSED, 5, 7, 1, 1, LINEAR(3))
CASE(one_sample, LOSS_FUSED, 1, 5, 1, 1, LINEAR(17), RELU, LINEAR(2))
CASE(mlp, LOSS_FUSED, 7, 11, 1, 1, LINEAR(13), RELU, LINEAR(17), RELU, LINEAR(5))
CASE(mlp_separate_loss, LOSS_SEPARATE, 7, 11, 1, 1, LINEAR(13), RELU, LINEAR(5), SOFTMAX)
CASE(mlp_batchnorm_dropout, LOSS_FUSED, 7, 11, 1, 1, LINEAR(13), RELU, BATCHNORM, DROPOUT(0.3), LINEAR(18), BATCHNORM,
     ELU, DROPOUT(0.2), LINEAR(5))
CASE(mlp_batch_stats_only, LOSS_FUSED, 5, 9, 1, 1, LINEAR(7), BATCHNORM_STATELESS, LEAKY_RELU, LINEAR(4))
CASE(batchnorm_first, LOSS_FUSED, 6, 5, 1, 1, BATCHNORM, LINEAR(3))
CASE(convnet, LOSS_FUSED, 3, 3, 7, 5, CONV(5, 3, 1, 1), BATCHNORM, RELU, MAX_POOL(3, 2, 1), CONV(18, 2, 1, 0),
     BATCHNORM, LEAKY_RELU, AVERAGE_POOL(2, 1, 0), FLATTEN, LINEAR(6), ELU, LINEAR(5))
CASE(convnet_strides, LOSS_SEPARATE, 2, 2, 9, 11, CONV(4, 5, 2, 2), RELU, CONV(7, 1, 1, 0), ELU, MAX_POOL(2, 2, 0),
     DROPOUT(0.25), FLATTEN, LINEAR(3), SOFTMAX)
CASE(convnet_of_the_report_in_small, LOSS_FUSED, 3, 3, 8, 8, CONV(5, 3, 1, 1), BATCHNORM, RELU, MAX_POOL(3, 2, 1),
     CONV(6, 3, 1, 1), BATCHNORM, RELU, MAX_POOL(3, 2, 1), CONV(7, 3, 1, 1), BATCHNORM, RELU, MAX_POOL(3, 2, 1),
     AVERAGE_POOL(1, 1, 0), LINEAR(10))
CASE(convnet_batch_stats_only, LOSS_FUSED, 2, 1, 5, 4, CONV(17, 3, 2, 1), BATCHNORM_STATELESS, RELU,
     AVERAGE_POOL(3, 1, 1), FLATTEN, LINEAR(4))

/* A backward pass overwrites gradients. It gives the same ones with and without the first layer's input gradient. */
Test(network_gradients, a_second_pass_gives_the_same)
{
    const struct layer_spec specs[] = {CONV(5, 3, 1, 1), BATCHNORM, RELU, FLATTEN, LINEAR(3)};
    struct backend *backend = backend_of(PRECISION_FP32, 2);
    struct network *network;
    struct status status;
    struct step_state state = {0};
    cr_assert(network_build(&network, backend, specs, 5, LOSS_FUSED, (struct shape){3, 2, 5, 3}, SEED, &status));
    backend->ops->set_state(backend, &state);
    fill_batch(network);
    struct tensor dinput = tensor_alloc(backend, TENSOR_ACTIVATION, network->input.shape);
    size_t bytes = network->arena_count * backend->scalar_size;
    network_forward(network, LAYER_TRAIN);
    network_backward(network, &dinput);
    void *first = memcpy(memory_alloc(bytes, 1), network->gradients, bytes);
    network_forward(network, LAYER_TRAIN);
    network_backward(network, NULL);
    cr_assert_eq(memcmp(first, network->gradients, bytes), 0);
    free(first);
    tensor_free(backend, &dinput);
    network_destroy(network);
    backend_destroy(backend);
}

/* A smaller batch in the same memory gives the results of a network that was built for it. */
Test(network_gradients, batch_at_hand)
{
    const struct layer_spec specs[] = {CONV(5, 3, 1, 1), BATCHNORM, RELU, MAX_POOL(3, 2, 1), FLATTEN, LINEAR(3)};
    struct backend *backend = backend_of(PRECISION_FP64, 2);
    struct network *large, *small;
    struct status status;
    struct step_state state = {0};
    backend->ops->set_state(backend, &state);
    cr_assert(network_build(&large, backend, specs, 6, LOSS_FUSED, (struct shape){7, 2, 5, 3}, SEED, &status));
    cr_assert(network_build(&small, backend, specs, 6, LOSS_FUSED, (struct shape){3, 2, 5, 3}, SEED, &status));
    fill_batch(large);
    network_forward(large, LAYER_TRAIN);
    network_backward(large, NULL);
    network_set_batch(large, 3);
    fill_batch(large), fill_batch(small);
    cr_assert_eq(mean_loss(large), mean_loss(small));
    network_backward(large, NULL), network_backward(small, NULL);
    cr_assert_eq(memcmp(large->gradients, small->gradients, large->arena_count * backend->scalar_size), 0);
    network_destroy(large), network_destroy(small);
    backend_destroy(backend);
}

/* The two ways to compute the loss agree in value and gradients. */
Test(network_gradients, fused_and_separate_loss_agree)
{
    const struct layer_spec fused[] = {LINEAR(13), RELU, LINEAR(5)};
    const struct layer_spec separate[] = {LINEAR(13), RELU, LINEAR(5), SOFTMAX};
    struct backend *backend = backend_of(PRECISION_FP64, 1);
    struct network *a, *b;
    struct status status;
    struct step_state state = {0};
    char message[256];
    cr_assert(network_build(&a, backend, fused, 3, LOSS_FUSED, (struct shape){7, 11, 1, 1}, SEED, &status));
    cr_assert(network_build(&b, backend, separate, 4, LOSS_SEPARATE, (struct shape){7, 11, 1, 1}, SEED, &status));
    backend->ops->set_state(backend, &state);
    fill_batch(a), fill_batch(b);
    double loss_a = mean_loss(a), loss_b = mean_loss(b);
    cr_assert(fabs(loss_a - loss_b) < 1e-14, "%.17g, %.17g", loss_a, loss_b);
    network_backward(a, NULL), network_backward(b, NULL);
    double *da = support_read(backend, &a->layers[0].parameter[0].gradient);
    double *db = support_read(backend, &b->layers[0].parameter[0].gradient);
    cr_assert(support_close(da, db, 11 * 13, 1e-15, 1e-12, message, sizeof message), "%s", message);
    free(da), free(db);
    network_destroy(a), network_destroy(b);
    backend_destroy(backend);
}
