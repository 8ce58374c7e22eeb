/* The host side of the primitives of automatic differentiation; the kernels are in cuda_primitive.cu, that of
 * channel_sum in cuda_bias.cu. */
#include "cuda_backend.h"

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

void cuda_primitive_install(struct backend_ops *ops)
{
    ops->elementwise = elementwise;
    ops->channel_sum = channel_sum;
    ops->channel_broadcast = channel_broadcast;
}
