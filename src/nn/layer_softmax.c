/* Softmax over the features of a vector; only LOSS_SEPARATE uses it, as the last layer. */
#include <inttypes.h>

#include "nn/layer_private.h"

static bool softmax_infer_shape(struct layer *layer, struct status *status)
{
    struct shape in = layer->input;
    if (in.h != 1 || in.w != 1)
        return layer_fail(layer, status, "a softmax wants vectors, but its input is %" PRId64 "x%" PRId64 "x%" PRId64,
                          in.c, in.h, in.w);
    return layer_infer_same_shape(layer, status);
}

static void softmax_forward(struct layer *layer, enum layer_mode mode, const struct tensor *x, const struct tensor *y)
{
    (void)mode;
    layer->backend->ops->softmax_forward(layer->backend, x, y);
}

static void softmax_backward(struct layer *layer, const struct tensor *x, const struct tensor *y,
                             const struct tensor *dy, const struct tensor *dx)
{
    (void)x;
    if (dx) layer->backend->ops->softmax_backward(layer->backend, y, dy, dx);
}

const struct layer_ops layer_softmax_ops = {
    .name = "softmax",
    .infer_shape = softmax_infer_shape,
    .forward = softmax_forward,
    .backward = softmax_backward,
};
