/* The host side of pooling, activations, dropout and flatten: shapes are checked here, the kernels are in the .cu files
 * of their names. */
#include "cuda_backend.h"

/* --- pooling --- */

static size_t pool_saved_bytes(const struct backend *backend, struct pool_params params, struct shape output)
{
    (void)backend;
    return params.kind == POOL_MAX ? (size_t)shape_count(output) * cuda_pool_tap_bytes(params.window) : 0;
}

static void check_pool(struct pool_params params, struct shape x, struct shape y)
{
    const int64_t most_taps = 65536, largest_window = 32768; /* a tap's number has 16 bits, a window's sizes 31 */
    CHECK(x.n == y.n && x.c == y.c);
    CHECK(y.h == window_output_size(x.h, params.window) && y.w == window_output_size(x.w, params.window));
    CHECK(params.window.kernel * params.window.kernel <= most_taps && params.window.stride <= largest_window);
    CHECK(params.window.padding <= params.window.kernel / 2);
}

static void pool_forward(struct backend *backend, struct pool_params params, const struct tensor *x,
                         const struct tensor *y, void *saved)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    check_pool(params, x->shape, y->shape);
    CUDA_CHECK(cuda_pool_forward_launch(cuda->stream, cuda->type, params, x->shape, y->shape, x->data, y->data, saved));
}

static void pool_backward(struct backend *backend, struct pool_params params, const struct tensor *dy,
                          const void *saved, const struct tensor *dx)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    check_pool(params, dx->shape, dy->shape);
    CUDA_CHECK(
        cuda_pool_backward_launch(cuda->stream, cuda->type, params, dx->shape, dy->shape, dy->data, saved, dx->data));
}

/* --- element by element --- */

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

static void dropout(struct backend *backend, const struct dropout_params *params, const struct tensor *from,
                    const struct tensor *to)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    CHECK(shape_equal(from->shape, to->shape));
    CHECK(params->rate >= 0 && params->rate < 1);
    CUDA_CHECK(
        cuda_dropout_launch(cuda->stream, cuda->type, params, cuda->state, cuda_matrix_of(from), from->data, to->data));
}

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

void cuda_layers_install(struct backend_ops *ops)
{
    ops->pool_saved_bytes = pool_saved_bytes;
    ops->pool_forward = pool_forward;
    ops->pool_backward = pool_backward;
    ops->activation_forward = activation_forward;
    ops->activation_backward = activation_backward;
    ops->dropout = dropout;
    ops->flatten_forward = flatten_forward;
    ops->flatten_backward = flatten_backward;
}
