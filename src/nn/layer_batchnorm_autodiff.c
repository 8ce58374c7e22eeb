/* Batch normalization by automatic differentiation: the forward pass is the definition (struct batchnorm_params in
 * backend.h), written in primitives on a tape. No backward pass is derived by hand; the tape plays the record
 * backwards.
 *
 * Compare cpu_batchnorm.c, which has the derivative worked out by hand: the same numbers within rounding, in a fraction
 * of the time and memory, since nothing between x and y is kept or written. */
#include <stdlib.h>

#include "nn/layer_private.h"
#include "trainer/memory.h"
#include "trainer/tape.h"

struct autodiff_state {
    struct tape *tape;
    tape_variable x, gamma, beta, mean, variance, y; /* variables of the last forward pass */
    struct tensor scratch;                           /* (C) */
};

static void autodiff_create(struct layer *layer)
{
    struct autodiff_state *state = memory_alloc(1, sizeof *state);
    state->tape = tape_create(layer->backend);
    state->scratch = tensor_alloc(layer->backend, TENSOR_VECTOR, shape_vector(layer->input.c));
    layer->impl = state;
}

static void autodiff_destroy(struct layer *layer)
{
    struct autodiff_state *state = layer->impl;
    if (!state) return;
    tape_destroy(state->tape);
    tensor_free(layer->backend, &state->scratch);
    free(state);
}

/* y = gamma * (x - mu) / sqrt(var + eps) + beta */
static void record(struct autodiff_state *state, double epsilon, const struct layer *layer, const struct tensor *x)
{
    struct tape *tape = state->tape;
    tape_clear(tape);
    state->x = tape_input(tape, x);
    state->gamma = tape_input(tape, &layer->parameter[0].value);
    state->beta = tape_input(tape, &layer->parameter[1].value);
    state->mean = tape_channel_mean(tape, state->x);
    tape_variable centred = tape_subtract(tape, state->x, tape_broadcast(tape, state->mean, state->x));
    state->variance = tape_channel_mean(tape, tape_square(tape, centred));
    tape_variable deviation = tape_sqrt(tape, tape_add_constant(tape, state->variance, epsilon));
    tape_variable normalized = tape_divide(tape, centred, tape_broadcast(tape, deviation, state->x));
    tape_variable scaled = tape_multiply(tape, normalized, tape_broadcast(tape, state->gamma, state->x));
    state->y = tape_add(tape, scaled, tape_broadcast(tape, state->beta, state->x));
}

/* to = scale * from */
static void copy_scaled(struct backend *backend, double scale, const struct tensor *from, const struct tensor *to)
{
    struct elementwise_params params = {.op = ELEMENTWISE_AFFINE, .scale = scale};
    backend->ops->elementwise(backend, params, from, NULL, to);
}

/* running <- (1 - momentum) * running + momentum * factor * value */
static void move_average(struct layer *layer, const struct tensor *running, const struct tensor *value, double factor)
{
    const struct autodiff_state *state = layer->impl;
    struct backend *backend = layer->backend;
    double momentum = layer->spec.batchnorm.params.momentum;
    copy_scaled(backend, 1 - momentum, running, running);
    copy_scaled(backend, momentum * factor, value, &state->scratch);
    struct elementwise_params add = {.op = ELEMENTWISE_ADD};
    backend->ops->elementwise(backend, add, running, &state->scratch, running);
}

static void autodiff_forward(struct layer *layer, enum layer_mode mode, const struct tensor *x, const struct tensor *y)
{
    if (mode == LAYER_EVALUATE && layer->buffer_count > 0) {
        layer_batchnorm_evaluate(layer, x, y);
        return;
    }
    struct autodiff_state *state = layer->impl;
    record(state, layer->spec.batchnorm.params.epsilon, layer, x);
    copy_scaled(layer->backend, 1, tape_value(state->tape, state->y), y);
    if (layer->buffer_count == 0) return;
    double values = (double)(x->shape.n * x->shape.h * x->shape.w);
    move_average(layer, &layer->buffer[0].value, tape_value(state->tape, state->mean), 1);
    move_average(layer, &layer->buffer[1].value, tape_value(state->tape, state->variance),
                 values > 1 ? values / (values - 1) : 1);
}

static void autodiff_backward(struct layer *layer, const struct tensor *x, const struct tensor *y,
                              const struct tensor *dy, const struct tensor *dx)
{
    (void)x, (void)y; /* the tape has them */
    struct autodiff_state *state = layer->impl;
    tape_backward(state->tape, state->y, dy);
    copy_scaled(layer->backend, 1, tape_gradient(state->tape, state->gamma), &layer->parameter[0].gradient);
    copy_scaled(layer->backend, 1, tape_gradient(state->tape, state->beta), &layer->parameter[1].gradient);
    if (dx) copy_scaled(layer->backend, 1, tape_gradient(state->tape, state->x), dx);
}

const struct layer_ops layer_batchnorm_autodiff_ops = {
    .name = "batchnorm autodiff",
    .infer_shape = layer_batchnorm_infer_shape,
    .create = autodiff_create,
    .init = layer_batchnorm_init,
    .forward = autodiff_forward,
    .backward = autodiff_backward,
    .destroy = autodiff_destroy,
};
