/* ReLU and its relatives, element by element. */
#include <stdio.h>

#include "nn/layer_private.h"

static void activation_describe(const struct layer *layer, char *text, size_t size)
{
    static const char *const names[] = {ACTIVATION_CHOICES(CHOICE_NAME)};
    snprintf(text, size, "%s", names[layer->spec.activation.kind]);
}

static int activation_write(const struct layer *layer, enum layer_mode mode, struct program *program, const int *x)
{
    (void)mode;
    struct op op = layer_op(layer, OP_ACTIVATION);
    op.activation = layer->spec.activation;
    op.tensor[ACTIVATION_X] = x[0];
    return program_output(program, op);
}

const struct layer_ops layer_activation_ops = {
    .name = "activation",
    .inputs = {1, 1},
    .infer_shape = layer_infer_same_shape,
    .describe = activation_describe,
    .write = activation_write,
};
