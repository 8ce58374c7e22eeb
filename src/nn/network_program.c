/* Writes the programs of a network: training, evaluation, prediction, and parts of it alone (network.h). */
#include "nn/layer_private.h"
#include "nn/network.h"
#include "program/gradient.h"
#include "program/passes.h"
#include "util/check.h"

/* Adds the batch, which the caller fills unless there is a gather. */
static int add_input(const struct network *network, const struct network_request *request, struct program *program)
{
    struct shape shape = network->input;
    if (request->first > 0) shape = network->layers[request->first - 1].output;
    int x = program_activation(program, "x", shape.c, shape.h, shape.w);
    bool pixels = request->gather && request->pixels && network_takes_pixels(network);
    struct program_tensor *tensor = &program->tensors[x];
    if (pixels) {
        tensor->kind = TENSOR_PIXELS;
        tensor->bytes = tensor_bytes(network->backend, TENSOR_PIXELS, tensor->shape);
    }
    tensor->keep = !request->gather;
    return x;
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
    op.tensor[GATHER_X] = made->x;
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

static void write_layers(const struct network *network, const struct network_request *request,
                         struct network_program *made)
{
    made->y = made->x;
    made->logits = -1;
    for (int i = request->first; i < request->last; i++) {
        const struct layer *layer = &network->layers[i];
        if (layer->spec.kind == LAYER_SOFTMAX) made->logits = made->y;
        made->y = layer->ops->write(layer, request->mode, made->program, made->y);
    }
    if (network->loss == LOSS_FUSED) made->logits = made->y;
}

/* Writes the backward pass behind the forward ops. */
static void write_backward(const struct network_request *request, struct network_program *made)
{
    struct gradient_ends ends = {.output = -1, .doutput = -1, .inputs = &made->x, .dinputs = &made->dx};
    if (request->dinput) ends.input_count = 1;
    if (!request->loss) {
        ends.output = made->y;
        ends.doutput = made->dy = program_like(made->program, "dy", made->y);
        made->program->tensors[made->dy].keep = true;
    }
    program_gradient(made->program, &ends);
    if (made->dx >= 0) made->program->tensors[made->dx].keep = true;
}

struct network_program network_write(const struct network *network, const struct network_request *request)
{
    CHECK(request->first >= 0 && request->first <= request->last && request->last <= network->layer_count);
    struct network_program made = {.labels = -1, .dy = -1, .dx = -1};
    made.program = program_create(network->backend, request->n);
    made.x = add_input(network, request, made.program);
    if (request->gather || request->loss) made.labels = add_labels(request, made.program);
    if (request->gather) write_gather(request, &made);
    write_layers(network, request, &made);
    if (request->keep) made.program->tensors[made.y].keep = true;
    if (request->keep && made.logits >= 0) made.program->tensors[made.logits].keep = true;
    if (request->loss) write_loss(network, request, &made);
    if (request->fold) program_fold(made.program);
    program_fuse(made.program);
    if (request->mode == LAYER_TRAIN && request->backward) write_backward(request, &made);
    program_check(made.program, NULL);
    return made;
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
