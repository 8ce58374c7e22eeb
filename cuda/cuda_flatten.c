/* The host side of flatten; cuda_flatten.cu has the kernel. */
#include "cuda_backend.h"

static void run_flatten(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *x = &call->tensor[FLATTEN_X], *y = &call->tensor[FLATTEN_Y];
    CHECK(x->shape.n == y->shape.n && shape_sample_count(x->shape) == y->shape.c);
    CUDA_CHECK(cuda_flatten_launch(cuda->lane->stream, cuda->type, true, x->shape, x->data, y->data));
}

static void run_flatten_backward(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *dy = &call->tensor[FLATTEN_BACKWARD_DY], *dx = &call->tensor[FLATTEN_BACKWARD_DX];
    CHECK(dx->shape.n == dy->shape.n && shape_sample_count(dx->shape) == dy->shape.c);
    CUDA_CHECK(cuda_flatten_launch(cuda->lane->stream, cuda->type, false, dx->shape, dy->data, dx->data));
}

void cuda_flatten_install(struct op_function *functions)
{
    functions[OP_FLATTEN] = (struct op_function){.run = run_flatten};
    functions[OP_FLATTEN_BACKWARD] = (struct op_function){.run = run_flatten_backward};
}
