/* The host side of the primitives of automatic differentiation; the kernels are in cuda_primitive.cu, that of a sum over
 * a channel in cuda_bias.cu. */
#include "cuda_backend.h"

/* y = a op b. b->data is NULL where the operation takes one operand; y may be a or b. */
static void compute(struct cuda_backend *cuda, struct elementwise_params params, const struct tensor *a,
                    const struct tensor *b, const struct tensor *y)
{
    CHECK(shape_equal(a->shape, y->shape) && a->kind == y->kind);
    CHECK(params.op >= ELEMENTWISE_SQUARE || (b->data && shape_equal(b->shape, y->shape) && b->kind == y->kind));
    CUDA_CHECK(cuda_elementwise_launch(cuda->lane->stream, cuda_type_of(cuda, y), params, shape_count(y->shape),
                                       a->data, b->data, y->data));
}

static bool supports_elementwise(const struct backend *backend, const struct op *op)
{
    return op->elementwise.op != ELEMENTWISE_ROUND || ((const struct cuda_backend *)backend)->type == CUDA_BF16;
}

static void run_elementwise(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    struct elementwise_params params = call->op->elementwise;
    double values = (double)(params.bessel * call->input->n);
    if (params.op == ELEMENTWISE_ROUND) {
        const struct tensor *a = &call->tensor[ELEMENTWISE_A];
        CUDA_CHECK(
            cuda_to_bf16_launch(cuda->lane->stream, shape_count(a->shape), a->data, call->tensor[ELEMENTWISE_Y].data));
        return;
    }
    if (values > 1) params.scale *= values / (values - 1);
    compute(cuda, params, &call->tensor[ELEMENTWISE_A], &call->tensor[ELEMENTWISE_B], &call->tensor[ELEMENTWISE_Y]);
}

static void run_add(struct backend *backend, const struct op_call *call)
{
    struct elementwise_params add = {.op = ELEMENTWISE_ADD};
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *t = call->tensor;
    compute(cuda, add, &t[ADD_A], &t[ADD_B], &t[ADD_Y]);
    for (int slot = ADD_C; slot <= ADD_D; slot++)
        if (t[slot].data) compute(cuda, add, &t[ADD_Y], &t[slot], &t[ADD_Y]);
}

/* Each term behind the second is added to y. */
static struct op_launches launches_add(const struct program *program, const struct op *op)
{
    int more = (op->tensor[ADD_C] >= 0) + (op->tensor[ADD_D] >= 0);
    return (struct op_launches){1 + more, 2 * more * (int64_t)program->tensors[op->tensor[ADD_Y]].bytes};
}

/* The factor of a sum or a broadcast over the channels of x. */
static float channel_scale(const struct op_call *call, struct shape x)
{
    const struct channel_params *params = &call->op->channel;
    return (float)(params->mean ? params->scale / (double)(x.n * x.h * x.w) : params->scale);
}

static void run_channel_sum(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *x = &call->tensor[CHANNEL_SUM_X], *y = &call->tensor[CHANNEL_SUM_Y];
    CHECK(x->shape.c == y->shape.c && y->kind == TENSOR_VECTOR);
    CUDA_CHECK(cuda_column_sum_launch(cuda->lane->stream, cuda_type_of(cuda, x), cuda_matrix_of(x),
                                      cuda->multiprocessors, cuda->lane->scratch, channel_scale(call, x->shape),
                                      x->data, y->data));
}

static void run_channel_broadcast(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *y = &call->tensor[CHANNEL_BROADCAST_Y], *x = &call->tensor[CHANNEL_BROADCAST_X];
    CHECK(x->shape.c == y->shape.c && y->kind == TENSOR_VECTOR);
    CUDA_CHECK(cuda_broadcast_launch(cuda->lane->stream, cuda_type_of(cuda, x), cuda_matrix_of(x),
                                     channel_scale(call, x->shape), y->data, x->data));
}

void cuda_primitive_install(struct op_function *functions)
{
    functions[OP_ADD] = (struct op_function){.run = run_add, .launches = launches_add};
    functions[OP_ELEMENTWISE] = (struct op_function){.run = run_elementwise, .supports = supports_elementwise};
    functions[OP_CHANNEL_SUM] = (struct op_function){.run = run_channel_sum};
    functions[OP_CHANNEL_BROADCAST] = (struct op_function){.run = run_channel_broadcast};
}
