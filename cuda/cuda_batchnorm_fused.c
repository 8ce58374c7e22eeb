/* The host side of batch normalization fused with an activation and a max-pool, in training and evaluation;
 * cuda_batchnorm.cu has the derivation and names the files of the kernels. */
#include "cuda_backend.h"

static void set_fused(struct cuda_batchnorm *task, const struct batchnorm_fused_params *params, const struct tensor *x,
                      struct shape y, const void *saved)
{
    task->activated = true;
    task->activation = params->activation.kind, task->slope = (float)params->activation.slope;
    task->pooled = params->pooled;
    task->output_rows = y.n * y.h * y.w;
    task->saved = (uint8_t *)saved;
    if (!params->pooled) {
        CHECK(shape_equal(x->shape, y));
        return;
    }
    CHECK(y.n == x->shape.n && y.c == x->shape.c && y.h == window_output_size(x->shape.h, params->pool.window) &&
          y.w == window_output_size(x->shape.w, params->pool.window));
    task->pooling = cuda_pooling_of(params->pool.window, x->shape, y);
}

/* Every window of the pool computes its pixels anew. So a pool whose windows overlap much is not fused. */
static bool fused_offered(const struct backend *backend, const struct batchnorm_fused_params *params)
{
    const int64_t most_visits = 4; /* windows per pixel */
    struct window window = params->pool.window;
    (void)backend;
    if (!params->pooled) return true;
    return params->pool.kind == POOL_MAX && cuda_pool_tap_bytes(window) == 1 &&
           window.kernel * window.kernel <= most_visits * window.stride * window.stride;
}

static void fused_forward(struct backend *backend, const struct batchnorm_fused_params *params, const struct tensor *x,
                          const struct tensor *gamma, const struct tensor *beta, const struct tensor *running_mean,
                          const struct tensor *running_var, const struct tensor *y, const struct tensor *mean,
                          const struct tensor *rstd, void *saved)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    struct cuda_batchnorm task = cuda_batchnorm_task(cuda, x, gamma);
    task.epsilon = (float)params->batchnorm.epsilon, task.momentum = (float)params->batchnorm.momentum;
    task.beta = beta->data;
    task.y = y->data;
    task.mean = mean->data, task.rstd = rstd->data;
    task.running_mean = running_mean ? running_mean->data : NULL;
    task.running_var = running_var ? running_var->data : NULL;
    set_fused(&task, params, x, y->shape, saved);
    CUDA_CHECK(cuda_batchnorm_forward_launch(cuda->stream, cuda->type, &task));
}

static void fused_evaluate(struct backend *backend, const struct batchnorm_fused_params *params, const struct tensor *x,
                           const struct tensor *gamma, const struct tensor *beta, const struct tensor *running_mean,
                           const struct tensor *running_var, const struct tensor *y)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    struct cuda_batchnorm task = cuda_batchnorm_task(cuda, x, gamma);
    if (gamma) {
        task.epsilon = (float)params->batchnorm.epsilon;
        task.beta = beta->data;
        task.running_mean = running_mean->data, task.running_var = running_var->data;
    }
    task.y = y->data;
    set_fused(&task, params, x, y->shape, NULL);
    CUDA_CHECK(cuda_batchnorm_evaluate_launch(cuda->stream, cuda->type, &task));
}

static void fused_backward(struct backend *backend, const struct batchnorm_fused_params *params, const struct tensor *x,
                           const struct tensor *gamma, const struct tensor *beta, const struct tensor *mean,
                           const struct tensor *rstd, const struct tensor *dy, const void *saved,
                           const struct tensor *dx, const struct tensor *dgamma, const struct tensor *dbeta)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    CHECK(!dx || shape_equal(x->shape, dx->shape));
    struct cuda_batchnorm task = cuda_batchnorm_task(cuda, x, gamma);
    task.beta = beta->data;
    task.mean = mean->data, task.rstd = rstd->data;
    task.dy = dy->data;
    task.dx = dx ? dx->data : NULL;
    task.dgamma = dgamma->data, task.dbeta = dbeta->data;
    set_fused(&task, params, x, dy->shape, saved);
    CUDA_CHECK(cuda_batchnorm_backward_launch(cuda->stream, cuda->type, &task));
}

void cuda_batchnorm_fused_install(struct backend_ops *ops)
{
    ops->batchnorm_fused_offered = fused_offered;
    ops->batchnorm_fused_forward = fused_forward;
    ops->batchnorm_fused_evaluate = fused_evaluate;
    ops->batchnorm_fused_backward = fused_backward;
}
