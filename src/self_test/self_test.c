/* Runs the cases of the self-test (self_test.h). */
#include "self_test/self_test.h"

#include <math.h>
#include <stdio.h>

#include "backend/reference/reference.h"
#include "self_test/op_case_lines.h"
#include "self_test/op_run.h"
#include "self_test/support.h"
#include "util/check.h"
#include "util/warning.h"

static const struct op_case cases[] = {
#include "self_test/brief_cases.h"
};

const struct op_case *self_test_cases(int *count)
{
    *count = sizeof cases / sizeof *cases;
    return cases;
}

/* The largest difference that counts as rounding, as a share of the largest value of the same output. tf32 and bf16: the
 * operands of a product, or the result, are rounded to 10 or 7 bits behind the point, by 2^-11 or 2^-8 at most, and sums
 * of such errors stay below 8 times that. fp32: 2^-24, of which Winograd's method and sums of a few hundred terms in
 * another order make some hundred times as much. A term that is missing in the sums of these cases is a hundredth of the
 * largest value and more in fp32's; in bf16 the wrong values must be a thirtieth. */
static double tolerance_of(enum precision precision)
{
    return precision == PRECISION_BF16 ? 0x1p-5 : precision == PRECISION_TF32 ? 0x1p-8 : 0x1p-14;
}

static double largest(const double *values, int64_t count)
{
    double most = 0;
    for (int64_t i = 0; i < count; i++) most = fmax(most, fabs(values[i]));
    return most;
}

static bool same(const struct op_arrays *outputs, const struct op_arrays *expected, double tolerance, char *message,
                 size_t size)
{
    for (int i = 0; i < expected->count; i++) {
        const struct op_array *b = &expected->array[i], *a = op_arrays_find(outputs, b->name);
        int64_t count = shape_count(b->shape);
        CHECK(a && shape_equal(a->shape, b->shape));
        int used = snprintf(message, size, "%s: ", b->name);
        if (!support_close(a->values, b->values, count, tolerance * largest(b->values, count), 0, message + used,
                           size - (size_t)used))
            return false;
    }
    return true;
}

static bool run_case(const struct op_case *c, struct backend *backend, struct backend *reference, double tolerance,
                     char *message, size_t size)
{
    struct op_arrays inputs, outputs, expected;
    op_case_inputs(c, &inputs);
    for (int i = 0; i < inputs.count; i++)
        if (backend->activation_size < sizeof(float))
            support_round_bf16(inputs.array[i].values, shape_count(inputs.array[i].shape));
    op_case_run(c, backend, (struct op_run_options){0}, &inputs, &outputs);
    op_case_run(c, reference, (struct op_run_options){0}, &inputs, &expected);
    bool good = same(&outputs, &expected, tolerance, message, size);
    op_arrays_free(&inputs), op_arrays_free(&outputs), op_arrays_free(&expected);
    return good;
}

bool self_test_run(struct backend *backend, enum precision precision, struct status *status)
{
    const struct backend_options exact = {.precision = PRECISION_FP64};
    struct backend *reference;
    char message[512];
    bool good = true;
    if (!reference_backend_create(&reference, &exact, status)) return false;
    backend->in_self_test = true;
    for (size_t i = 0; good && i < sizeof cases / sizeof *cases; i++) {
        if (!op_case_offered(&cases[i], backend) || !op_case_comparable(&cases[i], backend)) continue;
        good = run_case(&cases[i], backend, reference, tolerance_of(precision), message, sizeof message);
        if (!good)
            status_fail(status, STATUS_RUNTIME, "%s: fails its self-test in %s, %s, %s", backend->description,
                        op_row(cases[i].kind)->name, cases[i].name, message);
    }
    backend->in_self_test = false;
    backend_destroy(reference);
    return good;
}

/* Creates the CPU's backend in place of a GPU's that has failed. */
static bool create_instead(struct backend **backend, const struct backend_options *options, const char *reason,
                           struct status *status)
{
    struct backend_options other = *options;
    other.gpu_refused = "the GPU fails its self-test";
    warning_print("%s; computing on the CPU", reason);
    return backend_create(backend, &other, status);
}

bool self_test_backend_create(struct backend **backend, const struct backend_options *options, struct status *status)
{
    struct status problem = {.code = STATUS_OK};
    bool cached = true;
    if (!backend_create(backend, options, status)) return false;
    if (self_test_pass(*backend, options, &cached, &problem)) {
        if (cached) return true;
        backend_destroy(*backend); /* the run shall begin without what the test has taken of the device's memory */
        return backend_create(backend, options, status);
    }
    backend_destroy(*backend);
    *backend = NULL;
    if (options->device == DEVICE_AUTO) return create_instead(backend, options, problem.message, status);
    return status_fail(status, problem.code, "%s; use backend.device = cpu", problem.message);
}
