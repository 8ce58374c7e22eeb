/* cuDNN's convolutions and batch normalization straight from the descriptors, channels last, in fp32. It offers three
 * algorithms. The first adds in any order, the second wants more workspace than there can be, the heuristic gives the
 * third but it refuses to run. For windows of 5 pixels it has no algorithm. */
#include "emulation.h"

#include <cmath>
#include <cstring>
#include <vector>

#include <cudnn.h>

struct emulated_cudnn {
    cudaStream_t stream;
};

struct emulated_tensor {
    cudnnDataType_t type;
    cudnnTensorFormat_t format;
    int64_t n, c, h, w;
};

struct emulated_convolution {
    int64_t padding, stride;
    cudnnMathType_t math;
};

enum { ANY_ORDER, TOO_LARGE, REFUSED, ONE_ORDER, ALGORITHMS };
enum { NOT_OFFERED_KERNEL = 5 };
static const size_t algorithm_bytes[ALGORITHMS] = {1024, (size_t)1 << 40, 1024, 2048};

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    return status == CUDNN_STATUS_SUCCESS ? "success" : "a status of the CUDA emulation's cuDNN";
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

cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t *filter)
{
    return cudnnCreateTensorDescriptor(filter);
}

cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t filter)
{
    return cudnnDestroyTensorDescriptor(filter);
}

cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t filter, cudnnDataType_t type,
                                         cudnnTensorFormat_t format, int k, int c, int h, int w)
{
    return cudnnSetTensor4dDescriptor(filter, format, type, k, c, h, w);
}

cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t *convolution)
{
    *convolution = new emulated_convolution();
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t convolution)
{
    delete convolution;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t convolution, int pad_h, int pad_w,
                                              int stride_h, int stride_w, int dilation_h, int dilation_w,
                                              cudnnConvolutionMode_t mode, cudnnDataType_t compute)
{
    if (pad_h != pad_w || stride_h != stride_w || dilation_h != 1 || dilation_w != 1) return CUDNN_STATUS_NOT_SUPPORTED;
    if (mode != CUDNN_CROSS_CORRELATION || compute != CUDNN_DATA_FLOAT) return CUDNN_STATUS_NOT_SUPPORTED;
    *convolution = {pad_h, stride_h, CUDNN_DEFAULT_MATH};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t convolution, cudnnMathType_t math)
{
    convolution->math = math;
    return CUDNN_STATUS_SUCCESS;
}

/* --- convolution --- */

enum pass { FORWARD, DX, DWEIGHT };

/* The three tensors of any pass, and their addresses. */
struct conv {
    emulated_tensor x, w, y;
    emulated_convolution how;
    const void *x_data, *w_data, *y_data;
    void *result;
};

static bool fits(const conv &t)
{
    int64_t p = (t.x.h + 2 * t.how.padding - t.w.h) / t.how.stride + 1;
    int64_t q = (t.x.w + 2 * t.how.padding - t.w.w) / t.how.stride + 1;
    bool last = t.x.format == CUDNN_TENSOR_NHWC && t.w.format == CUDNN_TENSOR_NHWC && t.y.format == CUDNN_TENSOR_NHWC;
    return last && t.x.type == t.w.type && t.x.type == t.y.type && t.x.n == t.y.n && t.x.c == t.w.c && t.y.c == t.w.n &&
           t.y.h == p && t.y.w == q;
}

static float load(const void *data, const emulated_tensor &tensor, cudnnMathType_t math, int64_t at)
{
    if (tensor.type == CUDNN_DATA_BFLOAT16) return emulation_bf16_to_float(((const uint16_t *)data)[at]);
    float value = ((const float *)data)[at];
    return math == CUDNN_FMA_MATH ? value : emulation_to_tf32(value);
}

/* Calls visit(x's element, w's, y's) for all triples that are multiplied, in one order or the opposite. */
template <typename Visit> static void walk(const conv &t, bool reverse, Visit visit)
{
    int64_t steps = t.y.n * t.y.h * t.y.w * t.w.h * t.w.w;
    for (int64_t s = 0; s < steps; s++) {
        int64_t i = reverse ? steps - 1 - s : s;
        int64_t l = i % t.w.w, k = i / t.w.w % t.w.h, pixel = i / t.w.w / t.w.h;
        int64_t q = pixel % t.y.w, p = pixel / t.y.w % t.y.h, n = pixel / t.y.w / t.y.h;
        int64_t h = p * t.how.stride + k - t.how.padding, w = q * t.how.stride + l - t.how.padding;
        if (h < 0 || h >= t.x.h || w < 0 || w >= t.x.w) continue;
        int64_t x_first = ((n * t.x.h + h) * t.x.w + w) * t.x.c;
        for (int64_t o = 0; o < t.y.c; o++)
            for (int64_t c = 0; c < t.x.c; c++)
                visit(x_first + c, ((o * t.w.h + k) * t.w.w + l) * t.w.c + c, pixel * t.y.c + o);
    }
}

static std::vector<float> widen(const void *data, const emulated_tensor &tensor, cudnnMathType_t math)
{
    std::vector<float> values((size_t)(data ? tensor.n * tensor.c * tensor.h * tensor.w : 0));
    for (size_t i = 0; i < values.size(); i++) values[i] = load(data, tensor, math, (int64_t)i);
    return values;
}

static void convolve(const conv &t, pass which, bool any_order)
{
    static unsigned calls;
    bool reverse = any_order && calls++ % 2;
    const emulated_tensor &result = which == FORWARD ? t.y : which == DX ? t.x : t.w;
    std::vector<float> sums((size_t)(result.n * result.c * result.h * result.w));
    std::vector<float> xs = widen(t.x_data, t.x, t.how.math), ws = widen(t.w_data, t.w, t.how.math),
                       ys = widen(t.y_data, t.y, t.how.math);
    const float *x = xs.data(), *w = ws.data(), *y = ys.data();
    float *sum = sums.data();
    if (which == FORWARD)
        walk(t, reverse, [=](int64_t xi, int64_t wi, int64_t yi) { sum[yi] += x[xi] * w[wi]; });
    else if (which == DX)
        walk(t, reverse, [=](int64_t xi, int64_t wi, int64_t yi) { sum[xi] += y[yi] * w[wi]; });
    else
        walk(t, reverse, [=](int64_t xi, int64_t wi, int64_t yi) { sum[wi] += y[yi] * x[xi]; });
    for (size_t i = 0; i < sums.size(); i++) {
        if (result.type == CUDNN_DATA_BFLOAT16)
            ((uint16_t *)t.result)[i] = emulation_bf16_from_float(sums[i]);
        else
            ((float *)t.result)[i] = sums[i];
    }
}

static cudnnStatus_t start(cudnnHandle_t handle, const conv &t, pass which, int algorithm, void *workspace,
                           size_t workspace_bytes)
{
    if (!fits(t)) return CUDNN_STATUS_BAD_PARAM;
    if (t.w.h == NOT_OFFERED_KERNEL || algorithm == REFUSED) return CUDNN_STATUS_NOT_SUPPORTED;
    if (!workspace || workspace_bytes < algorithm_bytes[algorithm]) return CUDNN_STATUS_BAD_PARAM;
    emulation_enqueue(handle->stream, [=] {
        memset(workspace, 0xff, algorithm_bytes[algorithm]);
        convolve(t, which, algorithm == ANY_ORDER);
    });
    return CUDNN_STATUS_SUCCESS;
}

/* Makes the list of a heuristic, or of a search, which runs each algorithm and leaves out those that cannot run. */
template <typename Perf> static cudnnStatus_t list(const conv &t, bool search, int wanted, int *count, Perf *found)
{
    *count = 0;
    if (!fits(t)) return CUDNN_STATUS_BAD_PARAM;
    if (t.w.h == NOT_OFFERED_KERNEL) return CUDNN_STATUS_NOT_SUPPORTED;
    for (int algorithm = 0; algorithm < ALGORITHMS && *count < wanted; algorithm++) {
        found[*count] = {};
        found[*count].algo = algorithm;
        found[*count].status = search && (algorithm == TOO_LARGE || algorithm == REFUSED) ? CUDNN_STATUS_NOT_SUPPORTED
                                                                                          : CUDNN_STATUS_SUCCESS;
        found[*count].memory = algorithm_bytes[algorithm];
        found[*count].determinism = algorithm == ANY_ORDER ? CUDNN_NON_DETERMINISTIC : CUDNN_DETERMINISTIC;
        found[*count].mathType = t.how.math;
        ++*count;
    }
    return CUDNN_STATUS_SUCCESS;
}

template <typename Perf>
static cudnnStatus_t search(cudnnHandle_t handle, const conv &t, pass which, int wanted, int *count, Perf *found,
                            void *workspace, size_t workspace_bytes)
{
    if (emulation_recording()) emulation_failed("a search for an algorithm while a step is recorded");
    cudnnStatus_t status = list(t, true, wanted, count, found);
    if (status == CUDNN_STATUS_SUCCESS) status = start(handle, t, which, ONE_ORDER, workspace, workspace_bytes);
    if (status == CUDNN_STATUS_SUCCESS) emulation_wait(handle->stream);
    return status;
}

static cudnnStatus_t workspace_size(const conv &t, int algorithm, size_t *bytes)
{
    if (!fits(t)) return CUDNN_STATUS_BAD_PARAM;
    *bytes = algorithm_bytes[algorithm];
    return CUDNN_STATUS_SUCCESS;
}

static bool plain(const void *alpha, const void *beta)
{
    return *(const float *)alpha == 1 && *(const float *)beta == 0;
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t handle, cudnnTensorDescriptor_t x,
                                                     cudnnFilterDescriptor_t w,
                                                     cudnnConvolutionDescriptor_t convolution,
                                                     cudnnTensorDescriptor_t y, int wanted, int *count,
                                                     cudnnConvolutionFwdAlgoPerf_t *found)
{
    (void)handle;
    return list({*x, *w, *y, *convolution, NULL, NULL, NULL, NULL}, false, wanted, count, found);
}

cudnnStatus_t cudnnFindConvolutionForwardAlgorithmEx(cudnnHandle_t handle, cudnnTensorDescriptor_t x,
                                                     const void *x_data, cudnnFilterDescriptor_t w, const void *w_data,
                                                     cudnnConvolutionDescriptor_t convolution,
                                                     cudnnTensorDescriptor_t y, void *result, int wanted, int *count,
                                                     cudnnConvolutionFwdAlgoPerf_t *found, void *workspace,
                                                     size_t workspace_bytes)
{
    return search(handle, {*x, *w, *y, *convolution, x_data, w_data, NULL, result}, FORWARD, wanted, count, found,
                  workspace, workspace_bytes);
}

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t handle, cudnnTensorDescriptor_t x,
                                                      cudnnFilterDescriptor_t w,
                                                      cudnnConvolutionDescriptor_t convolution,
                                                      cudnnTensorDescriptor_t y, cudnnConvolutionFwdAlgo_t algorithm,
                                                      size_t *bytes)
{
    (void)handle;
    return workspace_size({*x, *w, *y, *convolution, NULL, NULL, NULL, NULL}, algorithm, bytes);
}

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void *alpha, cudnnTensorDescriptor_t x,
                                      const void *x_data, cudnnFilterDescriptor_t w, const void *w_data,
                                      cudnnConvolutionDescriptor_t convolution, cudnnConvolutionFwdAlgo_t algorithm,
                                      void *workspace, size_t workspace_bytes, const void *beta,
                                      cudnnTensorDescriptor_t y, void *result)
{
    if (!plain(alpha, beta)) return CUDNN_STATUS_NOT_SUPPORTED;
    return start(handle, {*x, *w, *y, *convolution, x_data, w_data, NULL, result}, FORWARD, algorithm, workspace,
                 workspace_bytes);
}

cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(cudnnHandle_t handle, cudnnFilterDescriptor_t w,
                                                          cudnnTensorDescriptor_t y,
                                                          cudnnConvolutionDescriptor_t convolution,
                                                          cudnnTensorDescriptor_t x, int wanted, int *count,
                                                          cudnnConvolutionBwdDataAlgoPerf_t *found)
{
    (void)handle;
    return list({*x, *w, *y, *convolution, NULL, NULL, NULL, NULL}, false, wanted, count, found);
}

cudnnStatus_t cudnnFindConvolutionBackwardDataAlgorithmEx(cudnnHandle_t handle, cudnnFilterDescriptor_t w,
                                                          const void *w_data, cudnnTensorDescriptor_t y,
                                                          const void *y_data, cudnnConvolutionDescriptor_t convolution,
                                                          cudnnTensorDescriptor_t x, void *result, int wanted,
                                                          int *count, cudnnConvolutionBwdDataAlgoPerf_t *found,
                                                          void *workspace, size_t workspace_bytes)
{
    return search(handle, {*x, *w, *y, *convolution, NULL, w_data, y_data, result}, DX, wanted, count, found, workspace,
                  workspace_bytes);
}

cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(cudnnHandle_t handle, cudnnFilterDescriptor_t w,
                                                           cudnnTensorDescriptor_t y,
                                                           cudnnConvolutionDescriptor_t convolution,
                                                           cudnnTensorDescriptor_t x,
                                                           cudnnConvolutionBwdDataAlgo_t algorithm, size_t *bytes)
{
    (void)handle;
    return workspace_size({*x, *w, *y, *convolution, NULL, NULL, NULL, NULL}, algorithm, bytes);
}

cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void *alpha, cudnnFilterDescriptor_t w,
                                           const void *w_data, cudnnTensorDescriptor_t y, const void *y_data,
                                           cudnnConvolutionDescriptor_t convolution,
                                           cudnnConvolutionBwdDataAlgo_t algorithm, void *workspace,
                                           size_t workspace_bytes, const void *beta, cudnnTensorDescriptor_t x,
                                           void *result)
{
    if (!plain(alpha, beta)) return CUDNN_STATUS_NOT_SUPPORTED;
    return start(handle, {*x, *w, *y, *convolution, NULL, w_data, y_data, result}, DX, algorithm, workspace,
                 workspace_bytes);
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(cudnnHandle_t handle, cudnnTensorDescriptor_t x,
                                                            cudnnTensorDescriptor_t y,
                                                            cudnnConvolutionDescriptor_t convolution,
                                                            cudnnFilterDescriptor_t w, int wanted, int *count,
                                                            cudnnConvolutionBwdFilterAlgoPerf_t *found)
{
    (void)handle;
    return list({*x, *w, *y, *convolution, NULL, NULL, NULL, NULL}, false, wanted, count, found);
}

cudnnStatus_t cudnnFindConvolutionBackwardFilterAlgorithmEx(
    cudnnHandle_t handle, cudnnTensorDescriptor_t x, const void *x_data, cudnnTensorDescriptor_t y, const void *y_data,
    cudnnConvolutionDescriptor_t convolution, cudnnFilterDescriptor_t w, void *result, int wanted, int *count,
    cudnnConvolutionBwdFilterAlgoPerf_t *found, void *workspace, size_t workspace_bytes)
{
    return search(handle, {*x, *w, *y, *convolution, x_data, NULL, y_data, result}, DWEIGHT, wanted, count, found,
                  workspace, workspace_bytes);
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnnHandle_t handle, cudnnTensorDescriptor_t x,
                                                             cudnnTensorDescriptor_t y,
                                                             cudnnConvolutionDescriptor_t convolution,
                                                             cudnnFilterDescriptor_t w,
                                                             cudnnConvolutionBwdFilterAlgo_t algorithm, size_t *bytes)
{
    (void)handle;
    return workspace_size({*x, *w, *y, *convolution, NULL, NULL, NULL, NULL}, algorithm, bytes);
}

cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void *alpha, cudnnTensorDescriptor_t x,
                                             const void *x_data, cudnnTensorDescriptor_t y, const void *y_data,
                                             cudnnConvolutionDescriptor_t convolution,
                                             cudnnConvolutionBwdFilterAlgo_t algorithm, void *workspace,
                                             size_t workspace_bytes, const void *beta, cudnnFilterDescriptor_t w,
                                             void *result)
{
    if (!plain(alpha, beta)) return CUDNN_STATUS_NOT_SUPPORTED;
    return start(handle, {*x, *w, *y, *convolution, x_data, NULL, y_data, result}, DWEIGHT, algorithm, workspace,
                 workspace_bytes);
}

/* --- batch normalization --- */

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

static void store(void *data, const emulated_tensor &tensor, int64_t at, float value)
{
    if (tensor.type == CUDNN_DATA_BFLOAT16)
        ((uint16_t *)data)[at] = emulation_bf16_from_float(value);
    else
        ((float *)data)[at] = value;
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
            for (int64_t r = 0; r < rows; r++) sum += (double)load(x_data, t, CUDNN_FMA_MATH, r * t.c + c);
            double mu = sum / (double)rows;
            for (int64_t r = 0; r < rows; r++)
                squares += std::pow((double)load(x_data, t, CUDNN_FMA_MATH, r * t.c + c) - mu, 2);
            double var = squares / (double)rows, inverse = 1 / std::sqrt(var + epsilon);
            ((float *)mean)[c] = (float)mu, ((float *)rstd)[c] = (float)inverse;
            if (running_mean) {
                float *m = (float *)running_mean + c, *v = (float *)running_var + c;
                *m = (float)((1 - momentum) * (double)*m + momentum * mu);
                *v = (float)((1 - momentum) * (double)*v + momentum * squares / (double)(rows - 1));
            }
            for (int64_t r = 0; r < rows; r++) {
                double xhat = ((double)load(x_data, t, CUDNN_FMA_MATH, r * t.c + c) - mu) * inverse;
                store(y_data, t, r * t.c + c,
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
                double g = (double)load(dy_data, t, CUDNN_FMA_MATH, i);
                sum += g, dot += g * ((double)load(x_data, t, CUDNN_FMA_MATH, i) - mu) * r;
            }
            for (int64_t i = c; i < rows * t.c; i += t.c) {
                double g = (double)load(dy_data, t, CUDNN_FMA_MATH, i);
                double xhat = ((double)load(x_data, t, CUDNN_FMA_MATH, i) - mu) * r;
                double value = (double)((const float *)gamma)[c] * r * (g - (sum + xhat * dot) / (double)rows);
                store(dx_data, t, i, (float)value);
            }
            ((float *)dgamma)[c] = (float)dot, ((float *)dbeta)[c] = (float)sum;
        }
    });
    return CUDNN_STATUS_SUCCESS;
}
