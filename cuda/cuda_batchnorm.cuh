/* The formulas of one element that the kernels of batch normalization share, alone or fused with the activation and the
 * pool that follow. Derivation: cuda_batchnorm.cu. Values are rounded to the type of x wherever the operations one
 * after the other would store them, so that both find the same winners of a pool and the same signs. */
#ifndef CUDA_BATCHNORM_CUH
#define CUDA_BATCHNORM_CUH

#include "cuda_activation.cuh"
#include "cuda_columns.cuh"
#include "cuda_pool.cuh"

typedef struct cuda_batchnorm task_t;

/* Stores mean and rstd = 1/sqrt(var + eps), and moves the running statistics, in one thread per channel. Returns
 * rstd. */
__device__ inline float keep_statistics(const task_t &task, int64_t c, float mean, float variance)
{
    float values = (float)task.shape.m, rstd = __frsqrt_rn(variance + task.epsilon);
    task.mean[c] = mean;
    task.rstd[c] = rstd;
    if (task.running_mean) task.running_mean[c] = (1 - task.momentum) * task.running_mean[c] + task.momentum * mean;
    if (task.running_var) {
        float unbiased = values > 1 ? values / (values - 1) : 1;
        task.running_var[c] = (1 - task.momentum) * task.running_var[c] + task.momentum * (variance * unbiased);
    }
    return rstd;
}

/* --- forward --- */

/* The constants of act((x - mean) scale + beta). */
template <int LANES> struct transform {
    float mean[LANES], scale[LANES], beta[LANES];
};

template <typename T, int LANES>
__device__ inline float transformed(const task_t &task, const transform<LANES> &k, int v, T x)
{
    float b = (to_float(x) - k.mean[v]) * k.scale[v] + k.beta[v];
    return task.activated ? activate(task.activation, to_float(from_float<T>(b)), task.slope) : b;
}

template <typename T, int LANES>
__device__ inline lanes<T, LANES> transformed(const task_t &task, const transform<LANES> &k, const lanes<T, LANES> &x)
{
    lanes<T, LANES> y;
#pragma unroll
    for (int v = 0; v < LANES; v++) y.value[v] = from_float<T>(transformed<T, LANES>(task, k, v, x.value[v]));
    return y;
}

/* The maximum over the window of output row `row` = (n,p,q), from channel c on, and the taps that won. */
template <typename T, int LANES>
__device__ inline lanes<T, LANES> pooled(const task_t &task, const transform<LANES> &k, int64_t row, int64_t c,
                                         lanes<uint8_t, LANES> &winner)
{
    struct pixel at = pixel_of<1>((unsigned)row, 1, task.pooling.output_height, task.pooling.output_width);
    float best[LANES];
    auto load = [&](int64_t pixel, float(&value)[LANES]) {
        lanes<T, LANES> x = load_lanes<LANES>((const T *)task.x + pixel * task.shape.c + c);
#pragma unroll
        for (int v = 0; v < LANES; v++)
            value[v] = to_float(from_float<T>(transformed<T, LANES>(task, k, v, x.value[v])));
    };
    max_of_window<LANES>(task.pooling, at, load, best, winner);
    lanes<T, LANES> y;
#pragma unroll
    for (int v = 0; v < LANES; v++) y.value[v] = from_float<T>(best[v]);
    return y;
}

/* Writes output rows first, first + step, ... < last of a pooled y, from channel c on. */
template <typename T, int LANES>
__device__ inline void store_pooled(const task_t &task, const transform<LANES> &k, int64_t first, int64_t last,
                                    int64_t step, int64_t c)
{
    for (int64_t row = first; row < last; row += step) {
        lanes<uint8_t, LANES> winner;
        lanes<T, LANES> y = pooled<T, LANES>(task, k, row, c, winner);
        store_lanes<LANES>((T *)task.y + row * task.shape.c + c, y);
        if (task.saved) store_lanes<LANES>(task.saved + row * task.shape.c + c, winner);
    }
}

/* --- backward --- */

/* The constants of dx = scale dy - slope (x - mean) - shift, with scale = gamma r, slope = scale r dgamma/M and shift =
 * scale dbeta/M. */
template <int LANES> struct gradient_constants {
    float mean[LANES], scale[LANES], slope[LANES], shift[LANES];
};

/* Sets channel v of the constants; the sums are complete. */
template <int LANES>
__device__ inline void set_constants(gradient_constants<LANES> &k, int v, const task_t &task, int64_t c, float dgamma,
                                     float dbeta)
{
    float rstd = task.rstd[c], values = (float)task.shape.m;
    k.mean[v] = task.mean[c];
    k.scale[v] = task.gamma[c] * rstd;
    k.slope[v] = k.scale[v] * rstd * (dgamma / values);
    k.shift[v] = k.scale[v] * (dbeta / values);
}

/* The gradient of the batch normalization's output, at a row of x, from channel c on: dy itself where nothing is
 * fused. */
template <typename T, int LANES>
__device__ inline lanes<T, LANES> incoming(const task_t &task, const transform<LANES> &k, int64_t row, int64_t c,
                                           const lanes<T, LANES> &x)
{
    lanes<T, LANES> result;
    if (!task.activated) return load_lanes<LANES>((const T *)task.dy + row * task.shape.c + c);
    if (task.pooled) {
        float total[LANES];
        struct pixel at = pixel_of<1>((unsigned)row, 1, task.pooling.height, task.pooling.width);
        sum_of_windows<POOL_MAX, LANES>(task.pooling, at, c, (const T *)task.dy, task.saved, total);
#pragma unroll
        for (int v = 0; v < LANES; v++) result.value[v] = from_float<T>(total[v]);
    } else {
        result = load_lanes<LANES>((const T *)task.dy + row * task.shape.c + c);
    }
#pragma unroll
    for (int v = 0; v < LANES; v++) {
        float b = to_float(from_float<T>((to_float(x.value[v]) - k.mean[v]) * k.scale[v] + k.beta[v]));
        result.value[v] = from_float<T>(activate_backward(task.activation, b, to_float(result.value[v]), task.slope));
    }
    return result;
}

/* The transform of the forward pass, from the statistics that it kept. */
template <int LANES> __device__ inline void recall(const task_t &task, int64_t c, bool active, transform<LANES> &k)
{
#pragma unroll
    for (int v = 0; v < LANES; v++) {
        k.mean[v] = active ? task.mean[c + v] : 0;
        k.scale[v] = active ? task.gamma[c + v] * task.rstd[c + v] : 0;
        k.beta[v] = active && task.activated ? task.beta[c + v] : 0;
    }
}

template <typename T, int LANES>
__device__ inline lanes<T, LANES> gradient_of(const lanes<T, LANES> &x, const lanes<T, LANES> &dy,
                                              const gradient_constants<LANES> &k)
{
    lanes<T, LANES> dx;
#pragma unroll
    for (int v = 0; v < LANES; v++) {
        float rest = k.slope[v] * (to_float(x.value[v]) - k.mean[v]) + k.shift[v];
        dx.value[v] = from_float<T>(k.scale[v] * to_float(dy.value[v]) - rest);
    }
    return dx;
}

/* --- launches of the two ways; batchnorm_resident returns false where it does not support the shape --- */

template <typename T, int LANES> bool batchnorm_resident(cudaStream_t stream, const task_t &task);
template <typename T, int LANES> void batchnorm_streaming_forward(cudaStream_t stream, const task_t &task);
template <typename T, int LANES> void batchnorm_streaming_backward(cudaStream_t stream, const task_t &task);
template <typename T, int LANES> void batchnorm_evaluation(cudaStream_t stream, const task_t &task);

#define BATCHNORM_INSTANTIATE(of)                                                                                      \
    of(float, vector_lanes<float>()) of(float, 1) of(bf16, vector_lanes<bf16>()) of(bf16, 1)

#endif
