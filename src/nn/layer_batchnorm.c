/* Batch normalization over x (N,C,H,W), of images and of vectors alike; formulas: struct batchnorm_params in backend.h.
 * The backward pass, with its derivation, is the backend's (cpu_batchnorm.c). */
#include "nn/layer_private.h"

bool layer_normalizes(const struct layer *layer)
{
    enum layer_kind kind = layer->spec.kind;
    return kind == LAYER_BATCHNORM || kind == LAYER_BATCHNORM_AUTODIFF;
}

bool layer_batchnorm_infer_shape(struct layer *layer, struct status *status)
{
    (void)status;
    struct shape channels = shape_vector(layer->input[0].c);
    layer->output = layer->input[0];
    layer_add_parameter(layer, "weight", TENSOR_VECTOR, channels);
    layer_add_parameter(layer, "bias", TENSOR_VECTOR, channels);
    if (!layer->spec.batchnorm.batch_stats_only) {
        layer_add_buffer(layer, "running_mean", channels);
        layer_add_buffer(layer, "running_var", channels);
    }
    return true;
}

void layer_batchnorm_init(struct layer *layer)
{
    init_constant(layer, &layer->parameter[0].value, layer->spec.batchnorm.zero_gamma ? 0 : 1);
    init_constant(layer, &layer->parameter[1].value, 0);
    if (layer->buffer_count == 0) return;
    init_constant(layer, &layer->buffer[0].value, 0);
    init_constant(layer, &layer->buffer[1].value, 1);
}

/* An op that normalises, with no activation or pool yet. */
static struct op norm_op(const struct layer *layer, enum op_kind kind)
{
    struct op op = layer_op(layer, kind);
    op.norm = (struct batchnorm_fused_params){.batchnorm = layer->spec.batchnorm.params,
                                              .activation = {.kind = ACTIVATION_NONE}};
    return op;
}

int layer_batchnorm_evaluate(const struct layer *layer, struct program *program, int x)
{
    struct op op = norm_op(layer, OP_NORM_EVALUATE);
    op.tensor[NORM_EVALUATE_X] = x;
    op.tensor[NORM_EVALUATE_GAMMA] = layer_parameter(layer, LAYER_EVALUATE, program, 0);
    op.tensor[NORM_EVALUATE_BETA] = layer_parameter(layer, LAYER_EVALUATE, program, 1);
    op.tensor[NORM_EVALUATE_MEAN] = layer_buffer(layer, program, 0);
    op.tensor[NORM_EVALUATE_VAR] = layer_buffer(layer, program, 1);
    return program_output(program, op);
}

bool layer_batchnorm_write_running(const struct layer *layer, enum layer_mode mode, struct program *program, int x,
                                   int *y)
{
    if (layer->buffer_count == 0 || (mode == LAYER_TRAIN && !layer->frozen)) return false;
    bool passes = mode == LAYER_TRAIN && layer->learns_before;
    *y = passes ? layer_batchnorm_primitives(layer, program, x) : layer_batchnorm_evaluate(layer, program, x);
    return true;
}

static int batchnorm_write(const struct layer *layer, enum layer_mode mode, struct program *program, const int *x)
{
    int y;
    if (layer_batchnorm_write_running(layer, mode, program, x[0], &y)) return y;
    struct op op = norm_op(layer, OP_NORM);
    op.tensor[NORM_X] = x[0];
    op.tensor[NORM_GAMMA] = layer_parameter(layer, mode, program, 0);
    op.tensor[NORM_BETA] = layer_parameter(layer, mode, program, 1);
    if (layer->buffer_count > 0) {
        op.tensor[NORM_RUNNING_MEAN] = layer_buffer(layer, program, 0);
        op.tensor[NORM_RUNNING_VAR] = layer_buffer(layer, program, 1);
    }
    op.tensor[NORM_MEAN] = program_vector(program, "mean", layer->input[0].c);
    op.tensor[NORM_RSTD] = program_vector(program, "rstd", layer->input[0].c);
    return program_output(program, op);
}

const struct layer_ops layer_batchnorm_ops = {
    .name = "batchnorm",
    .inputs = {1, 1},
    .infer_shape = layer_batchnorm_infer_shape,
    .init = layer_batchnorm_init,
    .write = batchnorm_write,
};
