/* Writes the programs of a network: training, evaluation, prediction, and parts of it alone (network.h). */
#include "nn/network.h"

#include <stdio.h>
#include <stdlib.h>

#include "backend/prepared.h"
#include "nn/layer_private.h"
#include "program/gradient.h"
#include "program/op_title.h"
#include "program/passes.h"
#include "util/check.h"
#include "util/memory.h"

/* The program being written. */
struct writer {
    const struct network *network;
    const struct network_request *request;
    struct network_program *made;
    int *values; /* by layer, from NETWORK_INPUT on: the tensor of its output, or of an input; -1: none yet */
};

/* Adds an input, which the caller fills unless there is a gather. */
static int add_input(const struct writer *writer, int layer)
{
    const struct network *network = writer->network;
    const struct network_request *request = writer->request;
    struct program *program = writer->made->program;
    struct shape shape = layer == NETWORK_INPUT ? network->input : network->layers[layer].output;
    int x = program_activation(program, "x", shape.c, shape.h, shape.w);
    program->tensors[x].keep = !request->gather;
    return x;
}

/* Adds the output of a layer before the first, if it is none yet. */
static void need_input(const struct writer *writer, int layer)
{
    struct network_program *made = writer->made;
    if (layer >= writer->request->first || writer->values[layer] >= 0) return;
    CHECK(made->input_count < LAYER_MAX_INPUTS);
    writer->values[layer] = made->x[made->input_count++] = add_input(writer, layer);
}

/* The inputs of no layers at all are those of a loss. */
static void add_inputs(const struct writer *writer)
{
    const struct network_request *request = writer->request;
    for (int i = request->first; i < request->last; i++) {
        const struct layer_sources *sources = &writer->network->layers[i].sources;
        for (int k = 0; k < sources->count; k++) need_input(writer, sources->layer[k]);
    }
    if (request->first == request->last) need_input(writer, request->last - 1);
}

static int add_labels(const struct network_request *request, struct program *program)
{
    return program_tensor_add(program, (struct program_tensor){.name = "labels",
                                                               .name_index = -1,
                                                               .kind = TENSOR_LABELS,
                                                               .shape = {program->max_n, 1, 1, 1},
                                                               .batch = true,
                                                               .space = SPACE_WORK,
                                                               .gradient = -1,
                                                               .keep = !request->gather});
}

static void write_gather(const struct network_request *request, struct network_program *made)
{
    struct op op = op_make(OP_GATHER);
    op.gather = *request->gather;
    op.phase = PHASE_GATHER;
    CHECK(request->first == 0);
    op.tensor[GATHER_X] = made->x[0];
    op.tensor[GATHER_LABELS] = made->labels;
    program_add(made->program, op);
}

static int add_class_weights(const struct network *network, struct program *program)
{
    if (!network->class_weights.data) return -1;
    return program_tensor_add(program, (struct program_tensor){.name = "class_weights",
                                                               .name_index = -1,
                                                               .kind = TENSOR_VECTOR,
                                                               .shape = network->class_weights.shape,
                                                               .space = SPACE_CONSTANTS,
                                                               .gradient = -1});
}

static int add_metrics(struct program *program)
{
    return program_tensor_add(program, (struct program_tensor){.name = "metrics",
                                                               .name_index = -1,
                                                               .kind = TENSOR_METRICS,
                                                               .shape = shape_vector(3),
                                                               .space = SPACE_METRICS,
                                                               .gradient = -1});
}

/* Smoothed labels and class weights are means of training; the loss by which runs are compared has neither. */
static void write_loss(const struct network *network, const struct network_request *request,
                       struct network_program *made)
{
    struct program *program = made->program;
    bool fused = network->loss == LOSS_FUSED, train = request->mode == LAYER_TRAIN;
    struct op op = op_make(fused ? OP_SOFTMAX_CROSS_ENTROPY : OP_CROSS_ENTROPY);
    op.phase = PHASE_LOSS;
    if (train) op.loss = (struct loss_params){.smoothing = network->label_smoothing, .mixed = network->labels_mixed};
    int weights = train ? add_class_weights(network, program) : -1;
    if (fused) {
        op.tensor[SOFTMAX_CROSS_ENTROPY_LOGITS] = made->y;
        op.tensor[SOFTMAX_CROSS_ENTROPY_LABELS] = made->labels;
        op.tensor[SOFTMAX_CROSS_ENTROPY_WEIGHTS] = weights;
        op.tensor[SOFTMAX_CROSS_ENTROPY_METRICS] = add_metrics(program);
    } else {
        op.tensor[CROSS_ENTROPY_PROBABILITIES] = made->y;
        op.tensor[CROSS_ENTROPY_LABELS] = made->labels;
        op.tensor[CROSS_ENTROPY_WEIGHTS] = weights;
        op.tensor[CROSS_ENTROPY_LOGITS] = made->logits;
        op.tensor[CROSS_ENTROPY_METRICS] = add_metrics(program);
    }
    program_add(program, op);
}

static void write_layers(const struct writer *writer)
{
    const struct network *network = writer->network;
    const struct network_request *request = writer->request;
    struct network_program *made = writer->made;
    for (int i = request->first; i < request->last; i++) {
        const struct layer *layer = &network->layers[i];
        int x[LAYER_MAX_INPUTS];
        for (int k = 0; k < layer->sources.count; k++) x[k] = writer->values[layer->sources.layer[k]];
        if (layer->spec.kind == LAYER_SOFTMAX) made->logits = x[0];
        writer->values[i] = layer->ops->write(layer, request->mode, made->program, x);
    }
    made->y = writer->values[request->last - 1];
    if (network->loss == LOSS_FUSED) made->logits = made->y;
}

/* Writes the backward pass behind the forward ops. */
static void write_backward(const struct network_request *request, struct network_program *made)
{
    struct gradient_ends ends = {.output = -1, .doutput = -1, .inputs = made->x, .dinputs = made->dx};
    if (request->dinput) ends.input_count = made->input_count;
    if (!request->loss) {
        ends.output = made->y;
        ends.doutput = made->dy = program_like(made->program, "dy", made->y);
        made->program->tensors[made->dy].keep = true;
    }
    program_gradient(made->program, &ends);
    for (int k = 0; k < ends.input_count; k++)
        if (made->dx[k] >= 0) made->program->tensors[made->dx[k]].keep = true;
}

static void write_forward(const struct network *network, const struct network_request *request,
                          struct network_program *made)
{
    int *tensors = memory_alloc((size_t)network->layer_count + 1, sizeof *tensors);
    const struct writer writer = {network, request, made, tensors - NETWORK_INPUT};
    for (int i = 0; i <= network->layer_count; i++) tensors[i] = -1;
    add_inputs(&writer);
    if (request->gather || request->loss) made->labels = add_labels(request, made->program);
    if (request->gather) write_gather(request, made);
    write_layers(&writer);
    free(tensors);
}

struct network_program network_write(const struct network *network, const struct network_request *request)
{
    CHECK(request->first >= 0 && request->first <= request->last && request->last <= network->layer_count);
    struct network_program made = {.labels = -1, .logits = -1, .dy = -1};
    for (int k = 0; k < LAYER_MAX_INPUTS; k++) made.x[k] = made.dx[k] = -1;
    made.program = program_create(network->backend, request->n);
    write_forward(network, request, &made);
    if (request->keep) made.program->tensors[made.y].keep = true;
    if (request->keep && made.logits >= 0) made.program->tensors[made.logits].keep = true;
    if (request->loss) write_loss(network, request, &made);
    if (request->fold) program_fold(made.program);
    program_fuse(made.program);
    if (request->mode == LAYER_TRAIN && request->backward) write_backward(request, &made);
    program_check(made.program, NULL);
    return made;
}

bool network_check_op(const struct network *network, const struct program *program, const struct op *op,
                      struct status *status)
{
    char title[128], kind[64], place[128] = "";
    if (backend_supports(network->backend, op)) return true;
    op_title(program, op, title, sizeof title);
    if (op->layer >= 0) {
        const struct layer *layer = &network->layers[op->layer];
        layer_describe(layer, kind, sizeof kind);
        snprintf(place, sizeof place, "layer %d (%s): ", layer->index, kind);
    }
    return status_fail(status, STATUS_USAGE, "%sthe backend (%s) does not compute \"%s\"", place,
                       network->backend->description, title);
}

bool network_check_support(const struct network *network, const struct program *program, struct status *status)
{
    for (int i = 0; i < program->op_count; i++)
        if (!network_check_op(network, program, &program->ops[i], status)) return false;
    return true;
}

void network_write_clip(const struct network *network, double limit, struct program *program)
{
    struct op op = op_make(OP_CLIP);
    op.phase = PHASE_OPTIMIZER;
    op.clip = limit;
    op.tensor[CLIP_X] = program_tensor_add(
        program, (struct program_tensor){.name = "gradients",
                                         .name_index = -1,
                                         .kind = TENSOR_FLAT,
                                         .shape = shape_vector((int64_t)network->arena_count),
                                         .space = SPACE_GRADIENTS,
                                         .bytes = network->arena_count * network->backend->scalar_size,
                                         .gradient = -1});
    program_add(program, op);
}

void network_bases(const struct network *network, void *base[])
{
    base[SPACE_PARAMETERS] = network->parameters;
    base[SPACE_GRADIENTS] = network->gradients;
    base[SPACE_STATISTICS] = network->buffers;
    base[SPACE_CONSTANTS] = network->class_weights.data;
    base[SPACE_METRICS] = network->metrics.data;
}

struct tensor network_tensor(const struct network_program *made, int tensor, void *work)
{
    const struct program_tensor *from = &made->program->tensors[tensor];
    CHECK(from->space == SPACE_WORK && from->keep);
    return (struct tensor){(char *)work + from->offset, from->shape, from->kind};
}
