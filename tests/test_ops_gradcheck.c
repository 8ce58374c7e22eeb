/* Checks every backward pass against central differences of its forward pass, in double precision, as the assignment
 * does: h = 1e-5, error |a - b| / max(1e-8, |a| + |b|) below 1e-5, for the ReLU family below 1e-6.
 *
 * Beyond that error only the rounding error of the difference quotient is allowed: one rounding of the terms that make
 * up an output (op_reference_magnitude), over 2h. It matters where a gradient is tiny beside the values behind it: in a
 * softmax of huge logits, or a batch norm of values around 1000.
 *
 * The loss is L = sum(y * dy) with random dy, so the backward pass of dy gives dL/dx. A long input is checked at random
 * elements. The inputs keep away from kinks (op_case_avoid_kinks). */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "op_cases.h"
#include "op_reference.h"
#include "self_test/op_run.h"
#include "support.h"
#include "util/rng.h"

enum { CHECKED_ELEMENTS = 24 };
static const double step_size = 1e-5, floor_of_error = 1e-8;

/* Pairs an input of an operation with the output that is its gradient. */
struct gradient {
    enum op_kind kind;
    const char *input, *output;
};
static const struct gradient gradients[] = {
    {OP_CONV2D, "x", "dx"},         {OP_CONV2D, "weight", "dweight"},
    {OP_CONV2D, "bias", "dbias"},   {OP_POOL, "x", "dx"},
    {OP_GLOBAL_POOL, "x", "dx"},    {OP_NORM, "x", "dx"},
    {OP_NORM, "gamma", "dgamma"},   {OP_NORM, "beta", "dbeta"},
    {OP_NORM, "addend", "daddend"}, {OP_ACTIVATION, "x", "dx"},
    {OP_FLATTEN, "x", "dx"},        {OP_SOFTMAX, "x", "dx"},
    {OP_GATE, "x", "dx"},           {OP_GATE, "z", "dz"},
    {OP_CROSS_ENTROPY, "x", "dx"},  {OP_SOFTMAX_CROSS_ENTROPY, "x", "dx"},
};

/* A difference of two losses, and a bound of its error by roundings of the forward pass. */
struct difference {
    double value, rounding;
};

/* Returns sum((plus - minus) * dy). An output that did not change has no rounding error. One that changed is off by at
 * most `error`, and independent errors add up like the root of their squares. */
static struct difference loss_difference(const struct op_case *op_case, const struct op_arrays *inputs,
                                         const struct op_arrays *plus, const struct op_arrays *minus, double error)
{
    const struct op_array *metrics = op_arrays_find(plus, "metrics"), *dy = op_arrays_find(inputs, "dy");
    if (metrics) { /* the sum of the losses; the gradient belongs to their mean */
        double change = metrics->values[0] - op_arrays_find(minus, "metrics")->values[0], n = (double)op_case->x.n;
        return (struct difference){change / n, 2 * error / n};
    }
    const double *a = op_arrays_find(plus, "y")->values, *b = op_arrays_find(minus, "y")->values;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < shape_count(dy->shape); i++) {
        if (a[i] == b[i]) continue;
        sum += (a[i] - b[i]) * dy->values[i];
        squares += dy->values[i] * dy->values[i];
    }
    return (struct difference){sum, 2 * error * sqrt(squares)};
}

/* Returns the central difference at an element of an input, and its rounding error. */
static struct difference numeric_gradient(const struct op_case *op_case, struct backend *backend,
                                          const struct op_arrays *inputs, double *element, double h, double error)
{
    const struct op_run_options forward = {.forward_only = true};
    struct op_arrays plus, minus;
    double centre = *element, above = centre + h, below = centre - h;
    *element = above;
    op_case_run(op_case, backend, forward, inputs, &plus);
    *element = below;
    op_case_run(op_case, backend, forward, inputs, &minus);
    *element = centre;
    struct difference difference = loss_difference(op_case, inputs, &plus, &minus, error);
    op_arrays_free(&plus), op_arrays_free(&minus);
    return (struct difference){difference.value / (above - below), difference.rounding / (above - below)};
}

/* Returns the largest relative error over the checked elements of one input. `error` is that of an element of the
 * output. */
static double worst_error(const struct op_case *op_case, struct backend *backend, const struct op_arrays *inputs,
                          const struct op_array *input, const struct op_array *gradient, double error)
{
    int64_t count = shape_count(input->shape), checked = count < CHECKED_ELEMENTS ? count : CHECKED_ELEMENTS;
    /* A step must be small against the spread of the values, or the curvature of 1/sqrt(var + eps) shows. */
    double h = input == &inputs->array[0] && op_case->scale < 0.01 ? step_size / 16 : step_size;
    struct rng rng = rng_create(support_seed(op_case->name), RNG_STREAM_GRADCHECK, 1);
    double worst = 0;
    for (int64_t k = 0; k < checked && !isnan(worst); k++) {
        int64_t i = checked == count ? k : rng_below(&rng, (uint32_t)count);
        double a = gradient->values[i];
        struct difference b = numeric_gradient(op_case, backend, inputs, &input->values[i], h, error);
        double excess = fmax(fabs(a - b.value) - b.rounding, isnan(a + b.value) ? NAN : 0);
        double relative = excess / fmax(floor_of_error, fabs(a) + fabs(b.value));
        if (!(relative <= worst)) worst = relative;
    }
    return worst;
}

static void check_case(const struct op_case *op_case, struct backend *backend, const struct op_reference *reference,
                       const struct variant *variant, double tolerance)
{
    struct op_arrays inputs, outputs;
    op_case_inputs(op_case, &inputs);
    op_case_avoid_kinks(op_case, &inputs);
    op_case_run(op_case, backend, (struct op_run_options){0}, &inputs, &outputs);
    const char *loss = op_arrays_find(&outputs, "y") ? "y" : "metrics";
    double error = variant->roundoff * op_reference_magnitude(reference, op_case, loss);
    for (size_t g = 0; g < sizeof gradients / sizeof gradients[0]; g++) {
        const struct op_array *input = op_arrays_find(&inputs, gradients[g].input);
        if (gradients[g].kind != op_case->kind || !input) continue;
        const struct op_array *gradient = op_arrays_find(&outputs, gradients[g].output);
        double worst = worst_error(op_case, backend, &inputs, input, gradient, error);
        cr_expect(worst < tolerance, "%s, %s, %s: relative error %.3g, allowed %.3g", variant->name, op_case->name,
                  gradients[g].output, worst, tolerance);
    }
    op_arrays_free(&inputs), op_arrays_free(&outputs);
}

static void check_backend(struct backend *backend, const struct variant *variant, enum op_kind kind, double tolerance)
{
    struct op_reference *reference = op_reference_load();
    int count;
    const struct op_case *cases = op_case_list(&count);
    for (int i = 0; backend && i < count; i++)
        if (cases[i].kind == kind && op_case_offered(&cases[i], backend))
            check_case(&cases[i], backend, reference, variant, tolerance);
    op_reference_free(reference);
    backend_destroy(backend);
}

static void check_op(enum op_kind kind, double tolerance)
{
    int count;
    const struct variant *variants = variant_list(&count);
    for (int v = 0; v < count; v++)
        if (variants[v].precision == PRECISION_FP64)
            check_backend(variant_create(&variants[v], 1), &variants[v], kind, tolerance);
}

Test(ops_gradcheck, conv2d)
{
    check_op(OP_CONV2D, 1e-5);
}

Test(ops_gradcheck, pool)
{
    check_op(OP_POOL, 1e-5);
}

Test(ops_gradcheck, global_pool)
{
    check_op(OP_GLOBAL_POOL, 1e-5);
}

Test(ops_gradcheck, gate)
{
    check_op(OP_GATE, 1e-5);
}

Test(ops_gradcheck, batchnorm)
{
    check_op(OP_NORM, 1e-5);
}

Test(ops_gradcheck, activation)
{
    check_op(OP_ACTIVATION, 1e-6);
}

Test(ops_gradcheck, flatten)
{
    check_op(OP_FLATTEN, 1e-5);
}

Test(ops_gradcheck, softmax)
{
    check_op(OP_SOFTMAX, 1e-5);
}

Test(ops_gradcheck, cross_entropy)
{
    check_op(OP_CROSS_ENTROPY, 1e-5);
}

Test(ops_gradcheck, softmax_cross_entropy)
{
    check_op(OP_SOFTMAX_CROSS_ENTROPY, 1e-5);
}
