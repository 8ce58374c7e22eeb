/* Tests fused layers: the operation equals those that it replaces, to the bit; the right layers become one; and
 * networks train alike, fused or not. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <criterion/criterion.h>

#include "backend/prepared.h"
#include "experiment_support.h"
#include "nn/gradcheck.h"
#include "train/train.h"

/* --- the operation --- */

struct fused_case {
    struct shape x;
    struct activation_params activation;
    bool addend, pooled;
    struct pool_params pool;
};

/* clang-format off */
#define RELU {ACTIVATION_RELU, 0}
#define RELU6 {ACTIVATION_RELU6, 0}
#define LEAKY {ACTIVATION_LEAKY_RELU, 0.1}
#define ELU {ACTIVATION_ELU, 0.5}
#define GELU {ACTIVATION_GELU, 0}
#define SILU {ACTIVATION_SILU, 0}
#define MAX(k, s, p) false, true, {POOL_MAX, {k, s, p}}
#define AVERAGE(k, s, p) false, true, {POOL_AVERAGE, {k, s, p}}
#define NO_POOL false, false, {POOL_MAX, {1, 1, 0}}
#define ADDEND true, false, {POOL_MAX, {1, 1, 0}}
/* clang-format on */

/* Cases: vectors and images; channels below, at and above a block of 16; images and windows of every parity; pixels in
 * no window and in 25; few blocks with so many pixels that they are cut into segments. */
static const struct fused_case cases[] = {
    {{1, 1, 1, 1}, RELU, NO_POOL},
    {{33, 37, 1, 1}, RELU, NO_POOL},
    {{200, 100, 1, 1}, LEAKY, NO_POOL},
    {{7, 17, 5, 3}, RELU, NO_POOL},
    {{2, 64, 3, 3}, ELU, NO_POOL},
    {{1, 16, 1, 7}, LEAKY, NO_POOL},
    {{3, 300, 2, 2}, RELU, NO_POOL},
    {{5, 3, 41, 43}, RELU, NO_POOL},
    {{3, 17, 61, 53}, ELU, NO_POOL},
    {{1, 1, 1, 1}, RELU, MAX(3, 2, 1)},
    {{7, 16, 8, 8}, RELU, MAX(3, 2, 1)},
    {{2, 17, 7, 9}, RELU, MAX(3, 2, 1)},
    {{33, 64, 2, 2}, RELU, MAX(3, 2, 1)},
    {{3, 37, 4, 6}, LEAKY, MAX(3, 2, 1)},
    {{2, 5, 5, 4}, ELU, MAX(3, 2, 1)},
    {{2, 16, 6, 6}, RELU, MAX(2, 2, 0)},
    {{3, 3, 7, 5}, LEAKY, MAX(2, 2, 0)},
    {{2, 16, 9, 9}, RELU, MAX(2, 3, 0)},
    {{1, 19, 8, 8}, RELU, MAX(5, 1, 2)},
    {{2, 3, 9, 9}, RELU, MAX(8, 1, 4)},
    {{32, 33, 32, 32}, RELU, MAX(3, 2, 1)},
    {{13, 5, 37, 31}, RELU, MAX(3, 2, 1)},
    {{7, 16, 8, 8}, RELU, AVERAGE(2, 2, 0)},
    {{2, 17, 7, 9}, ELU, AVERAGE(3, 2, 1)},
    {{3, 37, 5, 5}, LEAKY, AVERAGE(5, 1, 2)},
    {{7, 64, 1, 1}, RELU, AVERAGE(1, 1, 0)},
    {{1, 1, 1, 1}, RELU, ADDEND},
    {{33, 37, 1, 1}, RELU, ADDEND},
    {{7, 17, 5, 3}, LEAKY, ADDEND},
    {{2, 64, 3, 3}, ELU, ADDEND},
    {{5, 3, 41, 43}, RELU, ADDEND},
    {{3, 17, 61, 53}, ELU, ADDEND},
    {{7, 64, 5, 3}, RELU, ADDEND},
    {{13, 16, 41, 31}, RELU, ADDEND},
    {{33, 37, 1, 1}, GELU, NO_POOL},
    {{13, 5, 37, 31}, GELU, NO_POOL},
    {{7, 17, 5, 3}, SILU, NO_POOL},
    {{7, 16, 8, 8}, GELU, MAX(3, 2, 1)},
    {{3, 37, 4, 6}, SILU, MAX(2, 2, 0)},
    {{2, 17, 7, 9}, GELU, AVERAGE(3, 2, 1)},
    {{7, 16, 8, 8}, SILU, AVERAGE(2, 2, 0)},
    {{7, 64, 5, 3}, GELU, ADDEND},
    {{13, 16, 41, 31}, SILU, ADDEND},
    {{7, 16, 8, 8}, RELU6, MAX(3, 2, 1)},
    {{7, 17, 5, 3}, RELU6, ADDEND},
};
enum { CASES = sizeof cases / sizeof cases[0] };

/* The results of the operation, once by the chain and once fused. */
struct result {
    struct tensor y, y_evaluate, y_normalised, dx, daddend; /* daddend: only of cases with an addend */
    struct tensor mean, rstd, running_mean, running_var, dgamma, dbeta;
};
enum { RESULTS = sizeof(struct result) / sizeof(struct tensor) };
static const char *const result_names[RESULTS] = {"y",
                                                  "y in evaluation",
                                                  "y of what is normalised",
                                                  "dx",
                                                  "daddend",
                                                  "mean",
                                                  "rstd",
                                                  "running_mean",
                                                  "running_var",
                                                  "dgamma",
                                                  "dbeta"};

struct setting {
    struct backend *backend;
    const struct variant *variant;
    const struct fused_case *c;
    struct batchnorm_fused_params params;
    struct shape y_shape;
    struct tensor x, dy, gamma, beta, addend;
};

static const struct run_input still = {0};

static struct tensor random_tensor(struct setting *setting, enum tensor_kind kind, struct shape shape, uint32_t stream,
                                   double offset, double scale)
{
    double *values = memory_alloc((size_t)shape_count(shape), sizeof *values);
    support_fill(values, shape_count(shape), support_seed("fused"), stream, offset, scale);
    support_round(setting->variant, values, shape_count(shape));
    struct tensor tensor = support_tensor(setting->backend, kind, shape, values);
    free(values);
    return tensor;
}

static void setting_open(struct setting *setting, struct backend *backend, const struct variant *variant,
                         const struct fused_case *c)
{
    struct shape vector = shape_vector(c->x.c);
    *setting = (struct setting){.backend = backend, .variant = variant, .c = c, .y_shape = c->x};
    setting->params = (struct batchnorm_fused_params){
        .batchnorm = {1e-5, 0.1}, .activation = c->activation, .pooled = c->pooled, .pool = c->pool};
    if (c->pooled) {
        setting->y_shape.h = window_output_size(c->x.h, c->pool.window);
        setting->y_shape.w = window_output_size(c->x.w, c->pool.window);
    }
    setting->x = random_tensor(setting, TENSOR_ACTIVATION, c->x, 0, 0.5, 1);
    setting->dy = random_tensor(setting, TENSOR_ACTIVATION, setting->y_shape, 1, 0, 1);
    setting->gamma = random_tensor(setting, TENSOR_VECTOR, vector, 2, 0, 1); /* gamma has both signs */
    setting->beta = random_tensor(setting, TENSOR_VECTOR, vector, 3, 0, 0.5);
    setting->addend = random_tensor(setting, TENSOR_ACTIVATION, c->x, 6, 0, 1);
}

static void setting_close(struct setting *setting)
{
    struct tensor *tensors[] = {&setting->x, &setting->dy, &setting->gamma, &setting->beta, &setting->addend};
    for (int i = 0; i < 5; i++) tensor_free(setting->backend, tensors[i]);
}

static struct result result_open(struct setting *setting)
{
    struct result result;
    struct tensor *all = (struct tensor *)&result;
    struct shape vector = shape_vector(setting->c->x.c);
    for (int i = 0; i < RESULTS; i++) {
        bool image = i < 5;
        struct shape shape = !image ? vector : i >= 3 ? setting->c->x : setting->y_shape;
        all[i] = tensor_alloc(setting->backend, image ? TENSOR_ACTIVATION : TENSOR_VECTOR, shape);
        support_poison(setting->backend, setting->variant->host_memory, &all[i]);
    }
    tensor_free(setting->backend, &result.running_mean), tensor_free(setting->backend, &result.running_var);
    result.running_mean = random_tensor(setting, TENSOR_VECTOR, vector, 4, 0, 1);
    result.running_var = random_tensor(setting, TENSOR_VECTOR, vector, 5, 3, 1);
    return result;
}

/* Operations with the parameters of the case: fused ones, the normalization alone, and the others of the chain. */
static struct op fused_op(const struct setting *setting, enum op_kind kind)
{
    struct op op = op_make(kind);
    op.norm = setting->params;
    return op;
}

static struct op norm_op(const struct setting *setting, enum op_kind kind)
{
    struct op op = op_make(kind);
    op.norm =
        (struct batchnorm_fused_params){.batchnorm = setting->params.batchnorm, .activation.kind = ACTIVATION_NONE};
    return op;
}

static struct op activation_op(const struct setting *setting, enum op_kind kind)
{
    struct op op = op_make(kind);
    op.activation = setting->c->activation;
    return op;
}

static struct op pool_op(const struct setting *setting, enum op_kind kind)
{
    struct op op = op_make(kind);
    op.pool = setting->c->pool;
    return op;
}

/* Memory for what the operation saves for its backward pass; data is NULL where that is nothing. */
static struct tensor saved_open(struct setting *setting, const struct op *op)
{
    int64_t bytes = (int64_t)backend_saved_bytes(setting->backend, op, setting->y_shape);
    struct tensor saved = {NULL, shape_vector((bytes + 7) / 8), TENSOR_SAVED};
    if (bytes > 0) saved.data = setting->backend->table->alloc(setting->backend, (size_t)bytes);
    return saved;
}

static const struct tensor *saved_or_none(const struct tensor *saved)
{
    return saved->data ? saved : NULL;
}

/* NULL: the case has none. */
static const struct tensor *addend_of(const struct setting *setting)
{
    return setting->c->addend ? &setting->addend : NULL;
}

/* The parts behind b. Where the case has an addend, b becomes the activation's input. */
static void activate_and_pool(struct setting *setting, struct tensor *b, const struct tensor *a, const struct tensor *y,
                              const struct tensor *saved)
{
    if (setting->c->addend) {
        struct tensor sum = tensor_alloc(setting->backend, b->kind, b->shape);
        backend_run_op(setting->backend, op_make(OP_ADD), still,
                       OPERANDS([ADD_A] = b, [ADD_B] = &setting->addend, [ADD_Y] = &sum));
        tensor_free(setting->backend, b);
        *b = sum;
    }
    backend_run_op(setting->backend, activation_op(setting, OP_ACTIVATION), still,
                   OPERANDS([ACTIVATION_X] = b, [ACTIVATION_Y] = setting->c->pooled ? a : y));
    if (setting->c->pooled)
        backend_run_op(setting->backend, pool_op(setting, OP_POOL), still,
                       OPERANDS([POOL_X] = a, [POOL_Y] = y, [POOL_SAVED] = saved_or_none(saved)));
}

/* y by the batch. Without running statistics those of r stay. */
static void normalise(struct setting *setting, struct op op, struct result *r, bool running,
                      const struct tensor *addend, const struct tensor *y, const struct tensor *saved)
{
    backend_run_op(setting->backend, op, still,
                   OPERANDS([NORM_X] = &setting->x, [NORM_GAMMA] = &setting->gamma, [NORM_BETA] = &setting->beta,
                            [NORM_RUNNING_MEAN] = running ? &r->running_mean : NULL,
                            [NORM_RUNNING_VAR] = running ? &r->running_var : NULL, [NORM_Y] = y, [NORM_MEAN] = &r->mean,
                            [NORM_RSTD] = &r->rstd, [NORM_SAVED] = saved, [NORM_ADDEND] = addend));
}

/* y by the running statistics. */
static void evaluate(struct setting *setting, struct op op, struct result *r, const struct tensor *addend,
                     const struct tensor *y)
{
    backend_run_op(
        setting->backend, op, still,
        OPERANDS([NORM_EVALUATE_X] = &setting->x, [NORM_EVALUATE_GAMMA] = &setting->gamma,
                 [NORM_EVALUATE_BETA] = &setting->beta, [NORM_EVALUATE_MEAN] = &r->running_mean,
                 [NORM_EVALUATE_VAR] = &r->running_var, [NORM_EVALUATE_ADDEND] = addend, [NORM_EVALUATE_Y] = y));
}

/* The gradients of r from dy; dx, addend and daddend may be NULL. */
static void lead_back(struct setting *setting, struct op op, struct result *r, const struct tensor *dy,
                      const struct tensor *addend, const struct tensor *dx, const struct tensor *daddend,
                      const struct tensor *saved)
{
    backend_run_op(setting->backend, op, still,
                   OPERANDS([NORM_BACKWARD_X] = &setting->x, [NORM_BACKWARD_GAMMA] = &setting->gamma,
                            [NORM_BACKWARD_BETA] = &setting->beta, [NORM_BACKWARD_MEAN] = &r->mean,
                            [NORM_BACKWARD_RSTD] = &r->rstd, [NORM_BACKWARD_SAVED] = saved, [NORM_BACKWARD_DY] = dy,
                            [NORM_BACKWARD_ADDEND] = addend, [NORM_BACKWARD_DADDEND] = daddend, [NORM_BACKWARD_DX] = dx,
                            [NORM_BACKWARD_DGAMMA] = &r->dgamma, [NORM_BACKWARD_DBETA] = &r->dbeta));
}

static void copy_tensor(struct setting *setting, const struct tensor *from, const struct tensor *to)
{
    double *values = support_read(setting->backend, from);
    setting->backend->table->tensor_write(setting->backend, to, values);
    free(values);
}

static struct result run_chain(struct setting *setting)
{
    struct backend *backend = setting->backend;
    struct result r = result_open(setting);
    struct op pool = pool_op(setting, OP_POOL);
    struct tensor b = tensor_alloc(backend, TENSOR_ACTIVATION, setting->c->x),
                  db = tensor_alloc(backend, b.kind, b.shape);
    struct tensor a = tensor_alloc(backend, TENSOR_ACTIVATION, setting->c->x), da = setting->dy;
    struct tensor saved = {.data = NULL};
    if (setting->c->pooled) saved = saved_open(setting, &pool);
    struct tensor x = tensor_alloc(backend, TENSOR_ACTIVATION, setting->c->x);
    copy_tensor(setting, &setting->x, &x);
    activate_and_pool(setting, &x, &a, &r.y_normalised, &saved);
    evaluate(setting, norm_op(setting, OP_NORM_EVALUATE), &r, NULL, &b);
    activate_and_pool(setting, &b, &a, &r.y_evaluate, &saved);
    normalise(setting, norm_op(setting, OP_NORM), &r, true, NULL, &b, NULL);
    activate_and_pool(setting, &b, &a, &r.y, &saved);
    if (setting->c->pooled) {
        backend_run_op(backend, pool_op(setting, OP_POOL_BACKWARD), still,
                       OPERANDS([POOL_BACKWARD_DY] = &setting->dy, [POOL_BACKWARD_SAVED] = saved_or_none(&saved),
                                [POOL_BACKWARD_DX] = &a));
        da = a;
    }
    backend_run_op(
        backend, activation_op(setting, OP_ACTIVATION_BACKWARD), still,
        OPERANDS([ACTIVATION_BACKWARD_X] = &b, [ACTIVATION_BACKWARD_DY] = &da, [ACTIVATION_BACKWARD_DX] = &db));
    lead_back(setting, norm_op(setting, OP_NORM_BACKWARD), &r, &db, NULL, &r.dx, NULL, NULL);
    if (setting->c->addend) copy_tensor(setting, &db, &r.daddend);
    struct tensor *own[] = {&x, &a, &b, &db, &saved};
    for (int i = 0; i < 5; i++) tensor_free(backend, own[i]);
    return r;
}

static struct result run_fused(struct setting *setting)
{
    struct result r = result_open(setting);
    const struct tensor *addend = addend_of(setting);
    struct op op = fused_op(setting, OP_NORM);
    struct tensor saved = saved_open(setting, &op);
    backend_run_op(setting->backend, fused_op(setting, OP_NORM_EVALUATE), still,
                   OPERANDS([NORM_EVALUATE_X] = &setting->x, [NORM_EVALUATE_ADDEND] = addend,
                            [NORM_EVALUATE_Y] = &r.y_normalised));
    evaluate(setting, fused_op(setting, OP_NORM_EVALUATE), &r, addend, &r.y_evaluate);
    normalise(setting, op, &r, true, addend, &r.y, saved_or_none(&saved));
    lead_back(setting, fused_op(setting, OP_NORM_BACKWARD), &r, &setting->dy, addend, &r.dx, addend ? &r.daddend : NULL,
              saved_or_none(&saved));
    tensor_free(setting->backend, &saved);
    return r;
}

/* On the CPU values are the same to the bit, but a zero may have either sign and NaN any payload. On a device that sums
 * in an order of its own the gradients are off by roundings of terms of size 4 (|dy| <= 2, |gamma rstd| not far above
 * 2). */
static void expect_same_values(struct setting *setting, const struct tensor *a, const struct tensor *b,
                               const char *name)
{
    double *x = support_read(setting->backend, a), *y = support_read(setting->backend, b), allowed = 0;
    bool finite = true; /* the check of the padding works with numbers only */
    int64_t count = shape_count(a->shape);
    if (!setting->variant->host_memory) {
        int64_t rows = setting->c->x.n * setting->c->x.h * setting->c->x.w;
        allowed = 32 * setting->variant->roundoff * (a->kind == TENSOR_VECTOR ? sqrt((double)rows) : 1);
    }
    for (int64_t i = 0; i < count; i++) {
        finite &= isfinite(y[i]);
        bool same = (isnan(x[i]) && isnan(y[i])) || x[i] == y[i] || fabs(x[i] - y[i]) <= allowed * fmax(4, fabs(x[i]));
        if (!same)
            cr_assert_fail("%s, case %d: %s[%ld] is %.9g, by the chain %.9g", setting->variant->name,
                           (int)(setting->c - cases), name, (long)i, y[i], x[i]);
    }
    if (setting->variant->host_memory && finite)
        cr_assert(support_padding_is_zero(setting->backend, b), "%s, case %d: the padding of %s is not zero",
                  setting->variant->name, (int)(setting->c - cases), name);
    free(x), free(y);
}

static void compare_and_free(struct setting *setting, struct result *chain, struct result *fused)
{
    struct tensor *a = (struct tensor *)chain, *b = (struct tensor *)fused;
    for (int i = 0; i < RESULTS; i++) {
        expect_same_values(setting, &a[i], &b[i], result_names[i]);
        tensor_free(setting->backend, &a[i]), tensor_free(setting->backend, &b[i]);
    }
}

/* Calls a test with every case on every backend that offers it. */
static void with_each_case(int threads, void (*test)(struct setting *setting))
{
    int count, offered = 0;
    const struct variant *variants = variant_list(&count);
    for (int v = 0; v < count; v++) {
        struct backend *backend = variant_create(&variants[v], threads);
        for (int i = 0; backend && i < CASES; i++) {
            struct setting setting;
            setting_open(&setting, backend, &variants[v], &cases[i]);
            struct op op = fused_op(&setting, OP_NORM);
            if (cases[i].addend) op.tensor[NORM_ADDEND] = 0;
            bool offers = backend_supports(backend, &op);
            if (offers) test(&setting), offered++;
            cr_expect(offers || variants[v].device != DEVICE_CPU, "%s, case %d is not offered", variants[v].name, i);
            setting_close(&setting);
        }
        backend_destroy(backend);
    }
    cr_expect(offered >= CASES);
}

static void same_as_chain(struct setting *setting)
{
    struct result chain = run_chain(setting), fused = run_fused(setting);
    compare_and_free(setting, &chain, &fused);
}

Test(fuse, operation_is_the_chain)
{
    with_each_case(1, same_as_chain);
}

Test(fuse, operation_is_the_chain_on_three_threads)
{
    with_each_case(3, same_as_chain);
}

/* NaN, infinities and equal values: the same one wins a maximum, and the same one of equal values gets the gradient. */
static void same_on_odd_values(struct setting *setting)
{
    if (setting->variant->device != DEVICE_CPU) return;
    int64_t count = shape_count(setting->c->x);
    double *x = support_read(setting->backend, &setting->x);
    for (int64_t i = 0; i < count; i++) x[i] = rint(2 * x[i]) / 2; /* also makes ties of values above zero */
    setting->backend->table->tensor_write(setting->backend, &setting->x, x);
    struct result chain = run_chain(setting), fused = run_fused(setting);
    compare_and_free(setting, &chain, &fused);
    for (int64_t i = 0; i < count; i += 13) x[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : -INFINITY;
    setting->backend->table->tensor_write(setting->backend, &setting->x, x);
    chain = run_chain(setting), fused = run_fused(setting);
    compare_and_free(setting, &chain, &fused);
    free(x);
}

Test(fuse, odd_values)
{
    with_each_case(2, same_on_odd_values);
}

/* Without dx, with dx and without daddend, and without running statistics the other results are the same. */
static void optional_arguments(struct setting *setting)
{
    struct backend *backend = setting->backend;
    const struct tensor *addend = addend_of(setting);
    struct result full = run_fused(setting), r = result_open(setting);
    struct op op = fused_op(setting, OP_NORM);
    struct tensor saved = saved_open(setting, &op);
    normalise(setting, op, &r, false, addend, &r.y, saved_or_none(&saved));
    lead_back(setting, fused_op(setting, OP_NORM_BACKWARD), &r, &setting->dy, addend, &r.dx, NULL,
              saved_or_none(&saved));
    expect_same_values(setting, &full.dx, &r.dx, "dx");
    support_poison(backend, setting->variant->host_memory, &r.dgamma);
    lead_back(setting, fused_op(setting, OP_NORM_BACKWARD), &r, &setting->dy, addend, NULL, addend ? &r.daddend : NULL,
              saved_or_none(&saved));
    if (addend) expect_same_values(setting, &full.daddend, &r.daddend, "daddend");
    expect_same_values(setting, &full.y, &r.y, "y");
    expect_same_values(setting, &full.dgamma, &r.dgamma, "dgamma");
    expect_same_values(setting, &full.dbeta, &r.dbeta, "dbeta");
    tensor_free(backend, &saved);
    for (int i = 0; i < RESULTS; i++) {
        tensor_free(backend, (struct tensor *)&full + i);
        tensor_free(backend, (struct tensor *)&r + i);
    }
}

Test(fuse, optional_arguments)
{
    with_each_case(2, optional_arguments);
}

/* --- which layers become one --- */

static const char residual_text[] = "[model]\nkind = convnet\nfeatures = 5, (5, 5)+, (17s2, 17)+ x2, G\n"
                                    "batchnorm = custom\nconv_bias = auto\n";
static const char block_text[] =
    "[model]\nkind = convnet\nfeatures = 6, M, 17, 5, A2, A\nhidden = 9\nbatchnorm = custom\n";

static struct backend *fusing_backend(enum precision precision, bool fuse)
{
    struct backend_options options = {.device = DEVICE_CPU, .precision = precision, .threads = 2, .fuse = fuse};
    struct backend *backend;
    struct status status = {0};
    cr_assert(backend_create(&backend, &options, &status), "%s", status.message);
    return backend;
}

/* Builds the network of a config for GRADCHECK_BATCH images of 3x9x9. */
static struct network *build(struct backend *backend, const char *text)
{
    struct experiment experiment;
    struct status status = {0};
    experiment_from(&experiment, text);
    struct network *network = network_from(&experiment, backend, (struct shape){GRADCHECK_BATCH, 3, 9, 9}, 10, &status);
    cr_assert(network, "%s", status.message);
    experiment_free(&experiment);
    return network;
}

static void expect_layers(const char *text, bool fuse, const char *const *names, int count)
{
    struct backend *backend = fusing_backend(PRECISION_FP32, fuse);
    struct network *network = build(backend, text);
    cr_expect_eq(network->group_count, count, "%d groups, expected %d", network->group_count, count);
    for (int i = 0; i < count && i < network->group_count; i++) {
        char name[64];
        network_describe_group(network, network->groups[i], name, sizeof name);
        cr_expect_str_eq(name, names[i]);
    }
    network_destroy(network);
    backend_destroy(backend);
}

Test(fuse, what_becomes_one)
{
    const char *const fused[] = {"conv2d 3x3",
                                 "batchnorm + relu + max-pool 3x3, stride 2",
                                 "conv2d 3x3",
                                 "batchnorm + relu",
                                 "conv2d 3x3",
                                 "batchnorm + relu + average-pool 2x2, stride 2",
                                 "average-pool 1x1, stride 1",
                                 "flatten",
                                 "linear",
                                 "batchnorm + relu",
                                 "linear"};
    expect_layers(block_text, true, fused, sizeof fused / sizeof fused[0]);
    const char *const residual[] = {"conv2d 3x3",
                                    "before block 1: batchnorm + relu",
                                    "conv2d 3x3",
                                    "batchnorm + relu",
                                    "conv2d 3x3",
                                    "block 1: batchnorm + add of before block 1 + relu",
                                    "conv2d 1x1, stride 2",
                                    "shortcut 2: batchnorm",
                                    "conv2d 3x3, stride 2 of block 1",
                                    "batchnorm + relu",
                                    "conv2d 3x3",
                                    "block 2: batchnorm + add of shortcut 2 + relu",
                                    "global average-pool",
                                    "linear"};
    expect_layers("[model]\nkind = convnet\nfeatures = 5, (5, 5)+, (17s2, 17)+, G\nbatchnorm = custom\n", true,
                  residual, sizeof residual / sizeof residual[0]);
    const char *const apart[] = {"linear", "relu", "batchnorm", "linear"};
    expect_layers("[model]\nhidden = 9\nbatchnorm = custom\nblock = activation, batchnorm, dropout\n", true, apart, 4);
    const char *const dropped[] = {"linear", "batchnorm", "dropout 0.5", "relu", "linear"};
    expect_layers("[model]\nhidden = 9\nbatchnorm = custom\ndropout = 0.5\nblock = batchnorm, dropout, activation\n",
                  true, dropped, 5);
    const char *const separate[] = {"linear", "batchnorm", "relu", "linear"};
    expect_layers("[model]\nhidden = 9\nbatchnorm = custom\n", false, separate, 4);
    const char *const tape[] = {"linear", "batchnorm autodiff", "relu", "linear"};
    expect_layers("[model]\nhidden = 9\nbatchnorm = autodiff\n", true, tape, 4);
}

/* A pool with more taps than the fused operation takes stays a layer of its own. The other layers are still fused. */
Test(fuse, large_pools_stay_apart)
{
    const char *const layers[] = {"conv2d 3x3", "batchnorm + relu", "max-pool 9x9, stride 1", "linear"};
    expect_layers("[model]\nkind = convnet\nfeatures = 4, M9s1p0\nbatchnorm = custom\n", true, layers, 4);
}

Test(fuse, errors_name_the_pool)
{
    struct experiment experiment;
    struct status status[2] = {{0}};
    experiment_from(&experiment, "[model]\nkind = convnet\nfeatures = 4, M2, 4, M5s1p0\nbatchnorm = custom\n");
    for (int fuse = 0; fuse < 2; fuse++) {
        struct backend *backend = fusing_backend(PRECISION_FP32, fuse);
        cr_assert_null(network_from(&experiment, backend, (struct shape){2, 3, 8, 8}, 10, &status[fuse]));
        backend_destroy(backend);
    }
    cr_expect_not_null(strstr(status[0].message, "entry 4 (M5s1)"), "%s", status[0].message);
    const char *wanted = strstr(status[0].message, "test.ini"), *found = strstr(status[1].message, "test.ini");
    cr_assert(wanted && found);
    cr_expect_str_eq(found, wanted);
    experiment_free(&experiment);
}

/* --- networks --- */

static void expect_pass(void *argument, const struct gradcheck_result *result)
{
    cr_expect(result->passed, "%s: %s, %s: error %g", (const char *)argument, result->layer, result->tensor,
              result->error);
}

Test(fuse, gradients_pass_their_check)
{
    static const char *const texts[] = {
        block_text,
        "[model]\nkind = convnet\nfeatures = 6, M, 17k2, M2s2p0\nbatchnorm = custom\nactivation = leaky_relu\n",
        "[model]\nkind = convnet\nfeatures = 6, A3, 17, A2\nbatchnorm = custom\nactivation = elu\n",
        "[model]\nhidden = 30, 20\nbatchnorm = custom\nbatchnorm_batch_stats_only = true\n",
        residual_text,
    };
    for (int i = 0; i < 5; i++) {
        struct backend *backend = fusing_backend(PRECISION_FP64, true);
        struct network *network = build(backend, texts[i]);
        cr_expect(gradcheck_network(network, 42, expect_pass, (void *)texts[i]));
        network_destroy(network);
        backend_destroy(backend);
    }
}

enum { STEPS = 12 };
struct training {
    double losses[STEPS];
    struct evaluation evaluation;
    void *parameters;
    size_t bytes;
};

static struct training train(const char *model, const char *precision, bool fuse)
{
    struct experiment experiment;
    struct dataset dataset = {0};
    struct trainer trainer;
    struct status status = {0};
    struct training training;
    char *text = memory_format("[data]\ndataset = synthetic\nsynthetic_train = 60\nsynthetic_test = 23\n"
                               "synthetic_size = 20\nnormalization = channel\n%s[optimizer]\nname = adam\n"
                               "[train]\nbatch_size = 16\n[backend]\ndevice = cpu\nprecision = %s\nfuse = %s\n",
                               model, precision, fuse ? "true" : "false");
    experiment_from(&experiment, text);
    struct backend *backend;
    cr_assert(backend_from_experiment(&backend, &experiment, &status), "%s", status.message);
    cr_assert(dataset_from_experiment(&dataset, &experiment, NULL, &status), "%s", status.message);
    cr_assert(trainer_create(&trainer, &experiment, &dataset, backend, NULL, &status), "%s", status.message);
    for (int step = 0; step < STEPS; step++) {
        network_set_metrics(trainer.network, (struct metrics){0});
        trainer_step(&trainer);
        training.losses[step] = network_metrics(trainer.network).loss;
    }
    training.evaluation = trainer_evaluate(&trainer, &trainer.test_set);
    training.bytes = trainer.network->arena_count * backend->scalar_size;
    training.parameters = memcpy(memory_alloc(training.bytes, 1), trainer.network->parameters, training.bytes);
    trainer_destroy(&trainer);
    dataset_free(&dataset);
    backend_destroy(backend);
    experiment_free(&experiment);
    free(text);
    return training;
}

static void expect_same_training(const char *model, const char *precision)
{
    struct training fused = train(model, precision, true), plain = train(model, precision, false);
    for (int step = 0; step < STEPS; step++)
        cr_expect(fused.losses[step] == plain.losses[step] && isfinite(plain.losses[step]), "%s%s: step %d: %.9g, %.9g",
                  model, precision, step, fused.losses[step], plain.losses[step]);
    cr_assert_eq(fused.bytes, plain.bytes);
    cr_expect_eq(memcmp(fused.parameters, plain.parameters, fused.bytes), 0, "%s%s: parameters", model, precision);
    /* Evaluation folds the normalization into the weights, which changes rounding (test_fold). */
    double allowed = (strcmp(precision, "fp64") == 0 ? 1e-13 : 1e-5) * plain.evaluation.loss;
    cr_expect_float_eq(fused.evaluation.loss, plain.evaluation.loss, allowed, "%s%s: evaluation", model, precision);
    cr_expect_eq(fused.evaluation.accuracy, plain.evaluation.accuracy, "%s%s: evaluation", model, precision);
    free(fused.parameters), free(plain.parameters);
}

Test(fuse, training_is_the_same_to_the_bit)
{
    static const char *const models[] = {
        "[model]\nkind = convnet\nfeatures = 20, M, 33, A2, 17, M\nbatchnorm = custom\n",
        "[model]\nkind = convnet\nfeatures = 5, M, 18\nhidden = 13\nbatchnorm = custom\ndropout = 0.2\n",
        "[model]\nhidden = 40, 20\nbatchnorm = custom\nactivation = elu\n",
        "[model]\nkind = convnet\nfeatures = 6, M\nbatchnorm = custom\nbatchnorm_batch_stats_only = true\n",
        "[model]\nkind = convnet\nfeatures = 8, M, (8, 8)+, A2, 17\nbatchnorm = custom\nactivation = gelu\n",
        "[model]\nkind = convnet\nfeatures = 8, M, (8, 8)+, A2, 17\nbatchnorm = custom\nactivation = silu\n",
        residual_text,
    };
    for (int i = 0; i < 7; i++) {
        expect_same_training(models[i], "fp32");
        expect_same_training(models[i], "fp64");
    }
}
