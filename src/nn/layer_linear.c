/* Linear layer: x (N,I,1,1), weight (O,I,1,1), [bias] (O) -> y (N,O,1,1), y = x W^T + b. */
#include <inttypes.h>

#include "nn/layer_private.h"

static const struct conv2d_params point = {{.kernel = 1, .stride = 1, .padding = 0}, .groups = 1};

static bool linear_infer_shape(struct layer *layer, struct status *status)
{
    struct shape in = layer->input[0];
    if (in.h != 1 || in.w != 1)
        return layer_fail(layer, status,
                          "a linear layer wants vectors, but its input is %" PRId64 "x%" PRId64 "x%" PRId64
                          "; flatten it first",
                          in.c, in.h, in.w);
    layer->output = (struct shape){in.n, layer->spec.linear.units, 1, 1};
    layer_add_weight(layer, point);
    if (!layer->spec.linear.without_bias) layer_add_bias(layer);
    return true;
}

static int linear_write(const struct layer *layer, enum layer_mode mode, struct program *program, const int *x)
{
    return layer_write_conv2d(layer, mode, point, program, x[0]);
}

static void linear_init(struct layer *layer)
{
    init_weight_and_bias(layer, &layer->spec.linear.init);
}

const struct layer_ops layer_linear_ops = {
    .name = "linear",
    .inputs = {1, 1},
    .infer_shape = linear_infer_shape,
    .init = linear_init,
    .write = linear_write,
};
