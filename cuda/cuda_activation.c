/* The host side of the activations; cuda_activation.cu has the kernels. */
#include "cuda_backend.h"

static void run_activation(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *x = &call->tensor[ACTIVATION_X], *y = &call->tensor[ACTIVATION_Y];
    CHECK(shape_equal(x->shape, y->shape));
    CUDA_CHECK(cuda_activation_forward_launch(cuda->lane->stream, cuda->type, call->op->activation,
                                              shape_count(x->shape), x->data, y->data));
}

static void run_activation_backward(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *x = &call->tensor[ACTIVATION_BACKWARD_X], *dy = &call->tensor[ACTIVATION_BACKWARD_DY];
    const struct tensor *dx = &call->tensor[ACTIVATION_BACKWARD_DX];
    CHECK(shape_equal(x->shape, dy->shape) && shape_equal(x->shape, dx->shape));
    CUDA_CHECK(cuda_activation_backward_launch(cuda->lane->stream, cuda->type, call->op->activation,
                                               shape_count(x->shape), x->data, dy->data, dx->data));
}

void cuda_activation_install(struct op_function *functions)
{
    functions[OP_ACTIVATION] = (struct op_function){.run = run_activation};
    functions[OP_ACTIVATION_BACKWARD] = (struct op_function){.run = run_activation_backward};
}
