/* The formulas of one element that the kernels of batch normalization share, alone or fused with the activation and the
 * pool that follow. Derivation: cuda_batchnorm.cu. Values are rounded to the type of x wherever the operations one
 * after the other would store them, so that both find the same winners of a pool and the same signs. */
#ifndef CUDA_BATCHNORM_CUH
#define CUDA_BATCHNORM_CUH

#include "cuda_activation.cuh"
#include "cuda_columns.cuh"
#include "cuda_dropout.cuh"
#include "cuda_pool.cuh"

typedef struct cuda_batchnorm task_t;

/* Stores mean and rstd = 1/sqrt(var + eps), and moves the running statistics, in one thread per channel. */
__device__ inline void keep_statistics(const task_t &task, int64_t c, float mean, float variance, float rstd)
{
    float values = (float)task.shape.m;
    task.mean[c] = mean;
    task.rstd[c] = rstd;
    if (task.running_mean) {
        float whole = task.bias ? mean + task.bias[c] : mean;
        task.running_mean[c] = (1 - task.momentum) * task.running_mean[c] + task.momentum * whole;
    }
    if (task.running_var) {
        float unbiased = values > 1 ? values / (values - 1) : 1;
        task.running_var[c] = (1 - task.momentum) * task.running_var[c] + task.momentum * (variance * unbiased);
    }
}

/* Stores the gradients of the parameters, in one thread per channel. */
__device__ inline void keep_gradients(const task_t &task, int64_t c, float dgamma, float dbeta)
{
    task.dgamma[c] = dgamma, task.dbeta[c] = dbeta;
    if (task.dbias) task.dbias[c] = 0;
}

/* --- the operations that are fused with it --- */

/* A kernel knows them when it is compiled, so that it has the code of few activations: FUSED_LEFT is leaky_relu, elu or
 * relu6, FUSED_SMOOTH gelu or silu. FUSED_ANY is none or any. FUSED_AROUND has no activation, but leaves a ReLU before and
 * a dropout behind to the task. FUSED_SUM is the sum with an addend, then relu. */
enum fused { FUSED_NONE, FUSED_RELU, FUSED_LEFT, FUSED_SMOOTH, FUSED_ANY, FUSED_AROUND, FUSED_SUM };
template <enum fused ACTIVATION_, bool POOLED_> struct fusion {
    static constexpr enum fused ACTIVATION = ACTIVATION_;
    static constexpr bool POOLED = POOLED_;
};

template <typename F> __device__ inline bool is_activated(const task_t &task)
{
    return F::ACTIVATION == FUSED_ANY ? task.activated : F::ACTIVATION != FUSED_NONE && F::ACTIVATION != FUSED_AROUND;
}

/* Returns apply(kind) for the kernel's activation, where `kind` is a constant unless the kernel is for any. */
template <typename F, typename Apply> __device__ inline float with_activation(const task_t &task, Apply apply)
{
    if constexpr (F::ACTIVATION == FUSED_RELU || F::ACTIVATION == FUSED_SUM)
        return apply(ACTIVATION_RELU);
    else if constexpr (F::ACTIVATION == FUSED_LEFT)
        return task.activation == ACTIVATION_ELU     ? apply(ACTIVATION_ELU)
               : task.activation == ACTIVATION_RELU6 ? apply(ACTIVATION_RELU6)
                                                     : apply(ACTIVATION_LEAKY_RELU);
    else if constexpr (F::ACTIVATION == FUSED_SMOOTH)
        return task.activation == ACTIVATION_GELU ? apply(ACTIVATION_GELU) : apply(ACTIVATION_SILU);
    else
        return apply(task.activation);
}

/* Calls with(fusion) for the task with a pool or without. */
template <enum fused ACTIVATION, typename With> static void with_pool(const task_t &task, With with)
{
    return task.pooled ? with(fusion<ACTIVATION, true>{}) : with(fusion<ACTIVATION, false>{});
}

/* Calls with(fusion) for the task. Single channels are rare and slow, so they have fewer kernels. */
template <int LANES, typename With> static void with_fusion(const task_t &task, With with)
{
    if (task.addend) {
        with(fusion<FUSED_SUM, false>{});
    } else if constexpr (LANES == 1) {
        with_pool<FUSED_ANY>(task, with);
    } else {
        bool smooth = task.activation == ACTIVATION_GELU || task.activation == ACTIVATION_SILU;
        if (task.rectified || task.dropout.rate > 0)
            with(fusion<FUSED_AROUND, false>{});
        else if (!task.activated)
            with(fusion<FUSED_NONE, false>{});
        else if (task.activation == ACTIVATION_RELU)
            with_pool<FUSED_RELU>(task, with);
        else if (smooth)
            with_pool<FUSED_SMOOTH>(task, with);
        else
            with_pool<FUSED_LEFT>(task, with);
    }
}

/* x as the batch normalization sees it. */
template <typename T, int LANES> __device__ inline lanes<T, LANES> rectified(const task_t &task, lanes<T, LANES> x)
{
    if (!task.rectified) return x;
    float value[LANES];
    unpack(x, value);
#pragma unroll
    for (int v = 0; v < LANES; v++) value[v] = activate(ACTIVATION_RELU, value[v], 0);
    return pack<T>(value);
}

template <typename T, int LANES, typename F> __device__ inline lanes<T, LANES> load_x(const task_t &task, int64_t at)
{
    lanes<T, LANES> x = load_lanes<LANES>((const T *)task.x + at);
    if constexpr (F::ACTIVATION == FUSED_AROUND) return rectified<T, LANES>(task, x);
    return x;
}

/* The values, or gradients, of row `row` from channel c on after the dropout. */
template <typename T, int LANES, typename F>
__device__ inline lanes<T, LANES> dropped_out(const task_t &task, int64_t row, int64_t c, lanes<T, LANES> from)
{
    if constexpr (F::ACTIVATION == FUSED_AROUND) {
        if (task.dropout.rate == 0) return from;
        float value[LANES];
        unpack(from, value);
        int64_t whole_row = task.state->slice_first * task.sample_rows + row;
        dropout_values<LANES>(task.dropout, (uint32_t)task.state->step, task.shape.c, whole_row, c, value);
        return pack<T>(value);
    }
    return from;
}

/* The constants of a block's channels, N of each. One thread computes those of a channel, because divisions and roots
 * are long, and all threads read them. */
template <int TILE, int N> struct alignas(16) channel_constants {
    float value[N][TILE];
};

/* --- forward --- */

/* The constants of act((x - mean) scale + beta). */
template <int LANES> struct transform {
    float mean[LANES], scale[LANES], beta[LANES];
};

/* Reads those of the channels from `channel` of the tile on. */
template <int TILE, int LANES>
__device__ inline void read_constants(const channel_constants<TILE, 3> &from, int channel, transform<LANES> &k)
{
    load_floats(from.value[0] + channel, k.mean);
    load_floats(from.value[1] + channel, k.scale);
    load_floats(from.value[2] + channel, k.beta);
}

/* b += addend, as the sum is stored, for row `row` from channel c on. */
template <typename T, int LANES>
__device__ inline void add_addend(const task_t &task, int64_t row, int64_t c, float (&b)[LANES])
{
    float addend[LANES];
    unpack(load_lanes<LANES>((const T *)task.addend + row * task.shape.c + c), addend);
#pragma unroll
    for (int v = 0; v < LANES; v++) b[v] += addend[v];
    unpack(pack<T>(b), b);
}

template <typename T, int LANES, typename F>
__device__ inline lanes<T, LANES> transformed(const task_t &task, const transform<LANES> &k, const lanes<T, LANES> &x)
{
    float y[LANES];
    unpack(x, y);
#pragma unroll
    for (int v = 0; v < LANES; v++) y[v] = (y[v] - k.mean[v]) * k.scale[v] + k.beta[v];
    if (is_activated<F>(task)) {
        unpack(pack<T>(y), y);
#pragma unroll
        for (int v = 0; v < LANES; v++)
            y[v] = with_activation<F>(task, [&](enum activation kind) { return activate(kind, y[v], task.slope); });
    }
    return pack<T>(y);
}

/* y without a pool, at a row from channel c on. */
template <typename T, int LANES, typename F>
__device__ inline lanes<T, LANES> output_of(const task_t &task, const transform<LANES> &k, int64_t row, int64_t c,
                                            const lanes<T, LANES> &x)
{
    if constexpr (F::ACTIVATION == FUSED_SUM) {
        float b[LANES];
        unpack(transformed<T, LANES, fusion<FUSED_NONE, false>>(task, k, x), b);
        add_addend<T, LANES>(task, row, c, b);
#pragma unroll
        for (int v = 0; v < LANES; v++) b[v] = activate(ACTIVATION_RELU, b[v], 0);
        return pack<T>(b);
    } else {
        return dropped_out<T, LANES, F>(task, row, c, transformed<T, LANES, F>(task, k, x));
    }
}

/* The maximum over the window of output row `row` = (n,p,q), from channel c on, and the taps that won. */
template <typename T, int LANES, typename F>
__device__ inline lanes<T, LANES> pooled(const task_t &task, const transform<LANES> &k, unsigned row, unsigned c,
                                         lanes<uint8_t, LANES> &winner)
{
    struct pixel at = pixel_of<1>(row, 1, task.pooling.output_height, task.pooling.output_width);
    float best[LANES];
    auto load = [&](int64_t pixel, float(&value)[LANES]) {
        lanes<T, LANES> x = load_lanes<LANES>((const T *)task.x + pixel * task.shape.c + c);
        unpack(transformed<T, LANES, F>(task, k, x), value);
    };
    max_of_window<LANES>(task.pooling, at, load, best, winner);
    return pack<T>(best);
}

/* Writes output rows first, first + step, ... < last of a pooled y, from channel c on. */
template <typename T, int LANES, typename F>
__device__ inline void store_pooled(const task_t &task, const transform<LANES> &k, unsigned first, unsigned last,
                                    unsigned step, unsigned c)
{
    for (unsigned row = first; row < last; row += step) {
        lanes<uint8_t, LANES> winner;
        lanes<T, LANES> y = pooled<T, LANES, F>(task, k, row, c, winner);
        int64_t at = row * task.shape.c + c;
        store_lanes<LANES>((T *)task.y + at, y);
        if (task.saved) store_lanes<LANES>(task.saved + at, winner);
    }
}

/* --- backward --- */

/* The constants of dx = scale dy - slope (x - mean) - shift, with scale = gamma r, slope = scale r dgamma/M and shift =
 * scale dbeta/M. */
template <int LANES> struct gradient_constants {
    float mean[LANES], scale[LANES], slope[LANES], shift[LANES];
};

/* Sets those of channel c, which has that place in its tile; the sums are complete. */
template <int TILE>
__device__ inline void set_constants(channel_constants<TILE, 4> &k, int place, const task_t &task, int64_t c,
                                     float dgamma, float dbeta)
{
    float rstd = task.rstd[c], values = (float)task.shape.m, scale = task.gamma[c] * rstd;
    k.value[0][place] = task.mean[c];
    k.value[1][place] = scale;
    k.value[2][place] = scale * rstd * (dgamma / values);
    k.value[3][place] = scale * (dbeta / values);
}

template <int TILE, int LANES>
__device__ inline void read_constants(const channel_constants<TILE, 4> &from, int channel, gradient_constants<LANES> &k)
{
    load_floats(from.value[0] + channel, k.mean);
    load_floats(from.value[1] + channel, k.scale);
    load_floats(from.value[2] + channel, k.slope);
    load_floats(from.value[3] + channel, k.shift);
}

/* The transform of the forward pass, from the statistics that it kept; without an activation its mean is enough. */
template <int LANES, typename F>
__device__ inline void recall(const task_t &task, int64_t c, bool active, transform<LANES> &k)
{
    if (!active) return;
    load_floats(task.mean + c, k.mean);
    if (!is_activated<F>(task)) return;
    float rstd[LANES];
    load_floats(task.rstd + c, rstd);
    load_floats(task.gamma + c, k.scale);
    load_floats(task.beta + c, k.beta);
#pragma unroll
    for (int v = 0; v < LANES; v++) k.scale[v] *= rstd[v];
}

/* The gradient of the batch normalization's output, at a row of x, from channel c on: dy itself where nothing is
 * fused. That of an addend is the same, and is stored where it is wanted. */
template <typename T, int LANES, typename F>
__device__ inline lanes<T, LANES> incoming(const task_t &task, const transform<LANES> &k, int64_t row, int64_t c,
                                           const lanes<T, LANES> &x)
{
    float result[LANES], b[LANES];
    if constexpr (F::POOLED) {
        struct pixel at = pixel_of<1>((unsigned)row, 1, task.pooling.height, task.pooling.width);
        sum_of_windows<POOL_MAX, LANES>(task.pooling, at, c, (const T *)task.dy, task.saved, result);
        unpack(pack<T>(result), result);
    } else {
        lanes<T, LANES> dy = load_lanes<LANES>((const T *)task.dy + row * task.shape.c + c);
        if (!is_activated<F>(task)) return dropped_out<T, LANES, F>(task, row, c, dy);
        unpack(dy, result);
    }
    unpack(x, b);
#pragma unroll
    for (int v = 0; v < LANES; v++) b[v] = (b[v] - k.mean[v]) * k.scale[v] + k.beta[v];
    unpack(pack<T>(b), b);
    if constexpr (F::ACTIVATION == FUSED_SUM) add_addend<T, LANES>(task, row, c, b);
#pragma unroll
    for (int v = 0; v < LANES; v++)
        result[v] = with_activation<F>(
            task, [&](enum activation kind) { return activate_backward(kind, b[v], result[v], task.slope); });
    lanes<T, LANES> gradient = pack<T>(result);
    if constexpr (F::ACTIVATION == FUSED_SUM)
        if (task.daddend) store_lanes<LANES>((T *)task.daddend + row * task.shape.c + c, gradient);
    return gradient;
}

template <typename T, int LANES, typename F>
__device__ inline lanes<T, LANES> gradient_of(const task_t &task, const lanes<T, LANES> &x, const lanes<T, LANES> &dy,
                                              const gradient_constants<LANES> &k)
{
    float value[LANES], dx[LANES];
    unpack(x, value);
    unpack(dy, dx);
#pragma unroll
    for (int v = 0; v < LANES; v++) {
        float rest = k.slope[v] * (value[v] - k.mean[v]) + k.shift[v];
        dx[v] = k.scale[v] * dx[v] - rest;
        if (F::ACTIVATION == FUSED_AROUND && task.rectified && !(value[v] > 0)) dx[v] = 0;
    }
    return pack<T>(dx);
}

/* Adds a row to the sums of dy (x - mean), and to those of dy behind them. */
template <typename T, int LANES>
__device__ inline void add_gradient(const lanes<T, LANES> &x, const lanes<T, LANES> &dy, const float (&mean)[LANES],
                                    float (&sums)[2 * LANES])
{
    float value[LANES], gradient[LANES];
    unpack(x, value);
    unpack(dy, gradient);
#pragma unroll
    for (int v = 0; v < LANES; v++) {
        sums[v] += gradient[v] * (value[v] - mean[v]);
        sums[LANES + v] += gradient[v];
    }
}

/* --- launches of the two ways; batchnorm_resident returns false where it does not support the shape --- */

template <typename T, int LANES> bool batchnorm_is_resident(const task_t &task);
template <typename T, int LANES> bool batchnorm_resident(cudaStream_t stream, const task_t &task);
template <typename T, int LANES> void batchnorm_streaming_forward(cudaStream_t stream, const task_t &task);
template <typename T, int LANES> void batchnorm_streaming_backward(cudaStream_t stream, const task_t &task);
template <typename T, int LANES> void batchnorm_evaluation(cudaStream_t stream, const task_t &task);

#define BATCHNORM_INSTANTIATE(of)                                                                                      \
    of(float, vector_lanes<float>()) of(float, 1) of(bf16, vector_lanes<bf16>()) of(bf16, 1)

#endif
