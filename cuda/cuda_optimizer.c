/* The host side of the optimizers and of the moving average; cuda_optimizer.cu has the kernels. */
#include "cuda_backend.h"

static void update(struct backend *backend, const struct update *update)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    if (update->count == 0) return;
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
    ops->update = update;
    ops->average_step = average_step;
}
