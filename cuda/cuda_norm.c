/* The host side of magnitudes and clipping; cuda_norm.cu has the kernels. */
#include "cuda_backend.h"

static void run_magnitude(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *x = &call->tensor[MAGNITUDE_X], *y = &call->tensor[MAGNITUDE_Y];
    CHECK(y->kind == TENSOR_SCALAR);
    CUDA_CHECK(cuda_norm_launch(cuda->lane->stream, shape_count(x->shape), x->data, cuda->norm_sums));
    CUDA_CHECK(cuda_magnitude_launch(cuda->lane->stream, cuda->norm_sums, y->data));
}

static void run_clip(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *x = &call->tensor[CLIP_X];
    int64_t count = shape_count(x->shape);
    CHECK(call->op->clip > 0);
    if (count == 0) return;
    CUDA_CHECK(cuda_norm_launch(cuda->lane->stream, count, x->data, cuda->norm_sums));
    CUDA_CHECK(cuda_clip_launch(cuda->lane->stream, call->op->clip, count, x->data, cuda->norm_sums));
}

static struct op_launches launches_magnitude(const struct program *program, const struct op *op)
{
    (void)program, (void)op;
    return (struct op_launches){.count = 2};
}

/* The norm reads x once more. */
static struct op_launches launches_clip(const struct program *program, const struct op *op)
{
    return (struct op_launches){2, (int64_t)program->tensors[op->tensor[CLIP_X]].bytes};
}

void cuda_norm_install(struct op_function *functions)
{
    functions[OP_MAGNITUDE] = (struct op_function){.run = run_magnitude, .launches = launches_magnitude};
    functions[OP_CLIP] = (struct op_function){.run = run_clip, .launches = launches_clip};
}
