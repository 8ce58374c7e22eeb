/* The primitives of automatic differentiation, norms and the optimizers. */
#include "cuda_backend.h"

#include <math.h>

static void elementwise(struct backend *backend, struct elementwise_params params, const struct tensor *a,
                        const struct tensor *b, const struct tensor *y)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    CHECK(shape_equal(a->shape, y->shape) && a->kind == y->kind);
    CHECK(params.op >= ELEMENTWISE_SQUARE || (b && shape_equal(b->shape, y->shape) && b->kind == y->kind));
    CUDA_CHECK(cuda_elementwise_launch(cuda->stream, cuda_type_of(cuda, y), params, shape_count(y->shape), a->data,
                                       b ? b->data : NULL, y->data));
}

static void channel_sum(struct backend *backend, double scale, const struct tensor *x, const struct tensor *y)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    CHECK(x->shape.c == y->shape.c && y->kind == TENSOR_VECTOR);
    CUDA_CHECK(cuda_column_sum_launch(cuda->stream, cuda_type_of(cuda, x), cuda_matrix_of(x), cuda->multiprocessors,
                                      cuda->scratch, (float)scale, x->data, y->data));
}

static void channel_broadcast(struct backend *backend, double scale, const struct tensor *y, const struct tensor *x)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    CHECK(x->shape.c == y->shape.c && y->kind == TENSOR_VECTOR);
    CUDA_CHECK(
        cuda_broadcast_launch(cuda->stream, cuda_type_of(cuda, x), cuda_matrix_of(x), (float)scale, y->data, x->data));
}

static double norm(struct backend *backend, size_t count, const void *x)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    double sums[CUDA_NORM_BLOCKS], sum = 0;
    CUDA_CHECK(cuda_norm_launch(cuda->stream, (int64_t)count, x, cuda->norm_sums));
    CUDA_CHECK(cudaMemcpyAsync(sums, cuda->norm_sums, sizeof sums, cudaMemcpyDeviceToHost, cuda->stream));
    CUDA_CHECK(cudaStreamSynchronize(cuda->stream));
    for (int i = 0; i < CUDA_NORM_BLOCKS; i++) sum += sums[i];
    return sqrt(sum);
}

static void clip_norm(struct backend *backend, double limit, size_t count, void *x)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    CHECK(limit > 0);
    if (count == 0) return;
    CUDA_CHECK(cuda_norm_launch(cuda->stream, (int64_t)count, x, cuda->norm_sums));
    CUDA_CHECK(cuda_clip_launch(cuda->stream, limit, (int64_t)count, x, cuda->norm_sums));
}

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
    ops->elementwise = elementwise;
    ops->channel_sum = channel_sum;
    ops->channel_broadcast = channel_broadcast;
    ops->norm = norm;
    ops->clip_norm = clip_norm;
    ops->sgd_step = sgd_step;
    ops->adam_step = adam_step;
    ops->average_step = average_step;
}
