/* Builds a network, holds its memory, and runs it forward and backward. */
#include "trainer/network.h"

#include <inttypes.h>
#include <stdlib.h>

#include "nn/fold.h"
#include "nn/fuse.h"
#include "nn/layer_private.h"
#include "trainer/check.h"
#include "trainer/memory.h"
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
    int64_t folded;
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

/* Adds the layer's share of the device's memory: parameters and gradients, parameters that batch normalization is
 * folded into, activations, two gradient buffers. Fails where the device has less. */
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
    need->folded += fold_bytes(network, (int)(layer - network->layers));
    int64_t total = 2 * need->parameters + need->folded + need->activations + 2 * need->largest;
    if (total <= backend->memory_bytes) return true;
    return layer_fail(
        layer, status,
        "up to this layer the network takes %s MiB with batches of %s samples, expected at most the %s MiB "
        "that the process may use",
        thousands_format(total / MIB + 1).text, thousands_format(layer->output.n).text,
        thousands_format(backend->memory_bytes / MIB).text);
}

/* Every limit is checked on the logical shapes before a backend sees them. */
static bool infer_layers(struct network *network, const struct layer_spec *specs, uint64_t seed, struct status *status)
{
    struct shape shape = network->input.shape;
    struct memory_need need = {0};
    int first_parameter = 0, index = 0;
    for (int i = 0; i < network->layer_count; i++) {
        struct layer *layer = &network->layers[i];
        layer->ops = layer_ops_of(specs[i].kind);
        layer->spec = specs[i];
        layer->backend = network->backend;
        layer->index = index;
        layer->first_parameter = first_parameter;
        layer->seed = seed;
        layer->input = shape;
        if (!layer->ops->infer_shape(layer, status) || !count_parameters(network, layer, status) ||
            !check_activation(layer, status) || !check_multiply_adds(layer, status) ||
            !count_bytes(network, layer, &need, status))
            return false;
        first_parameter += layer->parameter_count;
        index += layer_spec_span(&specs[i]);
        shape = layer->output;
    }
    return true;
}

/* Elements from the start of this tensor to the next one's, which lies on a cache line of its own. */
static size_t arena_share(const struct network *network, const struct tensor *tensor)
{
    size_t line = 64 / network->backend->scalar_size;
    size_t count = network->backend->ops->tensor_count(network->backend, tensor->kind, tensor->shape);
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

void network_use(struct network *network, void *parameters, void *buffers)
{
    size_t scalar = network->backend->scalar_size, parameter_offset = 0, buffer_offset = 0; /* bytes */
    for (int i = 0; i < network->layer_count; i++) {
        struct layer *layer = &network->layers[i];
        for (int p = 0; p < layer->parameter_count; p++) {
            struct parameter *parameter = &layer->parameter[p];
            parameter->value.data = (char *)parameters + parameter_offset;
            parameter->gradient.data = (char *)network->gradients + parameter_offset;
            parameter_offset += arena_share(network, &parameter->value) * scalar;
        }
        for (int b = 0; b < layer->buffer_count; b++) {
            layer->buffer[b].value.data = (char *)buffers + buffer_offset;
            buffer_offset += arena_share(network, &layer->buffer[b].value) * scalar;
        }
    }
}

static void create_arenas(struct network *network)
{
    struct backend *backend = network->backend;
    count_arenas(network);
    int64_t before = backend->allocated;
    network->parameters = backend->ops->alloc(backend, network->arena_count * backend->scalar_size);
    network->memory.parameters = backend->allocated - before;
    network->gradients = backend->ops->alloc(backend, network->arena_count * backend->scalar_size);
    network->memory.gradients = backend->allocated - before - network->memory.parameters;
    before = backend->allocated;
    network->buffers = backend->ops->alloc(backend, network->buffer_count * backend->scalar_size);
    network->memory.scratch = backend->allocated - before;
    network_use(network, network->parameters, network->buffers);
}

static void create_activations(struct network *network)
{
    struct backend *backend = network->backend;
    size_t largest = 0;
    int64_t before = backend->allocated;
    network->input = tensor_alloc(backend, TENSOR_ACTIVATION, network->input.shape);
    network->labels = backend->ops->alloc(backend, (size_t)network->max_batch * sizeof *network->labels);
    for (int i = 0; i < network->layer_count; i++) {
        struct shape shape = network->layers[i].output;
        size_t bytes = tensor_bytes(backend, TENSOR_ACTIVATION, shape);
        network->activations[i] = tensor_alloc(backend, TENSOR_ACTIVATION, shape);
        if (bytes > largest) largest = bytes;
    }
    network->memory.activations = backend->allocated - before;
    for (int i = 0; i < 2; i++) network->gradient_buffer[i] = backend->ops->alloc(backend, largest);
    network->memory.activation_gradients = backend->allocated - before - network->memory.activations;
}

static void create_layers(struct network *network)
{
    int64_t before = network->backend->allocated;
    for (int i = 0; i < network->layer_count; i++) {
        struct layer *layer = &network->layers[i];
        if (layer->ops->create) layer->ops->create(layer);
        if (layer->ops->init) layer->ops->init(layer);
        layer->spec.origin = NULL; /* the caller may free it from here on */
    }
    fold_create(network);
    network->memory.scratch += network->backend->allocated - before;
}

bool network_build(struct network **network, struct backend *backend, const struct layer_spec *specs, int count,
                   enum loss_kind loss, struct shape input, uint64_t seed, struct status *status)
{
    CHECK(count > 0);
    CHECK((specs[count - 1].kind == LAYER_SOFTMAX) == (loss == LOSS_SEPARATE));
    *network = NULL;
    if (shape_count(input) > NETWORK_MAX_TENSOR)
        return status_fail(status, STATUS_USAGE,
                           "a batch of %s samples, %" PRId64 "x%" PRId64 "x%" PRId64
                           " each, has more than the %s values that are possible",
                           thousands_format(input.n).text, input.c, input.h, input.w,
                           thousands_format(NETWORK_MAX_TENSOR).text);
    struct network *built = memory_alloc(1, sizeof *built);
    struct layer_spec *fused = fuse_specs(backend, specs, count, &count);
    built->backend = backend;
    built->layer_count = count;
    built->layers = memory_alloc((size_t)count, sizeof *built->layers);
    built->activations = memory_alloc((size_t)count, sizeof *built->activations);
    built->loss = loss;
    built->input = (struct tensor){NULL, input, TENSOR_ACTIVATION};
    built->max_batch = input.n;
    bool possible = infer_layers(built, fused, seed, status);
    free(fused);
    if (!possible) {
        network_destroy(built);
        return false;
    }
    struct shape output = built->layers[count - 1].output;
    CHECK(output.h == 1 && output.w == 1);
    create_arenas(built);
    create_activations(built);
    create_layers(built);
    *network = built;
    return true;
}

void network_destroy(struct network *network)
{
    if (!network) return;
    struct backend *backend = network->backend;
    for (int i = 0; i < network->layer_count; i++) {
        struct layer *layer = &network->layers[i];
        if (layer->impl && layer->ops->destroy) layer->ops->destroy(layer);
        tensor_free(backend, &network->activations[i]);
    }
    for (int i = 0; i < 2; i++) backend->ops->free(backend, network->gradient_buffer[i]);
    fold_destroy(network);
    backend->ops->free(backend, network->parameters);
    backend->ops->free(backend, network->gradients);
    backend->ops->free(backend, network->buffers);
    backend->ops->free(backend, network->labels);
    tensor_free(backend, &network->input);
    tensor_free(backend, &network->class_weights);
    free(network->activations);
    free(network->layers);
    free(network);
}

void network_take_pixels(struct network *network)
{
    struct backend *backend = network->backend;
    const struct layer *first = &network->layers[0];
    struct shape shape = first->input;
    if (!backend->ops->pixels_offered || first->spec.kind != LAYER_LINEAR) return;
    if (!backend->ops->pixels_offered(backend, shape, first->output.c)) return;
    int64_t before = backend->allocated;
    tensor_free(backend, &network->input);
    network->input = tensor_alloc(backend, TENSOR_PIXELS, shape);
    network->memory.activations += backend->allocated - before;
}

void network_set_class_weights(struct network *network, const double *weights)
{
    struct backend *backend = network->backend;
    struct shape classes = shape_vector(network->layers[network->layer_count - 1].output.c);
    int64_t before = backend->allocated;
    CHECK(!network->class_weights.data);
    network->class_weights = tensor_alloc(backend, TENSOR_VECTOR, classes);
    backend->ops->tensor_write(backend, &network->class_weights, weights);
    network->memory.scratch += backend->allocated - before;
}

struct loss_params network_loss_params(const struct network *network)
{
    return (struct loss_params){.smoothing = network->label_smoothing,
                                .mixed = network->labels_mixed,
                                .class_weights = network->class_weights.data ? &network->class_weights : NULL};
}

/* --- run --- */

void network_set_batch(struct network *network, int64_t n)
{
    CHECK(n >= 1 && n <= network->max_batch);
    network->input.shape.n = n;
    for (int i = 0; i < network->layer_count; i++) network->activations[i].shape.n = n;
}

void network_observe(const struct network *network, enum network_phase phase, int layer)
{
    if (network->observer) network->observer->done(network->observer->argument, phase, layer);
}

void network_forward(struct network *network, enum layer_mode mode)
{
    const struct tensor *x = &network->input;
    for (int i = 0; i < network->layer_count; i++) {
        struct layer *layer = &network->layers[i];
        bool last = i + 1 == network->layer_count;
        bool nothing = layer->ops->identity_in_evaluation || fold_leaves_nothing(layer);
        if (mode == LAYER_EVALUATE && nothing && !last) continue;
        layer->ops->forward(layer, mode, x, &network->activations[i]);
        network_observe(network, PHASE_FORWARD, i);
        x = &network->activations[i];
    }
}

/* The input of the softmax that ends a network with LOSS_SEPARATE; NULL where an evaluation does not write it. */
static const struct tensor *logits_of(const struct network *network)
{
    int before = network->layer_count - 2;
    if (before < 0) return &network->input;
    const struct layer *layer = &network->layers[before];
    bool skipped = layer->ops->identity_in_evaluation || fold_leaves_nothing(layer);
    return skipped ? NULL : &network->activations[before];
}

/* dy (or NULL) gets the gradient of the mean loss with respect to the last activation. */
static void compute_loss(struct network *network, struct loss_params params, const struct tensor *dy)
{
    struct backend *backend = network->backend;
    const struct tensor *y = &network->activations[network->layer_count - 1];
    if (network->loss == LOSS_FUSED) {
        backend->ops->softmax_cross_entropy(backend, &params, y, network->labels, dy);
    } else {
        params.logits = logits_of(network);
        backend->ops->cross_entropy(backend, &params, y, network->labels, dy);
    }
    network_observe(network, PHASE_LOSS, -1);
}

/* Smoothed labels and class weights are means of training; the loss by which runs are compared has neither. */
void network_loss(struct network *network, int64_t skipped)
{
    compute_loss(network, (struct loss_params){.skipped = skipped}, NULL);
}

/* The gradient of an activation is dead once its layer has turned it into the gradient of the layer's input, so two
 * buffers that swap their roles are enough. */
void network_backward(struct network *network, const struct tensor *dinput)
{
    int last = network->layer_count - 1;
    struct tensor dy = network->activations[last];
    dy.data = network->gradient_buffer[0];
    compute_loss(network, network_loss_params(network), &dy);
    for (int i = last; i >= 0; i--) {
        struct layer *layer = &network->layers[i];
        const struct tensor *x = i > 0 ? &network->activations[i - 1] : &network->input;
        struct tensor dx = *x;
        dx.data = network->gradient_buffer[(last - i + 1) % 2];
        layer->ops->backward(layer, x, &network->activations[i], &dy, i > 0 ? &dx : dinput);
        network_observe(network, PHASE_BACKWARD, i);
        dy = dx;
    }
}

void network_rehearse(struct network *network, int64_t n)
{
    struct backend *backend = network->backend;
    int64_t before = backend->allocated;
    network_set_batch(network, network->max_batch);
    network_forward(network, LAYER_EVALUATE);
    network_set_batch(network, n);
    network_forward(network, LAYER_TRAIN);
    network_backward(network, NULL);
    for (int i = 0; i < network->layer_count; i++) {
        struct layer *layer = &network->layers[i];
        if (layer->buffer_count > 0) layer->ops->init(layer); /* the runs above moved the running statistics */
    }
    network->memory.scratch += backend->allocated - before;
}
