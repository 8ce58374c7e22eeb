/* A gate for each channel of each sample, x [N][H*W][C] and z [N][C]. With s[n,c] = 1 / (1 + exp(-z[n,c])):
 *
 *   y[n,p,c] = s[n,c] x[n,p,c]
 *   dx[n,p,c] = s[n,c] dy[n,p,c],   dz[n,c] = s[n,c] (1 - s[n,c]) sum_p dy[n,p,c] x[n,p,c]
 *
 * Forward, a thread takes 16 bytes of x. Backward, a block takes a tile of channels of one image, whose pixels are the
 * rows of a matrix (cuda_columns.cuh): each thread adds up its pixels in fp32, in their order, and then the threads of a
 * channel add up. Where C is no multiple of the 16 bytes, a thread takes one channel. Bytes: every tensor is read or
 * written once. */
#include "cuda_activation.cuh"
#include "cuda_columns.cuh"

struct gate_task {
    int64_t images, pixels, channels;
    int64_t tiles; /* of channels, per image */
};

template <typename T, int LANES> __global__ static void gate_kernel(struct gate_task task, const T *x, const T *z, T *y)
{
    int64_t i = (int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x;
    unsigned groups = (unsigned)(task.channels / LANES), pixels = (unsigned)task.pixels;
    if (i >= task.images * task.pixels * groups) return;
    unsigned n = (unsigned)i / groups / pixels, group = (unsigned)i % groups;
    float gate[LANES], value[LANES];
    unpack(load_lanes<LANES>(z + ((int64_t)n * groups + group) * LANES), gate);
    unpack(load_lanes<LANES>(x + i * LANES), value);
#pragma unroll
    for (int v = 0; v < LANES; v++) value[v] *= sigmoid(gate[v]);
    store_lanes<LANES>(y + i * LANES, pack<T>(value));
}

/* Blocks are [image][tile]. */
template <typename T, int LANES>
__global__ __launch_bounds__(COLUMNS_THREADS) static void gate_backward_kernel(struct gate_task task, const T *x,
                                                                               const T *z, const T *dy, T *dx, T *dz)
{
    constexpr int TX = columns<LANES>::TX, TY = columns<LANES>::TY, TILE = columns<LANES>::TILE;
    __shared__ float partial[COLUMNS_WARPS * TILE];
    int64_t n = blockIdx.x / task.tiles, tile = blockIdx.x % task.tiles * TILE;
    int64_t c = tile + (int)threadIdx.x % TX * LANES, own = tile + threadIdx.x;
    bool active = c < task.channels; /* a thread beyond takes part only in the sums */
    float gate[LANES] = {}, sum[LANES] = {}, total[1] = {};
    if (active) unpack(load_lanes<LANES>(z + n * task.channels + c), gate);
#pragma unroll
    for (int v = 0; v < LANES; v++) gate[v] = sigmoid(gate[v]);
#pragma unroll 2
    for (int64_t p = (int)threadIdx.x / TX; active && p < task.pixels; p += TY) {
        int64_t at = (n * task.pixels + p) * task.channels + c;
        float value[LANES], gradient[LANES];
        unpack(load_lanes<LANES>(x + at), value);
        unpack(load_lanes<LANES>(dy + at), gradient);
#pragma unroll
        for (int v = 0; v < LANES; v++) {
            sum[v] += gradient[v] * value[v];
            gradient[v] *= gate[v];
        }
        store_lanes<LANES>(dx + at, pack<T>(gradient));
    }
    block_sum<TX, LANES, 1>(sum, partial, total);
    if (threadIdx.x >= TILE || own >= task.channels) return;
    float s = sigmoid(to_float(z[n * task.channels + own]));
    dz[n * task.channels + own] = from_float<T>(s * (1 - s) * total[0]);
}

template <int LANES> static struct gate_task make_task(struct shape image)
{
    constexpr int TILE = columns<LANES>::TILE;
    return {image.n, image.h * image.w, image.c, (image.c + TILE - 1) / TILE};
}

template <typename T, int LANES>
static void start_forward(cudaStream_t stream, struct shape image, const void *x, const void *z, void *y)
{
    struct gate_task task = make_task<LANES>(image);
    unsigned blocks = blocks_for(task.images * task.pixels * (task.channels / LANES), CUDA_BLOCK_SIZE);
    launch(stream, blocks, CUDA_BLOCK_SIZE, gate_kernel<T, LANES>, task, (const T *)x, (const T *)z, (T *)y);
}

template <typename T, int LANES>
static void start_backward(cudaStream_t stream, struct shape image, const void *x, const void *z, const void *dy,
                           void *dx, void *dz)
{
    struct gate_task task = make_task<LANES>(image);
    launch(stream, (unsigned)(task.images * task.tiles), COLUMNS_THREADS, gate_backward_kernel<T, LANES>, task,
           (const T *)x, (const T *)z, (const T *)dy, (T *)dx, (T *)dz);
}

template <typename T>
static cudaError_t forward(cudaStream_t stream, struct shape image, const void *x, const void *z, void *y)
{
    constexpr int LANES = vector_lanes<T>();
    if (image.c % LANES == 0)
        start_forward<T, LANES>(stream, image, x, z, y);
    else
        start_forward<T, 1>(stream, image, x, z, y);
    return cudaGetLastError();
}

template <typename T>
static cudaError_t backward(cudaStream_t stream, struct shape image, const void *x, const void *z, const void *dy,
                            void *dx, void *dz)
{
    constexpr int LANES = vector_lanes<T>();
    if (image.c % LANES == 0)
        start_backward<T, LANES>(stream, image, x, z, dy, dx, dz);
    else
        start_backward<T, 1>(stream, image, x, z, dy, dx, dz);
    return cudaGetLastError();
}

cudaError_t cuda_gate_forward_launch(cudaStream_t stream, enum cuda_type type, struct shape image, const void *x,
                                     const void *z, void *y)
{
    return CUDA_DISPATCH(type, forward, stream, image, x, z, y);
}

cudaError_t cuda_gate_backward_launch(cudaStream_t stream, enum cuda_type type, struct shape image, const void *x,
                                      const void *z, const void *dy, void *dx, void *dz)
{
    return CUDA_DISPATCH(type, backward, stream, image, x, z, dy, dx, dz);
}
