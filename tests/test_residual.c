/* Tests the residual networks that a config describes: layers, what they read, names, shortcuts, errors. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <criterion/criterion.h>

#include "experiment_support.h"
#include "network_support.h"
#include "nn/network_lanes.h"

/* What a layer of the model is expected to be; NULL: it has no name, or reads the layer before it. */
struct expected {
    enum layer_kind kind;
    const char *name, *first, *second;
};

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void expect_layers(const char *text, const struct expected *expected, int count)
{
    struct experiment experiment;
    struct shape input;
    int found;
    experiment_from(&experiment, text);
    struct layer_spec *specs =
        specs_from_experiment(&experiment, (struct dataset_description){3, 8, 8, 10}, &input, &found);
    cr_assert_eq(found, count, "%d layers, expected %d", found, count);
    for (int i = 0; i < count; i++) {
        cr_expect_eq(specs[i].kind, expected[i].kind, "layer %d: kind %d", i, (int)specs[i].kind);
        cr_expect(same(specs[i].name, expected[i].name), "layer %d: name %s", i, specs[i].name);
        cr_expect(same(specs[i].input[0], expected[i].first), "layer %d: reads %s", i, specs[i].input[0]);
        cr_expect(same(specs[i].input[1], expected[i].second), "layer %d: reads %s", i, specs[i].input[1]);
    }
    model_specs_free(specs, found);
    experiment_free(&experiment);
}

#define CONV LAYER_CONV2D, NULL, NULL, NULL
#define CONV_OF(x) LAYER_CONV2D, NULL, x, NULL
#define NORM LAYER_BATCHNORM, NULL, NULL, NULL
#define NORM_AS(name) LAYER_BATCHNORM, name, NULL, NULL
#define RELU LAYER_ACTIVATION, NULL, NULL, NULL
#define RELU_AS(name) LAYER_ACTIVATION, name, NULL, NULL
#define ADD(a, b) LAYER_ADD, NULL, a, b
#define POOL LAYER_GLOBAL_POOL, NULL, NULL, NULL
#define LINEAR LAYER_LINEAR, NULL, NULL, NULL

Test(residual, only_a_block_that_changes_the_shape_has_a_convolution_in_its_shortcut)
{
    /* clang-format off */
    const struct expected layers[] = {
        {CONV}, {NORM}, {RELU_AS("before block 1")}, {CONV_OF("before block 1")}, {NORM}, {RELU}, {CONV},
        {NORM_AS("branch 1")}, {ADD("branch 1", "before block 1")}, {RELU_AS("block 1")}, {CONV_OF("block 1")},
        {NORM_AS("shortcut 2")}, {CONV_OF("block 1")}, {NORM}, {RELU}, {CONV}, {NORM_AS("branch 2")},
        {ADD("branch 2", "shortcut 2")}, {RELU_AS("block 2")}, {CONV_OF("block 2")}, {NORM}, {RELU}, {CONV},
        {NORM_AS("branch 3")}, {ADD("branch 3", "block 2")}, {RELU_AS("block 3")}, {POOL}, {LINEAR}};
    /* clang-format on */
    expect_layers("[model]\nkind = convnet\nfeatures = 4, (4, 4)+, (6s2, 6)+ x2, G\nbatchnorm = custom\n", layers, 28);
}

Test(residual, without_batch_normalization_a_shortcut_is_a_convolution)
{
    /* clang-format off */
    const struct expected layers[] = {
        {LAYER_CONV2D, "shortcut 1", "input", NULL}, {CONV_OF("input")}, {RELU},
        {LAYER_CONV2D, "branch 1", NULL, NULL}, {ADD("branch 1", "shortcut 1")}, {RELU_AS("block 1")}, {POOL},
        {LINEAR}};
    /* clang-format on */
    expect_layers("[model]\nkind = convnet\nfeatures = (6k1, 6)+, G\n", layers, 8);
}

Test(residual, the_last_activation_alone_comes_after_the_sum)
{
    /* clang-format off */
    const struct expected layers[] = {
        {CONV_OF("input")}, {LAYER_DROPOUT, NULL, NULL, NULL}, {RELU}, {NORM}, {CONV},
        {LAYER_DROPOUT, NULL, NULL, NULL}, {NORM_AS("branch 1")}, {ADD("branch 1", "input")}, {RELU_AS("block 1")},
        {LAYER_FLATTEN, NULL, NULL, NULL}, {LINEAR}};
    /* clang-format on */
    expect_layers("[model]\nkind = convnet\nfeatures = (3, 3)+\nblock = dropout, activation, batchnorm\n"
                  "batchnorm = custom\ndropout = 0.5\n",
                  layers, 11);
}

/* A pool between blocks is the input of the next one. */
Test(residual, blocks_are_numbered_through)
{
    /* clang-format off */
    const struct expected layers[] = {
        {LAYER_CONV2D, "branch 1", "input", NULL}, {ADD("branch 1", "input")}, {RELU_AS("block 1")},
        {LAYER_POOL, "before block 2", NULL, NULL}, {LAYER_CONV2D, "branch 2", "before block 2", NULL},
        {ADD("branch 2", "before block 2")}, {RELU_AS("block 2")}, {POOL}, {LINEAR}};
    /* clang-format on */
    expect_layers("[model]\nkind = convnet\nfeatures = (3)+, M, (3)+, G\n", layers, 9);
}

/* A pool that is written to its convolution comes before the layers of the block. */
Test(residual, a_pool_of_its_own_comes_before_the_block)
{
    const struct expected layers[] = {{CONV},
                                      {LAYER_POOL, NULL, NULL, NULL},
                                      {NORM},
                                      {RELU},
                                      {CONV},
                                      {NORM},
                                      {RELU},
                                      {LAYER_POOL, NULL, NULL, NULL},
                                      {LAYER_FLATTEN, NULL, NULL, NULL},
                                      {LINEAR}};
    expect_layers("[model]\nkind = convnet\nfeatures = 4M2, 4, M2\nbatchnorm = custom\n", layers, 10);
}

/* The network of the features with images of 3x`side`x`side`; NULL: `status` says why. */
static struct network *build(struct backend *backend, const char *features, int64_t side, struct status *status)
{
    struct experiment experiment;
    char *text = memory_format("[model]\nkind = convnet\nbatchnorm = custom\nfeatures = %s\n", features);
    experiment_from(&experiment, text);
    struct network *network = network_from(&experiment, backend, (struct shape){2, 3, side, side}, 10, status);
    experiment_free(&experiment);
    free(text);
    return network;
}

/* Expects that these convolutions have a bias, and the others none. */
static void expect_biases_of(const char *text, const char *expected)
{
    struct experiment experiment;
    struct shape input;
    int count;
    char found[16] = "";
    experiment_from(&experiment, text);
    struct layer_spec *specs =
        specs_from_experiment(&experiment, (struct dataset_description){3, 8, 8, 10}, &input, &count);
    for (int i = 0; i < count; i++)
        if (specs[i].kind == LAYER_CONV2D) strcat(found, specs[i].conv2d.without_bias ? "-" : "b");
    cr_expect_str_eq(found, expected, "%s: %s, expected %s", text, found, expected);
    model_specs_free(specs, count);
    experiment_free(&experiment);
}

static void expect_biases(const char *settings, const char *expected)
{
    char *text = memory_format("[model]\nkind = convnet\nfeatures = 4, (4, 4)+, (6s2, 6)+\n%s", settings);
    expect_biases_of(text, expected);
    free(text);
}

/* The convolutions: the first, two of a block, that of a shortcut, two of a block. */
Test(residual, a_convolution_before_a_batch_normalization_needs_no_bias)
{
    expect_biases("batchnorm = custom\n", "bbbbbb");
    expect_biases("batchnorm = custom\nconv_bias = false\n", "------");
    expect_biases("conv_bias = false\n", "------");
    expect_biases("conv_bias = auto\n", "bbbbbb");
    expect_biases("batchnorm = autodiff\nconv_bias = auto\n", "------");
    expect_biases("batchnorm = custom\nconv_bias = auto\nblock = dropout, batchnorm, activation\n", "------");
    expect_biases("batchnorm = custom\nconv_bias = auto\ndropout = 0.1\nblock = dropout, batchnorm, activation\n",
                  "bbb-bb");
    expect_biases("batchnorm = custom\nconv_bias = auto\nblock = activation, batchnorm, dropout\n", "bb--b-");
}

/* An average that takes in zeros from outside the image makes of a bias something else than a constant. */
Test(residual, a_bias_passes_a_pool_on_the_way_to_the_normalization)
{
    const char *const settings = "[model]\nkind = convnet\nfeatures = 4M, 4A2, 4A3s2p1\nconv_bias = auto\n"
                                 "batchnorm = custom\n";
    expect_biases_of(settings, "--b");
}

#define POINT LAYER_CONV2D, NULL, NULL, NULL
#define POINT_AS(name) LAYER_CONV2D, name, NULL, NULL
#define GATE(x, z) LAYER_GATE, NULL, x, z
#define GATE_AS(name, x, z) LAYER_GATE, name, x, z

/* Squeeze-and-excitation behind the last convolution of a block comes before the sum. The activation that the last
 * convolution has not got comes after it. */
Test(residual, a_gate_comes_before_the_sum)
{
    /* clang-format off */
    const struct expected layers[] = {
        {CONV}, {NORM}, {RELU_AS("before gate 1")}, {POOL}, {POINT}, {RELU}, {POINT_AS("excitation 1")},
        {GATE_AS("before block 1", "before gate 1", "excitation 1")},
        {CONV_OF("before block 1")}, {NORM}, {RELU_AS("before gate 2")}, {POOL}, {POINT}, {RELU}, {POINT_AS("excitation 2")},
        {GATE("before gate 2", "excitation 2")},
        {CONV}, {NORM_AS("before gate 3")}, {POOL}, {POINT}, {RELU}, {POINT_AS("excitation 3")},
        {GATE_AS("branch 1", "before gate 3", "excitation 3")}, {ADD("branch 1", "before block 1")}, {RELU_AS("block 1")},
        {POOL}, {LINEAR}};
    /* clang-format on */
    expect_layers("[model]\nkind = convnet\nfeatures = 4, S2, (4, S1, 4, S4)+, G\nbatchnorm = custom\n", layers, 27);
}

/* In a block of pre-activation it comes right behind a convolution, before the next one's normalization. That one does
 * not take the convolution's bias away, because the gates multiply it. */
Test(residual, a_gate_of_a_preactivated_block_reads_the_convolution)
{
    const char *const text = "[model]\nkind = convnet\nfeatures = 3, (3, S3, 3, S1)+, G\nbatchnorm = custom\n"
                             "residual = preactivation\nconv_bias = auto\n";
    /* clang-format off */
    const struct expected layers[] = {
        {LAYER_CONV2D, "before block 1", NULL, NULL}, {NORM}, {RELU_AS("preactivated 1")},
        {LAYER_CONV2D, "before gate 1", "preactivated 1", NULL}, {POOL}, {POINT}, {RELU}, {POINT_AS("excitation 1")},
        {GATE("before gate 1", "excitation 1")}, {NORM}, {RELU},
        {LAYER_CONV2D, "before gate 2", NULL, NULL}, {POOL}, {POINT}, {RELU}, {POINT_AS("excitation 2")},
        {GATE_AS("branch 1", "before gate 2", "excitation 2")},
        {LAYER_ADD, "block 1", "branch 1", "before block 1"}, {NORM}, {RELU}, {POOL}, {LINEAR}};
    /* clang-format on */
    expect_layers(text, layers, 22);
    expect_biases_of(text, "-bbbbbb");
}

Test(residual, groups_that_do_not_divide_the_input_are_an_error_with_their_place)
{
    struct backend *backend = backend_of(PRECISION_FP32, 1);
    struct status status = {0};
    cr_assert_null(build(backend, "8, (16k1, 12k1g3)+", 8, &status));
    const char *end = strstr(status.message, "test.ini:4: ");
    cr_assert(end, "%s", status.message);
    cr_expect_str_eq(end, "test.ini:4: model.features: entry 2 ((16k1, 12k1g3)+): 3 groups do not divide its 16 input "
                          "channels and 12 output channels evenly");
    backend_destroy(backend);
}

/* The shape of a block's output, where the block is the last layer but two. */
static void expect_shape(const char *features, int64_t side, const char *expected)
{
    struct backend *backend = backend_of(PRECISION_FP32, 1);
    struct status status = {0};
    char shape[64];
    struct network *network = build(backend, features, side, &status);
    cr_assert(network, "%s", status.message);
    shape_format(network->layers[network->layer_count - 3].output, shape, sizeof shape);
    cr_expect_str_eq(shape, expected);
    network_destroy(network);
    backend_destroy(backend);
}

Test(residual, the_shortcut_has_the_stride_of_the_whole_block)
{
    expect_shape("(5s2, 7s3)+, G", 13, "7x3x3");
    expect_shape("(5s2, 7)+ x3, G", 13, "7x7x7"); /* of the three, one halves the image */
    expect_shape("(5k1, 5s2, 20k1)+ x2, G", 9, "20x5x5");
    expect_shape("(5s99, 5s99, 5s99)+, G", 4, "5"); /* one pixel is left, and the stride stays a small number */
}

Test(residual, a_branch_that_does_not_fit_the_shortcut_is_an_error_with_its_place)
{
    struct backend *backend = backend_of(PRECISION_FP32, 1);
    struct status status = {0};
    cr_assert_null(build(backend, "8, M, (8s2p0, 8)+ x2", 8, &status));
    const char *end = strstr(status.message, "test.ini:4: ");
    cr_assert(end, "%s", status.message);
    cr_expect_str_eq(end, "test.ini:4: model.features: entry 3 ((8s2p0, 8)+ x2): its input \"shortcut 1\" is 8x2x2, "
                          "expected 8x1x1 as of \"branch 1\"");
    backend_destroy(backend);
}

static void expect_summary(const char *features, bool fuse, const char *const *lines, size_t count)
{
    struct backend *backend = backend_of(PRECISION_FP32, 1);
    struct status status = {0};
    backend->fuse = fuse;
    struct network *network = build(backend, features, 8, &status);
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    network_print_summary(network, out);
    fclose(out);
    for (size_t i = 0; i < count; i++) cr_expect(strstr(text, lines[i]), "no line \"%s\" in\n%s", lines[i] + 1, text);
    free(text);
    network_destroy(network);
    backend_destroy(backend);
}

Test(residual, the_summary_tells_what_a_sum_reads)
{
    const char *const features = "4, (4)+, (6s2, 6)+";
    const char *const fused[] = {"\n+  before block 1: batchnorm + relu ",
                                 "\n+  block 1: batchnorm + add of before block 1 + relu ",
                                 "\n|  conv2d 1x1, stride 2 ",
                                 "\n|+ shortcut 2: batchnorm ",
                                 "\n+| conv2d 3x3, stride 2 of block 1 ",
                                 "\n + block 2: batchnorm + add of shortcut 2 + relu "};
    expect_summary(features, true, fused, sizeof fused / sizeof *fused);
    const char *const apart[] = {"\n+  before block 1: relu ", "\n|  branch 1: batchnorm ",
                                 "\n+  add of branch 1, before block 1 ", "\n+  block 1: relu ",
                                 "\n + add of branch 2, shortcut 2 "};
    expect_summary(features, false, apart, sizeof apart / sizeof *apart);
}

Test(residual, the_summary_tells_what_a_gate_reads)
{
    const char *const lines[] = {"\n+  before block 1: batchnorm + relu ",
                                 "\n|+ before gate 1: batchnorm ",
                                 "\n|| global average-pool ",
                                 "\n|| excitation 1: conv2d 1x1 ",
                                 "\n|+ branch 1: gate of before gate 1, excitation 1 ",
                                 "\n+  add of branch 1, before block 1 "};
    expect_summary("4, (4, S2)+, G", true, lines, sizeof lines / sizeof *lines);
}

/* The number that He et al.'s network has with 1x1 convolutions in its shortcuts. */
Test(residual, resnet20_has_272474_parameters)
{
    struct backend *backend = backend_of(PRECISION_FP32, 1);
    struct experiment experiment;
    struct status status = {0};
    cr_assert(experiment_load(&experiment, CONFIG_FOLDER "/resnet20.ini", NULL, 0, &status), "%s", status.message);
    struct network *network = network_from(&experiment, backend, (struct shape){1, 3, 32, 32}, 10, &status);
    cr_assert(network, "%s", status.message);
    cr_expect_eq(network->parameter_count, 272474);
    network_destroy(network);
    backend_destroy(backend);
    experiment_free(&experiment);
}

static double deviation_of(struct backend *backend, const struct tensor *tensor)
{
    int64_t count = shape_count(tensor->shape);
    double *values = support_read(backend, tensor), squares = 0;
    for (int64_t i = 0; i < count; i++) squares += values[i] * values[i];
    free(values);
    return sqrt(squares / (double)count);
}

/* A thousand draws and more have their deviation to within 10%. */
Test(residual, starting_values_of_he_and_of_the_last_gamma_of_a_block)
{
    struct backend *backend = backend_of(PRECISION_FP64, 1);
    struct status status = {0};
    struct network *network = build(backend, "16, (16, 16)+, G\ninit = he\nzero_gamma = true", 8, &status);
    cr_assert(network, "%s", status.message);
    const struct layer *conv = &network->layers[3], *inner = &network->layers[4], *last = &network->layers[7];
    cr_assert_str_eq(last->name, "branch 1");
    cr_expect_float_eq(deviation_of(backend, &conv->parameter[0].value), sqrt(2.0 / 144), 0.1 * sqrt(2.0 / 144));
    cr_expect_eq(deviation_of(backend, &conv->parameter[1].value), 0);
    cr_expect_eq(deviation_of(backend, &inner->parameter[0].value), 1);
    cr_expect_eq(deviation_of(backend, &last->parameter[0].value), 0);
    network_destroy(network);
    backend_destroy(backend);
}

/* --- the drawing --- */

/* The drawing's rows, one after the other: a character for each lane, then a slash. */
static char *drawing(const struct network *network)
{
    struct network_lanes lanes = network_lanes_draw(network);
    char *text = memory_alloc((size_t)(lanes.rows * (lanes.lanes + 1) + 1), 1), *to = text;
    for (int row = 0; row < lanes.rows; row++) {
        for (int i = 0; i < lanes.lanes; i++) {
            int cell = lanes.cells[row * lanes.lanes + i];
            *to++ = cell & LANE_NODE ? '+' : cell ? '|' : '.';
        }
        *to++ = '/';
    }
    network_lanes_free(&lanes);
    return text;
}

static void expect_drawing(const char *features, const char *expected)
{
    struct backend *backend = backend_of(PRECISION_FP32, 1);
    struct status status = {0};
    backend->fuse = false; /* every layer has a row */
    struct network *network = build(backend, features, 8, &status);
    cr_assert(network, "%s", status.message);
    char *text = drawing(network);
    cr_expect_str_eq(text, expected, "%s: %s", features, text);
    free(text);
    network_destroy(network);
    backend_destroy(backend);
}

Test(residual, drawings)
{
    /* input, conv, norm, relu, pool, flatten, linear */
    expect_drawing("4, M", "///////");
    /* input; conv, norm, relu; conv, norm, pool, conv, relu, conv, gate, sum, relu; pool; linear */
    expect_drawing("4, (4, S2)+, G", "../../../+./|./|+/||/||/||/||/|+/+./../../../");
    /* input; conv, norm, relu; conv, norm, relu, conv, norm, sum, relu; pool; linear */
    expect_drawing("4, (4, 4)+, G", "./././+/|/|/|/|/|/+/./././");
    /* input; conv, norm of the shortcut; conv, norm, sum, relu; pool; linear */
    expect_drawing("(4k1)+, G", "+./|./|+/+|/.|/.+/../../../");
    expect_drawing("(3)+ x2, G", "+/|/|/+/+/|/|/+/./././");
}
