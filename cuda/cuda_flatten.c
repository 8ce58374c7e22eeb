/* The host side of flatten; cuda_flatten.cu has the kernel. */
#include "cuda_backend.h"

static void flatten_forward(struct backend *backend, const struct tensor *x, const struct tensor *y)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    CHECK(x->shape.n == y->shape.n && shape_sample_count(x->shape) == y->shape.c);
    CUDA_CHECK(cuda_flatten_launch(cuda->stream, cuda->type, true, x->shape, x->data, y->data));
}

static void flatten_backward(struct backend *backend, const struct tensor *dy, const struct tensor *dx)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    CHECK(dx->shape.n == dy->shape.n && shape_sample_count(dx->shape) == dy->shape.c);
    CUDA_CHECK(cuda_flatten_launch(cuda->stream, cuda->type, false, dx->shape, dy->data, dx->data));
}

void cuda_flatten_install(struct backend_ops *ops)
{
    ops->flatten_forward = flatten_forward;
    ops->flatten_backward = flatten_backward;
}
