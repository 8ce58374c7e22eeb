/* The reference backend's memory, boundary and table of operations. */
#include "backend/reference/reference.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/machine.h"
#include "util/memory.h"

/* --- memory --- */

static void reference_destroy(struct backend *backend)
{
    free(backend);
}

static void *reference_alloc(struct backend *backend, size_t bytes)
{
    void *data = memory_alloc_aligned(bytes);
    backend->allocated += (int64_t)malloc_usable_size(data);
    return data;
}

static void reference_free(struct backend *backend, void *data)
{
    backend->allocated -= (int64_t)malloc_usable_size(data); /* 0 for NULL */
    free(data);
}

static size_t reference_tensor_count(const struct backend *backend, enum tensor_kind kind, struct shape shape)
{
    (void)backend, (void)kind;
    return (size_t)shape_count(shape);
}

/* Labels are whole numbers, and metrics are a struct; all else is doubles. */
static void reference_tensor_write(struct backend *backend, const struct tensor *to, const double *from)
{
    int64_t count = shape_count(to->shape);
    (void)backend;
    if (to->kind == TENSOR_LABELS)
        for (int64_t i = 0; i < count; i++) ((int32_t *)to->data)[i] = (int32_t)from[i];
    else if (to->kind == TENSOR_METRICS)
        *(struct metrics *)to->data = (struct metrics){from[0], (int64_t)from[1], (int64_t)from[2]};
    else
        memcpy(to->data, from, (size_t)count * sizeof *from);
}

static void reference_tensor_read(struct backend *backend, const struct tensor *from, double *to)
{
    const struct metrics *metrics = from->data;
    int64_t count = shape_count(from->shape);
    (void)backend;
    if (from->kind == TENSOR_LABELS)
        for (int64_t i = 0; i < count; i++) to[i] = ((const int32_t *)from->data)[i];
    else if (from->kind == TENSOR_METRICS)
        to[0] = metrics->loss, to[1] = (double)metrics->correct, to[2] = (double)metrics->count;
    else
        memcpy(to, from->data, (size_t)count * sizeof *to);
}

void reference_zero(const struct tensor *x)
{
    if (x->data) memset(x->data, 0, (size_t)shape_count(x->shape) * sizeof(double));
}

/* --- the table --- */

static size_t saved_bytes(const struct backend *backend, const struct op *op, struct shape y)
{
    (void)backend;
    bool pooled = op->kind == OP_POOL || (op->kind == OP_NORM && op->norm.pooled);
    enum pool kind = op->kind == OP_POOL ? op->pool.kind : op->norm.pool.kind;
    return pooled && kind == POOL_MAX ? (size_t)shape_count(y) * sizeof(int64_t) : 0;
}

const struct op_function reference_functions[OP_KIND_COUNT] = {
#define REFERENCE_ENTRY(suffix, row) [OP_##suffix] = {.run = reference_##row, .saved_bytes = saved_bytes},
    OP_KINDS(REFERENCE_ENTRY)
#undef REFERENCE_ENTRY
};

/* The rate of one thread's multiplications and additions, in sums that do not wait for one another. */
static double reference_measure_peak(struct backend *backend)
{
    enum { SUMS = 8, ROUNDS = 1 << 22 };
    double sums[SUMS] = {0}, start = clock_seconds();
    volatile double kept; /* keeps the compiler from dropping the sums */
    (void)backend;
    for (int round = 0; round < ROUNDS; round++)
        for (int k = 0; k < SUMS; k++) sums[k] = sums[k] * 0.999 + 0.001;
    for (int k = 0; k < SUMS; k++) kept = sums[k];
    (void)kept;
    return 2.0 * SUMS * ROUNDS / (clock_seconds() - start);
}

static const struct backend_ops operations = {
    .destroy = reference_destroy,
    .alloc = reference_alloc,
    .free = reference_free,
    .tensor_count = reference_tensor_count,
    .tensor_write = reference_tensor_write,
    .tensor_read = reference_tensor_read,
    .measure_peak = reference_measure_peak,
    .dataset_upload = reference_dataset_upload,
    .dataset_free = reference_dataset_free,
    .dataset_set_order = reference_dataset_set_order,
};

bool reference_backend_create(struct backend **backend, const struct backend_options *options, struct status *status)
{
    if (options->precision != PRECISION_FP64)
        return status_fail(status, STATUS_USAGE, "backend.precision: the reference backend computes in fp64");
    *backend = memory_alloc(1, sizeof **backend);
    **backend = (struct backend){.ops = &operations,
                                 .functions = reference_functions,
                                 .scalar_size = sizeof(double),
                                 .activation_size = sizeof(double),
                                 .memory_bytes = machine_read("").memory};
    snprintf((*backend)->description, sizeof(*backend)->description, "reference, 1 thread, fp64");
    return true;
}
