/* Flatten, from images to vectors: x (N,C,H,W) -> y (N,C*H*W,1,1), in the boundary's order. */
#include "nn/layer_private.h"

static bool flatten_infer_shape(struct layer *layer, struct status *status)
{
    (void)status;
    layer->output = (struct shape){layer->input[0].n, shape_sample_count(layer->input[0]), 1, 1};
    return true;
}

static int flatten_write(const struct layer *layer, enum layer_mode mode, struct program *program, const int *x)
{
    (void)mode;
    struct op op = layer_op(layer, OP_FLATTEN);
    op.tensor[FLATTEN_X] = x[0];
    return program_output(program, op);
}

const struct layer_ops layer_flatten_ops = {
    .name = "flatten",
    .inputs = {1, 1},
    .infer_shape = flatten_infer_shape,
    .write = flatten_write,
};
