/* Tests the norm of an arena, and the clipping of gradients to it, in every variant, against sums in a plain loop. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/prepared.h"
#include "support.h"
#include "util/memory.h"

/* Odd sizes, less than a part and more than all parts of a reduction. */
static const struct shape shapes[] = {{1, 1, 1, 1}, {3, 17, 1, 1}, {5, 7, 3, 3}, {131, 67, 5, 5}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static double *draw(struct shape shape)
{
    double *values = memory_alloc((size_t)shape_count(shape), sizeof *values);
    support_fill(values, shape_count(shape), support_seed("norm"), 7, 0.25, 3);
    return values;
}

static double norm_of(const double *values, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += values[i] * values[i];
    return sqrt(sum);
}

static double magnitude(struct backend *backend, const struct tensor *x)
{
    struct tensor y = tensor_alloc(backend, TENSOR_SCALAR, (struct shape){1, 1, 1, 1});
    double value;
    backend_run_op(backend, op_make(OP_MAGNITUDE), (struct run_input){0},
                   OPERANDS([MAGNITUDE_X] = x, [MAGNITUDE_Y] = &y));
    backend->table->tensor_read(backend, &y, &value);
    tensor_free(backend, &y);
    return value;
}

/* Clips the elements in place. */
static void clip(struct backend *backend, const struct tensor *x, double limit)
{
    struct op op = op_make(OP_CLIP);
    op.clip = limit;
    backend_run_op(backend, op, (struct run_input){0}, OPERANDS([CLIP_X] = x));
}

static void expect_norms(struct backend *backend, const struct variant *variant, struct shape shape)
{
    double *values = draw(shape), norm = norm_of(values, shape_count(shape));
    struct tensor x = support_tensor(backend, TENSOR_FILTER, shape, values);
    double found = magnitude(backend, &x);
    /* Summed in double from values that fp32 holds exactly: only the order of the additions differs. */
    cr_expect(fabs(found - norm) <= 1e-12 * norm, "%s: %.17g, not %.17g", variant->name, found, norm);

    clip(backend, &x, 2 * norm);
    double *same = support_read(backend, &x);
    cr_expect_eq(memcmp(same, values, (size_t)shape_count(shape) * sizeof *values), 0, "%s: a short one moved",
                 variant->name);

    clip(backend, &x, norm / 8);
    double *clipped = support_read(backend, &x), factor = norm / 8 / (norm + 1e-6);
    char message[256];
    for (int64_t i = 0; i < shape_count(shape); i++) values[i] *= factor;
    /* The factor and the product are rounded once each. */
    cr_expect(support_close(clipped, values, shape_count(shape), 0, 2.5 * variant->roundoff, message, sizeof message),
              "%s: %s", variant->name, message);
    tensor_free(backend, &x);
    free(values), free(same), free(clipped);
}

Test(norm, is_that_of_a_plain_sum_in_every_variant)
{
    int count;
    const struct variant *variants = variant_list(&count);
    for (int v = 0; v < count; v++) {
        struct backend *backend = variant_create(&variants[v], 2);
        for (int s = 0; backend && s < SHAPES; s++) expect_norms(backend, &variants[v], shapes[s]);
        backend_destroy(backend);
    }
}

Test(norm, does_not_depend_on_the_number_of_threads)
{
    int count;
    const struct variant *variants = variant_list(&count);
    for (int v = 0; v < count; v++) {
        double first = NAN, *values = draw(shapes[SHAPES - 1]);
        for (int threads = 1; threads <= 7; threads += 2) {
            struct backend *backend = variant_create(&variants[v], threads);
            if (!backend) break;
            struct tensor x = support_tensor(backend, TENSOR_FILTER, shapes[SHAPES - 1], values);
            double norm = magnitude(backend, &x);
            if (threads == 1) first = norm;
            cr_expect_eq(norm, first, "%s, %d threads: %.17g, not %.17g", variants[v].name, threads, norm, first);
            tensor_free(backend, &x);
            backend_destroy(backend);
        }
        free(values);
    }
}

/* A value that is not finite must show in the norm at any place, and a clipped gradient must not hide it. */
Test(norm, shows_what_is_not_finite)
{
    const double bad[] = {NAN, INFINITY, -INFINITY};
    int count;
    const struct variant *variants = variant_list(&count);
    for (int v = 0; v < count; v++) {
        struct backend *backend = variant_create(&variants[v], 2);
        if (!backend) continue;
        struct shape shape = {5, 7, 3, 3};
        int64_t places[] = {0, 17, shape_count(shape) - 1};
        for (int p = 0; p < 9; p++) {
            double *values = draw(shape);
            values[places[p / 3]] = bad[p % 3];
            struct tensor x = support_tensor(backend, TENSOR_FILTER, shape, values);
            cr_expect_not(isfinite(magnitude(backend, &x)), "%s", variants[v].name);
            clip(backend, &x, 1);
            cr_expect_not(isfinite(magnitude(backend, &x)), "%s, clipped", variants[v].name);
            tensor_free(backend, &x);
            free(values);
        }
        backend_destroy(backend);
    }
}
