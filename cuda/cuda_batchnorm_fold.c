/* The host side of batch normalization folded into the convolution before it; cuda_batchnorm_fold.cu has the kernel. */
#include "cuda_backend.h"

/* What cuDNN normalises stays as it is, so that it can be compared. */
static bool supports_fold(const struct backend *backend, const struct op *op)
{
    (void)op;
    return !((const struct cuda_backend *)backend)->options.cudnn_batchnorm;
}

static void run_fold(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *t = call->tensor;
    CHECK(shape_equal(t[FOLD_WEIGHT].shape, t[FOLD_TO_WEIGHT].shape));
    CHECK(t[FOLD_GAMMA].shape.c == t[FOLD_WEIGHT].shape.n);
    struct cuda_fold task = {
        .outputs = t[FOLD_WEIGHT].shape.n,
        .inputs = shape_sample_count(t[FOLD_WEIGHT].shape),
        .epsilon = (float)call->op->fold.epsilon,
        .weight = t[FOLD_WEIGHT].data,
        .bias = t[FOLD_BIAS].data,
        .gamma = t[FOLD_GAMMA].data,
        .beta = t[FOLD_BETA].data,
        .running_mean = t[FOLD_MEAN].data,
        .running_var = t[FOLD_VAR].data,
        .to_weight = t[FOLD_TO_WEIGHT].data,
        .to_bias = t[FOLD_TO_BIAS].data,
    };
    CUDA_CHECK(cuda_fold_launch(cuda->lane->stream, &task));
}

void cuda_batchnorm_fold_install(struct op_function *functions)
{
    functions[OP_FOLD] = (struct op_function){.run = run_fold, .supports = supports_fold};
}
