/* Tests the ONNX of networks that are no chains: every node reads what is there, under the right name. What other
 * programs make of such files is tested in tests/interop/test_exchange.py. */
#include <stdlib.h>
#include <string.h>
#include <criterion/criterion.h>

#include "../src/train/checkpoint_private.h"
#include "experiment_support.h"
#include "graph_cases.h"
#include "onnx.pb-c.h"
#include "predict/export.h"

/* --- a network's file --- */

/* The network's weights as tensors of a file. */
struct weights {
    struct backend *backend;
    struct safetensors_tensor *tensors;
    int count;
};

static bool add_weight(void *argument, const struct checkpoint_item *item)
{
    struct weights *weights = argument;
    weights->tensors = memory_resize(weights->tensors, (size_t)weights->count + 1, sizeof *weights->tensors);
    struct safetensors_tensor *tensor = &weights->tensors[weights->count++];
    *tensor = (struct safetensors_tensor){.name = memory_copy_string(item->name),
                                          .dtype = SAFETENSORS_F64,
                                          .rank = item->rank,
                                          .data = support_read(weights->backend, &item->tensor)};
    memcpy(tensor->shape, item->shape, sizeof item->shape);
    return true;
}

static void read_weights(const struct network *network, struct safetensors_file *file, const char *path)
{
    struct weights weights = {.backend = network->backend};
    struct status status = {0};
    checkpoint_each_weight(network, add_weight, &weights);
    cr_assert(safetensors_write(path, weights.tensors, weights.count, NULL, 0, &status), "%s", status.message);
    for (int i = 0; i < weights.count; i++)
        free((char *)weights.tensors[i].name), free((void *)weights.tensors[i].data);
    free(weights.tensors);
    cr_assert(safetensors_read(file, path, SAFETENSORS_DIGEST_REQUIRED, &status), "%s", status.message);
}

/* Exports the network; NULL where that is an error. Free with onnx__model_proto__free_unpacked. */
static Onnx__ModelProto *export(const struct network *network, struct status *status)
{
    struct experiment experiment = {.model.kind = MODEL_CONVNET, .experiment.name = "graph"};
    struct shape in = network->input;
    struct checkpoint checkpoint = {0};
    struct checkpoint_input input = {.channels = in.c, .height = in.h, .width = in.w};
    char *folder = support_folder(), *weights = support_path(folder, "weights"), *path = support_path(folder, "onnx");
    size_t size;
    input.classes = network->layers[network->layer_count - 1].output.c;
    input.offset = memory_alloc((size_t)shape_sample_count(in), sizeof(float));
    input.scale = memory_alloc((size_t)in.c, sizeof(float));
    read_weights(network, &checkpoint.file, weights);
    struct export_model model = {&checkpoint, &experiment, &input, network};
    Onnx__ModelProto *proto = NULL;
    if (export_onnx(&model, path, status)) {
        char *bytes = support_file_read(path, &size);
        proto = onnx__model_proto__unpack(NULL, size, (const uint8_t *)bytes);
        free(bytes);
    }
    safetensors_free(&checkpoint.file);
    free(input.offset), free(input.scale), free(weights), free(path);
    support_folder_remove(folder);
    return proto;
}

static Onnx__ModelProto *export_specs(const struct layer_spec *specs, int count, struct shape input,
                                      struct status *status)
{
    struct backend *backend = reference_create();
    struct network *network;
    cr_assert(network_build(&network, backend, specs, count, LOSS_FUSED, input, 1, status), "%s", status->message);
    Onnx__ModelProto *proto = export(network, status);
    network_destroy(network);
    backend_destroy(backend);
    return proto;
}

static Onnx__ModelProto *export_case(const char *name)
{
    int count;
    const struct graph_case *graphs = graph_case_list(&count);
    struct status status = {0};
    struct backend *backend = reference_create();
    while (strcmp(graphs->name, name) != 0) graphs++;
    struct network *network = graph_case_build(graphs, backend);
    Onnx__ModelProto *proto = export(network, &status);
    cr_assert_not_null(proto, "%s: %s", name, status.message);
    network_destroy(network);
    backend_destroy(backend);
    return proto;
}

/* --- what is in it --- */

static bool is_read(const Onnx__GraphProto *graph, const char *name)
{
    bool found = strcmp(name, "logits") == 0 || strcmp(name, "probabilities") == 0;
    for (size_t i = 0; i < graph->n_node; i++)
        for (size_t k = 0; k < graph->node[i]->n_input; k++) found |= strcmp(graph->node[i]->input[k], name) == 0;
    return found;
}

static bool is_there(const Onnx__GraphProto *graph, size_t node, const char *name)
{
    bool found = strcmp(name, "images") == 0;
    for (size_t i = 0; i < graph->n_initializer; i++) found |= strcmp(graph->initializer[i]->name, name) == 0;
    for (size_t i = 0; i < node; i++) found |= strcmp(graph->node[i]->output[0], name) == 0;
    return found;
}

/* ONNX wants the nodes in the order in which they can be computed, and one node for each value. */
static void expect_in_order(const Onnx__GraphProto *graph, const char *name)
{
    for (size_t i = 0; i < graph->n_node; i++) {
        const Onnx__NodeProto *node = graph->node[i];
        for (size_t k = 0; k < node->n_input; k++)
            cr_expect(is_there(graph, i, node->input[k]), "%s: %s reads %s", name, node->name, node->input[k]);
        cr_expect_eq(node->n_output, 1);
        cr_expect_not(is_there(graph, i, node->output[0]), "%s: %s is there twice", name, node->output[0]);
        cr_expect(is_read(graph, node->output[0]), "%s: nothing reads %s", name, node->output[0]);
    }
}

/* Compares the node that computes `output` with "<operator> <input> <input> ...". */
static void expect_node(const Onnx__GraphProto *graph, const char *output, const char *expected)
{
    char found[256] = "no node";
    for (size_t i = 0; i < graph->n_node; i++) {
        const Onnx__NodeProto *node = graph->node[i];
        if (strcmp(node->output[0], output) != 0) continue;
        snprintf(found, sizeof found, "%s", node->op_type);
        for (size_t k = 0; k < node->n_input; k++)
            snprintf(found + strlen(found), sizeof found - strlen(found), " %s", node->input[k]);
    }
    cr_expect_str_eq(found, expected, "%s: %s, expected %s", output, found, expected);
}

Test(export_onnx, every_graph_is_in_order)
{
    int count;
    const struct graph_case *graphs = graph_case_list(&count);
    for (int i = 0; i < count; i++) {
        Onnx__ModelProto *proto = export_case(graphs[i].name);
        expect_in_order(proto->graph, graphs[i].name);
        onnx__model_proto__free_unpacked(proto, NULL);
    }
}

Test(export_onnx, nodes_read_what_their_layers_read)
{
    static const struct {
        const char *graph, *output, *node;
    } expected[] = {
        {"diamond", "layers.2", "Conv layers.1 layers.2.weight layers.2.bias"},
        {"diamond", "layers.3", "Conv layers.1 layers.3.weight layers.3.bias"},
        {"diamond", "layers.4", "Add layers.2 layers.3"},
        {"crossed", "layers.0", "Gemm layers.0.input layers.0.weight layers.0.bias"},
        {"crossed", "layers.7", "Add layers.6 layers.2"},
        {"crossed", "logits", "Gemm layers.8 layers.9.weight layers.9.bias"},
        {"input", "layers.2", "Sum layers.0 layers.1 input"},
        {"input", "layers.5", "Sum layers.4 layers.2 input layers.0"},
        {"residual", "layers.15", "Conv layers.9 layers.15.weight"},
        {"global pool", "layers.4", "GlobalAveragePool layers.3"},
        {"global pool", "logits", "Gemm layers.5.input layers.5.weight layers.5.bias"},
        {"gates", "layers.9.sigmoid", "Sigmoid layers.8"},
        {"gates", "layers.9", "Mul layers.4 layers.9.sigmoid"},
        {"gates", "layers.13", "Mul layers.12 layers.13.sigmoid"},
        {"second readers", "layers.12", "Add layers.11 layers.9"}, /* layer 10 is a dropout */
        {"twice", "layers.1", "Add layers.0 layers.0"},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        Onnx__ModelProto *proto = export_case(expected[i].graph);
        expect_node(proto->graph, expected[i].output, expected[i].node);
        onnx__model_proto__free_unpacked(proto, NULL);
    }
}

/* A pooled image of one pixel is (N,D,1,1) in ONNX. A sum with a vector, or the end of the network, makes it (N,D). */
Test(export_onnx, vectors_have_one_shape)
{
    const struct layer_spec sum[] = {{.kind = LAYER_GLOBAL_POOL, .name = "pooled"},
                                     {.kind = LAYER_LINEAR, .name = "scaled", .linear = {.units = 3}},
                                     {.kind = LAYER_ADD, .input = {"scaled", "pooled"}}};
    struct status status = {0};
    Onnx__ModelProto *proto = export_specs(sum, 3, (struct shape){2, 3, 4, 5}, &status);
    cr_assert_not_null(proto, "%s", status.message);
    expect_in_order(proto->graph, "sum");
    expect_node(proto->graph, "layers.2.input.1", "Flatten layers.0");
    expect_node(proto->graph, "logits", "Add layers.1 layers.2.input.1");
    onnx__model_proto__free_unpacked(proto, NULL);
    proto = export_specs(sum, 1, (struct shape){2, 3, 4, 5}, &status);
    cr_assert_not_null(proto, "%s", status.message);
    expect_node(proto->graph, "logits", "Flatten layers.0");
    onnx__model_proto__free_unpacked(proto, NULL);
}

Test(export_onnx, convolutions_of_vectors_are_refused)
{
    const struct layer_spec specs[] = {{.kind = LAYER_FLATTEN},
                                       {.kind = LAYER_CONV2D, .conv2d = {.channels = 2, .window = {1, 1, 0}}}};
    struct status status = {0};
    cr_assert_null(export_specs(specs, 2, (struct shape){2, 3, 4, 5}, &status));
    cr_expect_eq(status.code, STATUS_USAGE);
    cr_expect_str_eq(status.message, "layer 1 (conv2d) has vectors as its input, and ONNX expects images");
}

Test(export_onnx, gates_that_are_vectors_are_refused)
{
    const struct layer_spec specs[] = {
        {.kind = LAYER_CONV2D, .name = "x", .conv2d = {.channels = 3, .window = {1, 1, 0}}},
        {.kind = LAYER_LINEAR, .name = "z", .linear = {.units = 3}},
        {.kind = LAYER_GATE, .input = {"x", "z"}}};
    struct status status = {0};
    cr_assert_null(export_specs(specs, 3, (struct shape){2, 3, 1, 1}, &status));
    cr_expect_str_eq(status.message, "layer 2 (gate) has vectors as its input, and ONNX expects images");
}
