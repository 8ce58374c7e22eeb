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

/* The plan of a normalization: the memory that cuDNN keeps from the forward to the backward pass beside mean and
 * rstd. */
struct reserve {
    void *data;
    size_t bytes;
};

static void *prepare_norm(const struct prepared *prepared, const struct op_call *call)
{
    (void)prepared, (void)call;
    return memory_alloc(1, sizeof(struct reserve));
}

static void *prepare_norm_backward(const struct prepared *prepared, const struct op_call *call)
{
    return prepared_forward_call(prepared, call)->plan;
}

static void release_norm(struct backend *backend, void *plan)
{
    struct reserve *reserve = plan;
    cuda_free(cuda_backend_of(backend), reserve->data);
    free(reserve);
}

/* Makes the memory as large as this batch needs it, which the first run of a batch size may do. Returns the bytes that
 * it needs; where they are 0 there may be no memory. */
static size_t need_reserve(struct cuda_backend *cuda, const struct descriptors *made, struct reserve *reserve)
{
    size_t bytes = 0;
    CUDNN_CHECK(cudnnGetBatchNormalizationTrainingExReserveSpaceSize(cuda->lane->cudnn, mode_of(cuda),
                                                                     CUDNN_BATCHNORM_OPS_BN, NULL, made->x, &bytes));
    if (reserve->bytes >= bytes) return bytes;
    cuda_free(cuda, reserve->data);
    reserve->data = cuda_alloc(cuda, bytes);
    reserve->bytes = bytes;
    return bytes;
}

static void run_norm(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct batchnorm_params *params = &call->op->norm.batchnorm;
    const struct tensor *t = call->tensor, *x = &t[NORM_X], *gamma = &t[NORM_GAMMA], *beta = &t[NORM_BETA];
    struct reserve *reserve = call->plan;
    if (cuda_matrix_of(x).m == 1) {
        cuda_batchnorm_forward(backend, call);
        return;
    }
    CHECK(backend_supports(backend, call->op));
    CHECK(shape_equal(x->shape, t[NORM_Y].shape) && gamma->shape.c == x->shape.c && beta->shape.c == x->shape.c);
    const float one = 1, zero = 0;
    size_t bytes = 0;
    struct descriptors made = make_descriptors(cuda, x->shape);
    cuda_need_workspace(cuda);
    CUDNN_CHECK(cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(
        cuda->lane->cudnn, mode_of(cuda), CUDNN_BATCHNORM_OPS_BN, made.x, NULL, made.x, made.channels, NULL, &bytes));
    CHECK(bytes <= cuda->workspace_bytes);
    size_t reserve_bytes = need_reserve(cuda, &made, reserve);
    CUDNN_CHECK(cudnnBatchNormalizationForwardTrainingEx(
        cuda->lane->cudnn, mode_of(cuda), CUDNN_BATCHNORM_OPS_BN, &one, &zero, made.x, x->data, NULL, NULL, made.x,
        t[NORM_Y].data, made.channels, gamma->data, beta->data, params->momentum, t[NORM_RUNNING_MEAN].data,
        t[NORM_RUNNING_VAR].data, params->epsilon, t[NORM_MEAN].data, t[NORM_RSTD].data, NULL, cuda->lane->workspace,
        bytes, reserve->data, reserve_bytes));
    destroy_descriptors(made);
}

static void run_norm_backward(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *t = call->tensor, *x = &t[NORM_BACKWARD_X], *dy = &t[NORM_BACKWARD_DY];
    const struct tensor *dx = &t[NORM_BACKWARD_DX], *gamma = &t[NORM_BACKWARD_GAMMA];
    struct reserve *reserve = call->plan;
    if (!dx->data || cuda_matrix_of(x).m == 1) {
        cuda_batchnorm_backward(backend, call);
        return;
    }
    CHECK(backend_supports(backend, call->op));
    CHECK(shape_equal(x->shape, dy->shape) && shape_equal(x->shape, dx->shape) && gamma->shape.c == x->shape.c);
    const float one = 1, zero = 0;
    const double epsilon = CUDNN_BN_MIN_EPSILON; /* not used: mean and rstd are given */
    size_t bytes = 0;
    struct descriptors made = make_descriptors(cuda, x->shape);
    cuda_need_workspace(cuda);
    CUDNN_CHECK(cudnnGetBatchNormalizationBackwardExWorkspaceSize(cuda->lane->cudnn, mode_of(cuda),
                                                                  CUDNN_BATCHNORM_OPS_BN, made.x, NULL, made.x, NULL,
                                                                  made.x, made.channels, NULL, &bytes));
    CHECK(bytes <= cuda->workspace_bytes);
    size_t reserve_bytes = need_reserve(cuda, &made, reserve);
    CUDNN_CHECK(cudnnBatchNormalizationBackwardEx(
        cuda->lane->cudnn, mode_of(cuda), CUDNN_BATCHNORM_OPS_BN, &one, &zero, &one, &zero, made.x, x->data, NULL, NULL,
        made.x, dy->data, NULL, NULL, made.x, dx->data, made.channels, gamma->data, NULL, t[NORM_BACKWARD_DGAMMA].data,
        t[NORM_BACKWARD_DBETA].data, epsilon, t[NORM_BACKWARD_MEAN].data, t[NORM_BACKWARD_RSTD].data, NULL,
        cuda->lane->workspace, bytes, reserve->data, reserve_bytes));
    destroy_descriptors(made);
}

void cudnn_batchnorm_install(struct op_function *functions)
{
    struct op_function *forward = &functions[OP_NORM], *backward = &functions[OP_NORM_BACKWARD];
    forward->run = run_norm, forward->prepare = prepare_norm, forward->release = release_norm;
    backward->run = run_norm_backward, backward->prepare = prepare_norm_backward;
}
