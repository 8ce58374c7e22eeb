/* The reference backend: what its operations save and keep, and their table. */
#include "backend/reference/reference.h"

#include <stdio.h>
#include <string.h>

#include "backend/host.h"

void reference_zero(const struct tensor *x)
{
    if (x->data) memset(x->data, 0, (size_t)shape_count(x->shape) * sizeof(double));
}

static size_t saved_bytes(const struct backend *backend, const struct op *op, struct shape y)
{
    (void)backend;
    bool pooled = op->kind == OP_POOL || (op->kind == OP_NORM && op->norm.pooled);
    enum pool kind = op->kind == OP_POOL ? op->pool.kind : op->norm.pool.kind;
    return pooled && kind == POOL_MAX ? (size_t)shape_count(y) * sizeof(int64_t) : 0;
}

/* Of all kinds, GATHER alone keeps something: memory for two images. */
static void *prepare(const struct prepared *prepared, const struct op_call *call)
{
    if (call->op->kind != OP_GATHER) return NULL;
    return prepared->backend->table->alloc(prepared->backend,
                                           2 * (size_t)shape_sample_count(call->tensor[GATHER_X].shape));
}

static void release(struct backend *backend, void *plan)
{
    backend->table->free(backend, plan);
}

const struct op_function reference_functions[OP_KIND_COUNT] = {
#define REFERENCE_ENTRY(suffix, row)                                                                                   \
    [OP_##suffix] = {.run = reference_##row, .saved_bytes = saved_bytes, .prepare = prepare, .release = release},
    OP_KINDS(REFERENCE_ENTRY)
#undef REFERENCE_ENTRY
};

bool reference_backend_create(struct backend **backend, const struct backend_options *options, struct status *status)
{
    if (options->precision != PRECISION_FP64)
        return status_fail(status, STATUS_USAGE, "backend.precision: the reference backend computes in fp64");
    *backend = host_backend_create(reference_functions);
    snprintf((*backend)->description, sizeof(*backend)->description, "reference, 1 thread, fp64");
    return true;
}
