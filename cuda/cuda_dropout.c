/* The host side of dropout; cuda_dropout.cu has the kernel. */
#include "cuda_backend.h"

static void run_dropout(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct dropout_params *params = &call->op->dropout;
    const struct tensor *from = &call->tensor[DROPOUT_FROM], *to = &call->tensor[DROPOUT_TO];
    CHECK(shape_equal(from->shape, to->shape));
    CHECK(params->rate >= 0 && params->rate < 1);
    CUDA_CHECK(cuda_dropout_launch(cuda->lane->stream, cuda->type, params, cuda_state(cuda),
                                   from->shape.h * from->shape.w, cuda_matrix_of(from), from->data, to->data));
}

void cuda_dropout_install(struct op_function *functions)
{
    functions[OP_DROPOUT] = (struct op_function){.run = run_dropout};
}
