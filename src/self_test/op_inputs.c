/* The inputs of each case (op_case.h). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "self_test/op_case.h"
#include "self_test/support.h"
#include "util/check.h"
#include "util/memory.h"
#include "util/rng.h"

const struct op_array *op_arrays_find(const struct op_arrays *arrays, const char *name)
{
    for (int i = 0; i < arrays->count; i++) {
        if (strcmp(arrays->array[i].name, name) == 0) return &arrays->array[i];
    }
    return NULL;
}

void op_arrays_free(struct op_arrays *arrays)
{
    for (int i = 0; i < arrays->count; i++) free(arrays->array[i].values);
    arrays->count = 0;
}

struct op_array *op_arrays_add(struct op_arrays *arrays, const char *name, enum tensor_kind kind, struct shape shape)
{
    CHECK(arrays->count < OP_MAX_ARRAYS);
    struct op_array *array = &arrays->array[arrays->count++];
    *array = (struct op_array){name, kind, shape, memory_alloc((size_t)shape_count(shape), sizeof(double))};
    return array;
}

/* Adds an input, filled from the stream whose number is its place among the inputs. */
static double *add_input(struct op_arrays *inputs, const struct op_case *op_case, const char *name,
                         enum tensor_kind kind, struct shape shape)
{
    bool main_input = inputs->count == 0;
    uint32_t stream = (uint32_t)inputs->count;
    struct op_array *array = op_arrays_add(inputs, name, kind, shape);
    support_fill(array->values, shape_count(shape), support_seed(op_case->name), stream,
                 main_input ? op_case->offset : 0, main_input ? op_case->scale : 1);
    return array->values;
}

static void add_conv2d_inputs(const struct op_case *op_case, struct op_arrays *inputs)
{
    struct shape x = op_case->x;
    int64_t o = op_case->conv2d.channels;
    struct window window = op_case->conv2d.window;
    struct shape filter = {o, x.c / op_case->conv2d.groups, window.kernel, window.kernel};
    struct shape y = {x.n, o, window_output_size(x.h, window), window_output_size(x.w, window)};
    add_input(inputs, op_case, "weight", TENSOR_FILTER, filter);
    add_input(inputs, op_case, "dy", TENSOR_ACTIVATION, y);
    if (op_case->conv2d.bias) add_input(inputs, op_case, "bias", TENSOR_VECTOR, (struct shape){1, o, 1, 1});
}

/* Parameters and running statistics of a batch normalization of so many channels. */
static void add_batchnorm_inputs(const struct op_case *op_case, struct op_arrays *inputs, int64_t channels)
{
    struct shape vector = shape_vector(channels);
    add_input(inputs, op_case, "gamma", TENSOR_VECTOR, vector);
    add_input(inputs, op_case, "beta", TENSOR_VECTOR, vector);
    add_input(inputs, op_case, "running_mean", TENSOR_VECTOR, vector);
    double *running_var = add_input(inputs, op_case, "running_var", TENSOR_VECTOR, vector);
    for (int64_t c = 0; c < channels; c++) running_var[c] = fabs(running_var[c]) + 0.5;
}

static struct shape pooled_shape(struct shape x, struct window window)
{
    return (struct shape){x.n, x.c, window_output_size(x.h, window), window_output_size(x.w, window)};
}

static void add_norm_inputs(const struct op_case *op_case, struct op_arrays *inputs)
{
    const struct batchnorm_fused_params *params = &op_case->norm.params;
    add_batchnorm_inputs(op_case, inputs, op_case->x.c);
    double *gamma = inputs->array[inputs->count - 4].values;
    for (int64_t c = 0; c < op_case->x.c && params->activation.kind == ACTIVATION_RELU6; c++) gamma[c] *= 3;
    add_input(inputs, op_case, "dy", TENSOR_ACTIVATION,
              params->pooled ? pooled_shape(op_case->x, params->pool.window) : op_case->x);
    if (op_case->norm.addend) add_input(inputs, op_case, "addend", TENSOR_ACTIVATION, op_case->x);
}

/* Turns u, a multiple of 1/1024 in [-2, 2), into a whole number 0..255. */
static void make_bytes(double *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++) values[i] = floor((values[i] + 2) * 64);
}

static void add_dataset(const struct op_case *op_case, struct op_arrays *inputs)
{
    struct shape x = op_case->x, pixels = inputs->array[0].shape;
    make_bytes(inputs->array[0].values, shape_count(pixels));
    make_bytes(add_input(inputs, op_case, "labels", TENSOR_ACTIVATION, (struct shape){pixels.n, 1, 1, 1}), pixels.n);
    make_bytes(add_input(inputs, op_case, "offset", TENSOR_ACTIVATION, (struct shape){1, x.c, x.h, x.w}),
               shape_sample_count(x));
    double *scale = add_input(inputs, op_case, "scale", TENSOR_VECTOR, shape_vector(x.c));
    for (int64_t c = 0; c < x.c; c++) scale[c] = (fabs(scale[c]) + 0.5) / 64;
}

static void add_labels(const struct op_case *op_case, struct op_arrays *inputs)
{
    struct shape shape = {op_case->x.n, 1, 1, 1};
    double *labels = add_input(inputs, op_case, "labels", TENSOR_ACTIVATION, shape);
    for (int64_t n = 0; n < shape.n; n++) labels[n] = fmod((labels[n] + 2) * 1024, (double)op_case->x.c);
    if (!op_case->loss.weighted) return;
    shape = (struct shape){1, op_case->x.c, 1, 1};
    double *weights = add_input(inputs, op_case, "weights", TENSOR_VECTOR, shape);
    for (int64_t d = 0; d < shape.c; d++) weights[d] = weights[d] + 2 + 0x1p-9; /* above 0, up to 4 */
}

/* Adds the operands. Divisors keep away from 0, and nothing under a root is negative. */
static void add_operands(const struct op_case *op_case, struct op_arrays *inputs)
{
    enum elementwise op = op_case->elementwise.op;
    struct shape shape = op_case->x;
    double *a = inputs->array[0].values;
    if (shape.n * shape.h * shape.w == 1) inputs->array[0].kind = TENSOR_VECTOR;
    for (int64_t i = 0; op == ELEMENTWISE_SQRT && i < shape_count(shape); i++) a[i] = fabs(a[i]);
    if (op >= ELEMENTWISE_SQUARE) return;
    double *b = add_input(inputs, op_case, "b", inputs->array[0].kind, shape);
    for (int64_t i = 0; op == ELEMENTWISE_DIVIDE && i < shape_count(shape); i++) b[i] += b[i] < 0 ? -0.5 : 0.5;
}

/* Adds the gradients of five steps. Every seventh gradient is zero, as for a weight that no sample reaches; their size
 * differs from step to step. */
static void add_gradients(const struct op_case *op_case, struct op_arrays *inputs)
{
    static const char *const names[OP_OPTIMIZER_STEPS] = {"dw0", "dw1", "dw2", "dw3", "dw4"};
    for (int step = 0; step < OP_OPTIMIZER_STEPS; step++) {
        double *dw = add_input(inputs, op_case, names[step], TENSOR_FILTER, op_case->x);
        for (int64_t i = 0; i < shape_count(op_case->x); i++) dw[i] = i % 7 == 3 ? 0 : dw[i] / (1 << 2 * step);
    }
}

static bool is_arena(enum op_kind kind)
{
    return kind == OP_UPDATE || kind == OP_AVERAGE || kind == OP_ACCUMULATE || kind == OP_CLIP || kind == OP_MAGNITUDE;
}

static void add_main_input(const struct op_case *op_case, struct op_arrays *inputs)
{
    struct shape x = op_case->x;
    if (op_case->kind == OP_GATHER)
        add_input(inputs, op_case, "pixels", TENSOR_ACTIVATION, (struct shape){2 * x.n + 3, x.c, x.h, x.w});
    else if (op_case->kind == OP_FOLD)
        add_input(inputs, op_case, "weight", TENSOR_FILTER, x);
    else if (is_arena(op_case->kind))
        add_input(inputs, op_case, "w", TENSOR_FILTER, x);
    else
        add_input(inputs, op_case, "x", TENSOR_ACTIVATION, x);
}

static void add_terms(const struct op_case *op_case, struct op_arrays *inputs)
{
    static const char *const names[] = {"b", "c", "d"};
    for (int i = 0; i < op_case->terms - 1; i++) add_input(inputs, op_case, names[i], TENSOR_ACTIVATION, op_case->x);
}

void op_case_inputs(const struct op_case *op_case, struct op_arrays *inputs)
{
    struct shape x = op_case->x;
    inputs->count = 0;
    add_main_input(op_case, inputs);
    switch (op_case->kind) {
    case OP_CONV2D:
        add_conv2d_inputs(op_case, inputs);
        break;
    case OP_NORM:
        add_norm_inputs(op_case, inputs);
        break;
    case OP_FOLD:
        if (op_case->fold.bias) add_input(inputs, op_case, "bias", TENSOR_VECTOR, shape_vector(x.n));
        add_batchnorm_inputs(op_case, inputs, x.n);
        break;
    case OP_CROSS_ENTROPY:
    case OP_SOFTMAX_CROSS_ENTROPY:
        add_labels(op_case, inputs);
        break;
    case OP_ELEMENTWISE:
        add_operands(op_case, inputs);
        break;
    case OP_ADD:
        add_terms(op_case, inputs);
        break;
    case OP_CHANNEL_SUM:
        add_input(inputs, op_case, "v", TENSOR_VECTOR, shape_vector(x.c));
        break;
    case OP_UPDATE:
    case OP_AVERAGE:
    case OP_ACCUMULATE:
        add_gradients(op_case, inputs);
        break;
    case OP_GATHER:
        add_dataset(op_case, inputs);
        break;
    case OP_POOL:
        add_input(inputs, op_case, "dy", TENSOR_ACTIVATION, pooled_shape(x, op_case->pool.window));
        break;
    case OP_GATE:
        add_input(inputs, op_case, "z", TENSOR_ACTIVATION, (struct shape){x.n, x.c, 1, 1});
        add_input(inputs, op_case, "dy", TENSOR_ACTIVATION, x);
        break;
    case OP_GLOBAL_POOL:
        add_input(inputs, op_case, "dy", TENSOR_ACTIVATION, (struct shape){x.n, x.c, 1, 1});
        break;
    case OP_FLATTEN:
        add_input(inputs, op_case, "dy", TENSOR_ACTIVATION, (struct shape){x.n, shape_sample_count(x), 1, 1});
        break;
    case OP_ACTIVATION:
    case OP_SOFTMAX:
        add_input(inputs, op_case, "dy", TENSOR_ACTIVATION, x);
        break;
    default:
        break;
    }
}

void op_case_avoid_kinks(const struct op_case *op_case, struct op_arrays *inputs)
{
    double *x = inputs->array[0].values;
    int64_t count = shape_count(inputs->array[0].shape);
    bool root = op_case->kind == OP_ELEMENTWISE && op_case->elementwise.op == ELEMENTWISE_SQRT;
    if (op_case->kind == OP_ACTIVATION && op_case->activation.kind == ACTIVATION_RELU6) {
        for (int64_t i = 0; i < count; i++) x[i] = x[i] > 0 && x[i] < 6 ? 0.25 + x[i] * 0.9 : x[i] * 1.01 - 0.03;
    } else if (op_case->kind == OP_ACTIVATION || root) {
        for (int64_t i = 0; i < count; i++) x[i] += x[i] > 0 || root ? 0.125 : -0.125;
    } else if (op_case->kind == OP_POOL || (op_case->kind == OP_NORM && op_case->norm.params.pooled)) {
        int32_t *ranks = memory_alloc((size_t)count, sizeof *ranks);
        struct rng rng = rng_create(42, RNG_STREAM_GRADCHECK, 0);
        rng_permutation(&rng, ranks, (int32_t)count);
        for (int64_t i = 0; i < count; i++) x[i] = (ranks[i] - (double)count / 2) / 128;
        free(ranks);
    }
}

double op_case_learning_rate(int step)
{
    return 0.01 * (1 - 0.125 * step);
}
