/* Convolution: x (N,I,H,W), weight (O,I/G,K,K), [bias] (O) -> y (N,O,P,Q), with G groups of channels. The linear layer
 * shares layer_write_conv2d. */
#include <inttypes.h>
#include <stdio.h>

#include "nn/layer_private.h"

static struct conv2d_params params_of(const struct layer *layer)
{
    int64_t groups = layer->spec.conv2d.groups;
    return (struct conv2d_params){layer->spec.conv2d.window, groups > 0 ? groups : 1};
}

static bool conv2d_infer_shape(struct layer *layer, struct status *status)
{
    struct shape in = layer->input[0];
    struct window window = layer->spec.conv2d.window;
    layer->output = (struct shape){in.n, layer->spec.conv2d.channels, window_output_size(in.h, window),
                                   window_output_size(in.w, window)};
    if (layer->output.h == 0 || layer->output.w == 0)
        return layer_fail(layer, status,
                          "a %" PRId64 "x%" PRId64 " convolution with stride %" PRId64 " and padding %" PRId64
                          " does not fit into its %" PRId64 "x%" PRId64 " input",
                          window.kernel, window.kernel, window.stride, window.padding, in.h, in.w);
    int64_t values = count_product(in.c, count_product(window.kernel, window.kernel));
    if (layer->spec.conv2d.whitening && values > WHITENING_VALUES)
        return layer_fail(layer, status,
                          "a whitening convolution of %" PRId64 "x%" PRId64 "x%" PRId64 " = %" PRId64
                          " values a patch; there may be %d",
                          in.c, window.kernel, window.kernel, values, WHITENING_VALUES);
    int64_t groups = params_of(layer).groups;
    if (in.c % groups != 0 || layer->output.c % groups != 0)
        return layer_fail(layer, status,
                          "%" PRId64 " groups do not divide its %" PRId64 " input channels and %" PRId64
                          " output channels evenly",
                          groups, in.c, layer->output.c);
    layer_add_weight(layer, params_of(layer));
    layer->parameter[0].frozen = layer->spec.conv2d.whitening;
    if (!layer->spec.conv2d.without_bias) layer_add_bias(layer);
    return true;
}

static void conv2d_describe(const struct layer *layer, char *text, size_t size)
{
    struct window window = layer->spec.conv2d.window;
    const char *name = layer->spec.conv2d.whitening ? "whitening" : "conv2d";
    int used = snprintf(text, size, "%s %" PRId64 "x%" PRId64, name, window.kernel, window.kernel);
    if (window.stride != 1) used += snprintf(text + used, size - (size_t)used, ", stride %" PRId64, window.stride);
    int64_t groups = params_of(layer).groups;
    if (groups == 1) return;
    bool depthwise = groups == layer->input[0].c && groups == layer->output.c;
    if (depthwise)
        snprintf(text + used, size - (size_t)used, ", depthwise");
    else
        snprintf(text + used, size - (size_t)used, ", %" PRId64 " groups", groups);
}

static void conv2d_init(struct layer *layer)
{
    init_weight_and_bias(layer, &layer->spec.conv2d.init);
}

int layer_write_conv2d(const struct layer *layer, enum layer_mode mode, struct conv2d_params params,
                       struct program *program, int x)
{
    struct op op = layer_op(layer, OP_CONV2D);
    op.conv2d = params;
    op.tensor[CONV2D_X] = x;
    op.tensor[CONV2D_WEIGHT] = layer_parameter(layer, mode, program, 0);
    if (layer->parameter_count > 1) op.tensor[CONV2D_BIAS] = layer_parameter(layer, mode, program, 1);
    return program_output(program, op);
}

static int conv2d_write(const struct layer *layer, enum layer_mode mode, struct program *program, const int *x)
{
    return layer_write_conv2d(layer, mode, params_of(layer), program, x[0]);
}

const struct layer_ops layer_conv2d_ops = {
    .name = "conv2d",
    .inputs = {1, 1},
    .infer_shape = conv2d_infer_shape,
    .describe = conv2d_describe,
    .init = conv2d_init,
    .write = conv2d_write,
};
