/* The sum of two to four inputs of one shape: y = ((x0 + x1) + x2) + x3. */
#include <inttypes.h>

#include "nn/layer_private.h"

static bool add_infer_shape(struct layer *layer, struct status *status)
{
    struct shape first = layer->input[0];
    for (int k = 1; k < layer->sources.count; k++) {
        struct shape other = layer->input[k];
        if (!shape_equal(other, first))
            return layer_fail(layer, status,
                              "its input \"%s\" is %" PRId64 "x%" PRId64 "x%" PRId64 ", expected %" PRId64 "x%" PRId64
                              "x%" PRId64 " as of \"%s\"",
                              layer->spec.input[k], other.c, other.h, other.w, first.c, first.h, first.w,
                              layer->spec.input[0]);
    }
    return layer_infer_same_shape(layer, status);
}

static int add_write(const struct layer *layer, enum layer_mode mode, struct program *program, const int *x)
{
    static const int slots[LAYER_MAX_INPUTS] = {ADD_A, ADD_B, ADD_C, ADD_D};
    (void)mode;
    struct op op = layer_op(layer, OP_ADD);
    for (int k = 0; k < layer->sources.count; k++) op.tensor[slots[k]] = x[k];
    return program_output(program, op);
}

const struct layer_ops layer_add_ops = {
    .name = "add",
    .inputs = {2, LAYER_MAX_INPUTS},
    .infer_shape = add_infer_shape,
    .write = add_write,
};
