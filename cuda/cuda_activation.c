/* The host side of the activations; cuda_activation.cu has the kernels. */
#include "cuda_backend.h"

static void activation_forward(struct backend *backend, struct activation_params params, const struct tensor *x,
                               const struct tensor *y)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    CHECK(shape_equal(x->shape, y->shape));
    CUDA_CHECK(
        cuda_activation_forward_launch(cuda->stream, cuda->type, params, shape_count(x->shape), x->data, y->data));
}

static void activation_backward(struct backend *backend, struct activation_params params, const struct tensor *x,
                                const struct tensor *dy, const struct tensor *dx)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    CHECK(shape_equal(x->shape, dy->shape) && shape_equal(x->shape, dx->shape));
    CUDA_CHECK(cuda_activation_backward_launch(cuda->stream, cuda->type, params, shape_count(x->shape), x->data,
                                               dy->data, dx->data));
}

void cuda_activation_install(struct backend_ops *ops)
{
    ops->activation_forward = activation_forward;
    ops->activation_backward = activation_backward;
}
