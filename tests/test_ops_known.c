/* Tests every operation, forward and backward, on every variant that this machine can run and on the reference:
 *   - against PyTorch in double precision (ref/ops.bin);
 *   - element by element against the reference backend;
 *   - with one, two and three threads, which must agree to the bit.
 * test_ops_by_hand has the values that PyTorch's file cannot hold. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "op_cases.h"
#include "op_reference.h"
#include "self_test/op_run.h"
#include "support.h"

/* Compares a case on a backend with PyTorch and, element by element, with the reference. */
static void expect_case(struct backend *backend, const struct variant *variant, const struct op_case *op_case,
                        const struct op_reference *known, struct backend *reference)
{
    char message[512];
    struct op_arrays inputs, outputs, expected;
    op_case_inputs(op_case, &inputs);
    for (int k = 0; k < inputs.count; k++)
        support_round(variant, inputs.array[k].values, shape_count(inputs.array[k].shape));
    op_case_run(op_case, backend, (struct op_run_options){.host_memory = variant->host_memory}, &inputs, &outputs);
    op_case_run(op_case, reference, (struct op_run_options){0}, &inputs, &expected);
    if (variant->precision != PRECISION_BF16) /* PyTorch's inputs have values that bf16 cannot hold */
        cr_expect(op_reference_agrees(known, op_case, &outputs, variant->roundoff, message, sizeof message),
                  "%s, %s, against PyTorch: %s", variant->name, op_case->name, message);
    cr_expect(op_reference_same(known, op_case, &outputs, &expected, variant->roundoff, message, sizeof message),
              "%s, %s, against the reference: %s", variant->name, op_case->name, message);
    op_arrays_free(&inputs), op_arrays_free(&outputs), op_arrays_free(&expected);
}

static void expect_reference(struct backend *backend, const struct variant *variant, enum op_kind kind)
{
    struct backend *reference = reference_create();
    struct op_reference *known = op_reference_load();
    int count;
    const struct op_case *cases = op_case_list(&count);
    for (int i = 0; backend && i < count; i++)
        if (cases[i].kind == kind && op_case_offered(&cases[i], backend) && op_case_comparable(&cases[i], backend))
            expect_case(backend, variant, &cases[i], known, reference);
    op_reference_free(known);
    backend_destroy(backend), backend_destroy(reference);
}

/* Expects the same bits from two runs, also in NaN. */
static void expect_equal_arrays(const struct op_arrays *a, const struct op_arrays *b, const char *what)
{
    cr_assert_eq(a->count, b->count);
    for (int i = 0; i < a->count; i++) {
        size_t bytes = (size_t)shape_count(a->array[i].shape) * sizeof(double);
        cr_expect(memcmp(a->array[i].values, b->array[i].values, bytes) == 0, "%s: %s differs", what, a->array[i].name);
    }
}

static void expect_thread_independence(const struct variant *variant, enum op_kind kind)
{
    struct backend *backends[] = {variant_create(variant, 1), variant_create(variant, 2), variant_create(variant, 3)};
    int count;
    const struct op_case *cases = op_case_list(&count);
    for (int i = 0; backends[0] && i < count; i++) {
        if (cases[i].kind != kind || !op_case_offered(&cases[i], backends[0])) continue;
        struct op_arrays inputs, outputs[3];
        op_case_inputs(&cases[i], &inputs);
        for (int k = 0; k < 3; k++)
            op_case_run(&cases[i], backends[k], (struct op_run_options){0}, &inputs, &outputs[k]);
        for (int k = 1; k < 3; k++) {
            char what[256];
            snprintf(what, sizeof what, "%s, %s, 1 and %d threads", variant->name, cases[i].name, k + 1);
            expect_equal_arrays(&outputs[0], &outputs[k], what);
        }
        op_arrays_free(&inputs);
        for (int k = 0; k < 3; k++) op_arrays_free(&outputs[k]);
    }
    for (int k = 0; k < 3; k++) backend_destroy(backends[k]);
}

static void expect_known(enum op_kind kind)
{
    int count;
    const struct variant *variants = variant_list(&count);
    expect_reference(reference_create(), &reference_variant, kind);
    for (int i = 0; i < count; i++) {
        expect_reference(variant_create(&variants[i], 1), &variants[i], kind);
        expect_thread_independence(&variants[i], kind);
    }
}

/* The list of cases covers the table of operations: each kind is run by a case, and the reference has all of them. */
Test(ops_known, every_kind_has_a_case)
{
    struct backend *reference = reference_create();
    uint64_t kinds = 0;
    int count;
    const struct op_case *cases = op_case_list(&count);
    for (int i = 0; i < count; i++) {
        struct op_arrays inputs, outputs;
        op_case_inputs(&cases[i], &inputs);
        cr_assert(op_case_offered(&cases[i], reference), "%s", cases[i].name);
        kinds |= op_case_run(&cases[i], reference, (struct op_run_options){0}, &inputs, &outputs).kinds;
        op_arrays_free(&inputs), op_arrays_free(&outputs);
    }
    for (int kind = 0; kind < OP_KIND_COUNT; kind++)
        cr_expect(kinds >> kind & 1, "no case runs %s", op_row((enum op_kind)kind)->name);
    backend_destroy(reference);
}

Test(ops_known, conv2d)
{
    expect_known(OP_CONV2D);
}

Test(ops_known, pool)
{
    expect_known(OP_POOL);
}

Test(ops_known, global_pool)
{
    expect_known(OP_GLOBAL_POOL);
}

Test(ops_known, gate)
{
    expect_known(OP_GATE);
}

Test(ops_known, batchnorm)
{
    expect_known(OP_NORM);
}

Test(ops_known, fold)
{
    expect_known(OP_FOLD);
}

Test(ops_known, activation)
{
    expect_known(OP_ACTIVATION);
}

Test(ops_known, dropout)
{
    expect_known(OP_DROPOUT);
}

Test(ops_known, flatten)
{
    expect_known(OP_FLATTEN);
}

Test(ops_known, softmax)
{
    expect_known(OP_SOFTMAX);
}

Test(ops_known, cross_entropy)
{
    expect_known(OP_CROSS_ENTROPY);
}

Test(ops_known, softmax_cross_entropy)
{
    expect_known(OP_SOFTMAX_CROSS_ENTROPY);
}

Test(ops_known, add)
{
    expect_known(OP_ADD);
}

Test(ops_known, elementwise)
{
    expect_known(OP_ELEMENTWISE);
}

Test(ops_known, channel)
{
    expect_known(OP_CHANNEL_SUM);
}

Test(ops_known, gather)
{
    expect_known(OP_GATHER);
}

Test(ops_known, clip)
{
    expect_known(OP_CLIP);
}

Test(ops_known, magnitude)
{
    expect_known(OP_MAGNITUDE);
}

Test(ops_known, update)
{
    expect_known(OP_UPDATE);
}

Test(ops_known, average)
{
    expect_known(OP_AVERAGE);
}

Test(ops_known, accumulate)
{
    expect_known(OP_ACCUMULATE);
}
