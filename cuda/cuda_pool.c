/* The host side of pooling; cuda_pool.cu and cuda_global_pool.cu have the kernels. */
#include "cuda_backend.h"

size_t cuda_pool_saved_bytes(struct pool_params params, struct shape y)
{
    return params.kind == POOL_MAX ? (size_t)shape_count(y) * cuda_pool_tap_bytes(params.window) : 0;
}

static size_t saved_bytes(const struct backend *backend, const struct op *op, struct shape y)
{
    (void)backend;
    return cuda_pool_saved_bytes(op->pool, y);
}

static void check_pool(struct pool_params params, struct shape x, struct shape y)
{
    const int64_t most_taps = 65536, largest_window = 32768; /* a tap's number has 16 bits, a window's sizes 31 */
    CHECK(x.n == y.n && x.c == y.c);
    CHECK(y.h == window_output_size(x.h, params.window) && y.w == window_output_size(x.w, params.window));
    CHECK(params.window.kernel * params.window.kernel <= most_taps && params.window.stride <= largest_window);
    CHECK(params.window.padding <= params.window.kernel / 2);
}

static void run_pool(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *x = &call->tensor[POOL_X], *y = &call->tensor[POOL_Y];
    check_pool(call->op->pool, x->shape, y->shape);
    CUDA_CHECK(cuda_pool_forward_launch(cuda->lane->stream, cuda->type, call->op->pool, x->shape, y->shape, x->data,
                                        y->data, call->tensor[POOL_SAVED].data));
}

static void run_pool_backward(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *dy = &call->tensor[POOL_BACKWARD_DY], *dx = &call->tensor[POOL_BACKWARD_DX];
    check_pool(call->op->pool, dx->shape, dy->shape);
    CUDA_CHECK(cuda_pool_backward_launch(cuda->lane->stream, cuda->type, call->op->pool, dx->shape, dy->shape, dy->data,
                                         call->tensor[POOL_BACKWARD_SAVED].data, dx->data));
}

static void run_global_pool(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *x = &call->tensor[GLOBAL_POOL_X], *y = &call->tensor[GLOBAL_POOL_Y];
    CHECK(shape_equal(y->shape, (struct shape){x->shape.n, x->shape.c, 1, 1}));
    CUDA_CHECK(cuda_global_pool_forward_launch(cuda->lane->stream, cuda->type, x->shape, x->data, y->data));
}

static void run_global_pool_backward(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *dy = &call->tensor[GLOBAL_POOL_BACKWARD_DY], *dx = &call->tensor[GLOBAL_POOL_BACKWARD_DX];
    CHECK(shape_equal(dy->shape, (struct shape){dx->shape.n, dx->shape.c, 1, 1}));
    CUDA_CHECK(cuda_global_pool_backward_launch(cuda->lane->stream, cuda->type, dx->shape, dy->data, dx->data));
}

void cuda_pool_install(struct op_function *functions)
{
    functions[OP_POOL] = (struct op_function){.run = run_pool, .saved_bytes = saved_bytes};
    functions[OP_POOL_BACKWARD] = (struct op_function){.run = run_pool_backward};
    functions[OP_GLOBAL_POOL] = (struct op_function){.run = run_global_pool};
    functions[OP_GLOBAL_POOL_BACKWARD] = (struct op_function){.run = run_global_pool_backward};
}
