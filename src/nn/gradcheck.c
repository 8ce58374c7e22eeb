#include "trainer/gradcheck.h"

#include <math.h>
#include <stdlib.h>

#include "trainer/check.h"
#include "trainer/memory.h"
#include "trainer/rng.h"

static const double step = 1e-5;
static const double smooth_bound = 1e-5, kinked_bound = 1e-6;
enum { VALUES_PER_TENSOR = 20 };

/* A tensor on the device with its host copy. */
struct mirror {
    struct tensor tensor;
    double *values;
    int64_t count;
};

/* What is being checked: a scalar L of what lies in the mirrors, and how to compute it. */
struct check {
    struct network *network;
    struct layer *layer; /* NULL: the loss */
    struct rng rng;
    struct mirror x, y, dy, dx;
    void (*report)(void *argument, const struct gradcheck_result *result);
    void *argument;
    bool passed;
};

static struct mirror mirror_create(struct backend *backend, enum tensor_kind kind, struct shape shape)
{
    struct mirror mirror = {.tensor = tensor_alloc(backend, kind, shape), .count = shape_count(shape)};
    mirror.values = memory_alloc((size_t)mirror.count, sizeof *mirror.values);
    return mirror;
}

static void mirror_free(struct backend *backend, struct mirror *mirror)
{
    tensor_free(backend, &mirror->tensor);
    free(mirror->values);
}

static void mirror_write(struct backend *backend, const struct mirror *mirror)
{
    backend->ops->tensor_write(backend, &mirror->tensor, mirror->values);
}

static void mirror_read(struct backend *backend, struct mirror *mirror)
{
    backend->ops->tensor_read(backend, &mirror->tensor, mirror->values);
}

/* Random values, none within 0.01 of zero, the kink of the activations. */
static void fill_off_zero(struct check *check, struct mirror *mirror)
{
    for (int64_t i = 0; i < mirror->count; i++) {
        double value = rng_normal(&check->rng);
        mirror->values[i] = value + copysign(0.01, value);
    }
}

enum { PERIOD = 1009, STRIDE = 619 }; /* prime to each other */

/* Values whose neighbours, out to some 900 places, all differ by 1e-3 or more: a maximum stays the maximum. */
static double distinct_value(int64_t place)
{
    return 4.0 * (double)(place * STRIDE % PERIOD) / PERIOD - 2;
}

static void fill_distinct(struct mirror *mirror)
{
    for (int64_t i = 0; i < mirror->count; i++) mirror->values[i] = distinct_value(i);
}

/* The distance from the mean of a channel to the value next to it. */
static double distance_to_mean(const struct mirror *mirror, int64_t c)
{
    struct shape s = mirror->tensor.shape; /* (N,C,H,W) */
    int64_t plane = s.h * s.w;
    double sum = 0, nearest = INFINITY;
    for (int64_t i = 0; i < s.n * plane; i++) sum += mirror->values[(i / plane * s.c + c) * plane + i % plane];
    for (int64_t i = 0; i < s.n * plane; i++) {
        double value = mirror->values[(i / plane * s.c + c) * plane + i % plane];
        nearest = fmin(nearest, fabs(value - sum / (double)(s.n * plane)));
    }
    return nearest;
}

/* Distinct values of which none is the mean of its channel: batch normalization makes that 0, the kink of the
 * activation that is fused with it. Every channel starts its values where that holds. */
static void fill_off_mean(struct mirror *mirror)
{
    struct shape s = mirror->tensor.shape; /* (N,C,H,W) */
    int64_t plane = s.h * s.w;
    for (int64_t c = 0; c < s.c; c++) {
        int64_t start = 0;
        do {
            for (int64_t n = 0; n < s.n; n++)
                for (int64_t i = 0, at = (n * s.c + c) * plane; i < plane; i++)
                    mirror->values[at + i] = distinct_value(at + i + start);
        } while (distance_to_mean(mirror, c) < 20 * step && ++start < PERIOD);
    }
}

/* A value of which the activation or the pool lets nothing through counts only by the statistics of its channel: by the
 * means of dy and dy*xhat, which with both signs nearly cancel and drown in the rounding of the differences. */
static void make_positive(struct mirror *mirror)
{
    for (int64_t i = 0; i < mirror->count; i++) mirror->values[i] = fabs(mirror->values[i]);
}

/* Rows of positive numbers that add up to 1: what a cross-entropy without its softmax expects. */
static void fill_probabilities(struct check *check, struct mirror *mirror)
{
    int64_t classes = mirror->tensor.shape.c;
    for (int64_t n = 0; n < mirror->tensor.shape.n; n++) {
        double *row = mirror->values + n * classes, sum = 0;
        for (int64_t c = 0; c < classes; c++) sum += row[c] = 0.1 + rng_uniform(&check->rng);
        for (int64_t c = 0; c < classes; c++) row[c] /= sum;
    }
}

static double loss_value(struct check *check, const struct tensor *gradient)
{
    struct network *network = check->network;
    struct backend *backend = network->backend;
    backend->ops->metrics_reset(backend);
    struct loss_params params = {.smoothing = network->label_smoothing};
    if (network->loss == LOSS_FUSED) {
        backend->ops->softmax_cross_entropy(backend, &params, &check->x.tensor, network->labels, gradient);
    } else {
        backend->ops->cross_entropy(backend, &params, &check->x.tensor, network->labels, gradient);
    }
    struct metrics metrics = backend->ops->metrics_read(backend);
    return metrics.loss / (double)metrics.count;
}

/* y of the layer, in the mirror's values. */
static void run_forward(struct check *check)
{
    check->layer->ops->forward(check->layer, LAYER_TRAIN, &check->x.tensor, &check->y.tensor);
    mirror_read(check->network->backend, &check->y);
}

/* L(v + h) - L(v - h) for value i of the mirror. Differences of y are summed, not sums of y subtracted: less rounding.
 */
static double difference(struct check *check, struct mirror *mirror, int64_t i)
{
    struct backend *backend = check->network->backend;
    double value = mirror->values[i], total = 0;
    double *above = NULL;
    for (int sign = 1; sign >= -1; sign -= 2) {
        mirror->values[i] = value + sign * step;
        mirror_write(backend, mirror);
        if (!check->layer) {
            total += sign * loss_value(check, NULL);
            continue;
        }
        run_forward(check);
        if (sign > 0) {
            above = check->y.values;
            check->y.values = memory_alloc((size_t)check->y.count, sizeof *above);
        }
    }
    for (int64_t k = 0; above && k < check->y.count; k++)
        total += check->dy.values[k] * (above[k] - check->y.values[k]);
    free(above);
    mirror->values[i] = value;
    mirror_write(backend, mirror);
    return total;
}

static const char *layer_name(const struct check *check, char *text, size_t size)
{
    if (check->layer) {
        layer_describe(check->layer, text, size);
        return text;
    }
    return check->network->loss == LOSS_FUSED ? "softmax cross-entropy" : "cross-entropy";
}

static bool has_kink(const struct check *check)
{
    return check->layer && check->layer->spec.kind == LAYER_ACTIVATION &&
           check->layer->spec.activation.kind != ACTIVATION_ELU;
}

/* Compares `analytic`, the gradient of what the mirror holds, with differences at places drawn at random. */
static void check_tensor(struct check *check, const char *name, struct mirror *mirror, const double *analytic)
{
    char text[64];
    struct gradcheck_result result = {.layer = layer_name(check, text, sizeof text), .tensor = name};
    result.values = mirror->count < VALUES_PER_TENSOR ? mirror->count : VALUES_PER_TENSOR;
    result.bound = has_kink(check) ? kinked_bound : smooth_bound;
    for (int64_t k = 0; k < result.values; k++) {
        int64_t i = result.values == mirror->count ? k : rng_below(&check->rng, (uint32_t)mirror->count);
        double numeric = difference(check, mirror, i) / (2 * step);
        double error = fabs(analytic[i] - numeric) / fmax(1e-8, fabs(analytic[i]) + fabs(numeric));
        result.error = isnan(error) || isnan(result.error) ? NAN : fmax(result.error, error);
    }
    result.passed = result.error <= result.bound;
    check->passed &= result.passed;
    check->report(check->argument, &result);
}

static void check_parameter(struct check *check, const struct parameter *parameter)
{
    struct backend *backend = check->network->backend;
    struct mirror mirror = {.tensor = parameter->value, .count = shape_count(parameter->value.shape)};
    mirror.values = memory_alloc((size_t)mirror.count, sizeof *mirror.values);
    double *analytic = memory_alloc((size_t)mirror.count, sizeof *analytic);
    mirror_read(backend, &mirror);
    backend->ops->tensor_read(backend, &parameter->gradient, analytic);
    check_tensor(check, parameter->name, &mirror, analytic);
    free(analytic);
    free(mirror.values);
}

static void check_layer(struct check *check, struct layer *layer)
{
    struct backend *backend = check->network->backend;
    check->layer = layer;
    check->x = mirror_create(backend, TENSOR_ACTIVATION, layer->input);
    check->dx = mirror_create(backend, TENSOR_ACTIVATION, layer->input);
    check->y = mirror_create(backend, TENSOR_ACTIVATION, layer->output);
    check->dy = mirror_create(backend, TENSOR_ACTIVATION, layer->output);
    if (layer->spec.kind == LAYER_POOL) {
        fill_distinct(&check->x);
    } else if (layer->spec.kind == LAYER_BATCHNORM_FUSED) {
        fill_off_mean(&check->x);
    } else {
        fill_off_zero(check, &check->x);
    }
    fill_off_zero(check, &check->dy);
    if (layer->spec.kind == LAYER_BATCHNORM_FUSED) make_positive(&check->dy);
    mirror_write(backend, &check->x);
    mirror_write(backend, &check->dy);
    run_forward(check);
    layer->ops->backward(layer, &check->x.tensor, &check->y.tensor, &check->dy.tensor, &check->dx.tensor);
    mirror_read(backend, &check->dx);
    check_tensor(check, "input", &check->x, check->dx.values);
    for (int p = 0; p < layer->parameter_count; p++) check_parameter(check, &layer->parameter[p]);
    mirror_free(backend, &check->x);
    mirror_free(backend, &check->dx);
    mirror_free(backend, &check->y);
    mirror_free(backend, &check->dy);
}

static void check_loss(struct check *check)
{
    struct network *network = check->network;
    struct shape shape = network->layers[network->layer_count - 1].output;
    check->layer = NULL;
    check->x = mirror_create(network->backend, TENSOR_ACTIVATION, shape);
    check->dx = mirror_create(network->backend, TENSOR_ACTIVATION, shape);
    if (network->loss == LOSS_FUSED) {
        fill_off_zero(check, &check->x);
    } else {
        fill_probabilities(check, &check->x);
    }
    mirror_write(network->backend, &check->x);
    loss_value(check, &check->dx.tensor);
    mirror_read(network->backend, &check->dx);
    check_tensor(check, "input", &check->x, check->dx.values);
    mirror_free(network->backend, &check->x);
    mirror_free(network->backend, &check->dx);
}

bool gradcheck_network(struct network *network, uint64_t seed,
                       void (*report)(void *argument, const struct gradcheck_result *result), void *argument)
{
    CHECK(network->backend->scalar_size == sizeof(double) && network->max_batch == GRADCHECK_BATCH);
    struct check check = {.network = network, .report = report, .argument = argument, .passed = true};
    check.rng = rng_create(seed, RNG_STREAM_GRADCHECK, 0);
    network->backend->ops->set_state(network->backend, &(struct step_state){0});
    for (int i = 0; i < network->layer_count; i++) check_layer(&check, &network->layers[i]);
    check_loss(&check);
    return check.passed;
}
