/* Max and average pooling over images [N][H*W][C] (definitions: struct pool_params in backend.h).
 *
 *   max:      y[n,p,q,c] = max over the window's valid taps of x; `saved` keeps the number of the tap that won.
 *             dx[n,h,w,c] = sum of dy[n,p,q,c] over the windows in which the tap that lies on (h,w) won.
 *   average:  y[n,p,q,c] = (1/K^2) sum of the valid taps; dx[n,h,w,c] = (1/K^2) sum of dy over the windows on (h,w).
 *
 * Both directions gather: an element of the result is written once, by one thread, so overlapping windows need no
 * atomics and no clearing, and the sums have one order. A thread takes 16 bytes of channels, or one channel where C is
 * no multiple of that. Bytes: the input is read K^2/s^2 times, from cache; the result and the saved taps move once.
 * Taps are numbered row by row. */
#include "cuda_pool.cuh"

struct pool_task : cuda_pooling {
    int64_t threads;
};

/* Writes the maximum of each window and the tap that won. */
template <typename T, int LANES, typename Tap>
__global__ static void max_kernel(struct pool_task task, const T *x, T *y, Tap *saved)
{
    int64_t i = (int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x;
    if (i >= task.threads) return;
    struct pixel at = pixel_of<LANES>((unsigned)i, task.channels, task.output_height, task.output_width);
    float best[LANES];
    lanes<Tap, LANES> winner;
    auto load = [&](int64_t pixel, float(&value)[LANES]) {
        unpack(load_lanes<LANES>(x + pixel * task.channels + at.c), value);
    };
    max_of_window<LANES>(task, at, load, best, winner);
    store_lanes<LANES>(y + i * LANES, pack<T>(best));
    store_lanes<LANES>(saved + i * LANES, winner);
}

template <typename T, int LANES> __global__ static void average_kernel(struct pool_task task, const T *x, T *y)
{
    int64_t i = (int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x;
    if (i >= task.threads) return;
    struct pixel at = pixel_of<LANES>((unsigned)i, task.channels, task.output_height, task.output_width);
    struct window_range rows = window_taps(task.window, (int)at.h, (int)task.height);
    struct window_range columns = window_taps(task.window, (int)at.w, (int)task.width);
    float total[LANES] = {};
    for (int k = rows.first; k < rows.last; k++) {
        for (int l = columns.first; l < columns.last; l++) {
            unsigned h = (unsigned)window_input(task.window, (int)at.h, k);
            unsigned w = (unsigned)window_input(task.window, (int)at.w, l);
            int64_t pixel = ((int64_t)at.n * task.height + h) * task.width + w;
            float value[LANES];
            unpack(load_lanes<LANES>(x + pixel * task.channels + at.c), value);
#pragma unroll
            for (int v = 0; v < LANES; v++) total[v] += value[v];
        }
    }
    float share = 1.0f / (float)((int)task.window.kernel * (int)task.window.kernel);
#pragma unroll
    for (int v = 0; v < LANES; v++) total[v] *= share;
    store_lanes<LANES>(y + i * LANES, pack<T>(total));
}

template <typename T, int LANES, enum pool KIND, typename Tap>
__global__ static void gradient_kernel(struct pool_task task, const T *dy, const Tap *saved, T *dx)
{
    int64_t i = (int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x;
    if (i >= task.threads) return;
    struct pixel at = pixel_of<LANES>((unsigned)i, task.channels, task.height, task.width);
    float total[LANES];
    sum_of_windows<KIND, LANES>(task, at, at.c, dy, saved, total);
    float share = KIND == POOL_MAX ? 1 : 1.0f / (float)((int)task.window.kernel * (int)task.window.kernel);
#pragma unroll
    for (int v = 0; v < LANES; v++) total[v] *= share;
    store_lanes<LANES>(dx + i * LANES, pack<T>(total));
}

static struct pool_task make_task(struct pool_params params, struct shape input, struct shape output,
                                  struct shape result, int lanes_per_thread)
{
    return {{cuda_pooling_of(params.window, input, output)},
            result.n * result.h * result.w * (result.c / lanes_per_thread)};
}

template <typename T, int LANES>
static void start_forward(cudaStream_t stream, struct pool_params params, struct shape input, struct shape output,
                          const T *x, T *y, void *saved)
{
    struct pool_task task = make_task(params, input, output, output, LANES);
    unsigned blocks = blocks_for(task.threads, CUDA_BLOCK_SIZE);
    if (params.kind == POOL_AVERAGE) {
        launch(stream, blocks, CUDA_BLOCK_SIZE, average_kernel<T, LANES>, task, x, y);
    } else if (cuda_pool_tap_bytes(params.window) == 1) {
        launch(stream, blocks, CUDA_BLOCK_SIZE, max_kernel<T, LANES, uint8_t>, task, x, y, (uint8_t *)saved);
    } else {
        launch(stream, blocks, CUDA_BLOCK_SIZE, max_kernel<T, LANES, uint16_t>, task, x, y, (uint16_t *)saved);
    }
}

template <typename T, int LANES>
static void start_backward(cudaStream_t stream, struct pool_params params, struct shape input, struct shape output,
                           const T *dy, const void *saved, T *dx)
{
    struct pool_task task = make_task(params, input, output, input, LANES);
    unsigned blocks = blocks_for(task.threads, CUDA_BLOCK_SIZE);
    if (params.kind == POOL_AVERAGE) {
        launch(stream, blocks, CUDA_BLOCK_SIZE, gradient_kernel<T, LANES, POOL_AVERAGE, uint8_t>, task, dy,
               (const uint8_t *)NULL, dx);
    } else if (cuda_pool_tap_bytes(params.window) == 1) {
        launch(stream, blocks, CUDA_BLOCK_SIZE, gradient_kernel<T, LANES, POOL_MAX, uint8_t>, task, dy,
               (const uint8_t *)saved, dx);
    } else {
        launch(stream, blocks, CUDA_BLOCK_SIZE, gradient_kernel<T, LANES, POOL_MAX, uint16_t>, task, dy,
               (const uint16_t *)saved, dx);
    }
}

template <typename T>
static cudaError_t forward(cudaStream_t stream, struct pool_params params, struct shape input, struct shape output,
                           const void *x, void *y, void *saved)
{
    constexpr int LANES = vector_lanes<T>();
    if (input.c % LANES == 0)
        start_forward<T, LANES>(stream, params, input, output, (const T *)x, (T *)y, saved);
    else
        start_forward<T, 1>(stream, params, input, output, (const T *)x, (T *)y, saved);
    return cudaGetLastError();
}

template <typename T>
static cudaError_t backward(cudaStream_t stream, struct pool_params params, struct shape input, struct shape output,
                            const void *dy, const void *saved, void *dx)
{
    constexpr int LANES = vector_lanes<T>();
    if (input.c % LANES == 0)
        start_backward<T, LANES>(stream, params, input, output, (const T *)dy, saved, (T *)dx);
    else
        start_backward<T, 1>(stream, params, input, output, (const T *)dy, saved, (T *)dx);
    return cudaGetLastError();
}

cudaError_t cuda_pool_forward_launch(cudaStream_t stream, enum cuda_type type, struct pool_params params,
                                     struct shape input, struct shape output, const void *x, void *y, void *saved)
{
    return CUDA_DISPATCH(type, forward, stream, params, input, output, x, y, saved);
}

cudaError_t cuda_pool_backward_launch(cudaStream_t stream, enum cuda_type type, struct pool_params params,
                                      struct shape input, struct shape output, const void *dy, const void *saved,
                                      void *dx)
{
    return CUDA_DISPATCH(type, backward, stream, params, input, output, dy, saved, dx);
}
