/* The host side of the optimizers and of the moving average; cuda_optimizer.cu has the kernels. */
#include "cuda_backend.h"

static void sgd_step(struct backend *backend, struct sgd_params params, size_t count, void *w, const void *dw,
                     void *velocity)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    CHECK(velocity || params.momentum == 0);
    if (count == 0) return;
    CUDA_CHECK(cuda_sgd_launch(cuda->stream, params, cuda->state, (int64_t)count, w, dw, velocity));
}

static void adam_step(struct backend *backend, struct adam_params params, size_t count, void *w, const void *dw,
                      void *m, void *v)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    if (count == 0) return;
    CUDA_CHECK(cuda_adam_launch(cuda->stream, params, cuda->state, cuda->multiprocessors, (int64_t)count, w, dw, m, v));
}

static void average_step(struct backend *backend, double decay, size_t count, void *average, const void *w)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    if (count == 0) return;
    CUDA_CHECK(cuda_average_launch(cuda->stream, decay, cuda->state, (int64_t)count, average, w));
}

void cuda_arithmetic_install(struct backend_ops *ops)
{
    ops->sgd_step = sgd_step;
    ops->adam_step = adam_step;
    ops->average_step = average_step;
}
