/* The host side of batch normalization folded into the convolution before it; cuda_batchnorm_fold.cu has the kernel. */
#include "cuda_backend.h"

static void fold(struct backend *backend, struct batchnorm_params params, const struct tensor *weight,
                 const struct tensor *bias, const struct tensor *gamma, const struct tensor *beta,
                 const struct tensor *running_mean, const struct tensor *running_var, const struct tensor *to_weight,
                 const struct tensor *to_bias)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    CHECK(shape_equal(weight->shape, to_weight->shape) && gamma->shape.c == weight->shape.n);
    struct cuda_fold task = {
        .outputs = weight->shape.n,
        .inputs = shape_sample_count(weight->shape),
        .epsilon = (float)params.epsilon,
        .weight = weight->data,
        .bias = bias->data,
        .gamma = gamma->data,
        .beta = beta->data,
        .running_mean = running_mean->data,
        .running_var = running_var->data,
        .to_weight = to_weight->data,
        .to_bias = to_bias->data,
    };
    CUDA_CHECK(cuda_fold_launch(cuda->stream, &task));
}

void cuda_batchnorm_fold_install(struct backend_ops *ops)
{
    ops->batchnorm_fold = fold;
}
