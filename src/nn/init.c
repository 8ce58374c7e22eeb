/* Starting values are drawn on the host in double, in the order of O,I,K,K, from one stream per parameter. So they are
 * the same on every backend, whatever its layout, and in every precision but for the rounding. */
#include <math.h>
#include <stdlib.h>

#include "nn/layer_private.h"
#include "util/memory.h"
#include "util/rng.h"

static struct rng init_rng(const struct layer *layer, int parameter)
{
    return rng_create(layer->seed, (uint32_t)(RNG_STREAM_INIT + layer->first_parameter + parameter), 0);
}

/* Draws uniform values in +-bound. */
static void draw_uniform(struct layer *layer, int parameter, double bound, int64_t count, double *values)
{
    struct rng rng = init_rng(layer, parameter);
    for (int64_t i = 0; i < count; i++) values[i] = bound * (2 * rng_uniform(&rng) - 1);
}

static void draw_normal(struct layer *layer, int parameter, double std, int64_t count, double *values)
{
    struct rng rng = init_rng(layer, parameter);
    for (int64_t i = 0; i < count; i++) values[i] = std * rng_normal(&rng);
}

void init_constant(struct layer *layer, const struct tensor *tensor, double value)
{
    int64_t count = shape_count(tensor->shape);
    double *values = memory_alloc((size_t)count, sizeof *values);
    for (int64_t i = 0; i < count; i++) values[i] = value;
    layer->backend->table->tensor_write(layer->backend, tensor, values);
    free(values);
}

/* --- weights (O,I/G,K,K) --- */

/* Makes the first filters of each group pass their input channel on. */
static void set_identity(struct shape shape, int64_t groups, double *values)
{
    int64_t size = shape_sample_count(shape), middle = shape.h / 2 * shape.w + shape.w / 2;
    for (int64_t o = 0; o < shape.n; o++) {
        int64_t channel = o % (shape.n / groups);
        for (int64_t i = 0; i < size && channel < shape.c; i++)
            values[o * size + i] = i == channel * shape.h * shape.w + middle ? 1 : 0;
    }
}

/* Scales the values to that standard deviation around their mean (biased). Equal values stay. */
static void scale_to(double std, int64_t count, double *values)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++) sum += values[i];
    for (int64_t i = 0; i < count; i++) squares += pow(values[i] - sum / (double)count, 2);
    if (squares == 0) return;
    double factor = std / sqrt(squares / (double)count);
    for (int64_t i = 0; i < count; i++) values[i] *= factor;
}

static void init_weight(struct layer *layer, const struct init_params *init, double fan_in)
{
    const struct tensor *tensor = &layer->parameter[0].value;
    int64_t count = shape_count(tensor->shape);
    double *values = memory_alloc((size_t)count, sizeof *values);
    if (init->kind == INIT_UNIFORM_FAN_IN)
        draw_uniform(layer, 0, 1 / sqrt(fan_in), count, values);
    else
        draw_normal(layer, 0, init->kind == INIT_HE ? sqrt(2 / fan_in) : init->std, count, values);
    if (init->identity) set_identity(tensor->shape, layer->input[0].c / tensor->shape.c, values);
    if (init->final_std > 0) scale_to(init->final_std, count, values);
    layer->backend->table->tensor_write(layer->backend, tensor, values);
    free(values);
}

void init_weight_and_bias(struct layer *layer, const struct init_params *init)
{
    double fan_in = (double)shape_sample_count(layer->parameter[0].value.shape); /* of (O,I/G,K,K) */
    init_weight(layer, init, fan_in);
    if (layer->parameter_count == 1) return;
    const struct tensor *bias = &layer->parameter[1].value;
    int64_t count = shape_count(bias->shape);
    double *values = memory_alloc((size_t)count, sizeof *values); /* zeros */
    if (init->kind == INIT_UNIFORM_FAN_IN) draw_uniform(layer, 1, 1 / sqrt(fan_in), count, values);
    layer->backend->table->tensor_write(layer->backend, bias, values);
    free(values);
}
