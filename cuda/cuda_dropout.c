/* The host side of dropout; cuda_dropout.cu has the kernel. */
#include "cuda_backend.h"

static void dropout(struct backend *backend, const struct dropout_params *params, const struct tensor *from,
                    const struct tensor *to)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    CHECK(shape_equal(from->shape, to->shape));
    CHECK(params->rate >= 0 && params->rate < 1);
    CUDA_CHECK(
        cuda_dropout_launch(cuda->stream, cuda->type, params, cuda->state, cuda_matrix_of(from), from->data, to->data));
}

void cuda_dropout_install(struct backend_ops *ops)
{
    ops->dropout = dropout;
}
