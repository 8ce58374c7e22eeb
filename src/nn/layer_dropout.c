/* Dropout. The mask is drawn anew in the backward pass from the same counters, so nothing is saved. */
#include <stdio.h>

#include "nn/layer_private.h"
#include "util/philox.h"

static void dropout_describe(const struct layer *layer, char *text, size_t size)
{
    snprintf(text, size, "dropout %g", layer->spec.dropout.rate);
}

static int dropout_write(const struct layer *layer, enum layer_mode mode, struct program *program, const int *x)
{
    if (mode == LAYER_EVALUATE) return x[0];
    struct op op = layer_op(layer, OP_DROPOUT);
    op.dropout =
        (struct dropout_params){layer->spec.dropout.rate, layer->seed, (uint32_t)(RNG_STREAM_LAYER + layer->index)};
    op.tensor[DROPOUT_FROM] = x[0];
    return program_output(program, op);
}

const struct layer_ops layer_dropout_ops = {
    .name = "dropout",
    .inputs = {1, 1},
    .infer_shape = layer_infer_same_shape,
    .describe = dropout_describe,
    .write = dropout_write,
};
