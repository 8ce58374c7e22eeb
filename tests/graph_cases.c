/* The list of networks that are no chains (graph_cases.h). */
#include "graph_cases.h"

#include "backend/prepared.h"
#include "util/check.h"

/* clang-format off */
#define LINEAR(n) .kind = LAYER_LINEAR, .linear = {.units = n}
#define CONV(n, k, s, p) .kind = LAYER_CONV2D, .conv2d = {.channels = n, .window = {k, s, p}}
#define PLAIN_CONV(n, k, s, p)                                                                                          \
    .kind = LAYER_CONV2D, .conv2d = {.channels = n, .window = {k, s, p}, .without_bias = true}
#define MAX_POOL(k, s, p) .kind = LAYER_POOL, .pool = {POOL_MAX, {k, s, p}}
#define AVERAGE_POOL(k, s, p) .kind = LAYER_POOL, .pool = {POOL_AVERAGE, {k, s, p}}
#define BATCHNORM .kind = LAYER_BATCHNORM, .batchnorm = {.params = {1e-5, 0.1}}
#define BATCHNORM_AUTODIFF .kind = LAYER_BATCHNORM_AUTODIFF, .batchnorm = {.params = {1e-5, 0.1}}
#define RELU .kind = LAYER_ACTIVATION, .activation = {ACTIVATION_RELU, 0}
#define LEAKY_RELU .kind = LAYER_ACTIVATION, .activation = {ACTIVATION_LEAKY_RELU, 0.1}
#define ELU .kind = LAYER_ACTIVATION, .activation = {ACTIVATION_ELU, 1}
#define DROPOUT(r) .kind = LAYER_DROPOUT, .dropout = {r}
#define FLATTEN .kind = LAYER_FLATTEN
#define GLOBAL_POOL .kind = LAYER_GLOBAL_POOL
#define GATE .kind = LAYER_GATE
#define ADD .kind = LAYER_ADD
#define SOFTMAX .kind = LAYER_SOFTMAX

static const struct graph_case cases[] = {
    /* Two branches from one output to one sum. */
    {.name = "diamond", .input = {3, 3, 6, 5}, .loss = LOSS_FUSED, .count = 8, .specs = {
        {CONV(5, 3, 1, 1)},
        {RELU, .name = "top"},
        {CONV(17, 3, 1, 1), .name = "left"},
        {CONV(17, 1, 1, 0), .name = "right", .input = {"top"}},
        {ADD, .input = {"left", "right"}},
        {ELU},
        {FLATTEN},
        {LINEAR(4)}}},
    /* One skip begins within another and ends behind it. */
    {.name = "crossed", .input = {5, 9, 1, 1}, .loss = LOSS_SEPARATE, .count = 11, .specs = {
        {LINEAR(13), .name = "one"},
        {LEAKY_RELU},
        {LINEAR(13), .name = "two"},
        {ELU},
        {LINEAR(13), .name = "three"},
        {ADD, .input = {"three", "one"}},
        {LINEAR(13), .name = "five"},
        {ADD, .input = {"five", "two"}},
        {RELU},
        {LINEAR(3)},
        {SOFTMAX}}},
    /* The network's input is read four times, by sums of three and of four. */
    {.name = "input", .input = {2, 3, 5, 4}, .loss = LOSS_FUSED, .count = 8, .specs = {
        {CONV(3, 3, 1, 1), .name = "a"},
        {CONV(3, 3, 1, 1), .name = "b", .input = {"input"}},
        {ADD, .name = "sum", .input = {"a", "b", "input"}},
        {BATCHNORM},
        {RELU, .name = "active"},
        {ADD, .input = {"active", "sum", "input", "a"}},
        {FLATTEN},
        {LINEAR(4)}}},
    /* Residual blocks, the second of which halves the image and has no bias. */
    {.name = "residual", .input = {3, 3, 8, 8}, .loss = LOSS_FUSED, .count = 20, .specs = {
        {CONV(4, 3, 1, 1)}, {BATCHNORM}, {RELU, .name = "x0"},
        {CONV(4, 3, 1, 1)}, {BATCHNORM}, {RELU},
        {CONV(4, 3, 1, 1)}, {BATCHNORM, .name = "f1"}, {ADD, .input = {"f1", "x0"}}, {RELU, .name = "x1"},
        {PLAIN_CONV(6, 3, 2, 1)}, {BATCHNORM}, {RELU},
        {PLAIN_CONV(6, 3, 1, 1)}, {BATCHNORM, .name = "f2"},
        {PLAIN_CONV(6, 1, 2, 0), .input = {"x1"}}, {BATCHNORM, .name = "short"},
        {ADD, .input = {"f2", "short"}}, {FLATTEN},
        {LINEAR(5)}}},
    /* The same end as most residual networks have. */
    {.name = "global pool", .input = {3, 3, 5, 7}, .loss = LOSS_FUSED, .count = 6, .specs = {
        {CONV(17, 3, 1, 1), .name = "x0"}, {BATCHNORM, .name = "f1"}, {ADD, .input = {"f1", "x0"}}, {RELU},
        {GLOBAL_POOL},
        {LINEAR(5)}}},
    /* A residual block with squeeze-and-excitation before its sum, and a pooled image that is its own gate. */
    {.name = "gates", .input = {3, 3, 6, 5}, .loss = LOSS_FUSED, .count = 15, .specs = {
        {PLAIN_CONV(18, 3, 1, 1)}, {BATCHNORM}, {RELU, .name = "x0"},
        {PLAIN_CONV(18, 3, 1, 1)}, {BATCHNORM, .name = "n"},
        {GLOBAL_POOL}, {CONV(6, 1, 1, 0)}, {RELU}, {CONV(18, 1, 1, 0), .name = "z"},
        {GATE, .name = "scaled", .input = {"n", "z"}}, {ADD, .input = {"scaled", "x0"}}, {RELU},
        {GLOBAL_POOL, .name = "p"}, {GATE, .input = {"p", "p"}},
        {LINEAR(5)}}},
    /* Outputs that fusing and folding may not take away, because a sum reads them too: of a convolution, of a
     * normalization, of an activation before a pool, of a dropout that does nothing in an evaluation. */
    {.name = "second readers", .input = {3, 3, 6, 6}, .loss = LOSS_FUSED, .count = 16, .specs = {
        {CONV(4, 3, 1, 1), .name = "c"}, {BATCHNORM, .name = "n"}, {RELU, .name = "r"},
        {ADD, .input = {"r", "n", "c"}},
        {CONV(4, 1, 1, 0)}, {BATCHNORM}, {RELU, .name = "a"}, {AVERAGE_POOL(3, 1, 1), .name = "p"},
        {ADD, .input = {"p", "a"}},
        {CONV(4, 3, 1, 1)}, {DROPOUT(0.3), .name = "d"}, {BATCHNORM, .name = "m"},
        {ADD, .input = {"m", "d"}},
        {MAX_POOL(2, 2, 0)}, {FLATTEN}, {LINEAR(3)}}},
    /* A sum of an output with itself. */
    {.name = "twice", .input = {4, 6, 1, 1}, .loss = LOSS_FUSED, .count = 4, .specs = {
        {LINEAR(7), .name = "a"}, {ADD, .input = {"a", "a"}}, {ELU}, {LINEAR(3)}}},
    /* A normalization in primitives, which reads its input several times by itself. */
    {.name = "autodiff", .input = {3, 2, 4, 5}, .loss = LOSS_FUSED, .count = 6, .specs = {
        {CONV(5, 3, 1, 1), .name = "c"}, {BATCHNORM_AUTODIFF, .name = "n"}, {ADD, .input = {"n", "c"}}, {RELU},
        {FLATTEN}, {LINEAR(3)}}},
};
/* clang-format on */

const struct graph_case *graph_case_list(int *count)
{
    *count = sizeof cases / sizeof cases[0];
    return cases;
}

struct network *graph_case_build(const struct graph_case *graph, struct backend *backend)
{
    struct network *network;
    struct status status = {0};
    for (int i = 0; i < graph->count; i++) {
        struct op pool = op_make(OP_GLOBAL_POOL), gate = op_make(OP_GATE);
        if (graph->specs[i].kind == LAYER_GLOBAL_POOL && !backend_supports(backend, &pool)) return NULL;
        if (graph->specs[i].kind == LAYER_GATE && !backend_supports(backend, &gate)) return NULL;
    }
    CHECK(network_build(&network, backend, graph->specs, graph->count, graph->loss, graph->input, 42, &status));
    return network;
}
