/* Tests the tape: every primitive by hand and by central differences, in double, on every backend of this machine. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <criterion/criterion.h>

#include "experiment_support.h"
#include "trainer/tape.h"

enum { MAX_VALUES = 256 };

/* A formula records from two full variables (N,C,H,W) and two per channel (C). */
typedef tape_variable (*formula)(struct tape *tape, tape_variable a, tape_variable b, tape_variable u, tape_variable v);

#define FORMULA(name)                                                                                                  \
    static tape_variable name(struct tape *t, tape_variable a, tape_variable b, tape_variable u, tape_variable v)
#define ALL_USED (void)t, (void)a, (void)b, (void)u, (void)v

/* clang-format off */
FORMULA(add) { ALL_USED; return tape_add(t, a, b); }
FORMULA(subtract) { ALL_USED; return tape_subtract(t, a, b); }
FORMULA(multiply) { ALL_USED; return tape_multiply(t, a, b); }
FORMULA(divide) { ALL_USED; return tape_divide(t, a, b); }
FORMULA(square) { ALL_USED; return tape_square(t, a); }
FORMULA(root) { ALL_USED; return tape_sqrt(t, a); }
FORMULA(add_constant) { ALL_USED; return tape_add_constant(t, a, 10); }
FORMULA(mean) { ALL_USED; return tape_channel_mean(t, a); }
FORMULA(broadcast) { ALL_USED; return tape_broadcast(t, u, a); }
FORMULA(vector_add) { ALL_USED; return tape_add(t, u, v); }
FORMULA(vector_subtract) { ALL_USED; return tape_subtract(t, u, v); }
FORMULA(vector_multiply) { ALL_USED; return tape_multiply(t, u, v); }
FORMULA(vector_divide) { ALL_USED; return tape_divide(t, u, v); }
FORMULA(vector_square) { ALL_USED; return tape_square(t, u); }
FORMULA(vector_root) { ALL_USED; return tape_sqrt(t, u); }
FORMULA(vector_add_constant) { ALL_USED; return tape_add_constant(t, u, 10); }
FORMULA(twice_added) { ALL_USED; return tape_add(t, a, a); }
FORMULA(twice_subtracted) { ALL_USED; return tape_subtract(t, a, a); }
FORMULA(twice_multiplied) { ALL_USED; return tape_multiply(t, a, a); }
FORMULA(twice_divided) { ALL_USED; return tape_divide(t, a, a); }
FORMULA(the_input_itself) { ALL_USED; return b; }
/* clang-format on */

/* The formula uses a three times, over paths of different lengths. */
FORMULA(shared)
{
    ALL_USED;
    tape_variable product = tape_multiply(t, a, b), quotient = tape_divide(t, b, a);
    return tape_multiply(t, tape_add(t, product, quotient), tape_sqrt(t, a));
}

FORMULA(normalized)
{
    (void)b;
    tape_variable centred = tape_subtract(t, a, tape_broadcast(t, tape_channel_mean(t, a), a));
    tape_variable variance = tape_channel_mean(t, tape_square(t, centred));
    tape_variable deviation = tape_sqrt(t, tape_add_constant(t, variance, 1e-2));
    tape_variable scaled =
        tape_multiply(t, tape_divide(t, centred, tape_broadcast(t, deviation, a)), tape_broadcast(t, u, a));
    return tape_add(t, scaled, tape_broadcast(t, v, a));
}

/* An operation that is recorded after the output must not reach the gradients. */
FORMULA(not_the_last)
{
    ALL_USED;
    tape_variable y = tape_multiply(t, a, b);
    tape_square(t, y);
    tape_divide(t, a, b);
    return y;
}

/* --- a tape with its inputs --- */

struct bench {
    struct backend *backend;
    struct tape *tape;
    struct tensor input[4]; /* a, b, u, v */
    tape_variable variable[4], output;
    struct tensor doutput;
};

static void bench_open(struct bench *bench, struct backend *backend, struct tape *tape, struct shape shape)
{
    *bench = (struct bench){.backend = backend, .tape = tape};
    for (int i = 0; i < 4; i++) {
        bool full = i < 2;
        struct shape own = full ? shape : shape_vector(shape.c);
        double values[MAX_VALUES];
        cr_assert(shape_count(own) <= MAX_VALUES);
        /* in [1, 3): off the pole of the quotient and the root's vertical start */
        support_fill(values, shape_count(own), support_seed("tape"), (uint32_t)i, 2, 0.5);
        bench->input[i] = support_tensor(backend, full ? TENSOR_ACTIVATION : TENSOR_VECTOR, own, values);
    }
}

static void bench_close(struct bench *bench)
{
    for (int i = 0; i < 4; i++) tensor_free(bench->backend, &bench->input[i]);
    if (bench->doutput.data) tensor_free(bench->backend, &bench->doutput);
}

static const struct tensor *record(struct bench *bench, formula f)
{
    tape_clear(bench->tape);
    for (int i = 0; i < 4; i++) bench->variable[i] = tape_input(bench->tape, &bench->input[i]);
    const tape_variable *in = bench->variable;
    bench->output = f(bench->tape, in[0], in[1], in[2], in[3]);
    return tape_value(bench->tape, bench->output);
}

/* Records the formula and plays it back, with a random dL/dy. */
static void play(struct bench *bench, formula f)
{
    const struct tensor *y = record(bench, f);
    double values[MAX_VALUES];
    support_fill(values, shape_count(y->shape), support_seed("tape"), 9, 0, 1);
    if (bench->doutput.data) tensor_free(bench->backend, &bench->doutput);
    bench->doutput = support_tensor(bench->backend, y->kind, y->shape, values);
    tape_backward(bench->tape, bench->output, &bench->doutput);
}

/* Runs a check on every fp64 backend that this machine has. */
static void on_backends(void (*check)(struct backend *backend))
{
    int count;
    const struct variant *variants = variant_list(&count);
    for (int v = 0; v < count; v++) {
        struct backend *backend = variants[v].precision == PRECISION_FP64 ? variant_create(&variants[v], 2) : NULL;
        if (!backend) continue;
        check(backend);
        backend_destroy(backend);
    }
}

/* --- by hand --- */

static void expect_values(struct backend *backend, const struct tensor *tensor, const double *expected,
                          const char *name)
{
    char message[256];
    double *values = support_read(backend, tensor);
    /* one or two roundings: 2/3 and 1/3 are no binary fractions */
    bool close = support_close(values, expected, shape_count(tensor->shape), 0, 4e-16, message, sizeof message);
    cr_expect(close, "%s: %s", name, message);
    free(values);
}

struct hand_case {
    const char *name;
    formula formula;
    double y[3], da[3], db[3];
};

static const struct hand_case hand_cases[] = {
    {"add", vector_add, {6, 6, 0.75}, {1, -2, 3}, {1, -2, 3}},
    {"subtract", vector_subtract, {2, 12, -0.25}, {1, -2, 3}, {-1, 2, -3}},
    {"multiply", vector_multiply, {8, -27, 0.125}, {2, 6, 1.5}, {4, -18, 0.75}},
    {"divide", vector_divide, {2, -3, 0.5}, {0.5, 2.0 / 3, 6}, {-1, 2, -3}},
    {"square", vector_square, {16, 81, 0.0625}, {8, -36, 1.5}, {0}},
    {"sqrt", vector_root, {2, 3, 0.5}, {0.25, -1.0 / 3, 3}, {0}},
    {"add_constant", vector_add_constant, {14, 19, 10.25}, {1, -2, 3}, {0}},
};

static void check_by_hand(struct backend *backend)
{
    static const double a[] = {4, 9, 0.25}, b[] = {2, -3, 0.5}, dy[] = {1, -2, 3};
    struct tape *tape = tape_create(backend);
    struct bench bench;
    bench_open(&bench, backend, tape, (struct shape){1, 3, 1, 1});
    backend->ops->tensor_write(backend, &bench.input[2], a);
    backend->ops->tensor_write(backend, &bench.input[3], b);
    struct tensor doutput = support_tensor(backend, TENSOR_VECTOR, shape_vector(3), dy);
    for (size_t i = 0; i < sizeof hand_cases / sizeof hand_cases[0]; i++) {
        const struct hand_case *c = &hand_cases[i];
        expect_values(backend, record(&bench, c->formula), c->y, c->name);
        tape_backward(tape, bench.output, &doutput);
        expect_values(backend, tape_gradient(tape, bench.variable[2]), c->da, c->name);
        expect_values(backend, tape_gradient(tape, bench.variable[3]), c->db, c->name);
        expect_values(backend, tape_gradient(tape, bench.variable[0]), (double[3]){0}, c->name);
        expect_values(backend, &bench.input[2], a, c->name); /* inputs are only read */
    }
    tensor_free(backend, &doutput);
    bench_close(&bench);
    tape_destroy(tape);
}

Test(tape, primitives_by_hand)
{
    on_backends(check_by_hand);
}

static void check_channels_by_hand(struct backend *backend)
{
    static const double x[] = {1, 2, 10, 20, -1, -1, 3, 6, 30, 40, 1, 1}; /* (2,3,1,2) */
    static const double means[] = {3, 25, 0}, dmeans[] = {4, -8, 1};
    static const double dx[] = {1, 1, -2, -2, 0.25, 0.25, 1, 1, -2, -2, 0.25, 0.25};
    static const double everywhere[] = {3, 3, 25, 25, 0, 0, 3, 3, 25, 25, 0, 0};
    static const double ones_to_twelve[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, sums[] = {18, 26, 34};
    struct shape shape = {2, 3, 1, 2};
    struct tape *tape = tape_create(backend);
    struct tensor full = support_tensor(backend, TENSOR_ACTIVATION, shape, x);
    struct tensor dfull = support_tensor(backend, TENSOR_ACTIVATION, shape, ones_to_twelve);
    struct tensor dvector = support_tensor(backend, TENSOR_VECTOR, shape_vector(3), dmeans);
    tape_variable a = tape_input(tape, &full), m = tape_channel_mean(tape, a);
    expect_values(backend, tape_value(tape, m), means, "mean");
    tape_variable wide = tape_broadcast(tape, m, a);
    expect_values(backend, tape_value(tape, wide), everywhere, "broadcast");
    tape_backward(tape, m, &dvector);
    expect_values(backend, tape_gradient(tape, a), dx, "gradient of the mean");
    tape_backward(tape, wide, &dfull); /* once more on the same record: gradients start anew */
    expect_values(backend, tape_gradient(tape, m), sums, "gradient of the broadcast");
    tensor_free(backend, &full), tensor_free(backend, &dfull), tensor_free(backend, &dvector);
    tape_destroy(tape);
}

Test(tape, channel_primitives_by_hand)
{
    on_backends(check_channels_by_hand);
}

/* y = a - a and a / a do not depend on a at all; the two halves of the gradient must cancel. */
static void check_twice(struct backend *backend)
{
    struct tape *tape = tape_create(backend);
    struct bench bench;
    bench_open(&bench, backend, tape, (struct shape){2, 3, 1, 2});
    double *a = support_read(backend, &bench.input[0]), expected[12], dy[12];
    support_fill(dy, 12, support_seed("tape"), 9, 0, 1);
    const formula twice[] = {twice_subtracted, twice_divided, twice_added, twice_multiplied};
    for (int f = 0; f < 4; f++) {
        char message[256];
        play(&bench, twice[f]);
        for (int i = 0; i < 12; i++) expected[i] = f < 2 ? 0 : f == 2 ? 2 * dy[i] : 2 * a[i] * dy[i];
        double *found = support_read(backend, tape_gradient(tape, bench.variable[0]));
        cr_expect(support_close(found, expected, 12, 1e-15, 1e-15, message, sizeof message), "%d: %s", f, message);
        free(found);
    }
    free(a);
    bench_close(&bench);
    tape_destroy(tape);
}

Test(tape, a_variable_used_twice)
{
    on_backends(check_twice);
}

/* --- by central differences --- */

/* Returns L = sum dy*y at v + h minus the same at v - h. It sums differences of y, which rounds less. */
static double difference(struct bench *bench, formula f, const struct tensor *tensor, double *values, int64_t i,
                         double h)
{
    struct backend *backend = bench->backend;
    double kept = values[i], total = 0, *y[2];
    for (int side = 0; side < 2; side++) {
        values[i] = side ? kept - h : kept + h;
        backend->ops->tensor_write(backend, tensor, values);
        y[side] = support_read(backend, record(bench, f));
    }
    values[i] = kept;
    backend->ops->tensor_write(backend, tensor, values);
    double *dy = support_read(backend, &bench->doutput);
    for (int64_t k = 0; k < shape_count(bench->doutput.shape); k++) total += dy[k] * (y[0][k] - y[1][k]);
    free(y[0]), free(y[1]), free(dy);
    return total;
}

/* The bound: with inputs in [1, 3) and |dy| <= 2 a third derivative is at most 2 * 6*3/1 = 36, so the quotient is off
 * by 36 h^2 / 6 = 6e-10. The roundings of y, about 1e-15, divided by 2h, add 1e-10 when a few y's change. */
static void check_differences(struct backend *backend, formula f, struct shape shape, const char *name)
{
    const double h = 1e-5, bound = 1e-8;
    struct tape *tape = tape_create(backend);
    struct bench bench;
    bench_open(&bench, backend, tape, shape);
    play(&bench, f);
    double *gradient[4];
    for (int i = 0; i < 4; i++) gradient[i] = support_read(backend, tape_gradient(tape, bench.variable[i]));
    for (int i = 0; i < 4; i++) {
        double *values = support_read(backend, &bench.input[i]);
        for (int64_t k = 0; k < shape_count(bench.input[i].shape); k++) {
            double numeric = difference(&bench, f, &bench.input[i], values, k, h) / (2 * h);
            cr_expect(fabs(gradient[i][k] - numeric) <= bound * (1 + fabs(numeric)),
                      "%s, input %d[%d]: %.12g, by differences %.12g", name, i, (int)k, gradient[i][k], numeric);
        }
        free(values), free(gradient[i]);
    }
    bench_close(&bench);
    tape_destroy(tape);
}

static const struct {
    const char *name;
    formula formula;
} formulas[] = {
    {"add", add},
    {"subtract", subtract},
    {"multiply", multiply},
    {"divide", divide},
    {"square", square},
    {"sqrt", root},
    {"add_constant", add_constant},
    {"mean", mean},
    {"broadcast", broadcast},
    {"vector add", vector_add},
    {"vector subtract", vector_subtract},
    {"vector multiply", vector_multiply},
    {"vector divide", vector_divide},
    {"vector square", vector_square},
    {"vector sqrt", vector_root},
    {"vector add_constant", vector_add_constant},
    {"a + a", twice_added},
    {"a - a", twice_subtracted},
    {"a * a", twice_multiplied},
    {"a / a", twice_divided},
    {"the input itself", the_input_itself},
    {"shared", shared},
    {"normalized", normalized},
    {"not the last", not_the_last},
};
enum { FORMULAS = sizeof formulas / sizeof formulas[0] };

/* The shapes are vectors, images, more channels than a block of memory holds, and one value alone. */
static const struct shape shapes[] = {{1, 1, 1, 1}, {5, 3, 1, 1}, {2, 5, 3, 2}, {2, 19, 1, 2}, {3, 16, 1, 1}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void check_all_differences(struct backend *backend)
{
    for (int s = 0; s < SHAPES; s++)
        for (int f = 0; f < FORMULAS; f++) check_differences(backend, formulas[f].formula, shapes[s], formulas[f].name);
}

Test(tape, gradients_by_central_differences)
{
    on_backends(check_all_differences);
}

/* --- reuse --- */

/* Collects the value and then the four gradients, one after the other; returns the count of numbers. */
static int64_t results(struct bench *bench, double *into)
{
    int64_t count = 0;
    for (int i = -1; i < 4; i++) {
        const struct tensor *tensor =
            i < 0 ? tape_value(bench->tape, bench->output) : tape_gradient(bench->tape, bench->variable[i]);
        double *values = support_read(bench->backend, tensor);
        memcpy(into + count, values, (size_t)shape_count(tensor->shape) * sizeof *values);
        count += shape_count(tensor->shape);
        free(values);
    }
    return count;
}

/* A tape that recorded other formulas in other shapes before gives the same bits as a new one. */
static void check_reuse(struct backend *backend)
{
    struct tape *worn = tape_create(backend);
    for (int round = 0; round < 3; round++)
        for (int s = 0; s < SHAPES; s++)
            for (int f = 0; f < FORMULAS; f++) {
                double found[5 * MAX_VALUES], expected[5 * MAX_VALUES];
                struct tape *tape = tape_create(backend);
                struct bench old, fresh;
                int which = (f * 7 + round) % FORMULAS; /* 7 and 24 have no common divisor: all of them, mixed */
                bench_open(&old, backend, worn, shapes[s]);
                bench_open(&fresh, backend, tape, shapes[s]);
                play(&old, formulas[which].formula);
                play(&fresh, formulas[which].formula);
                int64_t count = results(&fresh, expected);
                cr_expect_eq(results(&old, found), count);
                cr_expect_eq(memcmp(found, expected, (size_t)count * sizeof *found), 0, "%s", formulas[which].name);
                bench_close(&old), bench_close(&fresh);
                tape_destroy(tape);
            }
    tape_destroy(worn);
}

Test(tape, reuse_after_clear_with_other_shapes)
{
    on_backends(check_reuse);
}

static void check_bytes(struct backend *backend)
{
    struct tape *tape = tape_create(backend);
    struct bench large, small;
    cr_expect_eq(tape_bytes(tape), 0);
    bench_open(&large, backend, tape, (struct shape){2, 19, 1, 2});
    bench_open(&small, backend, tape, (struct shape){2, 5, 1, 2});
    record(&large, normalized);
    size_t values = tape_bytes(tape);
    cr_expect_gt(values, 0);
    play(&large, normalized);
    size_t bytes = tape_bytes(tape);
    cr_expect_gt(bytes, values, "gradients take memory too");
    for (int i = 0; i < 3; i++) {
        play(i == 1 ? &small : &large, normalized); /* a smaller batch fits into the memory of the larger one */
        cr_expect_eq(tape_bytes(tape), bytes);
    }
    tape_clear(tape);
    cr_expect_eq(tape_bytes(tape), bytes);
    bench_close(&large), bench_close(&small);
    tape_destroy(tape);
}

Test(tape, recording_again_allocates_nothing)
{
    on_backends(check_bytes);
}

/* The chain has more operations than the tape's list first has room for. */
static void check_long_chain(struct backend *backend)
{
    enum { LENGTH = 100 };
    static const double one[] = {1, -2};
    struct tape *tape = tape_create(backend);
    struct tensor x = support_tensor(backend, TENSOR_VECTOR, shape_vector(2), one);
    tape_variable first = tape_input(tape, &x), y = first;
    for (int i = 0; i < LENGTH; i++) y = tape_add(tape, y, first);
    expect_values(backend, tape_value(tape, y), (double[]){LENGTH + 1, -2 * (LENGTH + 1)}, "value");
    tape_backward(tape, y, &x);
    expect_values(backend, tape_gradient(tape, first), (double[]){LENGTH + 1, -2 * (LENGTH + 1)}, "gradient");
    tensor_free(backend, &x);
    tape_destroy(tape);
}

Test(tape, a_long_record)
{
    on_backends(check_long_chain);
    tape_destroy(NULL);
}
