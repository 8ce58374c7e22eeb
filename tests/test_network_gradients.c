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
#include "graph_cases.h"
#include "network_support.h"

enum { MAX_LAYERS = GRAPH_MOST_LAYERS, SEED = 42 };

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
#define GROUPED(n, k, s, p, g)                                                                                         \
    {                                                                                                                  \
        .kind = LAYER_CONV2D, .conv2d = {.channels = n, .window = {k, s, p}, .groups = g }                             \
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
        .kind = LAYER_BATCHNORM, .batchnorm = { {1e-5, 0.1}, false, false }                                            \
    }
#define BATCHNORM_STATELESS                                                                                            \
    {                                                                                                                  \
        .kind = LAYER_BATCHNORM, .batchnorm = { {1e-5, 0.1}, true, false }                                             \
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

/* Checks the gradient of every element of a tensor against central differences. */
static void check_tensor(struct runner *runner, const struct tensor *tensor, const double *gradient, int layer,
                         const char *name)
{
    const double h = 1e-5;
    struct backend *backend = runner->network->backend;
    double *values = support_read(backend, tensor);
    for (int64_t i = 0; i < shape_count(tensor->shape); i++) {
        double kept = values[i];
        values[i] = kept + h;
        backend->table->tensor_write(backend, tensor, values);
        double above = runner_loss(runner);
        values[i] = kept - h;
        backend->table->tensor_write(backend, tensor, values);
        double difference = (above - runner_loss(runner)) / (2 * h), found = gradient[i];
        values[i] = kept;
        backend->table->tensor_write(backend, tensor, values);
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
    struct runner runner = runner_open(network, (struct runner_options){.dinput = true});
    struct tensor x = runner_input(&runner, LAYER_TRAIN), dinput = runner_dinput(&runner);
    double *gradients[MAX_LAYERS][LAYER_MAX_PARAMETERS];
    runner.state.step = 5;
    runner_fill(&runner);
    runner_backward(&runner);
    double *dx = support_read(backend, &dinput);
    for (int i = 0; i < network->layer_count; i++)
        for (int p = 0; p < network->layers[i].parameter_count; p++)
            gradients[i][p] = support_read(backend, &network->layers[i].parameter[p].gradient);

    check_tensor(&runner, &x, dx, -1, "input");
    for (int i = 0; i < network->layer_count; i++)
        for (int p = 0; p < network->layers[i].parameter_count; p++) {
            const struct parameter *parameter = &network->layers[i].parameter[p];
            check_tensor(&runner, &parameter->value, gradients[i][p], i, parameter->name);
            cr_assert(support_padding_is_zero(backend, &parameter->gradient), "layer %d %s", i, parameter->name);
            free(gradients[i][p]);
        }
    free(dx);
    runner_close(&runner);
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
CASE(convnet_groups, LOSS_FUSED, 2, 4, 7, 6, GROUPED(4, 3, 1, 1, 4), BATCHNORM, RELU, GROUPED(6, 3, 2, 1, 2), BATCHNORM,
     LEAKY_RELU, GROUPED(6, 2, 1, 0, 6), GROUPED(18, 1, 1, 0, 3), ELU, FLATTEN, LINEAR(4))
CASE(convnet_of_the_report_in_small, LOSS_FUSED, 3, 3, 8, 8, CONV(5, 3, 1, 1), BATCHNORM, RELU, MAX_POOL(3, 2, 1),
     CONV(6, 3, 1, 1), BATCHNORM, RELU, MAX_POOL(3, 2, 1), CONV(7, 3, 1, 1), BATCHNORM, RELU, MAX_POOL(3, 2, 1),
     AVERAGE_POOL(1, 1, 0), LINEAR(10))
CASE(convnet_batch_stats_only, LOSS_FUSED, 2, 1, 5, 4, CONV(17, 3, 2, 1), BATCHNORM_STATELESS, RELU,
     AVERAGE_POOL(3, 1, 1), FLATTEN, LINEAR(4))

/* Counts the networks that the backend computes. */
static int check_graphs(struct backend *backend)
{
    int count, checked = 0;
    const struct graph_case *graphs = graph_case_list(&count);
    for (int i = 0; i < count; i++) {
        struct network *network = graph_case_build(&graphs[i], backend);
        if (!network) continue;
        check_network(network);
        network_destroy(network);
        checked++;
    }
    backend_destroy(backend);
    return checked;
}

Test(network_gradients, graphs)
{
    int variants, count;
    const struct variant *variant = variant_list(&variants);
    graph_case_list(&count);
    for (int v = 0; v < variants; v++) {
        struct backend *backend = variant[v].precision == PRECISION_FP64 ? variant_create(&variant[v], 2) : NULL;
        if (backend) cr_expect_geq(check_graphs(backend), count - 1, "%s", variant[v].name);
    }
    cr_expect_eq(check_graphs(reference_create()), count);
}

/* Expects the same gradients of the parameters with that of the input, and then without. */
static void expect_two_passes(const struct layer_spec *specs, int count)
{
    struct backend *backend = backend_of(PRECISION_FP32, 2);
    struct network *network;
    struct status status;
    cr_assert(network_build(&network, backend, specs, count, LOSS_FUSED, (struct shape){3, 2, 5, 3}, SEED, &status));
    size_t bytes = network->arena_count * backend->scalar_size;
    void *first = NULL;
    for (int pass = 0; pass < 2; pass++) {
        struct runner runner = runner_open(network, (struct runner_options){.dinput = pass == 0});
        cr_expect_eq(runner.training.dx[0] >= 0, pass == 0);
        runner_fill(&runner);
        runner_backward(&runner);
        if (pass == 0) first = memcpy(memory_alloc(bytes, 1), network->gradients, bytes);
        runner_close(&runner);
    }
    cr_assert_eq(memcmp(first, network->gradients, bytes), 0);
    free(first);
    network_destroy(network);
    backend_destroy(backend);
}

/* A backward pass overwrites gradients. */
Test(network_gradients, a_second_pass_gives_the_same)
{
    const struct layer_spec specs[] = {CONV(5, 3, 1, 1), BATCHNORM, RELU, FLATTEN, LINEAR(3)};
    expect_two_passes(specs, 5);
}

/* The image of the first gate and the values of the second one are the input's, and have a gradient where it has one. */
Test(network_gradients, gates_without_a_gradient_of_either_operand)
{
    const struct layer_spec specs[] = {
        {.kind = LAYER_GLOBAL_POOL, .name = "means"},
        {.kind = LAYER_CONV2D, .name = "z", .conv2d = {.channels = 2, .window = {1, 1, 0}}},
        {.kind = LAYER_GATE, .input = {"input", "z"}},
        {.kind = LAYER_CONV2D, .name = "x", .conv2d = {.channels = 2, .window = {3, 1, 1}}},
        {.kind = LAYER_GATE, .input = {"x", "means"}},
        FLATTEN,
        LINEAR(3)};
    expect_two_passes(specs, 7);
}

/* A smaller batch in the same memory gives the results of a network that was built for it. */
Test(network_gradients, batch_at_hand)
{
    const struct layer_spec specs[] = {CONV(5, 3, 1, 1), BATCHNORM, RELU, MAX_POOL(3, 2, 1), FLATTEN, LINEAR(3)};
    struct backend *backend = backend_of(PRECISION_FP64, 2);
    struct network *large, *small;
    struct status status;
    cr_assert(network_build(&large, backend, specs, 6, LOSS_FUSED, (struct shape){7, 2, 5, 3}, SEED, &status));
    cr_assert(network_build(&small, backend, specs, 6, LOSS_FUSED, (struct shape){3, 2, 5, 3}, SEED, &status));
    struct runner of_large = runner_open(large, (struct runner_options){0});
    struct runner of_small = runner_open(small, (struct runner_options){0});
    runner_fill(&of_large);
    runner_backward(&of_large);
    of_large.n = 3;
    runner_fill(&of_large), runner_fill(&of_small);
    cr_assert_eq(runner_loss(&of_large), runner_loss(&of_small));
    runner_backward(&of_large), runner_backward(&of_small);
    cr_assert_eq(memcmp(large->gradients, small->gradients, large->arena_count * backend->scalar_size), 0);
    runner_close(&of_large), runner_close(&of_small);
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
    char message[256];
    cr_assert(network_build(&a, backend, fused, 3, LOSS_FUSED, (struct shape){7, 11, 1, 1}, SEED, &status));
    cr_assert(network_build(&b, backend, separate, 4, LOSS_SEPARATE, (struct shape){7, 11, 1, 1}, SEED, &status));
    struct runner of_a = runner_open(a, (struct runner_options){0}), of_b = runner_open(b, (struct runner_options){0});
    runner_fill(&of_a), runner_fill(&of_b);
    double loss_a = runner_loss(&of_a), loss_b = runner_loss(&of_b);
    cr_assert(fabs(loss_a - loss_b) < 1e-14, "%.17g, %.17g", loss_a, loss_b);
    runner_backward(&of_a), runner_backward(&of_b);
    double *da = support_read(backend, &a->layers[0].parameter[0].gradient);
    double *db = support_read(backend, &b->layers[0].parameter[0].gradient);
    cr_assert(support_close(da, db, 11 * 13, 1e-15, 1e-12, message, sizeof message), "%s", message);
    free(da), free(db);
    runner_close(&of_a), runner_close(&of_b);
    network_destroy(a), network_destroy(b);
    backend_destroy(backend);
}
