/* Tests the construction of networks: layers, sizes, limits, starting values, summary. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <criterion/criterion.h>

#include "experiment_support.h"
#include "network_support.h"

static const char convnet_text[] = "[model]\n"
                                   "kind = convnet\n"
                                   "features = 64, M, 128, M, 256, 256, M, 512, 512, M, 512, 512, M, A\n"
                                   "batchnorm = custom\n";

static int64_t total_multiply_adds(const struct network *network)
{
    int64_t total = 0;
    for (int i = 0; i < network->layer_count; i++) total += network->layers[i].multiply_adds;
    return total;
}

static char *summary_of(const struct network *network)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    network_print_summary(network, out);
    fclose(out);
    return text;
}

/* Returns the error of network_build for the config with images of 3x32x32 and 10 classes; free with free(). */
static char *build_error(const char *text, int64_t batch)
{
    struct experiment experiment;
    struct status status = {0};
    struct backend *backend = backend_of(PRECISION_FP32, 1);
    experiment_from(&experiment, text);
    struct network *network = network_from(&experiment, backend, (struct shape){batch, 3, 32, 32}, 10, &status);
    cr_assert_null(network);
    cr_assert_eq(status.code, STATUS_USAGE);
    backend_destroy(backend);
    experiment_free(&experiment);
    return memory_copy_string(status.message);
}

static void assert_ends(const char *text, const char *end)
{
    size_t length = strlen(text), wanted = strlen(end);
    cr_assert(length >= wanted && strcmp(text + length - wanted, end) == 0, "\"%s\" does not end with \"%s\"", text,
              end);
}

Test(network, convnet_of_the_report)
{
    struct experiment experiment;
    struct status status = {0};
    struct backend *backend = backend_of(PRECISION_FP32, 1);
    experiment_from(&experiment, convnet_text);
    struct network *network = network_from(&experiment, backend, (struct shape){1, 3, 32, 32}, 10, &status);
    cr_assert(network, "%s", status.message);
    cr_assert_eq(network->parameter_count, 9231114);
    cr_assert_eq(total_multiply_adds(network), 152769536);
    cr_assert_eq(network->layer_count, 8 * 3 + 6 + 1); /* no flatten: one pixel is left */
    char *summary = summary_of(network);
    cr_assert(strstr(summary, "9,231,114"), "%s", summary);
    cr_assert(strstr(summary, "152,769,536"), "%s", summary);
    cr_assert(strstr(summary, "max-pool 3x3, stride 2"), "%s", summary);
    cr_assert(strstr(summary, "64x32x32"), "%s", summary);
    free(summary);
    network_destroy(network);
    backend_destroy(backend);
    experiment_free(&experiment);
}

Test(network, mlp_of_the_report)
{
    struct experiment experiment;
    struct status status = {0};
    struct backend *backend = backend_of(PRECISION_FP32, 1);
    experiment_from(&experiment, "");
    struct network *network = network_from(&experiment, backend, (struct shape){1, 3, 32, 32}, 10, &status);
    cr_assert(network, "%s", status.message);
    cr_assert_eq(network->parameter_count, 308310);
    cr_assert_eq(total_multiply_adds(network), 3072 * 100 + 100 * 10);
    char *summary = summary_of(network);
    cr_assert(strstr(summary, "308,310"), "%s", summary);
    free(summary);
    network_destroy(network);
    backend_destroy(backend);
    experiment_free(&experiment);
}

static void assert_kinds(const char *text, const enum layer_kind *kinds, int count)
{
    struct experiment experiment;
    experiment_from(&experiment, text);
    struct shape input;
    int found;
    struct layer_spec *specs =
        specs_from_experiment(&experiment, (struct dataset_description){3, 8, 8, 10}, &input, &found);
    cr_assert_eq(found, count, "%d layers, expected %d", found, count);
    for (int i = 0; i < count; i++) cr_assert_eq(specs[i].kind, kinds[i], "layer %d", i);
    model_specs_free(specs, found);
    experiment_free(&experiment);
}

Test(network, block_order_is_the_users)
{
    const enum layer_kind kinds[] = {LAYER_LINEAR,     LAYER_ACTIVATION, LAYER_BATCHNORM, LAYER_DROPOUT, LAYER_LINEAR,
                                     LAYER_ACTIVATION, LAYER_BATCHNORM,  LAYER_DROPOUT,   LAYER_LINEAR,  LAYER_SOFTMAX};
    assert_kinds("[model]\nhidden = 5, 7\nblock = activation, batchnorm, dropout\nbatchnorm = custom\ndropout = 0.01\n"
                 "loss = separate\n",
                 kinds, 10);
}

Test(network, parts_that_do_nothing_are_left_out)
{
    const enum layer_kind plain[] = {LAYER_LINEAR, LAYER_ACTIVATION, LAYER_LINEAR}, none[] = {LAYER_LINEAR};
    assert_kinds("[model]\nhidden = 5\n", plain, 3);
    assert_kinds("[model]\nhidden =\n", none, 1);
}

Test(network, convnet_flattens_where_pixels_are_left)
{
    const enum layer_kind kinds[] = {LAYER_CONV2D, LAYER_BATCHNORM, LAYER_ACTIVATION, LAYER_POOL,  LAYER_FLATTEN,
                                     LAYER_LINEAR, LAYER_BATCHNORM, LAYER_ACTIVATION, LAYER_LINEAR};
    assert_kinds("[model]\nkind = convnet\nfeatures = 4k5, A2\nhidden = 9\nbatchnorm = custom\n", kinds, 9);
}

Test(network, window_that_does_not_fit_is_an_error_with_its_place)
{
    char *pool = build_error("[model]\nkind = convnet\nfeatures = 4, M, M4, M2, M3s2p0\n", 1);
    assert_ends(pool,
                "test.ini:3: model.features: entry 5 (M3s2): a 3x3 window with stride 2 and padding 0 does not fit "
                "into its 2x2 input");
    char *conv = build_error("[model]\nkind = convnet\n\nfeatures = M32, 8k3s1p0\n", 1);
    assert_ends(conv,
                "test.ini:4: model.features: entry 2 (8p0): a 3x3 convolution with stride 1 and padding 0 does not "
                "fit into its 1x1 input");
    free(pool), free(conv);
}

Test(network, model_without_a_config_names_its_settings)
{
    const struct model_params model = {
        .kind = MODEL_CONVNET,
        .features = {2,
                     {{.kind = FEATURE_CONV, .channels = 4, .window = {3, 1, 1}, .groups = 1},
                      {.kind = FEATURE_MAX_POOL, .window = {9, 9, 0}}}},
        .hidden = {1, {5}}};
    struct backend *backend = backend_of(PRECISION_FP32, 1);
    struct shape input = model_input_shape(model.kind, 3, 8, 8);
    struct network *network;
    struct status status = {0};
    int count;
    struct layer_spec *specs = model_specs(&model, input, 10, NULL, &count);
    cr_assert_not(network_build(&network, backend, specs, count, model.loss, input, 1, &status));
    cr_assert_str_eq(status.message,
                     "model.features: entry 2 (M9): a 9x9 window with stride 9 and padding 0 does not fit "
                     "into its 8x8 input");
    model_specs_free(specs, count);
    backend_destroy(backend);
}

Test(network, too_many_parameters_is_an_error)
{
    char *error = build_error("[model]\nhidden = 16, 65536, 65536, 65536\n", 1);
    assert_ends(error,
                "test.ini:2: model.hidden: entry 3 (65536): with this layer's 65536 x 65,536 weights the network "
                "has more than the 2,147,483,648 parameters that are possible");
    free(error);
}

Test(network, too_large_a_batch_is_an_error)
{
    char *error = build_error("[model]\nkind = convnet\nfeatures = 64\n", 1000000);
    cr_assert(strstr(error, "1,000,000 samples"), "%s", error);
    char *outputs = build_error("[model]\nhidden = 60000\n", 500000);
    cr_assert(strstr(outputs, "entry 1 (60000)") && strstr(outputs, "500,000 samples"), "%s", outputs);
    free(error), free(outputs);
}

/* Passes specs that no config can ask for straight to network_build. */
static void assert_refused(const struct layer_spec *specs, int count, struct shape input, const char *part)
{
    struct backend *backend = backend_of(PRECISION_FP32, 1);
    struct network *network;
    struct status status = {0};
    cr_assert_not(network_build(&network, backend, specs, count, LOSS_FUSED, input, 1, &status));
    cr_assert_eq(status.code, STATUS_USAGE);
    cr_assert_null(network);
    cr_assert(strstr(status.message, part), "%s", status.message);
    backend_destroy(backend);
}

Test(network, sizes_that_overflow_are_errors)
{
    const struct layer_spec linear[] = {{.kind = LAYER_LINEAR, .linear = {.units = 2000000000}},
                                        {.kind = LAYER_LINEAR, .linear = {.units = 2000000000}}};
    const struct layer_spec conv[] = {
        {.kind = LAYER_CONV2D, .conv2d = {.channels = INT64_MAX / 2, .window = {3, 1, 1}}}};
    assert_refused(linear, 2, (struct shape){1, 1, 1, 1}, "parameters that are possible");
    assert_refused(conv, 1, (struct shape){1, 3, 4, 4}, "parameters that are possible");
    assert_refused(linear, 1, (struct shape){1, 1, INT64_C(1) << 40, INT64_C(1) << 40}, "values that are possible");
}

Test(network, shapes_that_do_not_go_together_are_errors)
{
    const struct layer_spec linear = {.kind = LAYER_LINEAR, .origin = "here", .linear = {.units = 2}};
    const struct layer_spec pool = {.kind = LAYER_POOL, .pool = {POOL_MAX, {3, 1, 2}}};
    assert_refused(&linear, 1, (struct shape){1, 3, 2, 1},
                   "here: a linear layer wants vectors, but its input is 3x2x1");
    assert_refused(&pool, 1, (struct shape){1, 3, 8, 8}, "layer 0 (pool): padding 2 is more than half");
}

static const char init_text[] = "[experiment]\nseed = 7\n[model]\nkind = convnet\nfeatures = 5, M, 6k2\nhidden = 11\n"
                                "batchnorm = custom\n";

static double *read_all(const struct network *network, int64_t *count)
{
    double *values = memory_alloc((size_t)network->parameter_count, sizeof *values);
    *count = 0;
    for (int i = 0; i < network->layer_count; i++)
        for (int p = 0; p < network->layers[i].parameter_count; p++) {
            const struct tensor *value = &network->layers[i].parameter[p].value;
            network->backend->table->tensor_read(network->backend, value, values + *count);
            *count += shape_count(value->shape);
        }
    return values;
}

/* The values are drawn in double and rounded to the precision afterwards. */
Test(network, starting_values_do_not_depend_on_the_backend)
{
    struct experiment experiment;
    int variants;
    const struct variant *variant = variant_list(&variants);
    double *expected = NULL;
    char message[256];
    experiment_from(&experiment, init_text);
    for (int v = 0; v < variants; v++) {
        struct backend *backend = variant_create(&variant[v], 1);
        struct status status = {0};
        if (!backend) continue;
        int64_t count;
        struct network *network = network_from(&experiment, backend, (struct shape){v + 1, 3, 9, 7}, 10, &status);
        double *values = read_all(network, &count);
        cr_assert_eq(count, network->parameter_count);
        if (!expected)
            expected = memcpy(memory_alloc((size_t)count, sizeof *values), values, (size_t)count * sizeof *values);
        bool close = support_close(values, expected, count, 0, variant[v].roundoff, message, sizeof message);
        cr_assert(close, "%s: %s", variant[v].name, message);
        free(values);
        network_destroy(network);
        backend_destroy(backend);
    }
    free(expected);
    experiment_free(&experiment);
}

static struct network *build_in(struct backend *backend, const char *text)
{
    struct experiment experiment;
    struct status status = {0};
    experiment_from(&experiment, text);
    struct network *network = network_from(&experiment, backend, (struct shape){2, 3, 32, 32}, 10, &status);
    cr_assert(network, "%s", status.message);
    experiment_free(&experiment);
    return network;
}

/* Computes mean, standard deviation and largest absolute value. */
static void moments(struct backend *backend, const struct tensor *tensor, double *mean, double *std, double *largest)
{
    int64_t count = shape_count(tensor->shape);
    double *values = support_read(backend, tensor), sum = 0, squares = 0;
    *largest = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += values[i], squares += values[i] * values[i];
        *largest = fmax(*largest, fabs(values[i]));
    }
    *mean = sum / (double)count;
    *std = sqrt(squares / (double)count - *mean * *mean);
    free(values);
}

Test(network, uniform_starts_within_the_root_of_the_fan_in)
{
    struct backend *backend = backend_of(PRECISION_FP64, 1);
    struct network *network = build_in(backend, "");
    double mean, std, largest, bound = 1 / sqrt(3072);
    moments(backend, &network->layers[0].parameter[0].value, &mean, &std, &largest);
    cr_assert(largest <= bound && largest > 0.99999 * bound);
    cr_assert(fabs(mean) < 5 * std / sqrt(307200)); /* five standard errors */
    cr_assert(fabs(std - bound / sqrt(3)) < 0.005 * std);
    moments(backend, &network->layers[0].parameter[1].value, &mean, &std, &largest);
    cr_assert(largest <= bound && largest > 0.9 * bound);
    network_destroy(network);
    backend_destroy(backend);
}

Test(network, normal_starts_with_its_deviation_and_no_bias)
{
    struct backend *backend = backend_of(PRECISION_FP64, 1);
    struct network *network = build_in(backend, "[model]\ninit = normal\ninit_std = 1e-4\n");
    double mean, std, largest;
    moments(backend, &network->layers[0].parameter[0].value, &mean, &std, &largest);
    cr_assert(fabs(mean) < 5 * std / sqrt(307200));
    cr_assert(fabs(std - 1e-4) < 0.01 * 1e-4);
    cr_assert(largest > 4e-4 && largest < 7e-4); /* the largest of 307,200 normal draws */
    moments(backend, &network->layers[0].parameter[1].value, &mean, &std, &largest);
    cr_assert_eq(largest, 0);
    network_destroy(network);
    backend_destroy(backend);
}

static void assert_all(struct backend *backend, const struct tensor *tensor, double expected)
{
    double *values = support_read(backend, tensor);
    for (int64_t i = 0; i < shape_count(tensor->shape); i++) cr_assert_eq(values[i], expected);
    free(values);
}

Test(network, batchnorm_starts_as_the_identity)
{
    struct backend *backend = backend_of(PRECISION_FP32, 1);
    struct network *network = build_in(backend, "[model]\nbatchnorm = custom\n");
    const struct layer *layer = &network->layers[1];
    cr_assert_str_eq(layer->ops->name, "batchnorm");
    cr_assert_str_eq(layer->parameter[0].name, "weight");
    cr_assert_str_eq(layer->parameter[1].name, "bias");
    cr_assert_eq(layer->buffer_count, 2);
    assert_all(backend, &layer->parameter[0].value, 1);
    assert_all(backend, &layer->parameter[1].value, 0);
    assert_all(backend, &layer->buffer[0].value, 0);
    assert_all(backend, &layer->buffer[1].value, 1);
    network_destroy(network);
    network = build_in(backend, "[model]\nbatchnorm = custom\nbatchnorm_batch_stats_only = true\n");
    cr_assert_eq(network->layers[1].buffer_count, 0);
    network_destroy(network);
    backend_destroy(backend);
}

Test(network, seeds_and_parameters_have_streams_of_their_own)
{
    struct backend *backend = backend_of(PRECISION_FP64, 1);
    struct network *a = build_in(backend, "[model]\nhidden = 10, 10, 10\n");
    struct network *b = build_in(backend, "[experiment]\nseed = 43\n[model]\nhidden = 10, 10, 10\n");
    double *first = support_read(backend, &a->layers[2].parameter[0].value);
    double *second = support_read(backend, &a->layers[4].parameter[0].value);
    double *other = support_read(backend, &b->layers[2].parameter[0].value);
    for (int i = 0; i < 100; i++) cr_assert(first[i] != second[i] && first[i] != other[i]);
    free(first), free(second), free(other);
    network_destroy(a), network_destroy(b);
    backend_destroy(backend);
}

/* Every tensor of the arenas starts on a cache line of its own, and none overlap. */
Test(network, arenas_are_aligned_and_disjoint)
{
    struct backend *backend = backend_of(PRECISION_FP32, 1);
    struct network *network = build_in(backend, init_text);
    const char *end = network->parameters;
    for (int i = 0; i < network->layer_count; i++)
        for (int p = 0; p < network->layers[i].parameter_count; p++) {
            const struct parameter *parameter = &network->layers[i].parameter[p];
            const char *start = parameter->value.data;
            cr_assert(start >= end && (uintptr_t)start % 64 == 0);
            cr_assert_eq(start - (const char *)network->parameters,
                         (const char *)parameter->gradient.data - (const char *)network->gradients);
            end = start + tensor_bytes(backend, parameter->value.kind, parameter->value.shape);
        }
    cr_assert(end <= (const char *)network->parameters + network->arena_count * backend->scalar_size);
    network_destroy(network);
    backend_destroy(backend);
}

/* The outputs for a batch that is always the same. */
static double *forward(struct network *network, enum layer_mode mode)
{
    struct runner runner = runner_open(network, (struct runner_options){0});
    struct tensor x = runner_input(&runner, mode), y = runner_output(&runner, mode);
    int64_t count = shape_count(x.shape);
    double *values = memory_alloc((size_t)count, sizeof *values);
    support_fill(values, count, 5, 0, 0, 1);
    network->backend->table->tensor_write(network->backend, &x, values);
    runner.state.step = 3;
    runner_forward(&runner, mode);
    double *result = support_read(network->backend, &y);
    runner_close(&runner);
    free(values);
    return result;
}

Test(network, dropout_does_nothing_in_evaluation)
{
    struct backend *backend = backend_of(PRECISION_FP64, 1);
    struct network *with = build_in(backend, "[model]\nhidden = 20, 30\ndropout = 0.5\n");
    struct network *without = build_in(backend, "[model]\nhidden = 20, 30\n");
    double *a = forward(with, LAYER_EVALUATE), *b = forward(without, LAYER_EVALUATE), *c = forward(with, LAYER_TRAIN);
    int differences = 0;
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(a[i], b[i]);
        differences += a[i] != c[i];
    }
    cr_assert(differences > 0);
    free(a), free(b), free(c);
    network_destroy(with), network_destroy(without);
    backend_destroy(backend);
}

Test(network, dropout_at_the_end_copies_in_evaluation)
{
    const struct layer_spec specs[] = {{.kind = LAYER_LINEAR, .linear = {.units = 9}},
                                       {.kind = LAYER_DROPOUT, .dropout = {0.5}}};
    struct backend *backend = backend_of(PRECISION_FP64, 1);
    struct network *networks[2];
    struct status status;
    double *y[2];
    for (int k = 0; k < 2; k++) {
        const struct shape input = {3, 4, 1, 1};
        cr_assert(network_build(&networks[k], backend, specs, 1 + k, LOSS_FUSED, input, 1, &status));
        y[k] = forward(networks[k], LAYER_EVALUATE);
    }
    for (int i = 0; i < 27; i++) cr_assert_eq(y[0][i], y[1][i]);
    for (int k = 0; k < 2; k++) free(y[k]), network_destroy(networks[k]);
    backend_destroy(backend);
}

/* Returns the number of pooling ops in the training program of the config's network. */
static int count_pools(struct backend *backend, const char *text)
{
    struct network *network = build_in(backend, text);
    const struct network_request request = {
        .mode = LAYER_TRAIN, .n = 2, .last = network->layer_count, .loss = true, .backward = true};
    struct network_program made = network_write(network, &request);
    int pools = 0;
    for (int i = 0; i < made.program->op_count; i++)
        pools += made.program->ops[i].kind == OP_POOL || made.program->ops[i].kind == OP_POOL_BACKWARD;
    program_free(made.program);
    network_destroy(network);
    return pools;
}

/* A pool whose window is one pixel is an identity: it stays in the table of layers and takes no operation. */
Test(network, pool_of_one_pixel_takes_no_operation)
{
    struct backend *backend = backend_of(PRECISION_FP64, 1);
    cr_expect_eq(count_pools(backend, "[model]\nkind = convnet\nfeatures = A, 4, A, M1\n"), 0);
    cr_expect_eq(count_pools(backend, "[model]\nkind = convnet\nfeatures = 4, A1s2\n"), 2);
    struct network *network = build_in(backend, "[model]\nkind = convnet\nfeatures = A, 4, A\nhidden = 5\n");
    cr_expect_eq(network->group_count, network->layer_count, "a layer has no row in the table");
    network_destroy(network);
    backend_destroy(backend);
}
