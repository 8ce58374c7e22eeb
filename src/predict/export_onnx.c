/* Exports ONNX: the layers become the nodes of a graph, one after the other. The messages are protobuf-c's. All that
 * they point to is allocated, so that protobuf-c frees the whole tree. */
#include "predict/export.h"

#ifdef TRAINER_ONNX
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "onnx.pb-c.h"
#include "util/check.h"
#include "util/file_atomic.h"
#include "util/memory.h"

enum { IR_VERSION = 8, OPERATOR_SET = 17, FLOAT32 = 1, INPUTS_MAX = 5, ATTRIBUTES_MAX = 4 };

/* --- messages --- */

/* What a node computes. */
struct value {
    char *name;     /* owned; NULL: there is none yet */
    bool is_vector; /* it is (N,D), else (N,C,H,W) */
};

struct graph {
    Onnx__GraphProto *proto;
    size_t node_capacity, tensor_capacity;
    const struct layer *layer;             /* at hand: its index names its node, its output and its tensors */
    struct value inputs[LAYER_MAX_INPUTS]; /* of that layer */
    struct value *values;                  /* by layer, from NETWORK_INPUT on */
};

/* Sets a value, whose name is copied. */
static void set_value(struct value *value, const char *name, bool is_vector)
{
    char *copy = memory_copy_string(name);
    free(value->name);
    *value = (struct value){copy, is_vector};
}

/* Makes room for one more pointer. protobuf-c frees each array of a message, so each grows on its own. */
static void *grow(void *array, size_t count, size_t *capacity)
{
    if (count < *capacity) return array;
    *capacity = *capacity ? 2 * *capacity : 16;
    return memory_resize(array, *capacity, sizeof(void *));
}

/* Adds a node from `inputs` (ended by NULL) to `output`. */
static Onnx__NodeProto *add_node(struct graph *graph, const char *op, const char *const *inputs, const char *output)
{
    Onnx__GraphProto *proto = graph->proto;
    Onnx__NodeProto *node = memory_alloc(1, sizeof *node);
    onnx__node_proto__init(node);
    node->op_type = memory_copy_string(op);
    node->name = memory_copy_string(output);
    node->input = memory_alloc(INPUTS_MAX, sizeof(char *));
    for (; inputs[node->n_input]; node->n_input++) {
        CHECK(node->n_input < INPUTS_MAX);
        node->input[node->n_input] = memory_copy_string(inputs[node->n_input]);
    }
    node->output = memory_alloc(1, sizeof(char *));
    node->output[node->n_output++] = memory_copy_string(output);
    proto->node = grow(proto->node, proto->n_node, &graph->node_capacity);
    proto->node[proto->n_node++] = node;
    return node;
}

static Onnx__AttributeProto *add_attribute(Onnx__NodeProto *node, const char *name,
                                           Onnx__AttributeProto__AttributeType type)
{
    if (!node->attribute) node->attribute = memory_alloc(ATTRIBUTES_MAX, sizeof(void *));
    CHECK(node->n_attribute < ATTRIBUTES_MAX);
    Onnx__AttributeProto *attribute = memory_alloc(1, sizeof *attribute);
    onnx__attribute_proto__init(attribute);
    attribute->name = memory_copy_string(name);
    attribute->has_type = true;
    attribute->type = type;
    return node->attribute[node->n_attribute++] = attribute;
}

static void add_integer(Onnx__NodeProto *node, const char *name, int64_t value)
{
    Onnx__AttributeProto *attribute = add_attribute(node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    attribute->has_i = true;
    attribute->i = value;
}

static void add_real(Onnx__NodeProto *node, const char *name, double value)
{
    Onnx__AttributeProto *attribute = add_attribute(node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    attribute->has_f = true;
    attribute->f = (float)value;
}

/* Adds a list that holds the same value `count` times. */
static void add_integers(Onnx__NodeProto *node, const char *name, int64_t value, size_t count)
{
    Onnx__AttributeProto *attribute = add_attribute(node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    attribute->ints = memory_alloc(count, sizeof(int64_t));
    attribute->n_ints = count;
    for (size_t i = 0; i < count; i++) attribute->ints[i] = value;
}

/* Adds a float32 tensor; takes over `values` (count). */
static void add_initializer(struct graph *graph, const char *name, int rank, const int64_t *shape, float *values,
                            int64_t count)
{
    Onnx__GraphProto *proto = graph->proto;
    Onnx__TensorProto *tensor = memory_alloc(1, sizeof *tensor);
    onnx__tensor_proto__init(tensor);
    tensor->name = memory_copy_string(name);
    tensor->has_data_type = true;
    tensor->data_type = FLOAT32;
    tensor->dims = memory_alloc((size_t)rank, sizeof(int64_t));
    for (int i = 0; i < rank; i++) tensor->dims[tensor->n_dims++] = shape[i];
    tensor->has_raw_data = true;
    tensor->raw_data = (ProtobufCBinaryData){(size_t)count * sizeof(float), (uint8_t *)values};
    proto->initializer = grow(proto->initializer, proto->n_initializer, &graph->tensor_capacity);
    proto->initializer[proto->n_initializer++] = tensor;
}

static float *to_floats(const struct safetensors_tensor *tensor)
{
    double *values = memory_alloc((size_t)tensor->count, sizeof *values);
    float *floats = memory_alloc((size_t)tensor->count, sizeof *floats);
    safetensors_values(tensor, values);
    for (int64_t i = 0; i < tensor->count; i++) floats[i] = (float)values[i];
    free(values);
    return floats;
}

/* Describes a float32 value of shape (N, then `shape`), in a new array with room for a second one. */
static Onnx__ValueInfoProto **value_info(const char *name, int rank, const int64_t *shape)
{
    Onnx__ValueInfoProto *value = memory_alloc(1, sizeof *value);
    onnx__value_info_proto__init(value);
    value->name = memory_copy_string(name);
    value->type = memory_alloc(1, sizeof *value->type);
    onnx__type_proto__init(value->type);
    value->type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    Onnx__TypeProto__Tensor *type = value->type->tensor_type = memory_alloc(1, sizeof *type);
    onnx__type_proto__tensor__init(type);
    type->has_elem_type = true;
    type->elem_type = FLOAT32;
    type->shape = memory_alloc(1, sizeof *type->shape);
    onnx__tensor_shape_proto__init(type->shape);
    type->shape->n_dim = (size_t)rank + 1;
    type->shape->dim = memory_alloc((size_t)rank + 1, sizeof(void *));
    for (int i = 0; i <= rank; i++) {
        Onnx__TensorShapeProto__Dimension *dimension = type->shape->dim[i] = memory_alloc(1, sizeof *dimension);
        onnx__tensor_shape_proto__dimension__init(dimension);
        dimension->value_case = i == 0 ? ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM
                                       : ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        if (i == 0)
            dimension->dim_param = memory_copy_string("N");
        else
            dimension->dim_value = shape[i - 1];
    }
    Onnx__ValueInfoProto **array = memory_alloc(2, sizeof *array);
    array[0] = value;
    return array;
}

/* --- layers --- */

/* Puts the pixels of a value in one row. */
static void flatten(struct graph *graph, struct value *value, const char *output)
{
    const char *inputs[] = {value->name, NULL};
    add_integer(add_node(graph, "Flatten", inputs, output), "axis", 1);
    set_value(value, output, true);
}

/* Makes vectors of those inputs of the layer that are none. */
static void flatten_inputs(struct graph *graph)
{
    for (int k = 0; k < graph->layer->sources.count; k++) {
        if (graph->inputs[k].is_vector) continue;
        char *output = k == 0 ? memory_format("layers.%d.input", graph->layer->index)
                              : memory_format("layers.%d.input.%d", graph->layer->index, k);
        flatten(graph, &graph->inputs[k], output);
        free(output);
    }
}

/* Adds a node from the layer's inputs and tensors to its output, which is a vector where the first input is one. */
static Onnx__NodeProto *add_layer(struct graph *graph, const struct export_model *model, const char *op,
                                  const char *const *tensors)
{
    const struct layer *layer = graph->layer;
    const char *inputs[INPUTS_MAX + 1] = {NULL};
    char *names[INPUTS_MAX] = {NULL};
    int count = layer->sources.count;
    for (int k = 0; k < count; k++) inputs[k] = graph->inputs[k].name;
    for (int i = 0; tensors[i]; i++) {
        inputs[count + i] = names[i] = memory_format("layers.%d.%s", layer->index, tensors[i]);
        const struct safetensors_tensor *tensor = safetensors_find(&model->checkpoint->file, names[i]);
        CHECK(tensor); /* checkpoint_load_weights found it already */
        add_initializer(graph, names[i], tensor->rank, tensor->shape, to_floats(tensor), tensor->count);
    }
    char *output = memory_format("layers.%d", layer->index);
    Onnx__NodeProto *node = add_node(graph, op, inputs, output);
    set_value(&graph->values[layer->index], output, graph->inputs[0].is_vector);
    for (int i = 0; names[i]; i++) free(names[i]);
    free(output);
    return node;
}

/* Adds a node without tensors. */
static Onnx__NodeProto *add_plain(struct graph *graph, const struct export_model *model, const char *op)
{
    const char *const none[] = {NULL};
    return add_layer(graph, model, op, none);
}

static void add_window(Onnx__NodeProto *node, struct window window)
{
    add_integers(node, "kernel_shape", window.kernel, 2);
    add_integers(node, "strides", window.stride, 2);
    add_integers(node, "pads", window.padding, 4);
}

static void add_pool(struct graph *graph, const struct export_model *model, struct pool_params pool)
{
    Onnx__NodeProto *node = add_plain(graph, model, pool.kind == POOL_MAX ? "MaxPool" : "AveragePool");
    add_window(node, pool.window);
    if (pool.kind == POOL_AVERAGE) add_integer(node, "count_include_pad", 1);
}

/* Adds a number as a tensor of the layer, and returns its name in a new string. */
static char *add_number(struct graph *graph, const char *name, double value)
{
    float *values = memory_alloc(1, sizeof *values);
    char *whole = memory_format("layers.%d.%s", graph->layer->index, name);
    *values = (float)value;
    add_initializer(graph, whole, 0, NULL, values, 1);
    return whole;
}

/* Adds a node within the layer, and returns the name of its output in a new string. `b` is NULL where it takes one input. */
static char *add_part(struct graph *graph, const char *op, const char *a, const char *b, const char *name)
{
    const char *const inputs[] = {a, b, NULL};
    char *output = memory_format("layers.%d.%s", graph->layer->index, name);
    add_node(graph, op, inputs, output);
    return output;
}

/* Adds the last node of a layer of several. */
static void add_last(struct graph *graph, const char *op, const char *a, const char *b)
{
    const char *const inputs[] = {a, b, NULL};
    char *output = memory_format("layers.%d", graph->layer->index);
    add_node(graph, op, inputs, output);
    set_value(&graph->values[graph->layer->index], output, graph->inputs[0].is_vector);
    free(output);
}

/* y = (x / 2) (1 + erf(x / sqrt(2))): this operator set has no operator for it. */
static void add_gelu(struct graph *graph)
{
    const char *x = graph->inputs[0].name;
    char *root = add_number(graph, "root", sqrt(0.5)), *one = add_number(graph, "one", 1);
    char *half = add_number(graph, "half", 0.5), *scaled = add_part(graph, "Mul", x, root, "scaled");
    char *erf = add_part(graph, "Erf", scaled, NULL, "erf"), *sum = add_part(graph, "Add", erf, one, "sum");
    char *halved = add_part(graph, "Mul", x, half, "halved");
    add_last(graph, "Mul", halved, sum);
    free(root), free(one), free(half), free(scaled), free(erf), free(sum), free(halved);
}

/* y = min(max(0, x), 6) */
static void add_relu6(struct graph *graph)
{
    char *six = add_number(graph, "six", 6),
         *positive = add_part(graph, "Relu", graph->inputs[0].name, NULL, "positive");
    add_last(graph, "Min", positive, six);
    free(six), free(positive);
}

static void add_silu(struct graph *graph)
{
    const char *x = graph->inputs[0].name;
    char *sigmoid = add_part(graph, "Sigmoid", x, NULL, "sigmoid");
    add_last(graph, "Mul", x, sigmoid);
    free(sigmoid);
}

static void add_gate(struct graph *graph)
{
    char *sigmoid = add_part(graph, "Sigmoid", graph->inputs[1].name, NULL, "sigmoid");
    add_last(graph, "Mul", graph->inputs[0].name, sigmoid);
    free(sigmoid);
}

static void add_activation(struct graph *graph, const struct export_model *model, struct activation_params activation)
{
    switch (activation.kind) {
    case ACTIVATION_RELU:
        add_plain(graph, model, "Relu");
        return;
    case ACTIVATION_RELU6:
        add_relu6(graph);
        return;
    case ACTIVATION_LEAKY_RELU:
        add_real(add_plain(graph, model, "LeakyRelu"), "alpha", activation.slope);
        return;
    case ACTIVATION_ELU:
        add_real(add_plain(graph, model, "Elu"), "alpha", activation.slope);
        return;
    case ACTIVATION_GELU:
        add_gelu(graph);
        return;
    case ACTIVATION_SILU:
        add_silu(graph);
        return;
    case ACTIVATION_NONE:
        break;
    }
    CHECK(!"an activation");
}

static bool has_vectors(const struct graph *graph)
{
    bool any = false;
    for (int k = 0; k < graph->layer->sources.count; k++) any |= graph->inputs[k].is_vector;
    return any;
}

/* Here a vector has one shape, in ONNX it is (N,D) or (N,D,1,1). */
static void add_sum(struct graph *graph, const struct export_model *model)
{
    if (has_vectors(graph)) flatten_inputs(graph);
    add_plain(graph, model, graph->layer->sources.count == 2 ? "Add" : "Sum");
}

/* The layer hands on what it takes: dropout does nothing after training, and add_outputs adds a softmax of its own. */
static void pass_on(struct graph *graph)
{
    set_value(&graph->values[graph->layer->index], graph->inputs[0].name, graph->inputs[0].is_vector);
}

/* True for the kinds whose node wants (N,C,H,W). */
static bool takes_images(enum layer_kind kind)
{
    return kind == LAYER_CONV2D || kind == LAYER_POOL || kind == LAYER_GLOBAL_POOL || kind == LAYER_GATE;
}

static bool check_layer(const struct graph *graph, const struct export_model *model, struct status *status)
{
    const struct layer *layer = graph->layer;
    bool normalizes = layer->spec.kind == LAYER_BATCHNORM || layer->spec.kind == LAYER_BATCHNORM_AUTODIFF;
    if (normalizes && layer->spec.batchnorm.batch_stats_only)
        return experiment_fail(model->experiment, "model.batchnorm_batch_stats_only", status,
                               "true, and ONNX normalizes by running statistics only");
    if (takes_images(layer->spec.kind) && has_vectors(graph))
        return status_fail(status, STATUS_USAGE, "layer %d (%s) has vectors as its input, and ONNX expects images",
                           layer->index, layer->ops->name);
    return true;
}

static void add_conv2d(Onnx__NodeProto *node, const struct layer_spec *spec)
{
    add_window(node, spec->conv2d.window);
    if (spec->conv2d.groups > 1) add_integer(node, "group", spec->conv2d.groups);
}

static void add_nodes(struct graph *graph, const struct export_model *model)
{
    const char *const weights[] = {"weight", graph->layer->parameter_count > 1 ? "bias" : NULL, NULL};
    const char *const statistics[] = {"weight", "bias", "running_mean", "running_var", NULL};
    const struct layer_spec *spec = &graph->layer->spec;
    switch (spec->kind) {
    case LAYER_LINEAR:
        flatten_inputs(graph);
        add_integer(add_layer(graph, model, "Gemm", weights), "transB", 1);
        return;
    case LAYER_CONV2D:
        add_conv2d(add_layer(graph, model, "Conv", weights), &graph->layer->spec);
        return;
    case LAYER_POOL:
        add_pool(graph, model, spec->pool);
        return;
    case LAYER_GLOBAL_POOL:
        add_plain(graph, model, "GlobalAveragePool");
        return;
    case LAYER_GATE:
        add_gate(graph);
        return;
    case LAYER_BATCHNORM:
    case LAYER_BATCHNORM_AUTODIFF:
        add_real(add_layer(graph, model, "BatchNormalization", statistics), "epsilon", spec->batchnorm.params.epsilon);
        return;
    case LAYER_ACTIVATION:
        add_activation(graph, model, spec->activation);
        return;
    case LAYER_FLATTEN:
        add_integer(add_plain(graph, model, "Flatten"), "axis", 1);
        graph->values[graph->layer->index].is_vector = true;
        return;
    case LAYER_ADD:
        add_sum(graph, model);
        return;
    case LAYER_DROPOUT:
    case LAYER_SOFTMAX:
        pass_on(graph);
        return;
    }
    check_failed("a kind of layer", __FILE__, __LINE__);
}

static bool add_network(struct graph *graph, const struct export_model *model, struct status *status)
{
    bool good = true;
    for (int i = 0; good && i < model->network->layer_count; i++) {
        graph->layer = &model->network->layers[i];
        for (int k = 0; k < graph->layer->sources.count; k++) {
            const struct value *from = &graph->values[graph->layer->sources.layer[k]];
            set_value(&graph->inputs[k], from->name, from->is_vector);
        }
        good = check_layer(graph, model, status);
        if (good) add_nodes(graph, model);
    }
    return good;
}

/* Adds (images - offset) * scale, and for a perceptron puts the pixels in one row. */
static void add_input(struct graph *graph, const struct export_model *model)
{
    const struct checkpoint_input *input = model->input;
    const int64_t offset_shape[] = {1, input->channels, input->height, input->width};
    const int64_t scale_shape[] = {1, input->channels, 1, 1};
    int64_t pixels = input->channels * input->height * input->width;
    float *offset = memory_alloc((size_t)pixels, sizeof *offset);
    float *scale = memory_alloc((size_t)input->channels, sizeof *scale);
    memcpy(offset, input->offset, (size_t)pixels * sizeof *offset);
    memcpy(scale, input->scale, (size_t)input->channels * sizeof *scale);
    add_initializer(graph, "input.offset", 4, offset_shape, offset, pixels);
    add_initializer(graph, "input.scale", 4, scale_shape, scale, input->channels);
    add_node(graph, "Sub", (const char *const[]){"images", "input.offset", NULL}, "input.centred");
    add_node(graph, "Mul", (const char *const[]){"input.centred", "input.scale", NULL}, "input");
    set_value(&graph->values[NETWORK_INPUT], "input", false);
    if (model->experiment->model.kind == MODEL_MLP) flatten(graph, &graph->values[NETWORK_INPUT], "input.flat");
}

/* Names the network's output "logits", adds the probabilities, and declares the graph's inputs and outputs. */
static void add_outputs(struct graph *graph, const struct export_model *model)
{
    Onnx__GraphProto *proto = graph->proto;
    const struct checkpoint_input *input = model->input;
    const int64_t image[] = {input->channels, input->height, input->width};
    struct value *last = &graph->values[model->network->layer_count - 1];
    if (!last->is_vector) flatten(graph, last, "output");
    char **output = &proto->node[proto->n_node - 1]->output[0];
    CHECK(strcmp(*output, last->name) == 0);
    free(*output);
    *output = memory_copy_string("logits");
    add_integer(add_node(graph, "Softmax", (const char *const[]){"logits", NULL}, "probabilities"), "axis", 1);
    proto->input = value_info("images", 3, image);
    proto->n_input = 1;
    proto->output = value_info("logits", 1, &input->classes);
    Onnx__ValueInfoProto **second = value_info("probabilities", 1, &input->classes);
    proto->output[1] = *second;
    proto->n_output = 2;
    free(second);
}

static bool build_graph(Onnx__GraphProto *proto, const struct export_model *model, struct status *status)
{
    int count = model->network->layer_count + 1;
    struct value *values = memory_alloc((size_t)count, sizeof *values);
    struct graph graph = {.proto = proto, .values = values - NETWORK_INPUT};
    add_input(&graph, model);
    bool good = add_network(&graph, model, status);
    if (good) add_outputs(&graph, model);
    for (int i = 0; i < count; i++) free(values[i].name);
    for (int k = 0; k < LAYER_MAX_INPUTS; k++) free(graph.inputs[k].name);
    free(values);
    return good;
}

/* --- the file --- */

static void add_property(Onnx__ModelProto *proto, const char *key, const char *value)
{
    if (!value) return;
    Onnx__StringStringEntryProto *entry = memory_alloc(1, sizeof *entry);
    onnx__string_string_entry_proto__init(entry);
    entry->key = memory_copy_string(key);
    entry->value = memory_copy_string(value);
    proto->metadata_props[proto->n_metadata_props++] = entry;
}

static Onnx__ModelProto *model_message(const struct export_model *model)
{
    Onnx__ModelProto *proto = memory_alloc(1, sizeof *proto);
    onnx__model_proto__init(proto);
    proto->has_ir_version = true;
    proto->ir_version = IR_VERSION;
    proto->producer_name = memory_copy_string("trainer");
    proto->producer_version = memory_copy_string(TRAINER_VERSION);
    proto->opset_import = memory_alloc(1, sizeof(void *));
    proto->n_opset_import = 1;
    Onnx__OperatorSetIdProto *set = proto->opset_import[0] = memory_alloc(1, sizeof *set);
    onnx__operator_set_id_proto__init(set);
    set->domain = memory_copy_string("");
    set->has_version = true;
    set->version = OPERATOR_SET;
    proto->metadata_props = memory_alloc(2, sizeof(void *));
    add_property(proto, "class_names", safetensors_metadata_find(&model->checkpoint->file, "class_names"));
    add_property(proto, "step", safetensors_metadata_find(&model->checkpoint->file, "step"));
    proto->graph = memory_alloc(1, sizeof *proto->graph);
    onnx__graph_proto__init(proto->graph);
    proto->graph->name = memory_copy_string(model->experiment->experiment.name);
    return proto;
}

static bool write_message(const Onnx__ModelProto *proto, const char *path, struct status *status)
{
    size_t size = onnx__model_proto__get_packed_size(proto);
    if (size > INT32_MAX) /* protocol buffers hold no more */
        return status_fail(status, STATUS_RUNTIME, "%s: not written: %zu bytes, and an ONNX file has less than 2 GiB",
                           path, size);
    uint8_t *bytes = memory_alloc(size, 1);
    onnx__model_proto__pack(proto, bytes);
    struct file_atomic file;
    bool written = file_atomic_open(&file, path, status) && file_atomic_write(&file, bytes, size, status) &&
                   file_atomic_commit(&file, status);
    free(bytes);
    return written;
}

bool export_onnx(const struct export_model *model, const char *path, struct status *status)
{
    Onnx__ModelProto *proto = model_message(model);
    bool good = build_graph(proto->graph, model, status) && write_message(proto, path, status);
    onnx__model_proto__free_unpacked(proto, NULL);
    return good;
}
#else
bool export_onnx(const struct export_model *model, const char *path, struct status *status)
{
    (void)model;
    return status_fail(status, STATUS_USAGE,
                       "%s: not written: this build has no protobuf-c (Debian: libprotobuf-c-dev, protobuf-c-compiler)",
                       path);
}
#endif
