/* Softmax over the features of a vector; only LOSS_SEPARATE uses it, as the last layer. */
#include <inttypes.h>

#include "nn/layer_private.h"

static bool softmax_infer_shape(struct layer *layer, struct status *status)
{
    struct shape in = layer->input[0];
    if (in.h != 1 || in.w != 1)
        return layer_fail(layer, status, "a softmax wants vectors, but its input is %" PRId64 "x%" PRId64 "x%" PRId64,
                          in.c, in.h, in.w);
    return layer_infer_same_shape(layer, status);
}

static int softmax_write(const struct layer *layer, enum layer_mode mode, struct program *program, const int *x)
{
    (void)mode;
    struct op op = layer_op(layer, OP_SOFTMAX);
    op.tensor[SOFTMAX_X] = x[0];
    return program_output(program, op);
}

const struct layer_ops layer_softmax_ops = {
    .name = "softmax",
    .inputs = {1, 1},
    .infer_shape = softmax_infer_shape,
    .write = softmax_write,
};
