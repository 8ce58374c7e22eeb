/* Convolution: x (N,I,H,W), weight (O,I,K,K), bias (O) -> y (N,O,P,Q). The linear layer shares the functions
 * layer_plan_*. */
#include <inttypes.h>
#include <stdio.h>

#include "nn/layer_private.h"

static bool conv2d_infer_shape(struct layer *layer, struct status *status)
{
    struct shape in = layer->input;
    struct window window = layer->spec.conv2d.window;
    layer->output = (struct shape){in.n, layer->spec.conv2d.channels, window_output_size(in.h, window),
                                   window_output_size(in.w, window)};
    if (layer->output.h == 0 || layer->output.w == 0)
        return layer_fail(layer, status,
                          "a %" PRId64 "x%" PRId64 " convolution with stride %" PRId64 " and padding %" PRId64
                          " does not fit into its %" PRId64 "x%" PRId64 " input",
                          window.kernel, window.kernel, window.stride, window.padding, in.h, in.w);
    layer_add_weight_and_bias(layer, window.kernel);
    return true;
}

static void conv2d_describe(const struct layer *layer, char *text, size_t size)
{
    struct window window = layer->spec.conv2d.window;
    int used = snprintf(text, size, "conv2d %" PRId64 "x%" PRId64, window.kernel, window.kernel);
    if (window.stride != 1) snprintf(text + used, size - (size_t)used, ", stride %" PRId64, window.stride);
}

static void conv2d_create(struct layer *layer)
{
    layer_plan_create(layer, layer->spec.conv2d.window);
}

static void conv2d_init(struct layer *layer)
{
    init_weight_and_bias(layer, &layer->spec.conv2d.init);
}

void layer_plan_create(struct layer *layer, struct window window)
{
    layer->impl = layer->backend->ops->conv2d_plan_create(layer->backend, window, layer->input, layer->output.c);
}

void layer_plan_forward(struct layer *layer, enum layer_mode mode, const struct tensor *x, const struct tensor *y)
{
    const struct parameter *weight = &layer->parameter[0], *bias = &layer->parameter[1];
    bool folded = mode == LAYER_EVALUATE && layer->folded;
    layer->backend->ops->conv2d_forward(layer->backend, layer->impl, x, folded ? &weight->folded : &weight->value,
                                        folded ? &bias->folded : &bias->value, y);
}

void layer_plan_backward(struct layer *layer, const struct tensor *x, const struct tensor *y, const struct tensor *dy,
                         const struct tensor *dx)
{
    (void)y;
    layer->backend->ops->conv2d_backward(layer->backend, layer->impl, x, &layer->parameter[0].value, dy, dx,
                                         &layer->parameter[0].gradient, &layer->parameter[1].gradient);
}

void layer_plan_destroy(struct layer *layer)
{
    if (layer->impl) layer->backend->ops->conv2d_plan_destroy(layer->backend, layer->impl);
}

const struct layer_ops layer_conv2d_ops = {
    .name = "conv2d",
    .infer_shape = conv2d_infer_shape,
    .describe = conv2d_describe,
    .create = conv2d_create,
    .init = conv2d_init,
    .forward = layer_plan_forward,
    .backward = layer_plan_backward,
    .destroy = layer_plan_destroy,
};
