/* The host side of the optimizers and of the moving average; cuda_optimizer.cu has the kernels. */
#include "cuda_muon.h"

static struct update_plan *update_plan_create(struct backend *backend, enum optimizer_kind kind, struct shape filter)
{
    CHECK(kind == OPTIMIZER_MUON);
    return cuda_muon_plan(cuda_backend_of(backend), filter);
}

static void update_plan_destroy(struct backend *backend, struct update_plan *plan)
{
    cuda_muon_plan_free(cuda_backend_of(backend), plan);
}

static void update(struct backend *backend, const struct update *update)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    if (update->count == 0) return;
    if (update->kind == OPTIMIZER_MUON)
        cuda_muon_update(cuda, update);
    else
        CUDA_CHECK(cuda_update_launch(cuda->stream, update, cuda->state, cuda->multiprocessors));
}

static void average_step(struct backend *backend, double decay, size_t count, void *average, const void *w)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    if (count == 0) return;
    CUDA_CHECK(cuda_average_launch(cuda->stream, decay, cuda->state, (int64_t)count, average, w));
}

void cuda_optimizer_install(struct backend_ops *ops)
{
    ops->update_plan_create = update_plan_create;
    ops->update_plan_destroy = update_plan_destroy;
    ops->update = update;
    ops->average_step = average_step;
}
