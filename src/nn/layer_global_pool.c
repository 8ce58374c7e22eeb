/* Global average pooling: x (N,C,H,W) -> y (N,C,1,1), the mean over H and W. */
#include "nn/layer_private.h"

static bool global_pool_infer_shape(struct layer *layer, struct status *status)
{
    (void)status; /* any shape will do */
    layer->output = (struct shape){layer->input[0].n, layer->input[0].c, 1, 1};
    return true;
}

static int global_pool_write(const struct layer *layer, enum layer_mode mode, struct program *program, const int *x)
{
    (void)mode;
    struct op op = layer_op(layer, OP_GLOBAL_POOL);
    op.tensor[GLOBAL_POOL_X] = x[0];
    return program_output(program, op);
}

const struct layer_ops layer_global_pool_ops = {
    .name = "global average-pool",
    .inputs = {1, 1},
    .infer_shape = global_pool_infer_shape,
    .write = global_pool_write,
};
