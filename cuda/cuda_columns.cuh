/* The cut of a matrix (M,C) among the kernels that work per channel. It is row-major: M = N*H*W rows of C channels.
 *
 * A block takes a tile of TILE = TX * LANES channels and a chunk of rows. Its threads stand as TX across the channels,
 * LANES channels (16 bytes) each, and TY down the rows, so that a warp reads whole lines. The values per channel stay
 * in a thread's registers while the rows stream past. blockIdx.x is the tile, blockIdx.y the chunk.
 *
 * Sums over the rows go in three steps: in a thread; over the threads of a block (shuffles, then shared memory); over
 * the chunks, by the block that finishes last, which finds the others' sums in scratch memory. The shape and the number
 * of multiprocessors alone decide the order of each. The one atomic operation counts finished blocks; it adds
 * integers. */
#ifndef CUDA_COLUMNS_CUH
#define CUDA_COLUMNS_CUH

#include "cuda_vector.cuh"

enum { COLUMNS_THREADS = 512, COLUMNS_WARPS = COLUMNS_THREADS / CUDA_WARP, COLUMNS_UNROLL = 4 };

template <int LANES> struct columns {
    enum {
        TX = LANES > 1 ? 8 : 32,
        TY = COLUMNS_THREADS / TX,
        TILE = TX * LANES,
        SHARES = COLUMNS_THREADS / TILE, /* threads per channel when the chunks are added up */
    };
};

/* Rows per chunk and the number of chunks and tiles. */
struct columns_grid {
    int64_t rows;
    unsigned tiles, chunks;
};

static inline struct columns_grid columns_grid_of(struct cuda_matrix shape, int lane_count, int target_blocks)
{
    int64_t tile = lane_count > 1 ? 8 * lane_count : 32, ty = COLUMNS_THREADS / (tile / lane_count);
    int64_t tiles = (shape.c + tile - 1) / tile, least = ty * COLUMNS_UNROLL; /* rows that are worth a block */
    int64_t chunks = target_blocks / tiles, most = (shape.m + least - 1) / least;
    if (chunks > most) chunks = most;
    if (chunks < 1) chunks = 1;
    int64_t rows = (shape.m + chunks - 1) / chunks;
    return {rows, (unsigned)tiles, (unsigned)((shape.m + rows - 1) / rows)};
}

/* The part of the matrix that a thread has. */
struct place {
    int tx, ty;
    int64_t c;           /* its first channel */
    bool active;         /* c < C; a thread beyond takes part only in the barriers */
    int64_t first, last; /* rows of the chunk */
};

template <int LANES> __device__ inline struct place place_of(struct cuda_matrix shape, int64_t rows)
{
    struct place at;
    at.tx = (int)threadIdx.x % columns<LANES>::TX, at.ty = (int)threadIdx.x / columns<LANES>::TX;
    at.c = (int64_t)blockIdx.x * columns<LANES>::TILE + at.tx * LANES;
    at.active = at.c < shape.c;
    at.first = (int64_t)blockIdx.y * rows;
    at.last = at.first + rows < shape.m ? at.first + rows : shape.m;
    return at;
}

/* Adds up over the threads of a warp that are OFFSET, 2 OFFSET, ... apart. Each step halves the HELD values that a
 * thread still has: it gives half of them to its partner and adds what the partner has of the other half. `first` is
 * raised to the number of the first value that the thread keeps. Partners that both keep the last value have the same
 * sum, and `writes` stays true in one of them. */
template <int OFFSET, int HELD, int N> __device__ inline void warp_sum(float (&value)[N], int &first, bool &writes)
{
    if constexpr (OFFSET < CUDA_WARP) {
        bool upper = threadIdx.x & OFFSET;
        constexpr int KEPT = HELD > 1 ? HELD / 2 : 1;
#pragma unroll
        for (int i = 0; i < KEPT; i++) {
            float mine = HELD > 1 && upper ? value[i + HELD / 2] : value[i];
            float given = HELD > 1 && !upper ? value[i + HELD / 2] : value[i];
            value[i] = mine + __shfl_xor_sync(CUDA_FULL_WARP, given, OFFSET);
        }
        if (HELD > 1)
            first += upper ? KEPT : 0;
        else
            writes &= !upper;
        warp_sum<2 * OFFSET, KEPT>(value, first, writes);
    }
}

/* The values that a thread has after warp_sum, of N. */
template <int TX, int N> __device__ constexpr int warp_sum_rest()
{
    return N > CUDA_WARP / TX ? N / (CUDA_WARP / TX) : 1;
}

/* Adds up over the threads of a block: value[q*LANES + v] is a thread's share of quantity q of its channel v. Thread
 * t < TX*LANES gets in total[q] the sum of channel t of the tile, the warps in their order. partial is shared memory,
 * COLUMNS_WARPS * Q * TX * LANES floats; a barrier must come before it is used again. */
template <int TX, int LANES, int Q>
__device__ inline void block_sum(float (&value)[Q * LANES], float *partial, float (&total)[Q])
{
    constexpr int TILE = TX * LANES;
    int warp = (int)threadIdx.x / CUDA_WARP, tx = (int)threadIdx.x % TX, first = 0;
    bool writes = true;
    warp_sum<TX, Q * LANES>(value, first, writes);
#pragma unroll
    for (int i = 0; i < warp_sum_rest<TX, Q * LANES>(); i++) {
        int q = (first + i) / LANES, v = (first + i) % LANES;
        if (writes) partial[(warp * Q + q) * TILE + tx * LANES + v] = value[i];
    }
    __syncthreads();
    if (threadIdx.x >= TILE) return;
#pragma unroll
    for (int q = 0; q < Q; q++) {
        total[q] = 0;
#pragma unroll
        for (int w = 0; w < COLUMNS_WARPS; w++) total[q] += partial[(w * Q + q) * TILE + (int)threadIdx.x];
    }
}

/* True where this block is the last of its tile, so that all partial sums of the tile's chunks can be read (with
 * __ldcg). All threads call it, after writing the block's own sums. The counter is 0 again afterwards. */
__device__ inline bool last_of_tile(unsigned *counters)
{
    __shared__ bool last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        last = atomicAdd(&counters[blockIdx.x], 1u) + 1 == gridDim.y;
        if (last) counters[blockIdx.x] = 0;
    }
    __syncthreads();
    __threadfence();
    return last;
}

/* Called by the last block: value[q] = the sum over the chunks of partial[(q*chunks + chunk)*C + c], where c is channel
 * threadIdx.x % TILE of the tile. Returns true in the threads that hold such a sum, one per channel. shared:
 * COLUMNS_THREADS * Q. */
template <int LANES, int Q>
__device__ inline bool sum_chunks(struct cuda_matrix shape, const float *partial, float (&value)[Q], float *shared)
{
    constexpr int TILE = columns<LANES>::TILE, SHARES = columns<LANES>::SHARES;
    int channel = (int)threadIdx.x % TILE, share = (int)threadIdx.x / TILE;
    int64_t c = (int64_t)blockIdx.x * TILE + channel;
    unsigned chunks = gridDim.y;
#pragma unroll
    for (int q = 0; q < Q; q++) {
        value[q] = 0;
#pragma unroll 8
        for (unsigned chunk = (unsigned)share; chunk < chunks; chunk += SHARES)
            if (c < shape.c) value[q] += __ldcg(partial + ((int64_t)q * chunks + chunk) * shape.c + c);
        shared[q * COLUMNS_THREADS + (int)threadIdx.x] = value[q];
    }
    __syncthreads();
    if (share > 0 || c >= shape.c) return false;
#pragma unroll
    for (int q = 0; q < Q; q++)
        for (int s = 1; s < SHARES; s++) value[q] += shared[q * COLUMNS_THREADS + s * TILE + channel];
    return true;
}

#endif
