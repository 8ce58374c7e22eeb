/* Batch normalization, the activation after it and maybe a pool after that, which the backend does as one operation: x
 * (N,C,H,W) -> y (N,C,H,W) or, pooled, (N,C,P,Q). Parameters, running statistics, names and messages are those of the
 * layers that it stands for, so that nothing but the speed and the memory tells whether they were fused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/layer_private.h"
#include "trainer/memory.h"

struct fused_state {
    struct tensor mean, rstd; /* (C) of the batch, from forward to backward */
    void *saved;              /* the taps of the pool that won; NULL: none */
};

struct batchnorm_fused_params layer_batchnorm_fused_params(const struct layer_spec *spec)
{
    return (struct batchnorm_fused_params){
        .batchnorm = spec->batchnorm_fused.batchnorm.params,
        .activation = spec->batchnorm_fused.activation,
        .pooled = spec->batchnorm_fused.pooled,
        .pool = spec->batchnorm_fused.pool,
    };
}

/* The activation (part 1) or the pool (part 2) as a layer of its own, for the functions of its kind. */
static struct layer part_of(const struct layer *layer, int part)
{
    struct layer_spec spec = {.kind = LAYER_ACTIVATION, .origin = layer->spec.origin};
    spec.activation = layer->spec.batchnorm_fused.activation;
    if (part == 2) {
        spec = (struct layer_spec){.kind = LAYER_POOL, .origin = layer->spec.batchnorm_fused.pool_origin};
        spec.pool = layer->spec.batchnorm_fused.pool;
    }
    return (struct layer){.ops = layer_ops_of(spec.kind),
                          .spec = spec,
                          .backend = layer->backend,
                          .index = layer->index + part,
                          .input = layer->input};
}

static void fused_describe(const struct layer *layer, char *text, size_t size)
{
    snprintf(text, size, "%s", layer_batchnorm_ops.name);
    for (int part = 1; part < layer_spec_span(&layer->spec); part++) {
        struct layer alone = part_of(layer, part);
        size_t used = strlen(text);
        used += (size_t)snprintf(text + used, size - used, " + ");
        if (used < size) layer_describe(&alone, text + used, size - used);
    }
}

static bool fused_infer_shape(struct layer *layer, struct status *status)
{
    if (!layer_batchnorm_infer_shape(layer, status)) return false;
    if (!layer->spec.batchnorm_fused.pooled) return true;
    struct layer pool = part_of(layer, 2);
    if (!pool.ops->infer_shape(&pool, status)) return false;
    layer->output = pool.output;
    return true;
}

static void fused_create(struct layer *layer)
{
    struct backend *backend = layer->backend;
    struct fused_state *state = memory_alloc(1, sizeof *state);
    struct shape channels = shape_vector(layer->input.c);
    state->mean = tensor_alloc(backend, TENSOR_VECTOR, channels);
    state->rstd = tensor_alloc(backend, TENSOR_VECTOR, channels);
    size_t bytes = 0;
    if (layer->spec.batchnorm_fused.pooled)
        bytes = backend->ops->pool_saved_bytes(backend, layer->spec.batchnorm_fused.pool, layer->output);
    if (bytes > 0) state->saved = backend->ops->alloc(backend, bytes);
    layer->spec.batchnorm_fused.pool_origin = NULL; /* the caller may free it from here on */
    layer->impl = state;
}

static void fused_forward(struct layer *layer, enum layer_mode mode, const struct tensor *x, const struct tensor *y)
{
    const struct backend_ops *ops = layer->backend->ops;
    const struct fused_state *state = layer->impl;
    const struct tensor *gamma = &layer->parameter[0].value, *beta = &layer->parameter[1].value;
    const struct tensor *running_mean = layer->buffer_count ? &layer->buffer[0].value : NULL;
    const struct tensor *running_var = layer->buffer_count ? &layer->buffer[1].value : NULL;
    struct batchnorm_fused_params params = layer_batchnorm_fused_params(&layer->spec);
    if (mode == LAYER_EVALUATE && layer->folded) {
        ops->batchnorm_fused_evaluate(layer->backend, &params, x, NULL, NULL, NULL, NULL, y);
        return;
    }
    if (mode == LAYER_EVALUATE && layer->buffer_count > 0) {
        ops->batchnorm_fused_evaluate(layer->backend, &params, x, gamma, beta, running_mean, running_var, y);
        return;
    }
    ops->batchnorm_fused_forward(layer->backend, &params, x, gamma, beta, running_mean, running_var, y, &state->mean,
                                 &state->rstd, state->saved);
}

static void fused_backward(struct layer *layer, const struct tensor *x, const struct tensor *y, const struct tensor *dy,
                           const struct tensor *dx)
{
    (void)y;
    const struct fused_state *state = layer->impl;
    struct batchnorm_fused_params params = layer_batchnorm_fused_params(&layer->spec);
    layer->backend->ops->batchnorm_fused_backward(
        layer->backend, &params, x, &layer->parameter[0].value, &layer->parameter[1].value, &state->mean, &state->rstd,
        dy, state->saved, dx, &layer->parameter[0].gradient, &layer->parameter[1].gradient);
}

static void fused_destroy(struct layer *layer)
{
    struct fused_state *state = layer->impl;
    if (!state) return;
    tensor_free(layer->backend, &state->mean);
    tensor_free(layer->backend, &state->rstd);
    layer->backend->ops->free(layer->backend, state->saved);
    free(state);
}

const struct layer_ops layer_batchnorm_fused_ops = {
    .name = "batchnorm",
    .describe = fused_describe,
    .infer_shape = fused_infer_shape,
    .create = fused_create,
    .init = layer_batchnorm_init,
    .forward = fused_forward,
    .backward = fused_backward,
    .destroy = fused_destroy,
};
