/* The host side of batch normalization by our own kernels; cuda_batchnorm.cu has the derivation. */
#include "cuda_backend.h"

struct cuda_batchnorm cuda_batchnorm_task(const struct cuda_backend *cuda, const struct tensor *x,
                                          const struct tensor *gamma)
{
    CHECK(!gamma || gamma->shape.c == x->shape.c);
    return (struct cuda_batchnorm){
        .shape = cuda_matrix_of(x),
        .multiprocessors = cuda->multiprocessors,
        .most_cluster = cuda->most_cluster,
        .scratch = cuda->scratch,
        .x = x->data,
        .gamma = gamma ? gamma->data : NULL,
    };
}

void cuda_batchnorm_forward(struct backend *backend, struct batchnorm_params params, const struct tensor *x,
                            const struct tensor *gamma, const struct tensor *beta, const struct tensor *running_mean,
                            const struct tensor *running_var, const struct tensor *y, const struct tensor *mean,
                            const struct tensor *rstd)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    CHECK(shape_equal(x->shape, y->shape) && beta->shape.c == x->shape.c);
    struct cuda_batchnorm task = cuda_batchnorm_task(cuda, x, gamma);
    task.epsilon = (float)params.epsilon, task.momentum = (float)params.momentum;
    task.beta = beta->data;
    task.y = y->data;
    task.mean = mean->data, task.rstd = rstd->data;
    task.running_mean = running_mean ? running_mean->data : NULL;
    task.running_var = running_var ? running_var->data : NULL;
    CUDA_CHECK(cuda_batchnorm_forward_launch(cuda->stream, cuda->type, &task));
}

static void batchnorm_evaluate(struct backend *backend, struct batchnorm_params params, const struct tensor *x,
                               const struct tensor *gamma, const struct tensor *beta, const struct tensor *running_mean,
                               const struct tensor *running_var, const struct tensor *y)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    CHECK(shape_equal(x->shape, y->shape));
    struct cuda_batchnorm task = cuda_batchnorm_task(cuda, x, gamma);
    task.epsilon = (float)params.epsilon;
    task.beta = beta->data;
    task.y = y->data;
    task.running_mean = running_mean->data, task.running_var = running_var->data;
    CUDA_CHECK(cuda_batchnorm_evaluate_launch(cuda->stream, cuda->type, &task));
}

void cuda_batchnorm_backward(struct backend *backend, const struct tensor *x, const struct tensor *gamma,
                             const struct tensor *mean, const struct tensor *rstd, const struct tensor *dy,
                             const struct tensor *dx, const struct tensor *dgamma, const struct tensor *dbeta)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    CHECK(shape_equal(x->shape, dy->shape) && (!dx || shape_equal(x->shape, dx->shape)));
    struct cuda_batchnorm task = cuda_batchnorm_task(cuda, x, gamma);
    task.mean = mean->data, task.rstd = rstd->data;
    task.dy = dy->data;
    task.dx = dx ? dx->data : NULL;
    task.dgamma = dgamma->data, task.dbeta = dbeta->data;
    CUDA_CHECK(cuda_batchnorm_backward_launch(cuda->stream, cuda->type, &task));
}

void cuda_batchnorm_install(struct backend_ops *ops)
{
    ops->batchnorm_forward = cuda_batchnorm_forward;
    ops->batchnorm_evaluate = batchnorm_evaluate;
    ops->batchnorm_backward = cuda_batchnorm_backward;
}
