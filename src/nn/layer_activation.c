/* ReLU and its relatives, element by element. */
#include <stdio.h>

#include "nn/layer_private.h"

static void activation_describe(const struct layer *layer, char *text, size_t size)
{
    static const char *const names[] = {ACTIVATION_CHOICES(CHOICE_NAME)};
    snprintf(text, size, "%s", names[layer->spec.activation.kind]);
}

static void activation_forward(struct layer *layer, enum layer_mode mode, const struct tensor *x,
                               const struct tensor *y)
{
    (void)mode;
    layer->backend->ops->activation_forward(layer->backend, layer->spec.activation, x, y);
}

static void activation_backward(struct layer *layer, const struct tensor *x, const struct tensor *y,
                                const struct tensor *dy, const struct tensor *dx)
{
    (void)y;
    if (dx) layer->backend->ops->activation_backward(layer->backend, layer->spec.activation, x, dy, dx);
}

const struct layer_ops layer_activation_ops = {
    .name = "activation",
    .infer_shape = layer_infer_same_shape,
    .describe = activation_describe,
    .forward = activation_forward,
    .backward = activation_backward,
};
