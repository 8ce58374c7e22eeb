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

static void init_uniform(struct layer *layer, int parameter, double bound)
{
    const struct tensor *tensor = &layer->parameter[parameter].value;
    int64_t count = shape_count(tensor->shape);
    double *values = memory_alloc((size_t)count, sizeof *values);
    struct rng rng = init_rng(layer, parameter);
    for (int64_t i = 0; i < count; i++) values[i] = bound * (2 * rng_uniform(&rng) - 1);
    layer->backend->table->tensor_write(layer->backend, tensor, values);
    free(values);
}

static void init_normal(struct layer *layer, int parameter, double std)
{
    const struct tensor *tensor = &layer->parameter[parameter].value;
    int64_t count = shape_count(tensor->shape);
    double *values = memory_alloc((size_t)count, sizeof *values);
    struct rng rng = init_rng(layer, parameter);
    for (int64_t i = 0; i < count; i++) values[i] = std * rng_normal(&rng);
    layer->backend->table->tensor_write(layer->backend, tensor, values);
    free(values);
}

void init_constant(struct layer *layer, const struct tensor *tensor, double value)
{
    int64_t count = shape_count(tensor->shape);
    double *values = memory_alloc((size_t)count, sizeof *values);
    for (int64_t i = 0; i < count; i++) values[i] = value;
    layer->backend->table->tensor_write(layer->backend, tensor, values);
    free(values);
}

void init_weight_and_bias(struct layer *layer, const struct init_params *init)
{
    bool has_bias = layer->parameter_count > 1;
    double fan_in = (double)shape_sample_count(layer->parameter[0].value.shape); /* of (O,I,K,K) */
    if (init->kind != INIT_UNIFORM_FAN_IN) {
        init_normal(layer, 0, init->kind == INIT_HE ? sqrt(2 / fan_in) : init->std);
        if (has_bias) init_constant(layer, &layer->parameter[1].value, 0);
        return;
    }
    double bound = 1 / sqrt(fan_in);
    init_uniform(layer, 0, bound);
    if (has_bias) init_uniform(layer, 1, bound);
}
