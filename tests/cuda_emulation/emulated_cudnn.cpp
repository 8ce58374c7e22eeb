/* cuDNN's handle, its descriptors of tensors and its batch normalization, straight from the descriptors, channels last, in
 * fp32. Convolutions: emulated_cudnn_graph.cpp. */
#include "emulated_cudnn.h"

#include <cmath>
#include <cstring>

#include "emulation.h"

size_t emulated_cudnn_version = CUDNN_VERSION;

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    return status == CUDNN_STATUS_SUCCESS ? "success" : "a status of the CUDA emulation's cuDNN";
}

size_t cudnnGetVersion(void)
{
    return emulated_cudnn_version;
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)
{
    *handle = new emulated_cudnn();
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    delete handle;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

/* --- descriptors --- */

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t *tensor)
{
    *tensor = new emulated_tensor();
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t tensor)
{
    delete tensor;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t tensor, cudnnTensorFormat_t format,
                                         cudnnDataType_t type, int n, int c, int h, int w)
{
    if (n < 1 || c < 1 || h < 1 || w < 1) return CUDNN_STATUS_BAD_PARAM;
    *tensor = {type, format, n, c, h, w};
    return CUDNN_STATUS_SUCCESS;
}

/* --- batch normalization --- */

static bool plain(const void *alpha, const void *beta)
{
    return *(const float *)alpha == 1 && *(const float *)beta == 0;
}

/* The reserve space, which is kept from forward to backward. */
enum { RESERVE = 64, RESERVE_MARK = 0x5a };

cudnnStatus_t cudnnDeriveBNTensorDescriptor(cudnnTensorDescriptor_t channels, cudnnTensorDescriptor_t x,
                                            cudnnBatchNormMode_t mode)
{
    if (mode == CUDNN_BATCHNORM_PER_ACTIVATION) return CUDNN_STATUS_NOT_SUPPORTED;
    *channels = {CUDNN_DATA_FLOAT, x->format, 1, x->c, 1, 1};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(cudnnHandle_t, cudnnBatchNormMode_t,
                                                                       cudnnBatchNormOps_t, cudnnTensorDescriptor_t,
                                                                       cudnnTensorDescriptor_t, cudnnTensorDescriptor_t,
                                                                       cudnnTensorDescriptor_t,
                                                                       cudnnActivationDescriptor_t, size_t *bytes)
{
    *bytes = 512;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetBatchNormalizationBackwardExWorkspaceSize(cudnnHandle_t, cudnnBatchNormMode_t,
                                                                cudnnBatchNormOps_t, cudnnTensorDescriptor_t,
                                                                cudnnTensorDescriptor_t, cudnnTensorDescriptor_t,
                                                                cudnnTensorDescriptor_t, cudnnTensorDescriptor_t,
                                                                cudnnTensorDescriptor_t, cudnnActivationDescriptor_t,
                                                                size_t *bytes)
{
    *bytes = 512;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetBatchNormalizationTrainingExReserveSpaceSize(cudnnHandle_t, cudnnBatchNormMode_t mode,
                                                                   cudnnBatchNormOps_t, cudnnActivationDescriptor_t,
                                                                   cudnnTensorDescriptor_t, size_t *bytes)
{
    *bytes = mode == CUDNN_BATCHNORM_SPATIAL_PERSISTENT ? RESERVE : 0;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBatchNormalizationForwardTrainingEx(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t, const void *alpha, const void *beta,
    cudnnTensorDescriptor_t x, const void *x_data, cudnnTensorDescriptor_t, const void *, cudnnTensorDescriptor_t y,
    void *y_data, cudnnTensorDescriptor_t channels, const void *gamma, const void *shift, double momentum,
    void *running_mean, void *running_var, double epsilon, void *mean, void *rstd, cudnnActivationDescriptor_t,
    void *workspace, size_t workspace_bytes, void *reserve, size_t reserve_bytes)
{
    size_t wanted = mode == CUDNN_BATCHNORM_SPATIAL_PERSISTENT ? RESERVE : 0;
    if (!plain(alpha, beta) || channels->c != x->c || y->c != x->c || x->format != CUDNN_TENSOR_NHWC ||
        !running_mean != !running_var || workspace_bytes < 512 || reserve_bytes < wanted || (wanted && !reserve))
        return CUDNN_STATUS_BAD_PARAM;
    emulated_tensor t = *x;
    emulation_enqueue(handle->stream, [=] {
        int64_t rows = t.n * t.h * t.w;
        memset(workspace, 0xff, 512);
        if (wanted) memset(reserve, RESERVE_MARK, wanted);
        for (int64_t c = 0; c < t.c; c++) {
            double sum = 0, squares = 0;
            for (int64_t r = 0; r < rows; r++) sum += (double)emulated_tensor_load(x_data, t, r * t.c + c);
            double mu = sum / (double)rows;
            for (int64_t r = 0; r < rows; r++)
                squares += std::pow((double)emulated_tensor_load(x_data, t, r * t.c + c) - mu, 2);
            double var = squares / (double)rows, inverse = 1 / std::sqrt(var + epsilon);
            ((float *)mean)[c] = (float)mu, ((float *)rstd)[c] = (float)inverse;
            if (running_mean) {
                float *m = (float *)running_mean + c, *v = (float *)running_var + c;
                *m = (float)((1 - momentum) * (double)*m + momentum * mu);
                *v = (float)((1 - momentum) * (double)*v + momentum * squares / (double)(rows - 1));
            }
            for (int64_t r = 0; r < rows; r++) {
                double xhat = ((double)emulated_tensor_load(x_data, t, r * t.c + c) - mu) * inverse;
                emulated_tensor_store(
                    y_data, t, r * t.c + c,
                    (float)(xhat * (double)((const float *)gamma)[c] + (double)((const float *)shift)[c]));
            }
        }
    });
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBatchNormalizationBackwardEx(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t, const void *alpha, const void *beta,
    const void *alpha_parameters, const void *beta_parameters, cudnnTensorDescriptor_t x, const void *x_data,
    cudnnTensorDescriptor_t, const void *, cudnnTensorDescriptor_t dy, const void *dy_data, cudnnTensorDescriptor_t,
    void *, cudnnTensorDescriptor_t dx, void *dx_data, cudnnTensorDescriptor_t channels, const void *gamma,
    const void *, void *dgamma, void *dbeta, double, const void *mean, const void *rstd, cudnnActivationDescriptor_t,
    void *workspace, size_t workspace_bytes, void *reserve, size_t reserve_bytes)
{
    size_t wanted = mode == CUDNN_BATCHNORM_SPATIAL_PERSISTENT ? RESERVE : 0;
    if (!plain(alpha, beta) || !plain(alpha_parameters, beta_parameters) || channels->c != x->c || dy->c != x->c ||
        dx->c != x->c || workspace_bytes < 512 || reserve_bytes < wanted || (wanted && !reserve))
        return CUDNN_STATUS_BAD_PARAM;
    emulated_tensor t = *x;
    emulation_enqueue(handle->stream, [=] {
        int64_t rows = t.n * t.h * t.w;
        if (wanted && *(const char *)reserve != RESERVE_MARK)
            emulation_failed("reserve space that forward did not write");
        memset(workspace, 0xff, 512);
        for (int64_t c = 0; c < t.c; c++) {
            double mu = (double)((const float *)mean)[c], r = (double)((const float *)rstd)[c], sum = 0, dot = 0;
            for (int64_t i = c; i < rows * t.c; i += t.c) {
                double g = (double)emulated_tensor_load(dy_data, t, i);
                sum += g, dot += g * ((double)emulated_tensor_load(x_data, t, i) - mu) * r;
            }
            for (int64_t i = c; i < rows * t.c; i += t.c) {
                double g = (double)emulated_tensor_load(dy_data, t, i);
                double xhat = ((double)emulated_tensor_load(x_data, t, i) - mu) * r;
                double value = (double)((const float *)gamma)[c] * r * (g - (sum + xhat * dot) / (double)rows);
                emulated_tensor_store(dx_data, t, i, (float)value);
            }
            ((float *)dgamma)[c] = (float)dot, ((float *)dbeta)[c] = (float)sum;
        }
    });
    return CUDNN_STATUS_SUCCESS;
}
