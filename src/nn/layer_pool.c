/* Max and average pooling: x (N,C,H,W) -> y (N,C,P,Q). impl has the bytes that the backend's forward pass saves for its
 * backward pass. */
#include <inttypes.h>
#include <stdio.h>

#include "nn/layer_private.h"

static bool pool_infer_shape(struct layer *layer, struct status *status)
{
    struct shape in = layer->input;
    struct window window = layer->spec.pool.window;
    /* With more padding a window could lie in it entirely, and its maximum would be -inf. */
    if (window.padding > window.kernel / 2)
        return layer_fail(layer, status,
                          "padding %" PRId64 " is more than half of the pool's %" PRId64 "x%" PRId64
                          " window; expected 0..%" PRId64,
                          window.padding, window.kernel, window.kernel, window.kernel / 2);
    layer->output = (struct shape){in.n, in.c, window_output_size(in.h, window), window_output_size(in.w, window)};
    if (layer->output.h == 0 || layer->output.w == 0)
        return layer_fail(layer, status,
                          "a %" PRId64 "x%" PRId64 " window with stride %" PRId64 " and padding %" PRId64
                          " does not fit into its %" PRId64 "x%" PRId64 " input",
                          window.kernel, window.kernel, window.stride, window.padding, in.h, in.w);
    return true;
}

static void pool_describe(const struct layer *layer, char *text, size_t size)
{
    struct window window = layer->spec.pool.window;
    snprintf(text, size, "%s-pool %" PRId64 "x%" PRId64 ", stride %" PRId64,
             layer->spec.pool.kind == POOL_MAX ? "max" : "average", window.kernel, window.kernel, window.stride);
}

static void pool_create(struct layer *layer)
{
    struct backend *backend = layer->backend;
    size_t bytes = backend->ops->pool_saved_bytes(backend, layer->spec.pool, layer->output);
    if (bytes > 0) layer->impl = backend->ops->alloc(backend, bytes);
}

static void pool_forward(struct layer *layer, enum layer_mode mode, const struct tensor *x, const struct tensor *y)
{
    (void)mode;
    layer->backend->ops->pool_forward(layer->backend, layer->spec.pool, x, y, layer->impl);
}

static void pool_backward(struct layer *layer, const struct tensor *x, const struct tensor *y, const struct tensor *dy,
                          const struct tensor *dx)
{
    (void)x, (void)y;
    if (dx) layer->backend->ops->pool_backward(layer->backend, layer->spec.pool, dy, layer->impl, dx);
}

static void pool_destroy(struct layer *layer)
{
    layer->backend->ops->free(layer->backend, layer->impl);
}

const struct layer_ops layer_pool_ops = {
    .name = "pool",
    .infer_shape = pool_infer_shape,
    .describe = pool_describe,
    .create = pool_create,
    .forward = pool_forward,
    .backward = pool_backward,
    .destroy = pool_destroy,
};
