/* Batch normalization in one kernel: a block, or the blocks of a cluster, hold all rows of a few channels in registers
 * (cuda_batchnorm.cu). */
#include "cuda_batchnorm.cuh"
#include "cuda_cluster.cuh"

enum { RESIDENT_MOST_ROWS = 8 }; /* per thread, in registers: 64 of them in backward */

template <int LANES> struct resident {
    enum { TX = LANES > 1 ? 2 : 8, TY = COLUMNS_THREADS / TX, TILE = TX * LANES };
};

/* Blocks that share a multiprocessor: two where they do without spilling registers. */
template <int ROWS, typename F> __host__ __device__ constexpr int resident_blocks()
{
    return ROWS <= 2 && !F::POOLED && F::ACTIVATION != FUSED_AROUND && F::ACTIVATION != FUSED_SUM ? 2 : 1;
}

/* The part of the matrix that a thread has: each cluster takes a tile of channels, and its blocks divide the rows among
 * them. */
struct seat {
    int rank; /* number of the block in its cluster */
    int ty;
    int64_t tile; /* first channel of the tile */
    int channel;  /* of the tile: the thread's first */
    bool active;  /* that channel is below C */
    int row;      /* the thread's first row; the next ones are TY apart */
    int held;     /* rows that it has */
};

template <int LANES> __device__ inline struct seat seat_of(const task_t &task, int blocks)
{
    constexpr int TX = resident<LANES>::TX, TY = resident<LANES>::TY;
    struct seat at;
    at.rank = (int)blockIdx.x % blocks, at.ty = (int)threadIdx.x / TX, at.channel = (int)threadIdx.x % TX * LANES;
    at.tile = (int64_t)((int)blockIdx.x / blocks) * resident<LANES>::TILE;
    at.active = at.tile + at.channel < task.shape.c;
    int m = (int)task.shape.m, share = (m + blocks - 1) / blocks, first = at.rank * share;
    int last = first + share < m ? first + share : m;
    at.row = first + at.ty;
    at.held = at.active && at.row < last ? (last - at.row + TY - 1) / TY : 0;
    return at;
}

/* Computes mean and variance of the channels whose rows the threads hold; thread t < TILE gets those of channel t. */
template <typename T, int LANES, int ROWS>
__device__ inline void resident_moments(const lanes<T, LANES> (&x)[ROWS], int blocks, const struct seat &at,
                                        float values, float *partial, float *mine, float *roughs, float &mean,
                                        float &variance)
{
    constexpr int TX = resident<LANES>::TX, TILE = resident<LANES>::TILE;
    float rough[LANES] = {}, parts[2 * LANES] = {}; /* sums of squares, then sums, of x - rough */
    float sum[1], sums[2], value[LANES];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        if (r >= at.held) continue;
        unpack(x[r], value);
#pragma unroll
        for (int v = 0; v < LANES; v++) rough[v] += value[v];
    }
    cluster_sum<TX, LANES, 1>(blocks, rough, partial, mine, sum);
    if (threadIdx.x < TILE) roughs[threadIdx.x] = sum[0] / values;
    __syncthreads();
    load_floats(roughs + at.channel, rough);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        if (r >= at.held) continue;
        unpack(x[r], value);
#pragma unroll
        for (int v = 0; v < LANES; v++) {
            float centred = value[v] - rough[v];
            parts[v] += centred * centred;
            parts[LANES + v] += centred;
        }
    }
    cluster_sum<TX, LANES, 2>(blocks, parts, partial, mine + TILE, sums);
    if (threadIdx.x >= TILE) return;
    float rest = sums[1] / values, difference = sums[0] / values - rest * rest;
    mean = roughs[threadIdx.x] + rest;
    variance = difference < 0 ? 0 : difference; /* equal values: rounding must not make it negative; NaN stays */
}

template <typename T, int LANES, int ROWS, typename F>
__global__ __launch_bounds__(COLUMNS_THREADS,
                             resident_blocks<ROWS, F>()) static void resident_forward_kernel(task_t task, int blocks)
{
    constexpr int TY = resident<LANES>::TY, TILE = resident<LANES>::TILE;
    __shared__ float partial[COLUMNS_WARPS * 2 * TILE], mine[3 * TILE];
    __shared__ channel_constants<TILE, 3> constants;
    struct seat at = seat_of<LANES>(task, blocks);
    int64_t first = at.row * task.shape.c + at.tile + at.channel, step = TY * task.shape.c;
    lanes<T, LANES> x[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        if (r < at.held) x[r] = load_x<T, LANES, F>(task, first + r * step);
    float mean, variance;
    resident_moments<T, LANES, ROWS>(x, blocks, at, (float)task.shape.m, partial, mine, constants.value[0], mean,
                                     variance);
    int64_t c = at.tile + threadIdx.x;
    if (threadIdx.x < TILE && c < task.shape.c) {
        float rstd = __frsqrt_rn(variance + task.epsilon);
        constants.value[0][threadIdx.x] = mean;
        constants.value[1][threadIdx.x] = task.gamma[c] * rstd, constants.value[2][threadIdx.x] = task.beta[c];
        if (at.rank == 0) keep_statistics(task, c, mean, variance, rstd);
    }
    cluster_barrier(blocks);
    if (!at.active) return;
    transform<LANES> k;
    read_constants(constants, at.channel, k);
    if constexpr (F::POOLED) { /* the windows reach into the rows of other threads: x is read again, from the cache */
        unsigned outputs = (unsigned)task.output_rows, share = (outputs + (unsigned)blocks - 1) / (unsigned)blocks;
        unsigned begin = (unsigned)at.rank * share, end = begin + share < outputs ? begin + share : outputs;
        store_pooled<T, LANES, F>(task, k, begin + (unsigned)at.ty, end, TY, (unsigned)(at.tile + at.channel));
    } else {
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            if (r < at.held)
                store_lanes<LANES>((T *)task.y + first + r * step,
                                   output_of<T, LANES, F>(task, k, at.row + r * TY, at.tile + at.channel, x[r]));
    }
}

template <typename T, int LANES, int ROWS, typename F>
__global__ __launch_bounds__(COLUMNS_THREADS,
                             resident_blocks<ROWS, F>()) static void resident_backward_kernel(task_t task, int blocks)
{
    constexpr int TX = resident<LANES>::TX, TY = resident<LANES>::TY, TILE = resident<LANES>::TILE;
    __shared__ float partial[COLUMNS_WARPS * 2 * TILE], mine[2 * TILE];
    __shared__ channel_constants<TILE, 4> constants;
    struct seat at = seat_of<LANES>(task, blocks);
    int64_t first = at.row * task.shape.c + at.tile + at.channel, step = TY * task.shape.c;
    lanes<T, LANES> x[ROWS], dy[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        if (r < at.held) x[r] = load_x<T, LANES, F>(task, first + r * step);
    transform<LANES> forward;
    recall<LANES, F>(task, at.tile + at.channel, at.active, forward);
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        if (r < at.held) dy[r] = incoming<T, LANES, F>(task, forward, at.row + r * TY, at.tile + at.channel, x[r]);
    float sums[2 * LANES] = {}, total[2];
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        if (r < at.held) add_gradient(x[r], dy[r], forward.mean, sums);
    cluster_sum<TX, LANES, 2>(blocks, sums, partial, mine, total);
    int64_t c = at.tile + threadIdx.x;
    if (threadIdx.x < TILE && c < task.shape.c) {
        float dgamma = task.rstd[c] * total[0], dbeta = total[1];
        if (at.rank == 0) keep_gradients(task, c, dgamma, dbeta);
        set_constants(constants, (int)threadIdx.x, task, c, dgamma, dbeta);
    }
    cluster_barrier(blocks);
    if (!task.dx) return;
    gradient_constants<LANES> k;
    read_constants(constants, at.channel, k);
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        if (r < at.held)
            store_lanes<LANES>((T *)task.dx + first + r * step, gradient_of<T, LANES, F>(task, x[r], dy[r], k));
}

/* --- launches --- */

template <int LANES> static bool cluster_holds(const task_t &task, int64_t blocks)
{
    return task.shape.m <= RESIDENT_MOST_ROWS * resident<LANES>::TY * blocks;
}

/* Blocks per cluster: as many as hold the rows, then more while that occupies more multiprocessors. 0: the rows do not
 * fit. */
template <int LANES> static int cluster_blocks(const task_t &task, int64_t tiles)
{
    const int64_t ty = resident<LANES>::TY, m = task.shape.m;
    int blocks = 1;
    while (blocks < task.most_cluster && !cluster_holds<LANES>(task, blocks)) blocks *= 2;
    if (!cluster_holds<LANES>(task, blocks)) return 0;
    int most = task.most_cluster < CUDA_PORTABLE_CLUSTER ? task.most_cluster : CUDA_PORTABLE_CLUSTER;
    while (2 * blocks <= most && m > ty * blocks && 2 * tiles * blocks <= task.multiprocessors) blocks *= 2;
    return blocks;
}

template <typename T, int LANES, int ROWS>
static bool start_resident(cudaStream_t stream, const task_t &task, unsigned tiles, int blocks)
{
    bool started = false;
    with_fusion<LANES>(task, [&](auto fusion) {
        using F = decltype(fusion);
        started = launch_clusters(stream, tiles, blocks, COLUMNS_THREADS,
                                  task.dy ? resident_backward_kernel<T, LANES, ROWS, F>
                                          : resident_forward_kernel<T, LANES, ROWS, F>,
                                  task, blocks);
    });
    return started;
}

template <typename T, int LANES>
static bool start_rows(cudaStream_t stream, const task_t &task, unsigned tiles, int blocks)
{
    int64_t share = (task.shape.m + blocks - 1) / blocks;
    int64_t rows = (share + resident<LANES>::TY - 1) / resident<LANES>::TY; /* rows of a thread */
    if (rows <= 1) return start_resident<T, LANES, 1>(stream, task, tiles, blocks);
    if (rows <= 2) return start_resident<T, LANES, 2>(stream, task, tiles, blocks);
    if (rows <= 4) return start_resident<T, LANES, 4>(stream, task, tiles, blocks);
    return start_resident<T, LANES, RESIDENT_MOST_ROWS>(stream, task, tiles, blocks);
}

/* Where the device cannot run clusters of that size, smaller ones may still hold the rows. */
template <typename T, int LANES> bool batchnorm_resident(cudaStream_t stream, const task_t &task)
{
    unsigned tiles = blocks_for(task.shape.c, resident<LANES>::TILE);
    for (int blocks = cluster_blocks<LANES>(task, tiles); cluster_holds<LANES>(task, blocks); blocks /= 2)
        if (start_rows<T, LANES>(stream, task, tiles, blocks)) return true;
    return false;
}

template <typename T, int LANES> bool batchnorm_is_resident(const task_t &task)
{
    return cluster_blocks<LANES>(task, blocks_for(task.shape.c, resident<LANES>::TILE)) > 0;
}

#define RESIDENT(T, LANES)                                                                                             \
    template bool batchnorm_is_resident<T, LANES>(const task_t &);                                                     \
    template bool batchnorm_resident<T, LANES>(cudaStream_t, const task_t &);
BATCHNORM_INSTANTIATE(RESIDENT)
