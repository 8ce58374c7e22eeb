/* Batch normalization by automatic differentiation: the forward pass is the definition (struct batchnorm_params in
 * backend.h), written in primitives. No backward pass is derived by hand; program_gradient writes it from the
 * derivatives of the primitives (src/program/op_gradient.c).
 *
 * Compare cpu_batchnorm.c, which has the derivative worked out by hand: the same numbers within rounding, in a fraction
 * of the time and memory, since nothing between x and y is kept or written. */
#include "nn/layer_private.h"

/* The program that the layer is written into. */
struct writer {
    const struct layer *layer;
    struct program *program;
};

/* y = a op b */
static int binary(struct writer w, enum elementwise kind, int a, int b)
{
    struct op op = layer_op(w.layer, OP_ELEMENTWISE);
    op.elementwise.op = kind;
    op.tensor[ELEMENTWISE_A] = a;
    op.tensor[ELEMENTWISE_B] = b;
    return program_output(w.program, op);
}

static int unary(struct writer w, enum elementwise kind, int a)
{
    return binary(w, kind, a, -1);
}

/* y = scale * a + shift, the scale made unbiased by `bessel` (struct elementwise_params). */
static int affine(struct writer w, int a, double scale, double shift, int64_t bessel)
{
    struct op op = layer_op(w.layer, OP_ELEMENTWISE);
    op.elementwise = (struct elementwise_params){ELEMENTWISE_AFFINE, scale, shift, bessel};
    op.tensor[ELEMENTWISE_A] = a;
    return program_output(w.program, op);
}

/* The mean of x (N,C,H,W) over N, H, W, for each channel. */
static int channel_mean(struct writer w, int x)
{
    struct op op = layer_op(w.layer, OP_CHANNEL_SUM);
    op.channel = (struct channel_params){.scale = 1, .mean = true};
    op.tensor[CHANNEL_SUM_X] = x;
    return program_output(w.program, op);
}

/* The values of v (C) in the shape of `like` (N,C,H,W). */
static int broadcast(struct writer w, int v, int like)
{
    struct op op = layer_op(w.layer, OP_CHANNEL_BROADCAST);
    op.channel = (struct channel_params){.scale = 1};
    op.tensor[CHANNEL_BROADCAST_Y] = v;
    op.tensor[CHANNEL_BROADCAST_X] = program_like(w.program, "x", like);
    program_add(w.program, op);
    return op.tensor[CHANNEL_BROADCAST_X];
}

/* running <- (1 - momentum) * running + momentum * value, with an unbiased value where `bessel` says so */
static void move_average(struct writer w, int buffer, int value, int64_t bessel)
{
    double momentum = w.layer->spec.batchnorm.params.momentum;
    int running = layer_buffer(w.layer, w.program, buffer);
    struct op op = layer_op(w.layer, OP_ELEMENTWISE);
    op.elementwise.op = ELEMENTWISE_ADD;
    op.tensor[ELEMENTWISE_A] = affine(w, running, 1 - momentum, 0, 0);
    op.tensor[ELEMENTWISE_B] = affine(w, value, momentum, 0, bessel);
    op.tensor[ELEMENTWISE_Y] = running;
    program_add(w.program, op);
}

/* y = gamma * (x - running_mean) / sqrt(running_var + eps) + beta */
int layer_batchnorm_primitives(const struct layer *layer, struct program *program, int x)
{
    struct writer w = {layer, program};
    int gamma = layer_parameter(layer, LAYER_EVALUATE, program, 0);
    int beta = layer_parameter(layer, LAYER_EVALUATE, program, 1);
    int mean = layer_buffer(layer, program, 0), variance = layer_buffer(layer, program, 1);
    int deviation = unary(w, ELEMENTWISE_SQRT, affine(w, variance, 1, layer->spec.batchnorm.params.epsilon, 0));
    int scale = binary(w, ELEMENTWISE_DIVIDE, gamma, deviation);
    int centred = binary(w, ELEMENTWISE_SUBTRACT, x, broadcast(w, mean, x));
    int scaled = binary(w, ELEMENTWISE_MULTIPLY, centred, broadcast(w, scale, x));
    return binary(w, ELEMENTWISE_ADD, scaled, broadcast(w, beta, x));
}

/* y = gamma * (x - mu) / sqrt(var + eps) + beta */
static int autodiff_write(const struct layer *layer, enum layer_mode mode, struct program *program, const int *inputs)
{
    int x = inputs[0], running;
    if (layer_batchnorm_write_running(layer, mode, program, x, &running)) return running;
    struct writer w = {layer, program};
    int gamma = layer_parameter(layer, mode, program, 0), beta = layer_parameter(layer, mode, program, 1);
    int mean = channel_mean(w, x);
    int centred = binary(w, ELEMENTWISE_SUBTRACT, x, broadcast(w, mean, x));
    int variance = channel_mean(w, unary(w, ELEMENTWISE_SQUARE, centred));
    int deviation = unary(w, ELEMENTWISE_SQRT, affine(w, variance, 1, layer->spec.batchnorm.params.epsilon, 0));
    int normalized = binary(w, ELEMENTWISE_DIVIDE, centred, broadcast(w, deviation, x));
    int scaled = binary(w, ELEMENTWISE_MULTIPLY, normalized, broadcast(w, gamma, x));
    int y = binary(w, ELEMENTWISE_ADD, scaled, broadcast(w, beta, x));
    if (layer->buffer_count > 0) {
        move_average(w, 0, mean, 0);
        move_average(w, 1, variance, layer->input[0].h * layer->input[0].w);
    }
    return y;
}

const struct layer_ops layer_batchnorm_autodiff_ops = {
    .name = "batchnorm autodiff",
    .inputs = {1, 1},
    .infer_shape = layer_batchnorm_infer_shape,
    .init = layer_batchnorm_init,
    .write = autodiff_write,
};
