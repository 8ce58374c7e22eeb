/* Flatten, from images to vectors: x (N,C,H,W) -> y (N,C*H*W,1,1), in the boundary's order. */
#include "nn/layer_private.h"

static bool flatten_infer_shape(struct layer *layer, struct status *status)
{
    (void)status;
    layer->output = (struct shape){layer->input.n, shape_sample_count(layer->input), 1, 1};
    return true;
}

static void flatten_forward(struct layer *layer, enum layer_mode mode, const struct tensor *x, const struct tensor *y)
{
    (void)mode;
    layer->backend->ops->flatten_forward(layer->backend, x, y);
}

static void flatten_backward(struct layer *layer, const struct tensor *x, const struct tensor *y,
                             const struct tensor *dy, const struct tensor *dx)
{
    (void)x, (void)y;
    if (dx) layer->backend->ops->flatten_backward(layer->backend, dy, dx);
}

const struct layer_ops layer_flatten_ops = {
    .name = "flatten",
    .infer_shape = flatten_infer_shape,
    .forward = flatten_forward,
    .backward = flatten_backward,
};
