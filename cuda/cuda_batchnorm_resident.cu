/* Batch normalization in one kernel: a block, or the blocks of a cluster, hold all rows of a few channels in registers
 * (cuda_batchnorm.cu). */
#include "cuda_batchnorm.cuh"
#include "cuda_cluster.cuh"

enum { RESIDENT_MOST_ROWS = 8 }; /* per thread, in registers: 64 of them in backward */

template <int LANES> struct resident {
    enum { TX = LANES > 1 ? 2 : 8, TY = COLUMNS_THREADS / TX, TILE = TX * LANES };
};

/* The part of the matrix that a thread has: each cluster takes a tile of channels, and its blocks divide the rows among
 * them. */
struct seat {
    int rank; /* number of the block in its cluster */
    int ty;
    int64_t c;   /* its first channel */
    bool active; /* c < C */
    int64_t row; /* its first row; the next ones are TY apart */
    int held;    /* rows that it has */
};

template <int LANES> __device__ inline struct seat seat_of(const task_t &task, int blocks)
{
    constexpr int TX = resident<LANES>::TX, TY = resident<LANES>::TY;
    struct seat at;
    at.rank = (int)blockIdx.x % blocks, at.ty = (int)threadIdx.x / TX;
    at.c = (int64_t)((int)blockIdx.x / blocks) * resident<LANES>::TILE + (int)threadIdx.x % TX * LANES;
    at.active = at.c < task.shape.c;
    int64_t share = (task.shape.m + blocks - 1) / blocks, first = at.rank * share;
    int64_t last = first + share < task.shape.m ? first + share : task.shape.m;
    at.row = first + at.ty;
    at.held = at.active && at.row < last ? (int)((last - at.row + TY - 1) / TY) : 0;
    return at;
}

/* Computes mean and variance of the channels whose rows the threads hold; every thread gets those of its channels. */
template <typename T, int LANES, int ROWS>
__device__ inline void resident_moments(const lanes<T, LANES> (&x)[ROWS], int blocks, int held, float values,
                                        float *shared, float *mine, float (&mean)[LANES], float (&variance)[LANES])
{
    constexpr int TX = resident<LANES>::TX;
    float rough[LANES] = {}, parts[2 * LANES] = {}; /* sum of squares, then sum, of x - rough */
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < LANES; v++)
            if (r < held) rough[v] += to_float(x[r].value[v]);
    cluster_sum<TX, 2 * LANES, false>(blocks, rough, shared, mine);
#pragma unroll
    for (int v = 0; v < LANES; v++) rough[v] /= values;
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        for (int v = 0; v < LANES; v++) {
            float centred = r < held ? to_float(x[r].value[v]) - rough[v] : 0;
            parts[v] += centred * centred;
            parts[LANES + v] += centred;
        }
    }
    cluster_sum<TX, 2 * LANES, true>(blocks, parts, shared, mine + TX * LANES);
#pragma unroll
    for (int v = 0; v < LANES; v++) {
        float rest = parts[LANES + v] / values, difference = parts[v] / values - rest * rest;
        mean[v] = rough[v] + rest;
        variance[v] = difference < 0 ? 0 : difference; /* equal values: rounding must not make it negative; NaN stays */
    }
}

template <typename T, int LANES, int ROWS>
__global__ __launch_bounds__(COLUMNS_THREADS) static void resident_forward_kernel(task_t task, int blocks)
{
    constexpr int TX = resident<LANES>::TX, TY = resident<LANES>::TY;
    __shared__ float shared[(COLUMNS_WARPS + 1) * TX * 2 * LANES];
    __shared__ float mine[3 * TX * LANES];
    struct seat at = seat_of<LANES>(task, blocks);
    lanes<T, LANES> x[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        if (r < at.held) x[r] = load_lanes<LANES>((const T *)task.x + (at.row + r * TY) * task.shape.c + at.c);
    transform<LANES> k;
    float variance[LANES];
    resident_moments<T, LANES, ROWS>(x, blocks, at.held, (float)task.shape.m, shared, mine, k.mean, variance);
    if (!at.active) return; /* no barrier follows */
#pragma unroll
    for (int v = 0; v < LANES; v++) {
        k.scale[v] = task.gamma[at.c + v] * __frsqrt_rn(variance[v] + task.epsilon), k.beta[v] = task.beta[at.c + v];
        if (at.rank == 0 && at.ty == 0) keep_statistics(task, at.c + v, k.mean[v], variance[v]);
    }
    if (task.pooled) { /* the windows reach into the rows of other threads: x is read again, from the cache */
        int64_t share = (task.output_rows + blocks - 1) / blocks, first = at.rank * share, last = first + share;
        store_pooled<T, LANES>(task, k, first + at.ty, last < task.output_rows ? last : task.output_rows, TY, at.c);
        return;
    }
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        if (r < at.held)
            store_lanes<LANES>((T *)task.y + (at.row + r * TY) * task.shape.c + at.c,
                               transformed<T, LANES>(task, k, x[r]));
}

/* Every thread gets the constants of its channels; one of them per channel writes dgamma and dbeta. */
template <typename T, int LANES, int ROWS>
__device__ inline void resident_constants(const task_t &task, const struct seat &at, int blocks,
                                          const lanes<T, LANES> (&x)[ROWS], const lanes<T, LANES> (&dy)[ROWS],
                                          const transform<LANES> &forward, float *shared, float *mine,
                                          gradient_constants<LANES> &k)
{
    float sums[2 * LANES] = {}; /* sums of dy (x - mean), then of dy */
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        for (int v = 0; v < LANES; v++) {
            if (r >= at.held) continue;
            float gradient = to_float(dy[r].value[v]);
            sums[v] += gradient * (to_float(x[r].value[v]) - forward.mean[v]);
            sums[LANES + v] += gradient;
        }
    }
    cluster_sum<resident<LANES>::TX, 2 * LANES, true>(blocks, sums, shared, mine);
    if (!at.active) return;
#pragma unroll
    for (int v = 0; v < LANES; v++) {
        float dgamma = task.rstd[at.c + v] * sums[v], dbeta = sums[LANES + v];
        if (at.rank == 0 && at.ty == 0) task.dgamma[at.c + v] = dgamma, task.dbeta[at.c + v] = dbeta;
        set_constants(k, v, task, at.c + v, dgamma, dbeta);
    }
}

/* Keeps the compiler from holding the values as fp32 from the sums to dx: in bf16 that is twice the registers. */
template <typename T, int LANES> __device__ inline void keep_packed(lanes<T, LANES> &values)
{
    if (sizeof(values) < sizeof(uint32_t)) return;
    uint32_t *words = reinterpret_cast<uint32_t *>(&values);
#pragma unroll
    for (int i = 0; i < (int)(sizeof(values) / sizeof(uint32_t)); i++) asm volatile("" : "+r"(words[i]));
}

template <typename T, int LANES, int ROWS>
__global__ __launch_bounds__(COLUMNS_THREADS) static void resident_backward_kernel(task_t task, int blocks)
{
    constexpr int TX = resident<LANES>::TX, TY = resident<LANES>::TY;
    __shared__ float shared[(COLUMNS_WARPS + 1) * TX * 2 * LANES];
    __shared__ float mine[2 * TX * LANES];
    struct seat at = seat_of<LANES>(task, blocks);
    lanes<T, LANES> x[ROWS], dy[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        if (r < at.held) x[r] = load_lanes<LANES>((const T *)task.x + (at.row + r * TY) * task.shape.c + at.c);
    transform<LANES> forward;
    recall<LANES>(task, at.c, at.active, forward);
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        if (r < at.held) dy[r] = incoming<T, LANES>(task, forward, at.row + r * TY, at.c, x[r]);
    gradient_constants<LANES> k;
    resident_constants<T, LANES, ROWS>(task, at, blocks, x, dy, forward, shared, mine, k);
    if (!task.dx) return;
#pragma unroll
    for (int r = 0; r < ROWS; r++) keep_packed(x[r]), keep_packed(dy[r]);
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        if (r < at.held)
            store_lanes<LANES>((T *)task.dx + (at.row + r * TY) * task.shape.c + at.c, gradient_of(x[r], dy[r], k));
}

/* --- launches --- */

/* Blocks per cluster: as many as hold the rows, then more while that occupies more multiprocessors. 0: the rows do not
 * fit. */
template <int LANES> static int cluster_blocks(const task_t &task, int64_t tiles)
{
    const int64_t ty = resident<LANES>::TY, m = task.shape.m;
    int blocks = 1;
    while (blocks < task.most_cluster && m > RESIDENT_MOST_ROWS * ty * blocks) blocks *= 2;
    if (m > RESIDENT_MOST_ROWS * ty * blocks) return 0;
    int most = task.most_cluster < CUDA_PORTABLE_CLUSTER ? task.most_cluster : CUDA_PORTABLE_CLUSTER;
    while (2 * blocks <= most && m > ty * blocks && 2 * tiles * blocks <= task.multiprocessors) blocks *= 2;
    return blocks;
}

template <typename T, int LANES, int ROWS>
static bool start_resident(cudaStream_t stream, const task_t &task, unsigned tiles, int blocks)
{
    if (task.dy)
        return launch_clusters(stream, tiles, blocks, COLUMNS_THREADS, resident_backward_kernel<T, LANES, ROWS>, task,
                               blocks);
    return launch_clusters(stream, tiles, blocks, COLUMNS_THREADS, resident_forward_kernel<T, LANES, ROWS>, task,
                           blocks);
}

template <typename T, int LANES> bool batchnorm_resident(cudaStream_t stream, const task_t &task)
{
    unsigned tiles = blocks_for(task.shape.c, resident<LANES>::TILE);
    int blocks = cluster_blocks<LANES>(task, tiles);
    if (blocks == 0) return false;
    int64_t share = (task.shape.m + blocks - 1) / blocks;
    int64_t rows = (share + resident<LANES>::TY - 1) / resident<LANES>::TY; /* rows of a thread */
    if (rows <= 1) return start_resident<T, LANES, 1>(stream, task, tiles, blocks);
    if (rows <= 2) return start_resident<T, LANES, 2>(stream, task, tiles, blocks);
    if (rows <= 4) return start_resident<T, LANES, 4>(stream, task, tiles, blocks);
    return start_resident<T, LANES, RESIDENT_MOST_ROWS>(stream, task, tiles, blocks);
}

#define RESIDENT(T, LANES) template bool batchnorm_resident<T, LANES>(cudaStream_t, const task_t &);
BATCHNORM_INSTANTIATE(RESIDENT)
