/* The tables of the layer kinds, and the helpers that the kinds share. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "nn/layer_private.h"
#include "util/check.h"

const struct layer_ops *layer_ops_of(enum layer_kind kind)
{
    switch (kind) {
    case LAYER_LINEAR:
        return &layer_linear_ops;
    case LAYER_CONV2D:
        return &layer_conv2d_ops;
    case LAYER_POOL:
        return &layer_pool_ops;
    case LAYER_BATCHNORM:
        return &layer_batchnorm_ops;
    case LAYER_BATCHNORM_AUTODIFF:
        return &layer_batchnorm_autodiff_ops;
    case LAYER_ACTIVATION:
        return &layer_activation_ops;
    case LAYER_DROPOUT:
        return &layer_dropout_ops;
    case LAYER_FLATTEN:
        return &layer_flatten_ops;
    case LAYER_ADD:
        return &layer_add_ops;
    case LAYER_GLOBAL_POOL:
        return &layer_global_pool_ops;
    case LAYER_GATE:
        return &layer_gate_ops;
    case LAYER_SOFTMAX:
        return &layer_softmax_ops;
    }
    CHECK(!"a known kind of layer");
}

void layer_describe(const struct layer *layer, char *text, size_t size)
{
    snprintf(text, size, "%s", layer->ops->name);
    if (layer->ops->describe) layer->ops->describe(layer, text, size);
}

int64_t layer_parameter_scalars(const struct layer *layer)
{
    int64_t count = 0;
    for (int p = 0; p < layer->parameter_count; p++) count += shape_count(layer->parameter[p].value.shape);
    return count;
}

static bool fail(const struct layer_spec *spec, int index, struct status *status, const char *format, va_list arguments)
    __attribute__((format(printf, 4, 0)));
static bool fail(const struct layer_spec *spec, int index, struct status *status, const char *format, va_list arguments)
{
    char message[STATUS_MESSAGE_SIZE];
    vsnprintf(message, sizeof message, format, arguments);
    if (spec->origin) return status_fail(status, STATUS_USAGE, "%s: %s", spec->origin, message);
    return status_fail(status, STATUS_USAGE, "layer %d (%s): %s", index, layer_ops_of(spec->kind)->name, message);
}

bool layer_fail(const struct layer *layer, struct status *status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    bool good = fail(&layer->spec, layer->index, status, format, arguments);
    va_end(arguments);
    return good;
}

bool layer_spec_fail(const struct layer_spec *spec, int index, struct status *status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    bool good = fail(spec, index, status, format, arguments);
    va_end(arguments);
    return good;
}

void layer_add_parameter(struct layer *layer, const char *name, enum tensor_kind kind, struct shape shape)
{
    CHECK(layer->parameter_count < LAYER_MAX_PARAMETERS);
    struct tensor tensor = {NULL, shape, kind};
    layer->parameter[layer->parameter_count++] =
        (struct parameter){.name = name, .value = tensor, .gradient = tensor, .rate = 1, .decay = 1};
}

void layer_add_buffer(struct layer *layer, const char *name, struct shape shape)
{
    CHECK(layer->buffer_count < LAYER_MAX_BUFFERS);
    layer->buffer[layer->buffer_count++] = (struct layer_buffer){name, {NULL, shape, TENSOR_VECTOR}, 0};
}

bool layer_infer_same_shape(struct layer *layer, struct status *status)
{
    (void)status; /* any shape will do */
    layer->output = layer->input[0];
    return true;
}

void layer_add_weight(struct layer *layer, struct conv2d_params params)
{
    struct shape weight = {layer->output.c, layer->input[0].c / params.groups, params.window.kernel,
                           params.window.kernel};
    layer_add_parameter(layer, "weight", TENSOR_FILTER, weight);
    layer->multiply_adds = count_product(shape_count(weight), count_product(layer->output.h, layer->output.w));
}

void layer_add_bias(struct layer *layer)
{
    layer_add_parameter(layer, "bias", TENSOR_VECTOR, shape_vector(layer->output.c));
}

/* --- programs --- */

struct op layer_op(const struct layer *layer, enum op_kind kind)
{
    struct op op = op_make(kind);
    op.layer = layer->index;
    op.phase = PHASE_FORWARD;
    return op;
}

/* A tensor in one of the arenas. */
static int arena_tensor(struct program *program, const char *name, int index, const struct tensor *tensor,
                        enum space space, int64_t offset)
{
    return program_tensor_add(program, (struct program_tensor){.name = name,
                                                               .name_index = index,
                                                               .kind = tensor->kind,
                                                               .shape = tensor->shape,
                                                               .space = space,
                                                               .offset = offset,
                                                               .gradient = -1});
}

int layer_parameter(const struct layer *layer, enum layer_mode mode, struct program *program, int parameter)
{
    const struct parameter *p = &layer->parameter[parameter];
    int value = arena_tensor(program, p->name, layer->index, &p->value, SPACE_PARAMETERS, p->offset);
    if (mode == LAYER_EVALUATE || p->frozen) return value;
    int gradient = arena_tensor(program, parameter == 0 ? "dweight" : "dbias", layer->index, &p->gradient,
                                SPACE_GRADIENTS, p->offset);
    program->tensors[value].gradient = gradient;
    return value;
}

int layer_buffer(const struct layer *layer, struct program *program, int buffer)
{
    const struct layer_buffer *b = &layer->buffer[buffer];
    return arena_tensor(program, b->name, layer->index, &b->value, SPACE_STATISTICS, b->offset);
}
