/* Batch normalization over x (N,C,H,W), of images and of vectors alike; formulas: struct batchnorm_params in backend.h.
 * The backward pass, with its derivation, is the backend's (cpu_batchnorm.c). */
#include <stdlib.h>

#include "nn/layer_private.h"
#include "trainer/memory.h"

struct batchnorm_state {
    struct tensor mean, rstd; /* (C) of the batch, from forward to backward */
};

bool layer_normalizes(const struct layer *layer)
{
    enum layer_kind kind = layer->spec.kind;
    return kind == LAYER_BATCHNORM || kind == LAYER_BATCHNORM_AUTODIFF || kind == LAYER_BATCHNORM_FUSED;
}

bool layer_batchnorm_infer_shape(struct layer *layer, struct status *status)
{
    (void)status;
    struct shape channels = shape_vector(layer->input.c);
    layer->output = layer->input;
    layer_add_parameter(layer, "weight", TENSOR_VECTOR, channels);
    layer_add_parameter(layer, "bias", TENSOR_VECTOR, channels);
    if (!layer->spec.batchnorm.batch_stats_only) {
        layer_add_buffer(layer, "running_mean", channels);
        layer_add_buffer(layer, "running_var", channels);
    }
    return true;
}

static void batchnorm_create(struct layer *layer)
{
    struct batchnorm_state *state = memory_alloc(1, sizeof *state);
    struct shape channels = shape_vector(layer->input.c);
    state->mean = tensor_alloc(layer->backend, TENSOR_VECTOR, channels);
    state->rstd = tensor_alloc(layer->backend, TENSOR_VECTOR, channels);
    layer->impl = state;
}

void layer_batchnorm_init(struct layer *layer)
{
    init_constant(layer, &layer->parameter[0].value, 1);
    init_constant(layer, &layer->parameter[1].value, 0);
    if (layer->buffer_count == 0) return;
    init_constant(layer, &layer->buffer[0].value, 0);
    init_constant(layer, &layer->buffer[1].value, 1);
}

void layer_batchnorm_evaluate(struct layer *layer, const struct tensor *x, const struct tensor *y)
{
    layer->backend->ops->batchnorm_evaluate(layer->backend, layer->spec.batchnorm.params, x, &layer->parameter[0].value,
                                            &layer->parameter[1].value, &layer->buffer[0].value,
                                            &layer->buffer[1].value, y);
}

static void batchnorm_forward(struct layer *layer, enum layer_mode mode, const struct tensor *x, const struct tensor *y)
{
    if (mode == LAYER_EVALUATE && layer->buffer_count > 0) {
        layer_batchnorm_evaluate(layer, x, y);
        return;
    }
    const struct batchnorm_state *state = layer->impl;
    const struct tensor *running_mean = layer->buffer_count ? &layer->buffer[0].value : NULL;
    const struct tensor *running_var = layer->buffer_count ? &layer->buffer[1].value : NULL;
    layer->backend->ops->batchnorm_forward(layer->backend, layer->spec.batchnorm.params, x, &layer->parameter[0].value,
                                           &layer->parameter[1].value, running_mean, running_var, y, &state->mean,
                                           &state->rstd);
}

static void batchnorm_backward(struct layer *layer, const struct tensor *x, const struct tensor *y,
                               const struct tensor *dy, const struct tensor *dx)
{
    (void)y;
    const struct batchnorm_state *state = layer->impl;
    layer->backend->ops->batchnorm_backward(layer->backend, x, &layer->parameter[0].value, &state->mean, &state->rstd,
                                            dy, dx, &layer->parameter[0].gradient, &layer->parameter[1].gradient);
}

static void batchnorm_destroy(struct layer *layer)
{
    struct batchnorm_state *state = layer->impl;
    if (!state) return;
    tensor_free(layer->backend, &state->mean);
    tensor_free(layer->backend, &state->rstd);
    free(state);
}

const struct layer_ops layer_batchnorm_ops = {
    .name = "batchnorm",
    .infer_shape = layer_batchnorm_infer_shape,
    .create = batchnorm_create,
    .init = layer_batchnorm_init,
    .forward = batchnorm_forward,
    .backward = batchnorm_backward,
    .destroy = batchnorm_destroy,
};
