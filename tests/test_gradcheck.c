/* Tests the gradient checks: they pass on the networks of the configs, and they find every derivative that is broken on
 * purpose, in its place and nowhere else. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <criterion/criterion.h>

#include "backend/prepared.h"
#include "experiment_support.h"
#include "nn/gradcheck.h"

enum { SEED = 42, SEEDS = 8 };

/* --- the report of the checks --- */

struct findings {
    int checks, failures;
    char layer[64], tensor[64]; /* place of the first failure */
};

static void collect(void *argument, const struct gradcheck_result *result)
{
    struct findings *findings = argument;
    cr_expect_eq(result->passed, result->error <= result->bound);
    cr_expect(result->values > 0 && result->bound > 0 && result->bound <= 1e-5);
    findings->checks++;
    if (result->passed) return;
    if (findings->failures++ == 0) {
        snprintf(findings->layer, sizeof findings->layer, "%s", result->layer);
        snprintf(findings->tensor, sizeof findings->tensor, "%s", result->tensor);
    }
}

static struct findings check(struct network *network, uint64_t seed)
{
    struct findings findings = {0};
    bool passed = gradcheck_network(network, seed, collect, &findings);
    cr_expect_eq(passed, findings.failures == 0);
    return findings;
}

/* Counts one check for the input of every group of layers, one for each parameter, and one for the loss. */
static int expected_checks(const struct network *network)
{
    int count = network->group_count + 1;
    for (int i = 0; i < network->layer_count; i++)
        for (int p = 0; p < network->layers[i].parameter_count; p++) count += !network->layers[i].parameter[p].frozen;
    return count;
}

/* --- shipped configs --- */

static void check_config(const char *name, struct shape images)
{
    struct experiment experiment;
    struct status status = {0};
    char *path = support_path(CONFIG_FOLDER, name);
    cr_assert(experiment_load(&experiment, path, NULL, 0, &status), "%s", status.message);
    experiment.backend.precision = PRECISION_FP64;
    experiment.backend.device = DEVICE_CPU;
    experiment.backend.threads = 2;
    struct backend *backend; /* fuses layers, as the program's does */
    cr_assert(backend_from_experiment(&backend, &experiment, &status), "%s", status.message);
    struct network *network = network_from(&experiment, backend, images, 10, &status);
    cr_assert_not_null(network, "%s", status.message);
    size_t bytes = network->arena_count * backend->scalar_size;
    void *before = memcpy(memory_alloc(bytes, 1), network->parameters, bytes);
    struct findings findings = check(network, SEED);
    cr_expect_eq(findings.failures, 0, "%s: %s, %s", name, findings.layer, findings.tensor);
    cr_expect_eq(findings.checks, expected_checks(network), "%s: %d checks", name, findings.checks);
    cr_expect_eq(memcmp(before, network->parameters, bytes), 0, "%s: the parameters are not as before", name);
    free(before);
    network_destroy(network);
    backend_destroy(backend);
    experiment_free(&experiment);
    free(path);
}

#define CONFIG(name, c, h, w)                                                                                          \
    Test(gradcheck, config_##name##_##h)                                                                               \
    {                                                                                                                  \
        check_config(#name ".ini", (struct shape){GRADCHECK_BATCH, c, h, w});                                          \
    }

CONFIG(mlp_numpy, 3, 32, 32)
CONFIG(mlp, 3, 32, 32)
CONFIG(mlp_best, 3, 32, 32)
CONFIG(convnet, 3, 32, 32)
CONFIG(folder, 3, 64, 64)
CONFIG(speedrun, 3, 32, 32)
CONFIG(quickstart, 1, 28, 28)
CONFIG(quickstart, 3, 32, 32) /* one derivative of the second batch normalization is nearly zero by cancellation */

Test(gradcheck, the_program_says_so)
{
    char text[8192];
    FILE *pipe = popen("'" TRAINER_PROGRAM "' gradcheck '" CONFIG_FOLDER "/mlp.ini' 2>&1", "r");
    cr_assert_not_null(pipe);
    size_t length = fread(text, 1, sizeof text - 1, pipe);
    text[length] = '\0';
    int status = pclose(pipe);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s", text);
    /* two linear layers with input, weight and bias, the activation between them, the loss */
    cr_expect_not_null(strstr(text, "\nall 8 gradient checks passed\n"), "%s", text);
    int lines = 0;
    for (const char *at = text; (at = strstr(at, "  pass\n")); at++) lines++;
    cr_expect_eq(lines, 8, "%s", text);
}

/* --- broken derivatives --- */

/* The derivative that is broken. */
enum fault {
    FAULT_NONE,
    FAULT_CONV_DX,
    FAULT_CONV_DWEIGHT,
    FAULT_CONV_DBIAS,
    FAULT_LINEAR_DX,
    FAULT_LINEAR_DWEIGHT,
    FAULT_LINEAR_DBIAS,
    FAULT_BATCHNORM_DX,
    FAULT_BATCHNORM_DGAMMA,
    FAULT_BATCHNORM_DBETA,
    FAULT_ACTIVATION,
    FAULT_ACTIVATION_NAN,
    FAULT_DROPOUT_MASK,
    FAULT_DROPOUT_FORWARD,
    FAULT_MAX_POOL,
    FAULT_AVERAGE_POOL,
    FAULT_FLATTEN,
    FAULT_SOFTMAX,
    FAULT_CROSS_ENTROPY,
    FAULT_SOFTMAX_CROSS_ENTROPY,
    FAULT_DIVIDE,
};

static struct {
    enum fault fault;
    const struct op_function *original;
    int dropouts; /* calls so far */
} broken;

/* Relative error of a broken derivative: twice the bound of the layers without a kink. It is the least error that must
 * be found, since the checks compare an error with the sum of two derivatives. */
static const double off = 4e-5;
/* A derivative by a denominator is a small part of the input's derivative in a batch normalization. */
static const double off_quotient = 4e-4;

static void spoil(struct backend *backend, const struct tensor *tensor, double factor)
{
    double *values = support_read(backend, tensor);
    for (int64_t i = 0; i < shape_count(tensor->shape); i++) values[i] *= factor;
    backend->table->tensor_write(backend, tensor, values);
    free(values);
}

static void spoil_if(enum fault fault, struct backend *backend, const struct op_call *call, int slot)
{
    if (broken.fault == fault && call->op->tensor[slot] >= 0) spoil(backend, &call->tensor[slot], 1 + off);
}

/* Computes the op as the backend does. */
static void run_original(struct backend *backend, const struct op_call *call)
{
    broken.original[call->op->kind].run(backend, call);
}

/* To the backend a linear layer is a convolution of 1x1. The convolution here is larger, which tells them apart. */
static void conv2d_backward(struct backend *backend, const struct op_call *call)
{
    bool linear = call->op->conv2d.window.kernel == 1;
    run_original(backend, call);
    spoil_if(linear ? FAULT_LINEAR_DX : FAULT_CONV_DX, backend, call, CONV2D_BACKWARD_DX);
    spoil_if(linear ? FAULT_LINEAR_DWEIGHT : FAULT_CONV_DWEIGHT, backend, call, CONV2D_BACKWARD_DWEIGHT);
    spoil_if(linear ? FAULT_LINEAR_DBIAS : FAULT_CONV_DBIAS, backend, call, CONV2D_BACKWARD_DBIAS);
}

static void norm_backward(struct backend *backend, const struct op_call *call)
{
    run_original(backend, call);
    spoil_if(FAULT_BATCHNORM_DX, backend, call, NORM_BACKWARD_DX);
    spoil_if(FAULT_BATCHNORM_DGAMMA, backend, call, NORM_BACKWARD_DGAMMA);
    spoil_if(FAULT_BATCHNORM_DBETA, backend, call, NORM_BACKWARD_DBETA);
}

static void activation_backward(struct backend *backend, const struct op_call *call)
{
    run_original(backend, call);
    spoil_if(FAULT_ACTIVATION, backend, call, ACTIVATION_BACKWARD_DX);
    if (broken.fault == FAULT_ACTIVATION_NAN) spoil(backend, &call->tensor[ACTIVATION_BACKWARD_DX], NAN);
}

/* Forward and backward are one operation; the third call is the only backward one of a network with one dropout, after
 * two forward ones. One fault draws another mask for the backward pass. The other draws a new mask in every call, so that the output is no
 * function of the input and a difference quotient says nothing. */
static void dropout(struct backend *backend, const struct op_call *call)
{
    struct op other = *call->op;
    struct op_call changed = *call;
    broken.dropouts++;
    if (broken.fault == FAULT_DROPOUT_MASK && broken.dropouts == 3) other.dropout.seed++;
    if (broken.fault == FAULT_DROPOUT_FORWARD) other.dropout.seed += (uint64_t)broken.dropouts;
    changed.op = &other;
    run_original(backend, &changed);
}

static void pool_backward(struct backend *backend, const struct op_call *call)
{
    run_original(backend, call);
    spoil_if(call->op->pool.kind == POOL_MAX ? FAULT_MAX_POOL : FAULT_AVERAGE_POOL, backend, call, POOL_BACKWARD_DX);
}

static void flatten_backward(struct backend *backend, const struct op_call *call)
{
    run_original(backend, call);
    spoil_if(FAULT_FLATTEN, backend, call, FLATTEN_BACKWARD_DX);
}

static void softmax_backward(struct backend *backend, const struct op_call *call)
{
    run_original(backend, call);
    spoil_if(FAULT_SOFTMAX, backend, call, SOFTMAX_BACKWARD_DX);
}

static void cross_entropy(struct backend *backend, const struct op_call *call)
{
    run_original(backend, call);
    spoil_if(FAULT_CROSS_ENTROPY, backend, call, CROSS_ENTROPY_DPROBABILITIES);
}

static void softmax_cross_entropy(struct backend *backend, const struct op_call *call)
{
    run_original(backend, call);
    spoil_if(FAULT_SOFTMAX_CROSS_ENTROPY, backend, call, SOFTMAX_CROSS_ENTROPY_DLOGITS);
}

/* The fault is in the forward pass too. The quotient c * a/b has a gradient c times as large, but the tape multiplies
 * by c twice for b. */
static void elementwise(struct backend *backend, const struct op_call *call)
{
    run_original(backend, call);
    if (call->op->elementwise.op == ELEMENTWISE_DIVIDE) spoil(backend, &call->tensor[ELEMENTWISE_Y], 1 + off_quotient);
}

/* Replaces the function that computes the derivative in question. */
static void replace_function(struct op_function *functions, enum fault fault)
{
    if (fault >= FAULT_CONV_DX && fault <= FAULT_LINEAR_DBIAS) functions[OP_CONV2D_BACKWARD].run = conv2d_backward;
    if (fault >= FAULT_BATCHNORM_DX && fault <= FAULT_BATCHNORM_DBETA) functions[OP_NORM_BACKWARD].run = norm_backward;
    if (fault == FAULT_ACTIVATION || fault == FAULT_ACTIVATION_NAN)
        functions[OP_ACTIVATION_BACKWARD].run = activation_backward;
    if (fault == FAULT_DROPOUT_MASK || fault == FAULT_DROPOUT_FORWARD) functions[OP_DROPOUT].run = dropout;
    if (fault == FAULT_MAX_POOL || fault == FAULT_AVERAGE_POOL) functions[OP_POOL_BACKWARD].run = pool_backward;
    if (fault == FAULT_FLATTEN) functions[OP_FLATTEN_BACKWARD].run = flatten_backward;
    if (fault == FAULT_SOFTMAX) functions[OP_SOFTMAX_BACKWARD].run = softmax_backward;
    if (fault == FAULT_CROSS_ENTROPY) functions[OP_CROSS_ENTROPY].run = cross_entropy;
    if (fault == FAULT_SOFTMAX_CROSS_ENTROPY) functions[OP_SOFTMAX_CROSS_ENTROPY].run = softmax_cross_entropy;
    if (fault == FAULT_DIVIDE) functions[OP_ELEMENTWISE].run = elementwise;
}

/* Builds a network with every kind of layer once. */
static struct network *network_of(struct backend *backend, enum loss_kind loss, enum layer_kind batchnorm,
                                  enum activation activation, uint64_t seed)
{
    const struct layer_spec specs[] = {
        {.kind = LAYER_CONV2D, .conv2d = {.channels = 3, .window = {3, 1, 1}}},
        {.kind = batchnorm, .batchnorm = {{1e-5, 0.1}, false, false}},
        {.kind = LAYER_ACTIVATION, .activation = {activation, activation == ACTIVATION_ELU ? 1 : 0.1}},
        {.kind = LAYER_DROPOUT, .dropout = {0.5}},
        {.kind = LAYER_POOL, .pool = {POOL_MAX, {3, 2, 1}}},
        {.kind = LAYER_POOL, .pool = {POOL_AVERAGE, {2, 1, 0}}},
        {.kind = LAYER_FLATTEN},
        {.kind = LAYER_LINEAR, .linear = {.units = 4}},
        {.kind = LAYER_SOFTMAX},
    };
    struct network *network;
    struct status status = {0};
    int count = loss == LOSS_SEPARATE ? 9 : 8;
    bool built =
        network_build(&network, backend, specs, count, loss, (struct shape){GRADCHECK_BATCH, 2, 6, 7}, seed, &status);
    cr_assert(built, "%s", status.message);
    return network;
}

struct fault_case {
    enum fault fault;
    const char *layer, *tensor; /* place where the fault must show; NULL: nowhere */
};

static void check_fault_once(const struct fault_case *c, enum loss_kind loss, enum layer_kind batchnorm,
                             enum activation activation, uint64_t seed)
{
    static struct op_function functions[OP_KIND_COUNT];
    struct backend *backend = backend_of(PRECISION_FP64, 2);
    struct network *network = network_of(backend, loss, batchnorm, activation, seed);
    broken.fault = c->fault;
    broken.original = backend->functions;
    broken.dropouts = 0;
    memcpy(functions, backend->functions, sizeof functions);
    replace_function(functions, c->fault);
    backend->functions = functions;
    struct findings findings = check(network, seed);
    backend->functions = broken.original;
    int fault = (int)c->fault, number = (int)seed;
    cr_expect_eq(findings.checks, expected_checks(network));
    cr_expect_eq(findings.failures, c->layer ? 1 : 0, "fault %d, seed %d: %d failures", fault, number,
                 findings.failures);
    cr_expect_str_eq(findings.layer, c->layer ? c->layer : "", "fault %d, seed %d in %s", fault, number,
                     findings.layer);
    cr_expect_str_eq(findings.tensor, c->tensor ? c->tensor : "", "fault %d, seed %d in %s", fault, number,
                     findings.tensor);
    network_destroy(network);
    backend_destroy(backend);
}

/* Checks a fault with several seeds. The environment variable GRADCHECK_SEEDS sets another number of them. */
static void check_fault(const struct fault_case *c, enum loss_kind loss, enum layer_kind batchnorm,
                        enum activation activation)
{
    const char *text = getenv("GRADCHECK_SEEDS");
    int seeds = text ? atoi(text) : SEEDS;
    for (int i = 0; i < seeds; i++) check_fault_once(c, loss, batchnorm, activation, SEED + (uint64_t)i);
}

Test(gradcheck, finds_a_broken_derivative)
{
    const struct fault_case cases[] = {
        {FAULT_NONE, NULL, NULL},
        {FAULT_CONV_DX, "conv2d 3x3", "input"},
        {FAULT_CONV_DWEIGHT, "conv2d 3x3", "weight"},
        {FAULT_CONV_DBIAS, "conv2d 3x3", "bias"},
        {FAULT_LINEAR_DX, "linear", "input"},
        {FAULT_LINEAR_DWEIGHT, "linear", "weight"},
        {FAULT_LINEAR_DBIAS, "linear", "bias"},
        {FAULT_BATCHNORM_DX, "batchnorm", "input"},
        {FAULT_BATCHNORM_DGAMMA, "batchnorm", "weight"},
        {FAULT_BATCHNORM_DBETA, "batchnorm", "bias"},
        {FAULT_ACTIVATION, "relu", "input"},
        {FAULT_ACTIVATION_NAN, "relu", "input"},
        {FAULT_DROPOUT_MASK, "dropout 0.5", "input"},
        {FAULT_DROPOUT_FORWARD, "dropout 0.5", "input"},
        {FAULT_MAX_POOL, "max-pool 3x3, stride 2", "input"},
        {FAULT_AVERAGE_POOL, "average-pool 2x2, stride 1", "input"},
        {FAULT_FLATTEN, "flatten", "input"},
        {FAULT_SOFTMAX, "softmax", "input"},
        {FAULT_CROSS_ENTROPY, "cross-entropy", "input"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_fault(&cases[i], LOSS_SEPARATE, LAYER_BATCHNORM, ACTIVATION_RELU);
}

Test(gradcheck, finds_a_broken_fused_loss)
{
    const struct fault_case none = {FAULT_NONE, NULL, NULL};
    const struct fault_case loss = {FAULT_SOFTMAX_CROSS_ENTROPY, "softmax cross-entropy", "input"};
    const struct fault_case elu = {FAULT_ACTIVATION, "elu", "input"};
    const struct fault_case leaky_relu = {FAULT_ACTIVATION, "leaky_relu", "input"};
    check_fault(&none, LOSS_FUSED, LAYER_BATCHNORM, ACTIVATION_ELU);
    check_fault(&none, LOSS_FUSED, LAYER_BATCHNORM, ACTIVATION_LEAKY_RELU);
    check_fault(&loss, LOSS_FUSED, LAYER_BATCHNORM, ACTIVATION_ELU);
    check_fault(&elu, LOSS_FUSED, LAYER_BATCHNORM, ACTIVATION_ELU);
    check_fault(&leaky_relu, LOSS_FUSED, LAYER_BATCHNORM, ACTIVATION_LEAKY_RELU);
}

/* Only dx shows a wrong derivative of a quotient by its denominator, since dgamma and dbeta do not use it. A fault in
 * the kind that is derived by hand does not show in this kind. */
Test(gradcheck, finds_a_broken_primitive)
{
    const struct fault_case none = {FAULT_NONE, NULL, NULL};
    const struct fault_case divide = {FAULT_DIVIDE, "batchnorm autodiff", "input"};
    const struct fault_case other_kind = {FAULT_BATCHNORM_DX, NULL, NULL};
    check_fault(&none, LOSS_FUSED, LAYER_BATCHNORM_AUTODIFF, ACTIVATION_RELU);
    check_fault(&divide, LOSS_FUSED, LAYER_BATCHNORM_AUTODIFF, ACTIVATION_RELU);
    check_fault(&other_kind, LOSS_FUSED, LAYER_BATCHNORM_AUTODIFF, ACTIVATION_RELU);
}
