/* Tests the reference backend beyond the values of its operations (test_ops_known, test_ops_by_hand, test_ops_gradcheck):
 * the gradients that a program gets for each kind of operation, against central differences; the labels of a gathered
 * batch; its memory and its boundary. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "backend/reference/reference.h"
#include "op_cases.h"
#include "self_test/op_run.h"
#include "program/gradient.h"
#include "support.h"
#include "util/memory.h"
#include "util/rng.h"

/* --- derivatives of programs --- */

enum { CHECKED_ELEMENTS = 8 };
static const double step_size = 1e-5, tolerance = 1e-5, floor_of_error = 1e-8;

/* A program of one forward operation, and of what program_gradient writes for one of its operands. */
struct derivative {
    struct program *program;
    struct prepared *prepared;
    const struct run_input *input;
    int x, dx, y, dy; /* the operand and its gradient; the output and its gradient, -1 for a loss */
    char *work;
};

static bool is_loss(enum op_kind kind)
{
    return kind == OP_CROSS_ENTROPY || kind == OP_SOFTMAX_CROSS_ENTROPY;
}

/* The slot of y. */
static int output_slot(enum op_kind kind)
{
    return kind == OP_CHANNEL_BROADCAST ? CHANNEL_BROADCAST_X : op_row(kind)->output;
}

static double *data_of(const struct derivative *d, int tensor)
{
    const struct program_tensor *t = &d->program->tensors[tensor];
    return (double *)(t->space == SPACE_WORK ? d->work + t->offset : (char *)(intptr_t)t->offset);
}

static int64_t count_of(const struct derivative *d, int tensor)
{
    return shape_count(d->program->tensors[tensor].shape);
}

/* Gives every tensor of SPACE_WORK a place of its own. */
static void place(struct derivative *d)
{
    int64_t bytes = 0;
    for (int t = 0; t < d->program->tensor_count; t++) {
        struct program_tensor *tensor = &d->program->tensors[t];
        if (tensor->space != SPACE_WORK) continue;
        tensor->offset = bytes;
        bytes += (int64_t)(tensor->bytes + 63) / 64 * 64;
    }
    d->work = memory_alloc((size_t)bytes + 1, 1);
}

static struct derivative derivative_open(struct backend *backend, const struct op_run *run, int place_of_op,
                                         int operand)
{
    const struct program *from = op_run_program(run);
    struct op op = from->ops[place_of_op];
    struct derivative d = {.program = program_create(backend, from->max_n),
                           .input = op_run_input_of(run, place_of_op),
                           .x = operand,
                           .y = -1,
                           .dy = -1};
    for (int t = 0; t < from->tensor_count; t++) program_tensor_add(d.program, from->tensors[t]);
    program_add(d.program, op);
    if (!is_loss(op.kind)) {
        d.y = op.tensor[output_slot(op.kind)];
        d.dy = program_like(d.program, "dy", d.y);
    }
    const struct gradient_ends ends = {
        .output = d.y, .doutput = d.dy, .input_count = 1, .inputs = &d.x, .dinputs = &d.dx};
    program_gradient(d.program, &ends);
    place(&d);
    if (!is_loss(op.kind)) support_fill(data_of(&d, d.dy), count_of(&d, d.dy), 7, 0, 0, 1);
    void *base[SPACES] = {[SPACE_WORK] = d.work};
    d.prepared = prepared_create(d.program, backend, base);
    return d;
}

static void derivative_close(struct derivative *d)
{
    prepared_free(d->prepared);
    program_free(d->program);
    free(d->work);
}

/* The metrics of a loss; NULL for another operation. */
static struct metrics *metrics_of(const struct derivative *d)
{
    const struct op_call *call = &d->prepared->calls[0];
    if (!is_loss(call->op->kind)) return NULL;
    bool fused = call->op->kind == OP_SOFTMAX_CROSS_ENTROPY;
    return call->tensor[fused ? (int)SOFTMAX_CROSS_ENTROPY_METRICS : (int)CROSS_ENTROPY_METRICS].data;
}

/* Runs the forward operation. Returns the loss, that of the metrics or sum(y dy), and a bound of its rounding. */
static double forward_loss(const struct derivative *d, struct backend *backend, double *rounding)
{
    double loss = 0, squares = 0, most = 1;
    struct metrics *metrics = metrics_of(d);
    if (metrics) *metrics = (struct metrics){0};
    reference_functions[d->program->ops[0].kind].run(backend, &d->prepared->calls[0]);
    *rounding = 16 * 0x1p-53;
    if (metrics) return metrics->loss / (double)d->program->max_n;
    const double *y = data_of(d, d->y), *dy = data_of(d, d->dy);
    for (int64_t i = 0; i < count_of(d, d->y); i++) {
        loss += y[i] * dy[i];
        squares += dy[i] * dy[i];
        most = fmax(most, fabs(y[i]));
    }
    *rounding *= most * sqrt(squares);
    return loss;
}

/* Compares the gradient of the operand with central differences at some of its elements. */
static void expect_differences(const struct derivative *d, struct backend *backend, const struct op_case *c,
                               const char *operand)
{
    double *x = data_of(d, d->x), rounding;
    int64_t count = count_of(d, d->x), checked = count < CHECKED_ELEMENTS ? count : CHECKED_ELEMENTS;
    struct rng rng = rng_create(support_seed(c->name), RNG_STREAM_GRADCHECK, 1);
    for (int64_t k = 0; k < checked; k++) {
        int64_t i = checked == count ? k : rng_below(&rng, (uint32_t)count);
        double centre = x[i], dx = data_of(d, d->dx)[i], above, below; /* a loss writes dx in each run */
        x[i] = centre + step_size;
        above = forward_loss(d, backend, &rounding);
        x[i] = centre - step_size;
        below = forward_loss(d, backend, &rounding);
        x[i] = centre;
        forward_loss(d, backend, &rounding);
        double expected = (above - below) / (2 * step_size);
        double allowed = tolerance * fmax(floor_of_error, fabs(dx) + fabs(expected)) + rounding / step_size;
        cr_expect(fabs(dx - expected) <= allowed, "%s, gradient of %s [%d]: %.12g, by differences %.12g (+- %.3g)",
                  c->name, operand, (int)i, dx, expected, allowed);
    }
}

/* Nothing asks for the gradient of a class's weight, nor of a loss's logits beside its probabilities. */
static bool has_no_gradient(enum op_kind kind, int slot)
{
    return (kind == OP_CROSS_ENTROPY && slot != CROSS_ENTROPY_PROBABILITIES) ||
           (kind == OP_SOFTMAX_CROSS_ENTROPY && slot != SOFTMAX_CROSS_ENTROPY_LOGITS);
}

static void check_operands(struct backend *backend, const struct op_case *c, const struct op_run *run, int i)
{
    const struct op *op = &op_run_program(run)->ops[i];
    const struct op_row *row = op_row(op->kind);
    for (int slot = 0; slot < OP_OPERANDS; slot++) {
        if (row->operand[slot].role != OPERAND_READ || op->tensor[slot] < 0 || has_no_gradient(op->kind, slot))
            continue;
        struct derivative d = derivative_open(backend, run, i, op->tensor[slot]);
        cr_assert(d.dx >= 0, "%s: no gradient of %s", c->name, row->operand[slot].name);
        prepared_run(d.prepared, d.input);
        expect_differences(&d, backend, c, row->operand[slot].name);
        derivative_close(&d);
    }
}

/* Every kind with a gradient, by every case whose values are so small that differences are exact enough. */
Test(reference, gradients_of_programs)
{
    struct backend *backend = reference_create();
    bool seen[OP_KIND_COUNT] = {false};
    int count;
    const struct op_case *cases = op_case_list(&count);
    for (int k = 0; k < count; k++) {
        struct op_arrays inputs;
        if (fabs(cases[k].offset) > 8 || cases[k].scale > 8 || cases[k].scale < 0.01) continue;
        if (!op_row(cases[k].kind)->gradient || shape_count(cases[k].x) > 3000) continue;
        op_case_inputs(&cases[k], &inputs);
        op_case_avoid_kinks(&cases[k], &inputs);
        struct op_run *run = op_run_open(&cases[k], backend, (struct op_run_options){.forward_only = true}, &inputs);
        for (int i = 0; i < op_run_program(run)->op_count; i++) {
            check_operands(backend, &cases[k], run, i);
            seen[op_run_program(run)->ops[i].kind] = true;
        }
        op_run_close(run, NULL);
        op_arrays_free(&inputs);
    }
    for (int kind = 0; kind < OP_KIND_COUNT; kind++)
        cr_expect(seen[kind] || !op_row((enum op_kind)kind)->gradient, "%s is not checked",
                  op_row((enum op_kind)kind)->name);
    backend_destroy(backend);
}

/* --- data --- */

/* Labels and pixels of a batch in the middle of an order, by an independent loop. */
Test(reference, gathers_in_the_order_that_is_set)
{
    enum { IMAGES = 5, PIXELS = 6, N = 2 };
    uint8_t pixels[IMAGES * PIXELS];
    const uint16_t labels[IMAGES] = {4, 300, 0, 7, 65535};
    const float offset[PIXELS] = {0, 1, 2, 3, 4, 5}, scale[2] = {0.5f, 2};
    const int32_t order[IMAGES] = {3, 0, 4, 1, 2}, rows[IMAGES] = {4, 3, 2, 1, 0};
    double x[N * PIXELS], read_labels[N];
    for (int i = 0; i < IMAGES * PIXELS; i++) pixels[i] = (uint8_t)(7 * i);
    struct dataset_view view = {IMAGES, 2, 1, 3, pixels, labels, offset, scale, rows, false};
    struct backend *backend = reference_create();
    struct device_dataset *dataset = backend->table->dataset_upload(backend, &view);
    struct tensor batch = tensor_alloc(backend, TENSOR_ACTIVATION, (struct shape){N, 2, 1, 3});
    struct tensor batch_labels = tensor_alloc(backend, TENSOR_LABELS, (struct shape){N, 1, 1, 1});
    for (int ordered = 0; ordered < 2; ordered++) {
        backend->table->dataset_set_order(backend, dataset, ordered ? order : NULL);
        backend_run_op(backend, op_make(OP_GATHER),
                       (struct run_input){.state = {.batch_first = 2}, .n = N, .data = dataset},
                       OPERANDS([GATHER_X] = &batch, [GATHER_LABELS] = &batch_labels));
        backend->table->tensor_read(backend, &batch, x);
        backend->table->tensor_read(backend, &batch_labels, read_labels);
        for (int n = 0; n < N; n++) {
            int sample = ordered ? order[2 + n] : 2 + n;
            cr_expect_eq(read_labels[n], labels[sample]);
            for (int i = 0; i < PIXELS; i++)
                cr_expect_eq(x[n * PIXELS + i],
                             (pixels[rows[sample] * PIXELS + i] - (double)offset[i]) * (double)scale[i / 3]);
        }
    }
    tensor_free(backend, &batch), tensor_free(backend, &batch_labels);
    backend->table->dataset_free(backend, dataset);
    cr_expect_eq(backend->allocated, 0);
    backend_destroy(backend);
}

/* --- the backend --- */

Test(reference, boundary_keeps_every_kind_of_tensor)
{
    struct backend *backend = reference_create();
    const enum tensor_kind kinds[] = {TENSOR_ACTIVATION, TENSOR_FILTER,  TENSOR_VECTOR, TENSOR_LABELS,
                                      TENSOR_FLAT,       TENSOR_METRICS, TENSOR_SCALAR};
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        const double values[3] = {5, 300, 70000};
        double read[3] = {0};
        struct tensor tensor = support_tensor(backend, kinds[k], (struct shape){1, 3, 1, 1}, values);
        backend->table->tensor_read(backend, &tensor, read);
        for (int i = 0; i < 3; i++) cr_expect_eq(read[i], values[i], "kind %d: [%d] is %g", (int)k, i, read[i]);
        tensor_free(backend, &tensor);
    }
    cr_expect_eq(backend->allocated, 0);
    backend_destroy(backend);
}

Test(reference, computes_in_fp64_only)
{
    const struct backend_options options = {.precision = PRECISION_FP32};
    struct backend *backend;
    struct status status = {0};
    cr_assert_not(reference_backend_create(&backend, &options, &status));
    cr_expect_str_eq(status.message, "backend.precision: the reference backend computes in fp64");
    backend = reference_create();
    cr_expect(backend->table->measure_peak(backend) > 1e6);
    backend_destroy(backend);
}

/* Only what a max-pool needs is saved. */
Test(reference, saves_the_winners_of_a_max_pool)
{
    const struct shape y = {2, 3, 4, 5};
    struct op pool = op_make(OP_POOL), norm = op_make(OP_NORM);
    struct backend *backend = reference_create();
    pool.pool.kind = POOL_MAX;
    cr_expect_eq(backend_saved_bytes(backend, &pool, y), 120 * sizeof(int64_t));
    pool.pool.kind = POOL_AVERAGE;
    cr_expect_eq(backend_saved_bytes(backend, &pool, y), 0);
    norm.norm.pool.kind = POOL_MAX;
    cr_expect_eq(backend_saved_bytes(backend, &norm, y), 0);
    norm.norm.pooled = true;
    cr_expect_eq(backend_saved_bytes(backend, &norm, y), 120 * sizeof(int64_t));
    backend_destroy(backend);
}
