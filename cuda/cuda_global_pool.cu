/* The mean over the pixels of each image, x [N][H*W][C] -> y [N][C]:
 *
 *   y[n,c] = 1/(H*W) sum_p x[n,p,c];   dx[n,p,c] = 1/(H*W) dy[n,c]
 *
 * Forward, a warp takes a tile of channels of one image: TX threads stand across the channels, LANES channels (16 bytes)
 * each, so that neighbours read a whole line, and the other threads of the warp take every (32/TX)-th pixel. Each adds up
 * its pixels in fp32, in their order; then the threads of a channel add up pairwise. Backward, a thread writes 16 bytes of
 * dx. Where C is no multiple of the 16 bytes, a thread takes one channel. Bytes: x is read once, dx is written once. */
#include "cuda_vector.cuh"

template <int LANES> struct tile {
    enum { TX = LANES > 1 ? 8 : CUDA_WARP, TY = CUDA_WARP / TX, CHANNELS = TX * LANES };
};

struct mean_task {
    int64_t images, pixels, channels;
    int64_t tiles; /* of channels, per image */
};

template <typename T, int LANES> __global__ static void mean_kernel(struct mean_task task, const T *x, T *y)
{
    constexpr int TX = tile<LANES>::TX, TY = tile<LANES>::TY;
    int64_t warp = ((int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x) / CUDA_WARP;
    if (warp >= task.images * task.tiles) return; /* so do all threads of the warp */
    int lane = (int)threadIdx.x % CUDA_WARP;
    int64_t n = warp / task.tiles, c = warp % task.tiles * tile<LANES>::CHANNELS + lane % TX * LANES;
    bool active = c < task.channels; /* a thread beyond takes part only in the sums */
    float total[LANES] = {};
#pragma unroll 4
    for (int64_t p = lane / TX; active && p < task.pixels; p += TY) {
        float value[LANES];
        unpack(load_lanes<LANES>(x + (n * task.pixels + p) * task.channels + c), value);
#pragma unroll
        for (int v = 0; v < LANES; v++) total[v] += value[v];
    }
    float share = 1.0f / (float)task.pixels;
#pragma unroll
    for (int v = 0; v < LANES; v++) {
        for (int offset = TX; offset < CUDA_WARP; offset *= 2)
            total[v] += __shfl_xor_sync(CUDA_FULL_WARP, total[v], offset);
        total[v] *= share;
    }
    if (active && lane < TX) store_lanes<LANES>(y + n * task.channels + c, pack<T>(total));
}

template <typename T, int LANES> __global__ static void spread_kernel(struct mean_task task, const T *dy, T *dx)
{
    int64_t i = (int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x;
    unsigned groups = (unsigned)(task.channels / LANES), pixels = (unsigned)task.pixels;
    if (i >= task.images * task.pixels * groups) return;
    unsigned n = (unsigned)i / groups / pixels, group = (unsigned)i % groups;
    float share = 1.0f / (float)task.pixels, value[LANES];
    unpack(load_lanes<LANES>(dy + ((int64_t)n * groups + group) * LANES), value);
#pragma unroll
    for (int v = 0; v < LANES; v++) value[v] *= share;
    store_lanes<LANES>(dx + i * LANES, pack<T>(value));
}

template <int LANES> static struct mean_task make_task(struct shape image)
{
    constexpr int CHANNELS = tile<LANES>::CHANNELS;
    return {image.n, image.h * image.w, image.c, (image.c + CHANNELS - 1) / CHANNELS};
}

template <typename T, int LANES> static void start_forward(cudaStream_t stream, struct shape image, const T *x, T *y)
{
    struct mean_task task = make_task<LANES>(image);
    unsigned blocks = blocks_for(task.images * task.tiles * CUDA_WARP, CUDA_BLOCK_SIZE);
    launch(stream, blocks, CUDA_BLOCK_SIZE, mean_kernel<T, LANES>, task, x, y);
}

template <typename T, int LANES> static void start_backward(cudaStream_t stream, struct shape image, const T *dy, T *dx)
{
    struct mean_task task = make_task<LANES>(image);
    unsigned blocks = blocks_for(task.images * task.pixels * (task.channels / LANES), CUDA_BLOCK_SIZE);
    launch(stream, blocks, CUDA_BLOCK_SIZE, spread_kernel<T, LANES>, task, dy, dx);
}

template <typename T> static cudaError_t forward(cudaStream_t stream, struct shape image, const void *x, void *y)
{
    constexpr int LANES = vector_lanes<T>();
    if (image.c % LANES == 0)
        start_forward<T, LANES>(stream, image, (const T *)x, (T *)y);
    else
        start_forward<T, 1>(stream, image, (const T *)x, (T *)y);
    return cudaGetLastError();
}

template <typename T> static cudaError_t backward(cudaStream_t stream, struct shape image, const void *dy, void *dx)
{
    constexpr int LANES = vector_lanes<T>();
    if (image.c % LANES == 0)
        start_backward<T, LANES>(stream, image, (const T *)dy, (T *)dx);
    else
        start_backward<T, 1>(stream, image, (const T *)dy, (T *)dx);
    return cudaGetLastError();
}

cudaError_t cuda_global_pool_forward_launch(cudaStream_t stream, enum cuda_type type, struct shape image, const void *x,
                                            void *y)
{
    return CUDA_DISPATCH(type, forward, stream, image, x, y);
}

cudaError_t cuda_global_pool_backward_launch(cudaStream_t stream, enum cuda_type type, struct shape image,
                                             const void *dy, void *dx)
{
    return CUDA_DISPATCH(type, backward, stream, image, dy, dx);
}
