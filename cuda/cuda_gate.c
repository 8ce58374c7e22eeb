/* The host side of gates; cuda_gate.cu has the kernels. */
#include "cuda_backend.h"

static void run_gate(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *x = &call->tensor[GATE_X], *z = &call->tensor[GATE_Z], *y = &call->tensor[GATE_Y];
    CHECK(shape_equal(x->shape, y->shape) && z->shape.n == x->shape.n && z->shape.c == x->shape.c);
    CUDA_CHECK(cuda_gate_forward_launch(cuda->lane->stream, cuda->type, x->shape, x->data, z->data, y->data));
}

static void run_gate_backward(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *x = &call->tensor[GATE_BACKWARD_X], *z = &call->tensor[GATE_BACKWARD_Z];
    const struct tensor *dy = &call->tensor[GATE_BACKWARD_DY], *dx = &call->tensor[GATE_BACKWARD_DX];
    CHECK(shape_equal(x->shape, dy->shape) && z->shape.n == x->shape.n && z->shape.c == x->shape.c);
    CUDA_CHECK(cuda_gate_backward_launch(cuda->lane->stream, cuda->type, x->shape, x->data, z->data, dy->data, dx->data,
                                         call->tensor[GATE_BACKWARD_DZ].data));
}

void cuda_gate_install(struct op_function *functions)
{
    functions[OP_GATE] = (struct op_function){.run = run_gate};
    functions[OP_GATE_BACKWARD] = (struct op_function){.run = run_gate_backward};
}
