/* Derivatives that are computed against derivatives that are measured.
 *
 * A layer's outputs y_k depend on a value v of its input or of a parameter. The check takes L = sum r_k*y_k with fixed
 * random r_k (for the loss: L is the loss itself, one output with r = 1) and compares the analytic derivative a = dL/dv
 * with difference quotients. A quotient has errors of its own. They must be known, because a derivative can be nearly
 * zero as a sum of terms that cancel, and then every error is large in relation to it, although nothing is wrong.
 *
 * The quotient. With D(s) = (L(v+s) - L(v-s)) / 2s, which is L' + s^2/6 L''' + ..., the value is taken from two steps:
 *
 *   n = (4*D(h/2) - D(h)) / 3                                    the terms with s^2 cancel
 *
 * Truncation. D(h) - D(h/2) is h^2/8 L''', many times the h^4/480 L''''' that is left in n.
 *
 * Kinks. If the slope of L jumps by J at v + t*h (ReLU, a maximum that changes), with 0 <= t < 1, then n is off from
 * the slope on v's own side by
 *
 *   J*|3 - 7t|/6  for t < 1/2,   J*(1 - t)/6  for t >= 1/2       (t < 0 is the mirror image)
 *
 * and the five values L(v), L(v+-h/2), L(v+-h) show it. With the bend B(s) = (L(v+s) - 2*L(v) + L(v-s)) / s, which is
 * s*L'' + s^3/12 L'''' + ... where L is smooth and J*(1 - t*h/s) for s > t*h where only the slope jumps,
 *
 *   D(h) - D(h/2)    = J*t/2       for t < 1/2,   J*(1 - t)/2  for t >= 1/2
 *   2*B(h/2) - B(h)  = J*(1 - 3t)  for t < 1/2,   J*(t - 1)    for t >= 1/2      (smooth: -h^3/16 L'''')
 *
 * so |D(h) - D(h/2)| + |2*B(h/2) - B(h)|/2, the `spread`, is at least the error of n for every t, and for a smooth L no
 * less than the truncation.
 *
 * Rounding. An output is a sum of T products, computed with a rounding error of about 0.3*sqrt(T)*u*|y|, where u is the
 * distance from 1 to the next double; R = 4*sqrt(max(T, 16))*u*max|y| is more than ten times that. The errors of the
 * outputs are independent, so they add up in L to R*sqrt(sum r_k^2); only the error of a mean or a deviation, which
 * many outputs share, adds up to u*max|y|*sum|r_k|. Both sums go over the outputs that change with v. In n the
 * differences are divided by 2h and h and weighted by 1/3 and 4/3: 1.5/h for both together. Outputs that do not change
 * at all may hide a change below their last digit: the largest r_k stands for them.
 *
 * The analytic derivative sums the terms r_k*dy_k/dv too, at most 2^24 of them, each with a rounding error of u of
 * their size S = sum |r_k*dy_k/dv|: sqrt(2^24)*u*S, about 1e-12*S.
 *
 * The comparison. With e = spread + rounding + 1e-12*S,
 *
 *   relative error = |a - n| / max(|a| + |n|, e / bound)
 *
 * must not exceed the bound: |a - n| is at most bound*(|a| + |n|), or at most e. A derivative that is nearly zero by
 * cancellation is so judged by the terms that it is the sum of.
 *
 * A large e would excuse everything. Therefore a quotient counts only if e <= bound * (the largest S of the tensor):
 * then it has the digits that the bound asks for, measured by the tensor's derivatives. At least half of the values of
 * a tensor must count. Where they do not, the outputs are no function with a derivative, and the check fails.
 *
 * The step h = 2^-13 balances the errors: where a derivative is about 1, the spread and the rounding are both about
 * 1e-9. */
#include "nn/gradcheck.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "backend/prepared.h"
#include "program/passes.h"
#include "util/check.h"
#include "util/memory.h"
#include "util/rng.h"

static const double default_step = 0x1p-13;
static const double smooth_bound = 1e-5, kinked_bound = 1e-6;
enum { VALUES_PER_TENSOR = 20, MOST_DRAWS = 200 };

/* A tensor on the device with its host copy. */
struct mirror {
    struct tensor tensor;
    double *values;
    int64_t count;
};

/* The state of a check: a scalar L is a function of the values in the mirrors. */
struct check {
    struct network *network;
    struct layer_group group;    /* count 0: the loss */
    struct network_program made; /* forward and backward pass of the group alone */
    struct prepared *prepared;
    void *work; /* SPACE_WORK of the program */
    struct rng rng;
    struct mirror x[LAYER_MAX_INPUTS], dx[LAYER_MAX_INPUTS], y, dy;
    /* L = sum of weights * outputs, over the elements of y or over the loss alone. */
    int64_t outputs;
    const double *weights;        /* r */
    double *base, *above, *below; /* outputs at v, v + s and v - s */
    double largest;               /* max |y| */
    double terms;                 /* T: products in an output */
    double step;                  /* h */
    void (*report)(void *argument, const struct gradcheck_result *result);
    void *argument;
    bool passed;
};

/* A tensor of the program that is checked; none where it is -1. */
static struct mirror mirror_create(const struct check *check, int tensor)
{
    struct mirror mirror = {0};
    if (tensor < 0) return mirror;
    mirror.tensor = network_tensor(&check->made, tensor, check->work);
    mirror.count = shape_count(mirror.tensor.shape);
    mirror.values = memory_alloc((size_t)mirror.count, sizeof *mirror.values);
    return mirror;
}

static void mirror_write(struct backend *backend, const struct mirror *mirror)
{
    backend->table->tensor_write(backend, &mirror->tensor, mirror->values);
}

static void mirror_read(struct backend *backend, struct mirror *mirror)
{
    backend->table->tensor_read(backend, &mirror->tensor, mirror->values);
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

/* Distinct values of which none is the mean of its channel. Batch normalization turns the mean into 0, the kink of the
 * activation that is fused with it. Every channel starts its values at a place where none is the mean. */
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
        } while (distance_to_mean(mirror, c) < 4 * default_step && ++start < PERIOD);
    }
}

/* Rows of positive numbers that add up to 1, which a cross-entropy without its softmax expects. */
static void fill_probabilities(struct check *check, struct mirror *mirror)
{
    int64_t classes = mirror->tensor.shape.c;
    for (int64_t n = 0; n < mirror->tensor.shape.n; n++) {
        double *row = mirror->values + n * classes, sum = 0;
        for (int64_t c = 0; c < classes; c++) sum += row[c] = 0.1 + rng_uniform(&check->rng);
        for (int64_t c = 0; c < classes; c++) row[c] /= sum;
    }
}

/* Runs the forward pass, and the backward pass where `last` is PHASE_BACKWARD. */
static void run(struct check *check, enum op_phase last)
{
    network_set_metrics(check->network, (struct metrics){0});
    prepared_run_phases(check->prepared, &(struct run_input){.n = check->made.program->max_n}, last);
}

static void evaluate(struct check *check, double *outputs)
{
    struct backend *backend = check->network->backend;
    run(check, PHASE_LOSS);
    if (check->group.count > 0) {
        backend->table->tensor_read(backend, &check->y.tensor, outputs);
        return;
    }
    struct metrics metrics = network_metrics(check->network);
    *outputs = metrics.loss / (double)metrics.count;
}

static double largest_of(const double *values, int64_t count)
{
    double largest = 0;
    for (int64_t i = 0; i < count; i++) largest = fmax(largest, fabs(values[i]));
    return largest;
}

/* Computes the outputs at the values that the mirrors hold. */
static void outputs_create(struct check *check, int64_t count, const double *weights)
{
    const struct network *network = check->network;
    check->outputs = count;
    check->weights = weights;
    check->base = memory_alloc((size_t)count, sizeof *check->base);
    check->above = memory_alloc((size_t)count, sizeof *check->above);
    check->below = memory_alloc((size_t)count, sizeof *check->below);
    evaluate(check, check->base);
    check->largest = largest_of(check->base, count);
    check->terms = (double)network_group_multiply_adds(network, check->group);
    if (check->group.count > 0) check->terms /= (double)shape_sample_count(check->y.tensor.shape);
    /* A loss subtracts an input from the logarithm of a sum of exponentials: its rounding error is one of the
     * inputs. */
    if (check->group.count == 0)
        check->largest = fmax(check->largest, largest_of(check->x[0].values, check->x[0].count));
}

static void outputs_free(struct check *check)
{
    free(check->base);
    free(check->above);
    free(check->below);
}

/* The outputs at v + s and v - s. */
struct difference {
    double slope, bend;  /* D(s), B(s) */
    double size;         /* S */
    double sum, squares; /* sum |r|, sum r^2 of the outputs that changed */
};

/* Sums the differences of outputs, which rounds less than the difference of two sums. */
static struct difference difference_of(struct check *check, struct mirror *mirror, int64_t i, double s)
{
    struct backend *backend = check->network->backend;
    double value = mirror->values[i];
    for (int sign = 1; sign >= -1; sign -= 2) {
        mirror->values[i] = value + sign * s;
        mirror_write(backend, mirror);
        evaluate(check, sign > 0 ? check->above : check->below);
    }
    mirror->values[i] = value;
    mirror_write(backend, mirror);
    struct difference d = {0};
    for (int64_t k = 0; k < check->outputs; k++) {
        double up = check->above[k] - check->base[k], down = check->base[k] - check->below[k];
        if (up == 0 && down == 0) continue;
        double r = check->weights[k], slope = r * (check->above[k] - check->below[k]) / (2 * s);
        d.slope += slope, d.bend += r * (up - down) / s;
        d.size += fabs(slope);
        d.sum += fabs(r), d.squares += r * r;
    }
    return d;
}

/* The measured derivative. */
struct quotient {
    double value;  /* n */
    double error;  /* e */
    double size;   /* S */
    bool constant; /* no output changed */
};

static struct quotient quotient_of(struct check *check, struct mirror *mirror, int64_t i)
{
    double h = check->step, largest_weight = largest_of(check->weights, check->outputs);
    struct difference whole = difference_of(check, mirror, i, h), half = difference_of(check, mirror, i, h / 2);
    double spread = fabs(whole.slope - half.slope) + fabs(2 * half.bend - whole.bend) / 2;
    double alone = 4 * sqrt(fmax(check->terms, 16)) * fmax(sqrt(whole.squares), largest_weight);
    double rounding = 1.5 / h * DBL_EPSILON * check->largest * (alone + whole.sum);
    return (struct quotient){.value = (4 * half.slope - whole.slope) / 3,
                             .error = spread + rounding + 1e-12 * whole.size,
                             .size = whole.size,
                             .constant = whole.sum == 0};
}

static const char *group_name(const struct check *check, char *text, size_t size)
{
    if (check->group.count == 0) return check->network->loss == LOSS_FUSED ? "softmax cross-entropy" : "cross-entropy";
    network_describe_group(check->network, check->group, text, size);
    return text;
}

static bool has_kink(const struct check *check)
{
    const struct layer *layer = &check->network->layers[check->group.first];
    enum activation kind = layer->spec.activation.kind;
    return check->group.count == 1 && layer->spec.kind == LAYER_ACTIVATION &&
           (kind == ACTIVATION_RELU || kind == ACTIVATION_LEAKY_RELU);
}

/* The largest relative error of the quotients that count; NaN where too few of them do. */
static double compare(const struct quotient *quotients, const double *analytic, int64_t count, double bound)
{
    double size = 0, largest = 0;
    int64_t counted = 0;
    for (int64_t k = 0; k < count; k++) size = fmax(size, quotients[k].size);
    for (int64_t k = 0; k < count; k++) {
        double a = analytic[k], n = quotients[k].value, e = quotients[k].error;
        if (e > bound * size && !quotients[k].constant) continue;                     /* not if one of them is NaN */
        double error = a == n ? 0 : fabs(a - n) / fmax(fabs(a) + fabs(n), e / bound); /* e may be 0 too */
        largest = isnan(error) || isnan(largest) ? NAN : fmax(largest, error);
        counted++;
    }
    return 2 * counted >= count ? largest : NAN;
}

/* The place of value k. A small tensor is checked as a whole. In a larger one places are drawn at random, every other
 * one among those with a derivative that is not zero: most inputs of a max-pool have none, and 20 of those would tell
 * little. */
static int64_t choose_place(struct check *check, const double *analytic, int64_t count, int64_t k)
{
    if (count <= VALUES_PER_TENSOR) return k;
    int64_t place = rng_below(&check->rng, (uint32_t)count);
    for (int draws = 1; k % 2 == 1 && analytic[place] == 0 && draws < MOST_DRAWS; draws++)
        place = rng_below(&check->rng, (uint32_t)count);
    return place;
}

/* Compares `analytic`, the gradient by the values of the mirror, with quotients at some places. */
static void check_tensor(struct check *check, const char *name, struct mirror *mirror, const double *analytic)
{
    char text[NETWORK_GROUP_TEXT];
    struct quotient quotients[VALUES_PER_TENSOR];
    double derivatives[VALUES_PER_TENSOR];
    struct gradcheck_result result = {.layer = group_name(check, text, sizeof text), .tensor = name};
    result.values = mirror->count < VALUES_PER_TENSOR ? mirror->count : VALUES_PER_TENSOR;
    result.bound = has_kink(check) ? kinked_bound : smooth_bound;
    for (int64_t k = 0; k < result.values; k++) {
        int64_t i = choose_place(check, analytic, mirror->count, k);
        quotients[k] = quotient_of(check, mirror, i);
        derivatives[k] = analytic[i];
    }
    result.error = compare(quotients, derivatives, result.values, result.bound);
    result.passed = result.error <= result.bound;
    check->passed &= result.passed;
    check->report(check->argument, &result);
}

static double *read_gradient(const struct check *check, const struct parameter *parameter)
{
    struct backend *backend = check->network->backend;
    double *analytic = memory_alloc((size_t)shape_count(parameter->value.shape), sizeof *analytic);
    backend->table->tensor_read(backend, &parameter->gradient, analytic);
    return analytic;
}

static void check_parameter(struct check *check, const struct parameter *parameter, const double *analytic)
{
    struct backend *backend = check->network->backend;
    struct mirror mirror = {.tensor = parameter->value, .count = shape_count(parameter->value.shape)};
    mirror.values = memory_alloc((size_t)mirror.count, sizeof *mirror.values);
    mirror_read(backend, &mirror);
    check_tensor(check, parameter->name, &mirror, analytic);
    free(mirror.values);
}

/* Makes the program of the group, or of the loss alone, and the mirrors of its ends. */
static void check_open(struct check *check, struct layer_group group)
{
    struct network *network = check->network;
    struct backend *backend = network->backend;
    bool loss = group.count == 0;
    int last = loss ? network->layer_count : group.first + group.count;
    struct network_request request = {.mode = LAYER_TRAIN,
                                      .n = network->max_batch,
                                      .first = loss ? last : group.first,
                                      .last = last,
                                      .loss = loss,
                                      .backward = true,
                                      .dinput = true,
                                      .keep = true};
    check->group = group;
    check->made = network_write(network, &request);
    program_finish(check->made.program, true);
    check->work = backend->table->alloc(backend, (size_t)check->made.program->work_bytes);
    void *base[SPACES] = {[SPACE_WORK] = check->work};
    network_bases(network, base);
    check->prepared = prepared_create(check->made.program, backend, base);
    for (int k = 0; k < check->made.input_count; k++) {
        check->x[k] = mirror_create(check, check->made.x[k]);
        check->dx[k] = mirror_create(check, check->made.dx[k]);
    }
    check->y = mirror_create(check, loss ? -1 : check->made.y);
    check->dy = mirror_create(check, check->made.dy);
}

static void check_close(struct check *check)
{
    struct backend *backend = check->network->backend;
    outputs_free(check);
    for (int k = 0; k < check->made.input_count; k++) {
        free(check->x[k].values);
        free(check->dx[k].values);
    }
    free(check->y.values);
    free(check->dy.values);
    prepared_free(check->prepared);
    program_free(check->made.program);
    backend->table->free(backend, check->work);
}

/* Fills what is added to the normalized values of fill_off_mean, which are about 2 in size at most: no sum is near 0, the
 * kink of the activation behind it. */
static void fill_addend(struct mirror *mirror)
{
    for (int64_t i = 0; i < mirror->count; i++) {
        double value = distinct_value(i);
        mirror->values[i] = value + copysign(5, value);
    }
}

/* Fills input k of the group, away from its kinks. */
static void fill_input(struct check *check, int k)
{
    struct mirror *x = &check->x[k];
    if (check->network->layers[check->group.first].spec.kind == LAYER_POOL) {
        fill_distinct(x);
    } else if (check->group.count > 1 && k > 0) {
        fill_addend(x);
    } else if (check->group.count > 1) {
        fill_off_mean(x);
    } else {
        fill_off_zero(check, x);
    }
    mirror_write(check->network->backend, x);
}

static void check_inputs(struct check *check)
{
    static const char *const names[LAYER_MAX_INPUTS] = {"input 1", "input 2", "input 3", "input 4"};
    int count = check->made.input_count;
    for (int k = 0; k < count; k++)
        check_tensor(check, count == 1 ? "input" : names[k], &check->x[k], check->dx[k].values);
}

/* The analytic gradients at the values that the mirrors hold; the differences that follow overwrite them. */
static void check_group(struct check *check, struct layer_group group)
{
    struct backend *backend = check->network->backend;
    struct layer *layer = &check->network->layers[group.first];
    check_open(check, group);
    for (int k = 0; k < check->made.input_count; k++) fill_input(check, k);
    fill_off_zero(check, &check->dy);
    mirror_write(backend, &check->dy);
    outputs_create(check, check->y.count, check->dy.values);
    run(check, PHASE_BACKWARD);
    for (int k = 0; k < check->made.input_count; k++) mirror_read(backend, &check->dx[k]);
    double *analytic[LAYER_MAX_PARAMETERS];
    for (int p = 0; p < layer->parameter_count; p++) analytic[p] = read_gradient(check, &layer->parameter[p]);
    check_inputs(check);
    for (int p = 0; p < layer->parameter_count; p++) {
        if (!layer->parameter[p].frozen) check_parameter(check, &layer->parameter[p], analytic[p]);
        free(analytic[p]);
    }
    check_close(check);
}

static void check_loss(struct check *check)
{
    const struct network *network = check->network;
    const double weight = 1;
    struct mirror *x = &check->x[0];
    check_open(check, (struct layer_group){network->layer_count - 1, 0});
    if (network->loss == LOSS_FUSED) {
        fill_off_zero(check, x);
    } else {
        fill_probabilities(check, x);
        check->step = default_step / (double)x->tensor.shape.c; /* a probability is that small */
    }
    mirror_write(network->backend, x);
    outputs_create(check, 1, &weight);
    run(check, PHASE_BACKWARD);
    mirror_read(network->backend, &check->dx[0]);
    check_tensor(check, "input", x, check->dx[0].values);
    check_close(check);
}

bool gradcheck_check_support(const struct network *network, struct status *status)
{
    struct network_request request = {.mode = LAYER_TRAIN,
                                      .n = network->max_batch,
                                      .last = network->layer_count,
                                      .loss = true,
                                      .backward = true,
                                      .dinput = true};
    struct network_program made = network_write(network, &request);
    bool supported = network_check_support(network, made.program, status);
    program_free(made.program);
    return supported;
}

bool gradcheck_network(struct network *network, uint64_t seed,
                       void (*report)(void *argument, const struct gradcheck_result *result), void *argument)
{
    CHECK(network->backend->scalar_size == sizeof(double) && network->max_batch == GRADCHECK_BATCH);
    struct check check = {
        .network = network, .step = default_step, .report = report, .argument = argument, .passed = true};
    check.rng = rng_create(seed, RNG_STREAM_GRADCHECK, 0);
    for (int i = 0; i < network->group_count; i++) check_group(&check, network->groups[i]);
    check_loss(&check);
    return check.passed;
}
