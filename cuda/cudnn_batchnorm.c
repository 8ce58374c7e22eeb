/* Batch normalization through cuDNN (model.batchnorm = cudnn), to compare our own kernels with, by the same definition
 * (struct batchnorm_params in backend.h). Our own kernels do the evaluation and two cases that cuDNN cannot do: one
 * value per channel (its unbiased variance would be 0/0), and a backward pass without dx. */
#include <stdlib.h>

#include "cuda_backend.h"
#include "util/memory.h"

/* cuDNN's fast kernels for channels last are those of the persistent mode in bf16. */
static cudnnBatchNormMode_t mode_of(const struct cuda_backend *cuda)
{
    return cuda->type == CUDA_BF16 ? CUDNN_BATCHNORM_SPATIAL_PERSISTENT : CUDNN_BATCHNORM_SPATIAL;
}

struct descriptors {
    cudnnTensorDescriptor_t x, channels;
};

static struct descriptors make_descriptors(const struct cuda_backend *cuda, struct shape s)
{
    struct descriptors made;
    CUDNN_CHECK(cudnnCreateTensorDescriptor(&made.x));
    CUDNN_CHECK(cudnnCreateTensorDescriptor(&made.channels));
    CUDNN_CHECK(cudnnSetTensor4dDescriptor(made.x, CUDNN_TENSOR_NHWC,
                                           cuda->type == CUDA_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT, (int)s.n,
                                           (int)s.c, (int)s.h, (int)s.w));
    CUDNN_CHECK(cudnnDeriveBNTensorDescriptor(made.channels, made.x, mode_of(cuda)));
    return made;
}

static void destroy_descriptors(struct descriptors made)
{
    CUDNN_CHECK(cudnnDestroyTensorDescriptor(made.x));
    CUDNN_CHECK(cudnnDestroyTensorDescriptor(made.channels));
}

/* Finds or makes the memory that cuDNN keeps from the forward to the backward pass of a layer beside mean and rstd. The
 * address of its rstd names the layer. */
static void *reserve_of(struct cuda_backend *cuda, const struct descriptors *made, const void *rstd, size_t *bytes)
{
    CUDNN_CHECK(cudnnGetBatchNormalizationTrainingExReserveSpaceSize(cuda->cudnn, mode_of(cuda), CUDNN_BATCHNORM_OPS_BN,
                                                                     NULL, made->x, bytes));
    if (*bytes == 0) return NULL;
    struct cuda_reserve *reserve = cuda->reserves;
    while (reserve && reserve->rstd != rstd) reserve = reserve->next;
    if (!reserve) {
        reserve = memory_alloc(1, sizeof *reserve);
        *reserve = (struct cuda_reserve){.rstd = rstd, .next = cuda->reserves};
        cuda->reserves = reserve;
    }
    if (reserve->bytes < *bytes) {
        cuda_free(cuda, reserve->data);
        reserve->data = cuda_alloc(cuda, *bytes);
        reserve->bytes = *bytes;
    }
    return reserve->data;
}

void cudnn_batchnorm_free(struct cuda_backend *cuda)
{
    while (cuda->reserves) {
        struct cuda_reserve *first = cuda->reserves;
        cuda->reserves = first->next;
        cuda_free(cuda, first->data);
        free(first);
    }
}

static void batchnorm_forward(struct backend *backend, struct batchnorm_params params, const struct tensor *x,
                              const struct tensor *gamma, const struct tensor *beta, const struct tensor *running_mean,
                              const struct tensor *running_var, const struct tensor *y, const struct tensor *mean,
                              const struct tensor *rstd)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    if (cuda_matrix_of(x).m == 1) {
        cuda_batchnorm_forward(backend, params, x, gamma, beta, running_mean, running_var, y, mean, rstd);
        return;
    }
    CHECK(shape_equal(x->shape, y->shape) && gamma->shape.c == x->shape.c && beta->shape.c == x->shape.c);
    const float one = 1, zero = 0;
    size_t bytes = 0, reserve_bytes = 0;
    struct descriptors made = make_descriptors(cuda, x->shape);
    cuda_need_workspace(cuda);
    CUDNN_CHECK(cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(
        cuda->cudnn, mode_of(cuda), CUDNN_BATCHNORM_OPS_BN, made.x, NULL, made.x, made.channels, NULL, &bytes));
    CHECK(bytes <= cuda->workspace_bytes);
    void *reserve = reserve_of(cuda, &made, rstd->data, &reserve_bytes);
    CUDNN_CHECK(cudnnBatchNormalizationForwardTrainingEx(
        cuda->cudnn, mode_of(cuda), CUDNN_BATCHNORM_OPS_BN, &one, &zero, made.x, x->data, NULL, NULL, made.x, y->data,
        made.channels, gamma->data, beta->data, params.momentum, running_mean ? running_mean->data : NULL,
        running_var ? running_var->data : NULL, params.epsilon, mean->data, rstd->data, NULL, cuda->workspace, bytes,
        reserve, reserve_bytes));
    destroy_descriptors(made);
}

static void batchnorm_backward(struct backend *backend, const struct tensor *x, const struct tensor *gamma,
                               const struct tensor *mean, const struct tensor *rstd, const struct tensor *dy,
                               const struct tensor *dx, const struct tensor *dgamma, const struct tensor *dbeta)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    if (!dx || cuda_matrix_of(x).m == 1) {
        cuda_batchnorm_backward(backend, x, gamma, mean, rstd, dy, dx, dgamma, dbeta);
        return;
    }
    CHECK(shape_equal(x->shape, dy->shape) && shape_equal(x->shape, dx->shape) && gamma->shape.c == x->shape.c);
    const float one = 1, zero = 0;
    const double epsilon = CUDNN_BN_MIN_EPSILON; /* not used: mean and rstd are given */
    size_t bytes = 0, reserve_bytes = 0;
    struct descriptors made = make_descriptors(cuda, x->shape);
    cuda_need_workspace(cuda);
    CUDNN_CHECK(cudnnGetBatchNormalizationBackwardExWorkspaceSize(cuda->cudnn, mode_of(cuda), CUDNN_BATCHNORM_OPS_BN,
                                                                  made.x, NULL, made.x, NULL, made.x, made.channels,
                                                                  NULL, &bytes));
    CHECK(bytes <= cuda->workspace_bytes);
    void *reserve = reserve_of(cuda, &made, rstd->data, &reserve_bytes);
    CUDNN_CHECK(cudnnBatchNormalizationBackwardEx(
        cuda->cudnn, mode_of(cuda), CUDNN_BATCHNORM_OPS_BN, &one, &zero, &one, &zero, made.x, x->data, NULL, NULL,
        made.x, dy->data, NULL, NULL, made.x, dx->data, made.channels, gamma->data, NULL, dgamma->data, dbeta->data,
        epsilon, mean->data, rstd->data, NULL, cuda->workspace, bytes, reserve, reserve_bytes));
    destroy_descriptors(made);
}

void cudnn_batchnorm_install(struct backend_ops *ops)
{
    ops->batchnorm_forward = batchnorm_forward;
    ops->batchnorm_backward = batchnorm_backward;
}
