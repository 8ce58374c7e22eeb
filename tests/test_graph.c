/* Tests networks that are no chains (graph_cases.h): they compute what the reference backend does, whatever is fused and
 * however their tensors share memory; they train to the same bits with any number of threads; passes leave alone what has
 * a second reader. Their derivatives against finite differences are in test_network_gradients.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <criterion/criterion.h>

#include "experiment_support.h"
#include "graph_cases.h"
#include "network_support.h"
#include "nn/gradcheck.h"
#include "optim/optimizer.h"
#include "program/passes.h"

/* --- results --- */

enum way { AS_ALWAYS, OVERWRITTEN, APART, WAYS };

/* What a network computes of a batch: the loss, its output in training and in an evaluation, all gradients. */
struct results {
    double *values;
    int64_t count;
};

static void add(struct results *results, const double *values, int64_t count)
{
    results->values = memory_resize(results->values, (size_t)(results->count + count), sizeof *results->values);
    memcpy(results->values + results->count, values, (size_t)count * sizeof *values);
    results->count += count;
}

static void add_tensor(struct results *results, struct backend *backend, const struct tensor *tensor)
{
    double *values = support_read(backend, tensor);
    add(results, values, shape_count(tensor->shape));
    free(values);
}

static void run_both(struct runner *runner, enum way way)
{
    const struct run_input input = {.n = runner->n, .refresh = true, .state = {.step = 5}};
    void (*done)(void *, const struct prepared *, int) = way == OVERWRITTEN ? prepared_overwrite_dead : NULL;
    struct tensor x = runner_input(runner, LAYER_TRAIN), to = runner_input(runner, LAYER_EVALUATE);
    double *batch = support_read(runner->network->backend, &x);
    runner->network->backend->table->tensor_write(runner->network->backend, &to, batch);
    free(batch);
    network_set_metrics(runner->network, (struct metrics){0});
    prepared_watch(runner->train, &input, done, NULL);
    prepared_watch(runner->evaluate, &input, done, NULL);
}

static struct results results_of(struct network *network, enum way way, bool fold)
{
    struct backend *backend = network->backend;
    struct results results = {0};
    struct runner runner =
        runner_open(network, (struct runner_options){.dinput = true, .fold = fold, .apart = way == APART});
    struct tensor y = runner_output(&runner, LAYER_TRAIN), dinput = runner_dinput(&runner);
    struct tensor evaluated = runner_output(&runner, LAYER_EVALUATE);
    runner_fill(&runner);
    run_both(&runner, way);
    const double loss = network_metrics(network).loss;
    add(&results, &loss, 1);
    add_tensor(&results, backend, &y);
    add_tensor(&results, backend, &evaluated);
    add_tensor(&results, backend, &dinput);
    for (int i = 0; i < network->layer_count; i++)
        for (int p = 0; p < network->layers[i].parameter_count; p++)
            add_tensor(&results, backend, &network->layers[i].parameter[p].gradient);
    runner_close(&runner);
    return results;
}

/* The results on a new backend of the variant; without values where it is not there or lacks an operation. */
static struct results results_on(const struct variant *variant, const struct graph_case *graph, bool fuse, enum way way)
{
    struct backend *backend = variant_create(variant, 2);
    struct results results = {0};
    if (!backend) return results;
    backend->fuse = fuse;
    struct network *network = graph_case_build(graph, backend);
    if (network) results = results_of(network, way, false);
    network_destroy(network);
    backend_destroy(backend);
    return results;
}

/* Compares fused or not, and every way to use memory, with the plain results, to the bit but for the sign of a zero. */
static void expect_same(const struct variant *variant, const struct graph_case *graph, const struct results *plain)
{
    char message[256];
    for (int fuse = 0; fuse < 2; fuse++)
        for (enum way way = AS_ALWAYS; way < WAYS; way++) {
            struct results other = results_on(variant, graph, fuse, way);
            cr_assert_eq(other.count, plain->count);
            bool same = support_close(other.values, plain->values, plain->count, 0, 0, message, sizeof message);
            cr_expect(same, "%s, %s, fuse %d, way %d: %s", variant->name, graph->name, fuse, (int)way, message);
            free(other.values);
        }
}

/* Some ten layers deep, each with sums of up to 200 terms of size 1: a few hundred roundings. bf16 is another network. */
static bool is_exact_enough(const struct variant *variant)
{
    return variant->host_memory && (variant->precision == PRECISION_FP64 || variant->precision == PRECISION_FP32);
}

static void check_variant(const struct variant *variant, const struct graph_case *graph, const struct results *expected)
{
    char message[256];
    struct results plain = results_on(variant, graph, false, AS_ALWAYS);
    double allowed = 512 * variant->roundoff;
    if (!plain.values) return;
    cr_assert_eq(plain.count, expected->count);
    bool close = support_close(plain.values, expected->values, plain.count, allowed, allowed, message, sizeof message);
    cr_expect(close, "%s, %s: %s", variant->name, graph->name, message);
    expect_same(variant, graph, &plain);
    free(plain.values);
}

static void check_case(const struct graph_case *graph)
{
    int variants;
    const struct variant *variant = variant_list(&variants);
    struct backend *backend = reference_create();
    struct network *network = graph_case_build(graph, backend);
    cr_assert_not_null(network);
    struct results expected = results_of(network, AS_ALWAYS, false);
    network_destroy(network);
    backend_destroy(backend);
    for (int v = 0; v < variants; v++)
        if (is_exact_enough(&variant[v])) check_variant(&variant[v], graph, &expected);
    free(expected.values);
}

Test(graph, agrees_with_the_reference)
{
    int count;
    const struct graph_case *graphs = graph_case_list(&count);
    for (int i = 0; i < count; i++) check_case(&graphs[i]);
}

/* --- training --- */

/* Trains for some steps as the trainer does, and returns the bytes of the parameters. */
static void *train(const struct graph_case *graph, enum precision precision, int threads, bool fuse, size_t *size)
{
    struct backend *backend = backend_of(precision, threads);
    backend->fuse = fuse;
    struct network *network = graph_case_build(graph, backend);
    *size = 0;
    void *parameters = NULL;
    if (network) {
        const struct optimizer_settings settings = {.kind = OPTIMIZER_ADAM,
                                                    .params = {.beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8}};
        struct optimizer optimizer;
        optimizer_create(&optimizer, &settings, network);
        struct runner runner = runner_open(network, (struct runner_options){.optimizer = &optimizer});
        runner_fill(&runner);
        for (int step = 0; step < 4; step++) {
            struct step_state state = {.step = (uint64_t)step, .learning_rate = 0.01};
            prepared_run(runner.train, &(struct run_input){.state = state, .n = runner.n, .refresh = true});
        }
        *size = network->arena_count * backend->scalar_size;
        parameters = memcpy(memory_alloc(*size, 1), network->parameters, *size);
        cr_expect_eq(network_metrics(network).count, 4 * runner.n);
        runner_close(&runner);
        optimizer_destroy(&optimizer);
    }
    network_destroy(network);
    backend_destroy(backend);
    return parameters;
}

static void expect_same_training(const struct graph_case *graph, enum precision precision)
{
    size_t size, other_size;
    void *alone = train(graph, precision, 1, true, &size);
    for (int fuse = 0; fuse < 2; fuse++) {
        void *together = train(graph, precision, 3, fuse, &other_size);
        cr_assert_eq(size, other_size);
        cr_expect(size == 0 || memcmp(alone, together, size) == 0, "%s, precision %d, fuse %d", graph->name,
                  (int)precision, fuse);
        free(together);
    }
    free(alone);
}

Test(graph, trains_to_the_same_bits_with_any_number_of_threads)
{
    int count;
    const struct graph_case *graphs = graph_case_list(&count);
    for (int i = 0; i < count; i++) {
        expect_same_training(&graphs[i], PRECISION_FP32);
        expect_same_training(&graphs[i], PRECISION_FP64);
        expect_same_training(&graphs[i], PRECISION_BF16);
    }
}

/* --- passes --- */

static const struct graph_case *case_of(const char *name)
{
    int count;
    const struct graph_case *graphs = graph_case_list(&count);
    while (count > 0 && strcmp(graphs[count - 1].name, name) != 0) count--;
    cr_assert_gt(count, 0);
    return &graphs[count - 1];
}

static struct network *build(const char *name, enum precision precision, struct backend **backend)
{
    *backend = backend_of(precision, 2);
    (*backend)->fuse = true;
    struct network *network = graph_case_build(case_of(name), *backend);
    cr_assert_not_null(network);
    return network;
}

static void expect_groups(const char *name, const char *const *groups, int count)
{
    struct backend *backend;
    struct network *network = build(name, PRECISION_FP32, &backend);
    cr_assert_eq(network->group_count, count, "%s: %d groups", name, network->group_count);
    for (int i = 0; i < count; i++) {
        char text[NETWORK_GROUP_TEXT];
        network_describe_group(network, network->groups[i], text, sizeof text);
        cr_expect_str_eq(text, groups[i]);
    }
    network_destroy(network);
    backend_destroy(backend);
}

Test(graph, what_a_second_reader_reads_stays_apart)
{
    const char *const second[] = {"c: conv2d 3x3",
                                  "n: batchnorm",
                                  "r: relu",
                                  "add of r, n, c",
                                  "conv2d 1x1",
                                  "a: batchnorm + relu",
                                  "p: average-pool 3x3, stride 1",
                                  "add of p, a",
                                  "conv2d 3x3",
                                  "d: dropout 0.3",
                                  "m: batchnorm",
                                  "add of m, d",
                                  "max-pool 2x2, stride 2",
                                  "flatten",
                                  "linear"};
    expect_groups("second readers", second, sizeof second / sizeof *second);
    const char *const residual[] = {"conv2d 3x3",
                                    "x0: batchnorm + relu",
                                    "conv2d 3x3",
                                    "batchnorm + relu",
                                    "conv2d 3x3",
                                    "x1: batchnorm + add of x0 + relu",
                                    "conv2d 3x3, stride 2",
                                    "batchnorm + relu",
                                    "conv2d 3x3",
                                    "f2: batchnorm",
                                    "conv2d 1x1, stride 2 of x1",
                                    "short: batchnorm",
                                    "add of f2, short",
                                    "flatten",
                                    "linear"};
    expect_groups("residual", residual, sizeof residual / sizeof *residual);
    const char *const gates[] = {"conv2d 3x3",
                                 "x0: batchnorm + relu",
                                 "conv2d 3x3",
                                 "n: batchnorm",
                                 "global average-pool",
                                 "conv2d 1x1",
                                 "relu",
                                 "z: conv2d 1x1",
                                 "scaled: gate of n, z",
                                 "add of scaled, x0",
                                 "relu",
                                 "p: global average-pool",
                                 "gate of p, p",
                                 "linear"};
    expect_groups("gates", gates, sizeof gates / sizeof *gates);
}

/* The normalizations that are folded are those whose convolution has no other reader. */
Test(graph, folds_what_has_one_reader)
{
    const struct {
        const char *name;
        int folded;
    } expected[] = {{"second readers", 1}, {"residual", 6}, {"autodiff", 0}, {"diamond", 0}, {"gates", 2}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        struct backend *backend;
        struct network *network = build(expected[i].name, PRECISION_FP64, &backend);
        struct network_request request = {.mode = LAYER_EVALUATE, .n = 2, .last = network->layer_count, .fold = true};
        struct network_program made = network_write(network, &request);
        cr_expect_eq(made.program->once_count, expected[i].folded, "%s: %d are folded", expected[i].name,
                     made.program->once_count);
        program_free(made.program);
        network_destroy(network);
        backend_destroy(backend);
    }
}

static struct results results_folded(const char *name, enum way way, bool fold)
{
    struct backend *backend;
    struct network *network = build(name, PRECISION_FP64, &backend);
    struct results results = results_of(network, way, fold);
    network_destroy(network);
    backend_destroy(backend);
    return results;
}

Test(graph, evaluates_alike_with_folded_normalizations)
{
    const char *const names[] = {"second readers", "residual"};
    char message[256];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct results plain = results_folded(names[i], AS_ALWAYS, false);
        for (enum way way = AS_ALWAYS; way < WAYS; way++) {
            struct results folded = results_folded(names[i], way, true);
            /* Ten layers of values of size 1, as in agrees_with_the_reference. */
            bool close = support_close(folded.values, plain.values, plain.count, 6e-14, 6e-14, message, sizeof message);
            cr_expect(close, "%s, way %d: %s", names[i], (int)way, message);
            free(folded.values);
        }
        free(plain.values);
    }
}

/* --- gradient checks of single layers --- */

struct checks {
    int count, sums; /* sums: derivatives by an input of several */
};

static void count_check(void *argument, const struct gradcheck_result *result)
{
    struct checks *checks = argument;
    cr_expect(result->passed, "%s, %s: %g", result->layer, result->tensor, result->error);
    checks->count++;
    checks->sums += strncmp(result->tensor, "input ", 6) == 0;
}

Test(graph, gradcheck_looks_at_every_input)
{
    const struct {
        const char *name;
        struct checks checks;
    } expected[] = {{"input", {22, 3 + 4}}, {"twice", {9, 0}}, {"crossed", {24, 2 + 2}}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        struct backend *backend = backend_of(PRECISION_FP64, 2);
        struct graph_case graph = *case_of(expected[i].name);
        struct checks checks = {0};
        graph.input.n = GRADCHECK_BATCH;
        struct network *network = graph_case_build(&graph, backend);
        cr_expect(gradcheck_network(network, 42, count_check, &checks));
        cr_expect_eq(checks.count, expected[i].checks.count, "%s: %d checks", graph.name, checks.count);
        cr_expect_eq(checks.sums, expected[i].checks.sums, "%s: %d by an input of several", graph.name, checks.sums);
        network_destroy(network);
        backend_destroy(backend);
    }
}

static const struct op_function *sound; /* functions of the backend whose sum is broken */

/* y = a + (1 + 4e-5) b + ..., of which the derivative by b is not 1. */
static void broken_add(struct backend *backend, const struct op_call *call)
{
    sound[OP_ADD].run(backend, call);
    double *y = support_read(backend, &call->tensor[ADD_Y]), *b = support_read(backend, &call->tensor[ADD_B]);
    for (int64_t i = 0; i < shape_count(call->tensor[ADD_Y].shape); i++) y[i] += 4e-5 * b[i];
    backend->table->tensor_write(backend, &call->tensor[ADD_Y], y);
    free(y), free(b);
}

enum { FAILURES = 512 };

static void collect_failures(void *argument, const struct gradcheck_result *result)
{
    char *failures = argument;
    size_t used = strlen(failures);
    if (!result->passed) snprintf(failures + used, FAILURES - used, "%s: %s; ", result->layer, result->tensor);
}

Test(graph, gradcheck_names_the_input_of_a_wrong_derivative)
{
    struct backend *backend = backend_of(PRECISION_FP64, 2);
    struct graph_case graph = *case_of("crossed");
    struct op_function functions[OP_KIND_COUNT];
    char failures[FAILURES] = "";
    graph.input.n = GRADCHECK_BATCH;
    struct network *network = graph_case_build(&graph, backend);
    sound = backend->functions;
    memcpy(functions, sound, sizeof functions);
    functions[OP_ADD].run = broken_add;
    backend->functions = functions;
    cr_expect_not(gradcheck_network(network, 42, collect_failures, failures));
    backend->functions = sound;
    cr_expect_str_eq(failures, "add of three, one: input 2; add of five, two: input 2; ");
    network_destroy(network);
    backend_destroy(backend);
}

Test(graph, gradcheck_passes_on_fused_layers)
{
    struct backend *backend = backend_of(PRECISION_FP64, 2);
    struct graph_case graph = *case_of("residual");
    struct checks checks = {0};
    backend->fuse = true;
    graph.input.n = GRADCHECK_BATCH;
    struct network *network = graph_case_build(&graph, backend);
    cr_expect(gradcheck_network(network, 42, count_check, &checks));
    cr_expect_eq(checks.sums, 2 + 2);
    network_destroy(network);
    backend_destroy(backend);
}
