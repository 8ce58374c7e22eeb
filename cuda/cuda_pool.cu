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

/* Writes the maximum of each window and the tap that won: of equal values the first, and a NaN before all. */
template <typename T, int LANES, typename Tap>
__global__ static void max_kernel(struct pool_task task, const T *x, T *y, Tap *saved)
{
    int64_t i = (int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x;
    if (i >= task.threads) return;
    struct pixel at = pixel_of<LANES>((unsigned)i, task.channels, task.output_height, task.output_width);
    int k_first, k_last, l_first, l_last;
    tap_range(task, (int)at.h, (int)task.height, &k_first, &k_last);
    tap_range(task, (int)at.w, (int)task.width, &l_first, &l_last);
    float best[LANES];
    lanes<Tap, LANES> winner;
#pragma unroll
    for (int v = 0; v < LANES; v++) best[v] = -INFINITY, winner.value[v] = (Tap)(k_first * task.kernel + l_first);
    for (int k = k_first; k < k_last; k++) {
        for (int l = l_first; l < l_last; l++) {
            unsigned h = at.h * (unsigned)task.stride + (unsigned)(k - task.padding);
            unsigned w = at.w * (unsigned)task.stride + (unsigned)(l - task.padding);
            int64_t pixel = ((int64_t)at.n * task.height + h) * task.width + w;
            lanes<T, LANES> values = load_lanes<LANES>(x + pixel * task.channels + at.c);
#pragma unroll
            for (int v = 0; v < LANES; v++) {
                float value = to_float(values.value[v]);
                if (value > best[v] || value != value) best[v] = value, winner.value[v] = (Tap)(k * task.kernel + l);
            }
        }
    }
    lanes<T, LANES> result;
#pragma unroll
    for (int v = 0; v < LANES; v++) result.value[v] = from_float<T>(best[v]);
    store_lanes<LANES>(y + i * LANES, result);
    store_lanes<LANES>(saved + i * LANES, winner);
}

template <typename T, int LANES> __global__ static void average_kernel(struct pool_task task, const T *x, T *y)
{
    int64_t i = (int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x;
    if (i >= task.threads) return;
    struct pixel at = pixel_of<LANES>((unsigned)i, task.channels, task.output_height, task.output_width);
    int k_first, k_last, l_first, l_last;
    tap_range(task, (int)at.h, (int)task.height, &k_first, &k_last);
    tap_range(task, (int)at.w, (int)task.width, &l_first, &l_last);
    float total[LANES] = {};
    for (int k = k_first; k < k_last; k++) {
        for (int l = l_first; l < l_last; l++) {
            unsigned h = at.h * (unsigned)task.stride + (unsigned)(k - task.padding);
            unsigned w = at.w * (unsigned)task.stride + (unsigned)(l - task.padding);
            int64_t pixel = ((int64_t)at.n * task.height + h) * task.width + w;
            lanes<T, LANES> values = load_lanes<LANES>(x + pixel * task.channels + at.c);
#pragma unroll
            for (int v = 0; v < LANES; v++) total[v] += to_float(values.value[v]);
        }
    }
    float share = 1.0f / (float)(task.kernel * task.kernel);
    lanes<T, LANES> result;
#pragma unroll
    for (int v = 0; v < LANES; v++) result.value[v] = from_float<T>(total[v] * share);
    store_lanes<LANES>(y + i * LANES, result);
}

/* saved is NULL for the average. */
template <typename T, int LANES, typename Tap>
__global__ static void gradient_kernel(struct pool_task task, const T *dy, const Tap *saved, T *dx)
{
    int64_t i = (int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x;
    if (i >= task.threads) return;
    struct pixel at = pixel_of<LANES>((unsigned)i, task.channels, task.height, task.width);
    int p_first, p_last, q_first, q_last;
    window_range(task, (int)at.h, (int)task.output_height, &p_first, &p_last);
    window_range(task, (int)at.w, (int)task.output_width, &q_first, &q_last);
    float total[LANES] = {};
    for (int p = p_first; p < p_last; p++) {
        for (int q = q_first; q < q_last; q++) {
            int64_t pixel = ((int64_t)at.n * task.output_height + (unsigned)p) * task.output_width + (unsigned)q;
            lanes<T, LANES> values = load_lanes<LANES>(dy + pixel * task.channels + at.c);
            lanes<Tap, LANES> winner;
            if (saved) winner = load_lanes<LANES>(saved + pixel * task.channels + at.c);
            int tap =
                ((int)at.h + task.padding - p * task.stride) * task.kernel + (int)at.w + task.padding - q * task.stride;
#pragma unroll
            for (int v = 0; v < LANES; v++)
                if (!saved || winner.value[v] == (Tap)tap) total[v] += to_float(values.value[v]);
        }
    }
    float share = saved ? 1 : 1.0f / (float)(task.kernel * task.kernel);
    lanes<T, LANES> result;
#pragma unroll
    for (int v = 0; v < LANES; v++) result.value[v] = from_float<T>(total[v] * share);
    store_lanes<LANES>(dx + i * LANES, result);
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
    if (params.kind == POOL_AVERAGE) saved = NULL;
    if (cuda_pool_tap_bytes(params.window) == 1) {
        launch(stream, blocks, CUDA_BLOCK_SIZE, gradient_kernel<T, LANES, uint8_t>, task, dy, (const uint8_t *)saved,
               dx);
    } else {
        launch(stream, blocks, CUDA_BLOCK_SIZE, gradient_kernel<T, LANES, uint16_t>, task, dy, (const uint16_t *)saved,
               dx);
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
