/* Gates: x (N,C,H,W), z (N,C,1,1) -> y (N,C,H,W), every channel of a sample times 1 / (1 + exp(-z)). */
#include <inttypes.h>

#include "nn/layer_private.h"

static bool gate_infer_shape(struct layer *layer, struct status *status)
{
    struct shape x = layer->input[0], z = layer->input[1];
    if (z.c != x.c || z.h != 1 || z.w != 1)
        return layer_fail(layer, status,
                          "its input \"%s\" is %" PRId64 "x%" PRId64 "x%" PRId64 ", expected %" PRId64
                          "x1x1: a value for each channel of \"%s\"",
                          layer->spec.input[1], z.c, z.h, z.w, x.c, layer->spec.input[0]);
    return layer_infer_same_shape(layer, status);
}

static int gate_write(const struct layer *layer, enum layer_mode mode, struct program *program, const int *x)
{
    (void)mode;
    struct op op = layer_op(layer, OP_GATE);
    op.tensor[GATE_X] = x[0];
    op.tensor[GATE_Z] = x[1];
    return program_output(program, op);
}

const struct layer_ops layer_gate_ops = {
    .name = "gate",
    .inputs = {2, 2},
    .infer_shape = gate_infer_shape,
    .write = gate_write,
};
