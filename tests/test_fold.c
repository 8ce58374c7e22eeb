/* Tests batch normalization that is folded into the weights before it: the operation, and evaluations of networks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <criterion/criterion.h>

#include "backend/prepared.h"
#include "experiment_support.h"
#include "network_support.h"

/* --- the operation --- */

struct fold_case {
    struct shape x;
    int64_t channels;
    struct window window;
};

/* Cases: linear layers and convolutions, with channels below, at and above a block of 16. */
static const struct fold_case cases[] = {
    {{3, 1, 1, 1}, 1, {1, 1, 0}},   {{7, 17, 1, 1}, 33, {1, 1, 0}}, {{2, 64, 1, 1}, 16, {1, 1, 0}},
    {{2, 3, 7, 5}, 16, {3, 1, 1}},  {{1, 19, 4, 4}, 37, {3, 2, 1}}, {{2, 16, 6, 6}, 5, {5, 1, 2}},
    {{3, 33, 3, 3}, 20, {2, 1, 0}},
};
enum { CASES = sizeof cases / sizeof cases[0] };

struct setting {
    struct backend *backend;
    const struct variant *variant;
    struct tensor x, y, folded_y, weight, to_weight;
    struct tensor bias, gamma, beta, running_mean, running_var, to_bias;
};

static const struct run_input still = {0};
static const struct batchnorm_params params = {1e-5, 0.1};

static struct tensor random_tensor(const struct setting *setting, enum tensor_kind kind, struct shape shape,
                                   uint32_t stream, double offset, double scale)
{
    double *values = memory_alloc((size_t)shape_count(shape), sizeof *values);
    support_fill(values, shape_count(shape), support_seed("fold"), stream, offset, scale);
    support_round(setting->variant, values, shape_count(shape));
    struct tensor tensor = support_tensor(setting->backend, kind, shape, values);
    free(values);
    return tensor;
}

static void setting_open(struct setting *setting, const struct fold_case *c)
{
    struct shape filter = {c->channels, c->x.c, c->window.kernel, c->window.kernel}, vector = shape_vector(c->channels);
    struct shape y = {c->x.n, c->channels, window_output_size(c->x.h, c->window),
                      window_output_size(c->x.w, c->window)};
    setting->x = random_tensor(setting, TENSOR_ACTIVATION, c->x, 0, 0, 1);
    setting->weight = random_tensor(setting, TENSOR_FILTER, filter, 1, 0, 1);
    setting->bias = random_tensor(setting, TENSOR_VECTOR, vector, 2, 0, 1);
    setting->gamma = random_tensor(setting, TENSOR_VECTOR, vector, 3, 0, 1);
    setting->beta = random_tensor(setting, TENSOR_VECTOR, vector, 4, 0, 1);
    setting->running_mean = random_tensor(setting, TENSOR_VECTOR, vector, 5, 0, 1);
    setting->running_var = random_tensor(setting, TENSOR_VECTOR, vector, 6, 2.5, 1);
    setting->y = tensor_alloc(setting->backend, TENSOR_ACTIVATION, y);
    setting->folded_y = tensor_alloc(setting->backend, TENSOR_ACTIVATION, y);
    setting->to_weight = tensor_alloc(setting->backend, TENSOR_FILTER, filter);
    setting->to_bias = tensor_alloc(setting->backend, TENSOR_VECTOR, vector);
    support_poison(setting->backend, setting->variant->host_memory, &setting->to_weight);
    support_poison(setting->backend, setting->variant->host_memory, &setting->to_bias);
}

static void setting_close(struct setting *setting)
{
    struct tensor *tensors[] = {&setting->x,         &setting->y,       &setting->folded_y,   &setting->weight,
                                &setting->bias,      &setting->gamma,   &setting->beta,       &setting->running_mean,
                                &setting->to_weight, &setting->to_bias, &setting->running_var};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) tensor_free(setting->backend, tensors[i]);
}

/* Runs the convolution with folded weights, and the convolution followed by the normalization. */
static void run_both(struct setting *setting, const struct fold_case *c)
{
    struct backend *backend = setting->backend;
    struct op conv2d = op_make(OP_CONV2D), norm = op_make(OP_NORM_EVALUATE), fold = op_make(OP_FOLD);
    struct tensor convolved = tensor_alloc(backend, TENSOR_ACTIVATION, setting->y.shape);
    conv2d.conv2d = (struct conv2d_params){c->window, 1};
    norm.norm = (struct batchnorm_fused_params){.batchnorm = params, .activation.kind = ACTIVATION_NONE};
    fold.fold = params;
    backend_run_op(backend, conv2d, still,
                   OPERANDS([CONV2D_X] = &setting->x, [CONV2D_WEIGHT] = &setting->weight,
                            [CONV2D_BIAS] = &setting->bias, [CONV2D_Y] = &convolved));
    backend_run_op(backend, norm, still,
                   OPERANDS([NORM_EVALUATE_X] = &convolved, [NORM_EVALUATE_GAMMA] = &setting->gamma,
                            [NORM_EVALUATE_BETA] = &setting->beta, [NORM_EVALUATE_MEAN] = &setting->running_mean,
                            [NORM_EVALUATE_VAR] = &setting->running_var, [NORM_EVALUATE_Y] = &setting->y));
    backend_run_op(
        backend, fold, still,
        OPERANDS([FOLD_WEIGHT] = &setting->weight, [FOLD_BIAS] = &setting->bias, [FOLD_GAMMA] = &setting->gamma,
                 [FOLD_BETA] = &setting->beta, [FOLD_MEAN] = &setting->running_mean, [FOLD_VAR] = &setting->running_var,
                 [FOLD_TO_WEIGHT] = &setting->to_weight, [FOLD_TO_BIAS] = &setting->to_bias));
    backend_run_op(backend, conv2d, still,
                   OPERANDS([CONV2D_X] = &setting->x, [CONV2D_WEIGHT] = &setting->to_weight,
                            [CONV2D_BIAS] = &setting->to_bias, [CONV2D_Y] = &setting->folded_y));
    tensor_free(backend, &convolved);
}

static void check_case(struct setting *setting, const struct fold_case *c)
{
    char message[256];
    setting_open(setting, c);
    run_both(setting, c);
    double *expected = support_read(setting->backend, &setting->y);
    double *found = support_read(setting->backend, &setting->folded_y);
    /* The sum has I*K*K terms of up to 2 * 2 * |scale| <= 8. Their roundings add up like the root of their number. */
    double terms = (double)(c->x.c * c->window.kernel * c->window.kernel);
    double allowed = 16 * setting->variant->roundoff * (8 * sqrt(terms) + 8);
    bool close = support_close(found, expected, shape_count(setting->y.shape), allowed, 0, message, sizeof message);
    cr_expect(close, "%s, case %d: %s", setting->variant->name, (int)(c - cases), message);
    if (setting->variant->host_memory) {
        cr_expect(support_padding_is_zero(setting->backend, &setting->to_weight), "%s", setting->variant->name);
        cr_expect(support_padding_is_zero(setting->backend, &setting->to_bias), "%s", setting->variant->name);
    }
    free(expected), free(found);
    setting_close(setting);
}

Test(fold, convolution_contains_the_normalization)
{
    int count, offered = 0;
    const struct variant *variants = variant_list(&count);
    for (int v = 0; v < count; v++) {
        struct backend *backend = variant_create(&variants[v], 2);
        struct setting setting = {.backend = backend, .variant = &variants[v]};
        struct op fold = op_make(OP_FOLD);
        fold.fold = params;
        for (int i = 0; backend && backend_supports(backend, &fold) && i < CASES; i++, offered++)
            check_case(&setting, &cases[i]);
        backend_destroy(backend);
    }
    cr_expect(offered >= CASES);
}

/* --- networks --- */

static struct backend *fusing_backend(enum precision precision)
{
    struct backend_options options = {.device = DEVICE_CPU, .precision = precision, .threads = 2, .fuse = true};
    struct backend *backend;
    struct status status = {0};
    cr_assert(backend_create(&backend, &options, &status), "%s", status.message);
    return backend;
}

static struct network *build(struct backend *backend, const char *text)
{
    struct experiment experiment;
    struct status status = {0};
    experiment_from(&experiment, text);
    struct network *network = network_from(&experiment, backend, (struct shape){6, 3, 9, 9}, 10, &status);
    cr_assert(network, "%s", status.message);
    experiment_free(&experiment);
    return network;
}

static void fill(struct backend *backend, const struct tensor *tensor, uint32_t stream, double offset, double scale)
{
    double *values = memory_alloc((size_t)shape_count(tensor->shape), sizeof *values);
    support_fill(values, shape_count(tensor->shape), support_seed("fold network"), stream, offset, scale);
    backend->table->tensor_write(backend, tensor, values);
    free(values);
}

/* Gives normalizations statistics and parameters like those after some training. */
static void season(struct network *network)
{
    uint32_t stream = 1;
    for (int i = 0; i < network->layer_count; i++) {
        struct layer *layer = &network->layers[i];
        if (layer->buffer_count == 0) continue;
        fill(network->backend, &layer->parameter[0].value, stream++, 1, 0.25);
        fill(network->backend, &layer->parameter[1].value, stream++, 0, 0.25);
        fill(network->backend, &layer->buffer[0].value, stream++, 0, 0.25);
        fill(network->backend, &layer->buffer[1].value, stream++, 1, 0.25);
    }
}

/* Counts the layers that are folded: the convolutions and the normalizations in them. */
static int count_folded(const struct program *program)
{
    int folded = 0;
    for (int i = 0; i < program->once_count; i++) folded += program->ops[i].layer_count;
    return folded;
}

static double *evaluate(struct network *network, bool fold, int *folded)
{
    struct runner runner = runner_open(network, (struct runner_options){.fold = fold});
    struct tensor x = runner_input(&runner, LAYER_EVALUATE), y = runner_output(&runner, LAYER_EVALUATE);
    fill(network->backend, &x, 0, 0, 1);
    runner_forward(&runner, LAYER_EVALUATE);
    *folded = count_folded(runner.evaluation.program);
    double *logits = support_read(network->backend, &y);
    runner_close(&runner);
    return logits;
}

/* Compares logits of size 1 that went through a few layers, each with sums of some hundred terms. */
static void expect_same_logits(const char *text, enum precision precision, int folded_layers)
{
    char message[256];
    struct backend *backend = fusing_backend(precision);
    struct network *network = build(backend, text);
    season(network);
    size_t bytes = network->arena_count * backend->scalar_size;
    void *before = memcpy(memory_alloc(bytes, 1), network->parameters, bytes);
    int none, folded;
    double *plain = evaluate(network, false, &none), *found = evaluate(network, true, &folded);
    double allowed = precision == PRECISION_FP64 ? 1e-13 : 1e-4;
    cr_expect_eq(none, 0);
    cr_expect_eq(folded, folded_layers, "%s: %d layers are folded, expected %d", text, folded, folded_layers);
    cr_expect(support_close(found, plain, 60, allowed, allowed, message, sizeof message), "%s: %s", text, message);
    if (folded_layers) cr_expect_neq(memcmp(plain, found, 60 * sizeof *plain), 0, "%s: nothing was folded", text);
    cr_expect_eq(memcmp(before, network->parameters, bytes), 0, "%s: the weights of training changed", text);
    free(plain), free(found), free(before);
    network_destroy(network);
    backend_destroy(backend);
}

static void expect_folded(const char *text, int folded_layers)
{
    expect_same_logits(text, PRECISION_FP64, folded_layers);
    expect_same_logits(text, PRECISION_FP32, folded_layers);
}

#define CONVNET "[model]\nkind = convnet\nfeatures = 20, M, 17, 5k5, A2\n"

Test(fold, networks_evaluate_alike)
{
    expect_folded(CONVNET "batchnorm = custom\nhidden = 13\n", 8);
    expect_folded(CONVNET "batchnorm = autodiff\n", 6);
    expect_folded(
        CONVNET "batchnorm = custom\nactivation = elu\ndropout = 0.3\nblock = batchnorm, dropout, activation\n", 6);
    expect_folded("[model]\nhidden = 30, 20\nbatchnorm = custom\n", 4);
    expect_folded(CONVNET "batchnorm = custom\nconv_bias = false\n", 6);
    expect_folded("[model]\nkind = convnet\nfeatures = 5, (5, 5)+, (17s2, 17)+, G\nbatchnorm = custom\n"
                  "conv_bias = auto\n",
                  12);
}

/* A normalization behind an activation has no weights to fold into. The batch's own statistics are unknown before
 * it. */
Test(fold, what_cannot_be_folded)
{
    expect_folded(CONVNET "batchnorm = custom\nblock = activation, batchnorm, dropout\n", 0);
    expect_folded(CONVNET "batchnorm = custom\nbatchnorm_batch_stats_only = true\n", 0);
    expect_folded(CONVNET "batchnorm = none\n", 0);
}

/* The copies are made anew where a run says `refresh`, and only there. */
Test(fold, copies_are_those_of_the_last_refresh)
{
    struct backend *backend = fusing_backend(PRECISION_FP64);
    struct network *network = build(backend, CONVNET "batchnorm = custom\n");
    struct runner runner = runner_open(network, (struct runner_options){.fold = true});
    struct tensor x = runner_input(&runner, LAYER_EVALUATE), y = runner_output(&runner, LAYER_EVALUATE);
    struct run_input input = {.n = runner.n, .refresh = true};
    double *logits[3];
    season(network);
    fill(backend, &x, 0, 0, 1);
    for (int run = 0; run < 3; run++) {
        input.refresh = run != 1;
        prepared_run(runner.evaluate, &input);
        logits[run] = support_read(backend, &y);
        fill(backend, &network->layers[1].parameter[0].value, 77, 1, 0.25); /* gamma of the first normalization */
    }
    cr_expect_eq(memcmp(logits[0], logits[1], 60 * sizeof(double)), 0);
    cr_expect_neq(memcmp(logits[0], logits[2], 60 * sizeof(double)), 0);
    for (int run = 0; run < 3; run++) free(logits[run]);
    runner_close(&runner);
    network_destroy(network);
    backend_destroy(backend);
}
