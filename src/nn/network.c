/* Builds a network and holds its arenas. */
#include "nn/network.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/layer_private.h"
#include "nn/network_graph.h"
#include "util/check.h"
#include "util/memory.h"
#include "util/thousands.h"

/* --- build --- */

static bool check_activation(const struct layer *layer, struct status *status)
{
    struct shape out = layer->output;
    if (shape_count(out) <= NETWORK_MAX_TENSOR) return true;
    return layer_fail(layer, status,
                      "the output of a batch of %s samples, %" PRId64 "x%" PRId64 "x%" PRId64
                      " each, has more than the %s elements that are possible",
                      thousands_format(out.n).text, out.c, out.h, out.w, thousands_format(NETWORK_MAX_TENSOR).text);
}

static bool check_multiply_adds(const struct layer *layer, struct status *status)
{
    if (layer->multiply_adds <= NETWORK_MAX_MULTIPLY_ADDS) return true;
    return layer_fail(layer, status, "the layer takes more than the %s multiply-adds per sample that are possible",
                      thousands_format(NETWORK_MAX_MULTIPLY_ADDS).text);
}

/* Bytes that the layers need, up to the one at hand. */
struct memory_need {
    int64_t parameters, activations, largest; /* largest: the largest activation */
};

static bool count_parameters(struct network *network, const struct layer *layer, struct status *status)
{
    for (int p = 0; p < layer->parameter_count; p++) {
        struct shape shape = layer->parameter[p].value.shape;
        int64_t count = shape_count(shape);
        if (count > NETWORK_MAX_PARAMETERS - network->parameter_count)
            return layer_fail(layer, status,
                              "with this layer's %" PRId64 " x %s weights the network has more than the %s parameters "
                              "that are possible",
                              shape.n, thousands_format(shape_sample_count(shape)).text,
                              thousands_format(NETWORK_MAX_PARAMETERS).text);
        network->parameter_count += count;
    }
    return true;
}

enum { MIB = 1 << 20 };

/* Parameters and gradients, activations, two gradients of the largest. */
static int64_t bytes_of(const struct memory_need *need)
{
    return 2 * need->parameters + need->activations + 2 * need->largest;
}

/* Adds the layer's share of the device's memory. Fails where the device has less. */
static bool count_bytes(const struct network *network, const struct layer *layer, struct memory_need *need,
                        struct status *status)
{
    const struct backend *backend = network->backend;
    int64_t output = (int64_t)tensor_bytes(backend, TENSOR_ACTIVATION, layer->output);
    need->activations += output;
    if (output > need->largest) need->largest = output;
    for (int p = 0; p < layer->parameter_count; p++) {
        const struct tensor *value = &layer->parameter[p].value;
        need->parameters += (int64_t)tensor_bytes(backend, value->kind, value->shape);
    }
    int64_t total = bytes_of(need);
    if (total <= backend->memory_bytes) return true;
    return layer_fail(
        layer, status,
        "up to this layer the network takes %s MiB with batches of %s samples, expected at most the %s MiB "
        "that the process may use",
        thousands_format(total / MIB + 1).text, thousands_format(layer->output.n).text,
        thousands_format(backend->memory_bytes / MIB).text);
}

static struct shape shape_of(const struct network *network, int layer)
{
    return layer == NETWORK_INPUT ? network->input : network->layers[layer].output;
}

static bool check_output(const struct network *network, struct status *status)
{
    const struct layer *last = &network->layers[network->layer_count - 1];
    if (last->output.h == 1 && last->output.w == 1) return true;
    return layer_fail(last, status,
                      "the network ends with %" PRId64 "x%" PRId64 "x%" PRId64 " for a sample, expected a vector",
                      last->output.c, last->output.h, last->output.w);
}

/* Every limit is checked on the logical shapes before a backend sees them. */
static bool infer_layers(struct network *network, struct memory_need *need, struct status *status)
{
    *need = (struct memory_need){0};
    int first_parameter = 0;
    for (int i = 0; i < network->layer_count; i++) {
        struct layer *layer = &network->layers[i];
        layer->first_parameter = first_parameter;
        for (int k = 0; k < layer->sources.count; k++) layer->input[k] = shape_of(network, layer->sources.layer[k]);
        if (!layer->ops->infer_shape(layer, status) || !count_parameters(network, layer, status) ||
            !check_activation(layer, status) || !check_multiply_adds(layer, status) ||
            !count_bytes(network, layer, need, status))
            return false;
        first_parameter += layer->parameter_count;
    }
    return check_output(network, status);
}

/* Makes the layers, without shapes yet. */
static bool create_layers(struct network *network, const struct layer_spec *specs, uint64_t seed, struct status *status)
{
    struct layer_sources *sources = network_graph_resolve(specs, network->layer_count, status);
    if (!sources) return false;
    for (int i = 0; i < network->layer_count; i++)
        network->layers[i] = (struct layer){.ops = layer_ops_of(specs[i].kind),
                                            .spec = specs[i],
                                            .name = specs[i].name ? memory_copy_string(specs[i].name) : NULL,
                                            .sources = sources[i],
                                            .backend = network->backend,
                                            .index = i,
                                            .seed = seed};
    free(sources);
    return true;
}

/* Elements from the start of this tensor to the next one's, which lies on a cache line of its own. */
static size_t arena_share(const struct network *network, const struct tensor *tensor)
{
    size_t line = 64 / network->backend->scalar_size;
    size_t count = network->backend->table->tensor_count(network->backend, tensor->kind, tensor->shape);
    return (count + line - 1) / line * line;
}

static void count_arenas(struct network *network)
{
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        for (int p = 0; p < layer->parameter_count; p++)
            network->arena_count += arena_share(network, &layer->parameter[p].value);
        for (int b = 0; b < layer->buffer_count; b++)
            network->buffer_count += arena_share(network, &layer->buffer[b].value);
    }
}

/* Gives every parameter and buffer its place. */
static void place_arenas(struct network *network)
{
    int64_t scalar = (int64_t)network->backend->scalar_size, parameter_offset = 0, buffer_offset = 0; /* bytes */
    for (int i = 0; i < network->layer_count; i++) {
        struct layer *layer = &network->layers[i];
        for (int p = 0; p < layer->parameter_count; p++) {
            struct parameter *parameter = &layer->parameter[p];
            parameter->offset = parameter_offset;
            parameter->value.data = (char *)network->parameters + parameter_offset;
            parameter->gradient.data = (char *)network->gradients + parameter_offset;
            parameter_offset += (int64_t)arena_share(network, &parameter->value) * scalar;
        }
        for (int b = 0; b < layer->buffer_count; b++) {
            layer->buffer[b].offset = buffer_offset;
            layer->buffer[b].value.data = (char *)network->buffers + buffer_offset;
            buffer_offset += (int64_t)arena_share(network, &layer->buffer[b].value) * scalar;
        }
    }
}

static void create_arenas(struct network *network)
{
    struct backend *backend = network->backend;
    count_arenas(network);
    int64_t before = backend->allocated;
    network->parameters = backend->table->alloc(backend, network->arena_count * backend->scalar_size);
    network->memory.parameters = backend->allocated - before;
    network->gradients = backend->table->alloc(backend, network->arena_count * backend->scalar_size);
    network->memory.gradients = backend->allocated - before - network->memory.parameters;
    before = backend->allocated;
    network->buffers = backend->table->alloc(backend, network->buffer_count * backend->scalar_size);
    network->metrics = tensor_alloc(backend, TENSOR_METRICS, shape_vector(3));
    network->memory.scratch = backend->allocated - before;
    place_arenas(network);
}

static void init_layers(struct network *network)
{
    for (int i = 0; i < network->layer_count; i++) {
        struct layer *layer = &network->layers[i];
        if (layer->ops->init) layer->ops->init(layer);
        layer->spec.origin = layer->spec.name = NULL; /* the caller may free its strings from here on */
        memset(layer->spec.input, 0, sizeof layer->spec.input);
    }
}

/* Adds `count` layers as a group. Those before it that have no group are groups of their own: they have no op, since their
 * output is what they read. */
static void add_group(struct network *network, int first, int count)
{
    const struct layer_group *last = &network->groups[network->group_count - 1];
    for (int i = network->group_count > 0 ? last->first + last->count : 0; i < first; i++)
        network->groups[network->group_count++] = (struct layer_group){i, 1};
    if (count > 0) network->groups[network->group_count++] = (struct layer_group){first, count};
}

/* Finds which layers the backend does as one: the forward ops of training say so. */
static void find_groups(struct network *network)
{
    struct network_request request = {.mode = LAYER_TRAIN, .n = network->max_batch, .last = network->layer_count};
    struct network_program made = network_write(network, &request);
    network->groups = memory_alloc((size_t)network->layer_count, sizeof *network->groups);
    for (int i = 0, next = 0; i < made.program->op_count; i++) {
        const struct op *op = &made.program->ops[i];
        if (op->layer < next) continue; /* another op of the same layer */
        add_group(network, op->layer, op->layer_count);
        next = op->layer + op->layer_count;
    }
    add_group(network, network->layer_count, 0);
    program_free(made.program);
}

/* Appends to a text of at most `size` bytes, which is cut where it is longer. */
static void append(char *text, size_t size, const char *part, const char *more)
{
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s", part, more);
}

/* Appends which outputs layer i of the network reads of those before the group, unless that is the layer before it alone. A
 * layer has a name where another one than the next reads it. */
static void append_sources(const struct network *network, struct layer_group group, int i, char *text, size_t size)
{
    const struct layer_sources *sources = &network->layers[i].sources;
    if (sources->count == 1 && sources->layer[0] == i - 1) return;
    for (int k = 0, listed = 0; k < sources->count; k++) {
        int from = sources->layer[k];
        if (from >= group.first) continue;
        const char *name = from == NETWORK_INPUT ? "input" : network->layers[from].name;
        append(text, size, listed++ == 0 ? " of " : ", ", name);
    }
}

/* True where the layers have parameters, and all of them are frozen. */
static bool is_frozen(const struct layer *layers, int count)
{
    int trained = 0, frozen = 0;
    for (int i = 0; i < count; i++)
        for (int p = 0; p < layers[i].parameter_count; p++) layers[i].parameter[p].frozen ? frozen++ : trained++;
    return frozen > 0 && trained == 0;
}

struct shape network_describe_group(const struct network *network, struct layer_group group, char *text, size_t size)
{
    const struct layer *layers = network->layers + group.first, *last = &layers[group.count - 1];
    *text = '\0';
    if (last->name) append(text, size, last->name, ": ");
    for (int i = 0; i < group.count; i++) {
        char layer[64];
        layer_describe(&layers[i], layer, sizeof layer);
        append(text, size, i > 0 ? " + " : "", layer);
        append_sources(network, group, group.first + i, text, size);
    }
    if (is_frozen(layers, group.count)) append(text, size, ", ", "frozen");
    return last->output;
}

int64_t network_group_scalars(const struct network *network, struct layer_group group)
{
    int64_t sum = 0;
    for (int i = group.first; i < group.first + group.count; i++) sum += layer_parameter_scalars(&network->layers[i]);
    return sum;
}

int64_t network_group_multiply_adds(const struct network *network, struct layer_group group)
{
    int64_t sum = 0;
    for (int i = group.first; i < group.first + group.count; i++) sum += network->layers[i].multiply_adds;
    return sum;
}

/* Makes a network with layers and shapes, and no memory yet. */
static struct network *begin(struct backend *backend, const struct layer_spec *specs, int count, struct shape input,
                             uint64_t seed, struct memory_need *need, struct status *status)
{
    if (shape_count(input) > NETWORK_MAX_TENSOR) {
        status_fail(status, STATUS_USAGE,
                    "a batch of %s samples, %" PRId64 "x%" PRId64 "x%" PRId64
                    " each, has more than the %s values that are possible",
                    thousands_format(input.n).text, input.c, input.h, input.w,
                    thousands_format(NETWORK_MAX_TENSOR).text);
        return NULL;
    }
    struct network *begun = memory_alloc(1, sizeof *begun);
    begun->backend = backend;
    begun->layer_count = count;
    begun->layers = memory_alloc((size_t)count, sizeof *begun->layers);
    begun->input = input;
    begun->max_batch = input.n;
    if (create_layers(begun, specs, seed, status) && infer_layers(begun, need, status)) return begun;
    network_destroy(begun);
    return NULL;
}

bool network_fits(const struct backend *backend, const struct layer_spec *specs, int count, struct shape input,
                  int64_t bytes)
{
    struct status status;
    struct memory_need need;
    struct backend view = *backend; /* which is asked for sizes alone */
    struct network *begun = begin(&view, specs, count, input, 0, &need, &status);
    network_destroy(begun);
    return begun && bytes_of(&need) <= bytes;
}

bool network_build(struct network **network, struct backend *backend, const struct layer_spec *specs, int count,
                   enum loss_kind loss, struct shape input, uint64_t seed, struct status *status)
{
    CHECK(count > 0);
    CHECK((specs[count - 1].kind == LAYER_SOFTMAX) == (loss == LOSS_SEPARATE));
    struct memory_need need;
    struct network *built = *network = begin(backend, specs, count, input, seed, &need, status);
    if (!built) return false;
    built->loss = loss;
    create_arenas(built);
    init_layers(built);
    find_groups(built);
    return true;
}

void network_destroy(struct network *network)
{
    if (!network) return;
    struct backend *backend = network->backend;
    backend->table->free(backend, network->parameters);
    backend->table->free(backend, network->gradients);
    backend->table->free(backend, network->buffers);
    tensor_free(backend, &network->metrics);
    tensor_free(backend, &network->class_weights);
    for (int i = 0; i < network->layer_count; i++) free(network->layers[i].name);
    free(network->groups);
    free(network->layers);
    free(network);
}

struct metrics network_metrics(const struct network *network)
{
    return metrics_read(network->backend, &network->metrics);
}

void network_set_metrics(const struct network *network, struct metrics sums)
{
    metrics_write(network->backend, &network->metrics, sums);
}

void network_set_class_weights(struct network *network, const double *weights)
{
    struct backend *backend = network->backend;
    struct shape classes = shape_vector(network->layers[network->layer_count - 1].output.c);
    int64_t before = backend->allocated;
    CHECK(!network->class_weights.data);
    network->class_weights = tensor_alloc(backend, TENSOR_VECTOR, classes);
    backend->table->tensor_write(backend, &network->class_weights, weights);
    network->memory.scratch += backend->allocated - before;
}
