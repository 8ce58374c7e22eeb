/* Batch normalization in two kernels, for any number of rows, and in evaluation (cuda_batchnorm.cu). */
#include "cuda_batchnorm.cuh"

/* Count, mean and sum of squared differences from the mean, of some values. */
struct moments {
    float n, mean, m2;
};

/* The moments of a and b together. */
__device__ inline struct moments join(struct moments a, struct moments b)
{
    float n = a.n + b.n, part = n > 0 ? b.n / n : 0, d = b.mean - a.mean;
    return {n, a.mean + d * part, a.m2 + b.m2 + d * d * a.n * part};
}

/* Runs Welford's recurrence down the thread's rows of a chunk. */
template <typename T, int LANES>
__device__ inline void thread_moments(const task_t &task, const struct place &at, struct moments (&own)[LANES])
{
    constexpr int TY = columns<LANES>::TY;
    const T *x = (const T *)task.x + at.c;
    float n = 0, mean[LANES] = {}, m2[LANES] = {};
    for (int64_t row = at.first + at.ty; at.active && row < at.last; row += COLUMNS_UNROLL * TY) {
        lanes<T, LANES> values[COLUMNS_UNROLL];
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++)
            if (row + u * TY < at.last) values[u] = load_lanes<LANES>(x + (row + u * TY) * task.shape.c);
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++) {
            if (row + u * TY >= at.last) continue;
            float share = 1 / ++n;
#pragma unroll
            for (int v = 0; v < LANES; v++) {
                float value = to_float(values[u].value[v]), d = value - mean[v];
                mean[v] += d * share;
                m2[v] += d * (value - mean[v]);
            }
        }
    }
#pragma unroll
    for (int v = 0; v < LANES; v++) own[v] = {n, mean[v], m2[v]};
}

/* Joins the threads of a block: thread t < TILE returns the moments of channel t of the tile. shared: COLUMNS_WARPS *
 * TILE. */
template <int LANES>
__device__ inline struct moments block_moments(struct moments (&own)[LANES], const struct place &at,
                                               struct moments *shared)
{
    constexpr int TX = columns<LANES>::TX, TILE = columns<LANES>::TILE;
    int warp = (int)threadIdx.x / CUDA_WARP, lane = (int)threadIdx.x % CUDA_WARP;
#pragma unroll
    for (int offset = CUDA_WARP / 2; offset >= TX; offset /= 2) {
#pragma unroll
        for (int v = 0; v < LANES; v++) {
            struct moments other = {__shfl_down_sync(CUDA_FULL_WARP, own[v].n, offset),
                                    __shfl_down_sync(CUDA_FULL_WARP, own[v].mean, offset),
                                    __shfl_down_sync(CUDA_FULL_WARP, own[v].m2, offset)};
            own[v] = join(own[v], other); /* valid in the lower half; lanes < TX end with the moments of the warp */
        }
    }
    for (int v = 0; lane < TX && v < LANES; v++) shared[warp * TILE + at.tx * LANES + v] = own[v];
    __syncthreads();
    struct moments total = {0, 0, 0};
    if (threadIdx.x < TILE)
        for (int w = 0; w < COLUMNS_WARPS; w++) total = join(total, shared[w * TILE + (int)threadIdx.x]);
    return total;
}

/* Called by the last block: joins the chunks' means and m2, which lie in scratch memory one after the other,
 * [chunks][C] each. Returns true in one thread per channel. shared: COLUMNS_THREADS. */
template <int LANES>
__device__ inline bool join_chunks(const task_t &task, int64_t rows, struct moments *total, struct moments *shared)
{
    constexpr int TILE = columns<LANES>::TILE, SHARES = columns<LANES>::SHARES;
    int channel = (int)threadIdx.x % TILE, share = (int)threadIdx.x / TILE;
    int64_t c = (int64_t)blockIdx.x * TILE + channel;
    unsigned chunks = gridDim.y;
    const float *means = task.scratch.partial, *m2 = means + chunks * task.shape.c;
    *total = {0, 0, 0};
#pragma unroll 4
    for (unsigned chunk = (unsigned)share; chunk < chunks; chunk += SHARES) {
        if (c >= task.shape.c) continue;
        int64_t first = chunk * rows, left = task.shape.m - first;
        float n = (float)(left < rows ? left : rows);
        *total = join(*total, {n, __ldcg(means + chunk * task.shape.c + c), __ldcg(m2 + chunk * task.shape.c + c)});
    }
    shared[threadIdx.x] = *total;
    __syncthreads();
    if (share > 0 || c >= task.shape.c) return false;
    for (int s = 1; s < SHARES; s++) *total = join(*total, shared[s * TILE + channel]);
    return true;
}

template <typename T, int LANES>
__global__ __launch_bounds__(COLUMNS_THREADS) static void statistics_kernel(task_t task, int64_t rows)
{
    __shared__ struct moments shared[COLUMNS_THREADS > COLUMNS_WARPS * columns<LANES>::TILE
                                         ? COLUMNS_THREADS
                                         : COLUMNS_WARPS * columns<LANES>::TILE];
    struct place at = place_of<LANES>(task.shape, rows);
    struct moments own[LANES];
    thread_moments<T, LANES>(task, at, own);
    struct moments total = block_moments<LANES>(own, at, shared);
    int64_t c = (int64_t)blockIdx.x * columns<LANES>::TILE + threadIdx.x;
    bool writes = threadIdx.x < columns<LANES>::TILE && c < task.shape.c;
    if (gridDim.y > 1) {
        int64_t place = (int64_t)blockIdx.y * task.shape.c + c;
        if (writes) {
            task.scratch.partial[place] = total.mean;
            task.scratch.partial[gridDim.y * task.shape.c + place] = total.m2;
        }
        if (!last_of_tile(task.scratch.counters)) return; /* its barriers part the two uses of `shared` */
        writes = join_chunks<LANES>(task, rows, &total, shared);
    }
    if (writes) keep_statistics(task, c, total.mean, total.m2 / (float)task.shape.m);
}

/* Sets the constants of x -> b. In evaluation the running statistics stand for the batch's, and without gamma x is
 * normalised already. */
template <int LANES, bool EVALUATE>
__device__ inline void set_transform(const task_t &task, int64_t c, transform<LANES> &k)
{
#pragma unroll
    for (int v = 0; v < LANES; v++) {
        k.mean[v] = 0, k.scale[v] = 1, k.beta[v] = 0;
        if (EVALUATE && !task.gamma) continue;
        float rstd = EVALUATE ? __frsqrt_rn(task.running_var[c + v] + task.epsilon) : task.rstd[c + v];
        k.mean[v] = EVALUATE ? task.running_mean[c + v] : task.mean[c + v];
        k.scale[v] = task.gamma[c + v] * rstd, k.beta[v] = task.beta[c + v];
    }
}

template <typename T, int LANES, bool EVALUATE>
__global__ __launch_bounds__(COLUMNS_THREADS) static void normalize_kernel(task_t task, int64_t rows)
{
    constexpr int TY = columns<LANES>::TY;
    struct place at = place_of<LANES>(task.shape, rows);
    if (!at.active) return;
    transform<LANES> k;
    set_transform<LANES, EVALUATE>(task, at.c, k);
    for (int64_t row = at.first + at.ty; row < at.last; row += COLUMNS_UNROLL * TY) {
        lanes<T, LANES> x[COLUMNS_UNROLL];
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++)
            if (row + u * TY < at.last)
                x[u] = load_lanes<LANES>((const T *)task.x + (row + u * TY) * task.shape.c + at.c);
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++)
            if (row + u * TY < at.last)
                store_lanes<LANES>((T *)task.y + (row + u * TY) * task.shape.c + at.c,
                                   transformed<T, LANES>(task, k, x[u]));
    }
}

/* The rows are those of y, outputs.m in all. */
template <typename T, int LANES, bool EVALUATE>
__global__ __launch_bounds__(COLUMNS_THREADS) static void pool_kernel(task_t task, struct cuda_matrix outputs,
                                                                      int64_t rows)
{
    struct place at = place_of<LANES>(outputs, rows);
    if (!at.active) return;
    transform<LANES> k;
    set_transform<LANES, EVALUATE>(task, at.c, k);
    store_pooled<T, LANES>(task, k, at.first + at.ty, at.last, columns<LANES>::TY, at.c);
}

/* Sums dgamma and dbeta over the rows. */
template <typename T, int LANES>
__global__ __launch_bounds__(COLUMNS_THREADS) static void gradient_sums_kernel(task_t task, int64_t rows)
{
    constexpr int TX = columns<LANES>::TX, TY = columns<LANES>::TY;
    __shared__ float shared[(COLUMNS_WARPS + 1) * TX * 2 * LANES];
    __shared__ float shares[2 * COLUMNS_THREADS];
    struct place at = place_of<LANES>(task.shape, rows);
    transform<LANES> k;
    recall<LANES>(task, at.c, at.active, k);
    float sums[2 * LANES] = {}; /* sums of dy (x - mean), then of dy */
    for (int64_t row = at.first + at.ty; at.active && row < at.last; row += COLUMNS_UNROLL * TY) {
        lanes<T, LANES> x[COLUMNS_UNROLL], dy[COLUMNS_UNROLL];
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++) {
            if (row + u * TY >= at.last) continue;
            x[u] = load_lanes<LANES>((const T *)task.x + (row + u * TY) * task.shape.c + at.c);
            dy[u] = incoming<T, LANES>(task, k, row + u * TY, at.c, x[u]);
        }
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++) {
            for (int v = 0; v < LANES && row + u * TY < at.last; v++) {
                float gradient = to_float(dy[u].value[v]);
                sums[v] += gradient * (to_float(x[u].value[v]) - k.mean[v]);
                sums[LANES + v] += gradient;
            }
        }
    }
    block_sum<TX, 2 * LANES>(sums, shared);
    bool writes = at.active && at.ty == 0;
    if (gridDim.y == 1) {
        for (int v = 0; writes && v < LANES; v++)
            task.dgamma[at.c + v] = task.rstd[at.c + v] * sums[v], task.dbeta[at.c + v] = sums[LANES + v];
        return;
    }
    float *partial = task.scratch.partial + blockIdx.y * task.shape.c + at.c; /* [chunks][C], twice */
    for (int v = 0; writes && v < LANES; v++)
        partial[v] = sums[v], partial[gridDim.y * task.shape.c + v] = sums[LANES + v];
    if (!last_of_tile(task.scratch.counters)) return;
    float total[2];
    if (!sum_chunks<LANES>(task.shape, task.scratch.partial, total, shares)) return;
    int64_t c = (int64_t)blockIdx.x * columns<LANES>::TILE + threadIdx.x;
    task.dgamma[c] = task.rstd[c] * total[0], task.dbeta[c] = total[1];
}

template <typename T, int LANES>
__global__ __launch_bounds__(COLUMNS_THREADS) static void gradient_kernel(task_t task, int64_t rows)
{
    constexpr int TY = columns<LANES>::TY;
    struct place at = place_of<LANES>(task.shape, rows);
    if (!at.active) return;
    transform<LANES> forward;
    gradient_constants<LANES> k;
    recall<LANES>(task, at.c, true, forward);
#pragma unroll
    for (int v = 0; v < LANES; v++) set_constants(k, v, task, at.c + v, task.dgamma[at.c + v], task.dbeta[at.c + v]);
    for (int64_t row = at.first + at.ty; row < at.last; row += COLUMNS_UNROLL * TY) {
        lanes<T, LANES> x[COLUMNS_UNROLL], dy[COLUMNS_UNROLL];
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++) {
            if (row + u * TY >= at.last) continue;
            x[u] = load_lanes<LANES>((const T *)task.x + (row + u * TY) * task.shape.c + at.c);
            dy[u] = incoming<T, LANES>(task, forward, row + u * TY, at.c, x[u]);
        }
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++)
            if (row + u * TY < at.last)
                store_lanes<LANES>((T *)task.dx + (row + u * TY) * task.shape.c + at.c, gradient_of(x[u], dy[u], k));
    }
}

/* --- launches --- */

enum { NORMALIZE_BLOCKS = 4 }; /* blocks per multiprocessor */

template <typename T, int LANES, bool EVALUATE> static void start_normalize(cudaStream_t stream, const task_t &task)
{
    struct cuda_matrix rows = {task.pooled ? task.output_rows : task.shape.m, task.shape.c};
    struct columns_grid grid = columns_grid_of(rows, LANES, task.multiprocessors * NORMALIZE_BLOCKS);
    dim3 blocks(grid.tiles, grid.chunks);
    if (task.pooled)
        launch(stream, blocks, COLUMNS_THREADS, pool_kernel<T, LANES, EVALUATE>, task, rows, grid.rows);
    else
        launch(stream, blocks, COLUMNS_THREADS, normalize_kernel<T, LANES, EVALUATE>, task, grid.rows);
}

template <typename T, int LANES> void batchnorm_streaming_forward(cudaStream_t stream, const task_t &task)
{
    struct columns_grid grid = columns_grid_of(task.shape, LANES, task.multiprocessors);
    launch(stream, dim3(grid.tiles, grid.chunks), COLUMNS_THREADS, statistics_kernel<T, LANES>, task, grid.rows);
    start_normalize<T, LANES, false>(stream, task);
}

template <typename T, int LANES> void batchnorm_streaming_backward(cudaStream_t stream, const task_t &task)
{
    struct columns_grid grid = columns_grid_of(task.shape, LANES, task.multiprocessors);
    launch(stream, dim3(grid.tiles, grid.chunks), COLUMNS_THREADS, gradient_sums_kernel<T, LANES>, task, grid.rows);
    if (!task.dx) return;
    grid = columns_grid_of(task.shape, LANES, task.multiprocessors * NORMALIZE_BLOCKS);
    launch(stream, dim3(grid.tiles, grid.chunks), COLUMNS_THREADS, gradient_kernel<T, LANES>, task, grid.rows);
}

template <typename T, int LANES> void batchnorm_evaluation(cudaStream_t stream, const task_t &task)
{
    start_normalize<T, LANES, true>(stream, task);
}

#define STREAMING(T, LANES)                                                                                            \
    template void batchnorm_streaming_forward<T, LANES>(cudaStream_t, const task_t &);                                 \
    template void batchnorm_streaming_backward<T, LANES>(cudaStream_t, const task_t &);                                \
    template void batchnorm_evaluation<T, LANES>(cudaStream_t, const task_t &);
BATCHNORM_INSTANTIATE(STREAMING)
