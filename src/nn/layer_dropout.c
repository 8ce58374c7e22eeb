/* Dropout. The mask is drawn anew in the backward pass from the same counters, so nothing is saved. */
#include <stdio.h>

#include "nn/layer_private.h"
#include "trainer/philox.h"

static struct dropout_params dropout_params(const struct layer *layer, double rate)
{
    return (struct dropout_params){rate, layer->seed, (uint32_t)(RNG_STREAM_LAYER + layer->index)};
}

static void dropout_describe(const struct layer *layer, char *text, size_t size)
{
    snprintf(text, size, "dropout %g", layer->spec.dropout.rate);
}

/* In evaluation it is called only where the network ends with this layer: rate 0 copies. */
static void dropout_forward(struct layer *layer, enum layer_mode mode, const struct tensor *x, const struct tensor *y)
{
    struct dropout_params params = dropout_params(layer, mode == LAYER_TRAIN ? layer->spec.dropout.rate : 0);
    layer->backend->ops->dropout(layer->backend, &params, x, y);
}

static void dropout_backward(struct layer *layer, const struct tensor *x, const struct tensor *y,
                             const struct tensor *dy, const struct tensor *dx)
{
    (void)x, (void)y;
    struct dropout_params params = dropout_params(layer, layer->spec.dropout.rate);
    if (dx) layer->backend->ops->dropout(layer->backend, &params, dy, dx);
}

const struct layer_ops layer_dropout_ops = {
    .name = "dropout",
    .identity_in_evaluation = true,
    .infer_shape = layer_infer_same_shape,
    .describe = dropout_describe,
    .forward = dropout_forward,
    .backward = dropout_backward,
};
