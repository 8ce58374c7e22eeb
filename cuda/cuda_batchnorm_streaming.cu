/* Batch normalization in two kernels, for any number of rows, and in evaluation (cuda_batchnorm.cu). */
#include "cuda_batchnorm.cuh"

/* Count, mean and sum of squared differences from the mean, of some values. */
struct moments {
    float n, mean, m2;
};

/* Joins b to a, with `part` = b.n / (a.n + b.n), or 0 where both are empty. */
__device__ inline struct moments join_part(struct moments a, struct moments b, float part)
{
    float d = b.mean - a.mean;
    return {a.n + b.n, a.mean + d * part, a.m2 + b.m2 + d * d * a.n * part};
}

__device__ inline float part_of(float first, float second)
{
    float n = first + second;
    return n > 0 ? second / n : 0;
}

/* The moments of a and b together. */
__device__ inline struct moments join(struct moments a, struct moments b)
{
    return join_part(a, b, part_of(a.n, b.n));
}

/* Runs Welford's recurrence down the thread's rows of a chunk; returns their number. */
template <typename T, int LANES>
__device__ inline float thread_moments(const task_t &task, const struct place &at, float (&mean)[LANES],
                                       float (&m2)[LANES])
{
    constexpr int TY = columns<LANES>::TY;
    const T *x = (const T *)task.x + at.c;
    float n = 0;
    for (int64_t row = at.first + at.ty; at.active && row < at.last; row += COLUMNS_UNROLL * TY) {
        lanes<T, LANES> values[COLUMNS_UNROLL];
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++)
            if (row + u * TY < at.last)
                values[u] = rectified<T, LANES>(task, load_lanes<LANES>(x + (row + u * TY) * task.shape.c));
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++) {
            if (row + u * TY >= at.last) continue;
            float share = 1 / ++n, value[LANES];
            unpack(values[u], value);
#pragma unroll
            for (int v = 0; v < LANES; v++) {
                float d = value[v] - mean[v];
                mean[v] += d * share;
                m2[v] += d * (value[v] - mean[v]);
            }
        }
    }
    return n;
}

/* Joins the threads of a block: thread t < TILE returns the moments of channel t of the tile. shared: COLUMNS_WARPS *
 * TILE. */
template <int LANES>
__device__ inline struct moments block_moments(float n, float (&mean)[LANES], float (&m2)[LANES],
                                               const struct place &at, struct moments *shared)
{
    constexpr int TX = columns<LANES>::TX, TILE = columns<LANES>::TILE;
    int warp = (int)threadIdx.x / CUDA_WARP, lane = (int)threadIdx.x % CUDA_WARP;
#pragma unroll
    for (int offset = CUDA_WARP / 2; offset >= TX; offset /= 2) {
        float others = __shfl_down_sync(CUDA_FULL_WARP, n, offset), part = part_of(n, others);
#pragma unroll
        for (int v = 0; v < LANES; v++) {
            struct moments other = {others, __shfl_down_sync(CUDA_FULL_WARP, mean[v], offset),
                                    __shfl_down_sync(CUDA_FULL_WARP, m2[v], offset)};
            struct moments both = join_part({n, mean[v], m2[v]}, other, part);
            mean[v] = both.mean, m2[v] = both.m2;
        }
        n += others; /* valid in the lower half; lanes < TX end with the moments of the warp */
    }
    for (int v = 0; lane < TX && v < LANES; v++) shared[warp * TILE + at.tx * LANES + v] = {n, mean[v], m2[v]};
    __syncthreads();
    struct moments total = {0, 0, 0};
    if (threadIdx.x < TILE) {
#pragma unroll 1
        for (int w = 0; w < COLUMNS_WARPS; w++) total = join(total, shared[w * TILE + (int)threadIdx.x]);
    }
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
    float mean[LANES] = {}, m2[LANES] = {};
    float n = thread_moments<T, LANES>(task, at, mean, m2);
    struct moments total = block_moments<LANES>(n, mean, m2, at, shared);
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
    if (!writes) return;
    float variance = total.m2 / (float)task.shape.m;
    keep_statistics(task, c, total.mean, variance, __frsqrt_rn(variance + task.epsilon));
}

/* Sets the constants of x -> b for the block's channels. In evaluation the running statistics stand for the batch's,
 * and without gamma x is normalised already. All threads of the block must call it. */
template <int LANES, bool EVALUATE>
__device__ inline void set_transform(const task_t &task, const struct place &at, transform<LANES> &k)
{
    constexpr int TILE = columns<LANES>::TILE;
    __shared__ channel_constants<TILE, 3> constants;
    int64_t c = (int64_t)blockIdx.x * TILE + threadIdx.x;
    if (threadIdx.x < TILE && c < task.shape.c) {
        float mean = 0, scale = 1, beta = 0;
        if (!EVALUATE || task.gamma) {
            float rstd = EVALUATE ? __frsqrt_rn(task.running_var[c] + task.epsilon) : task.rstd[c];
            mean = EVALUATE ? task.running_mean[c] : task.mean[c];
            scale = task.gamma[c] * rstd, beta = task.beta[c];
        }
        constants.value[0][threadIdx.x] = mean;
        constants.value[1][threadIdx.x] = scale, constants.value[2][threadIdx.x] = beta;
    }
    __syncthreads();
    read_constants(constants, at.tx * LANES, k);
}

template <typename T, int LANES, bool EVALUATE, typename F>
__global__ __launch_bounds__(COLUMNS_THREADS) static void normalize_kernel(task_t task, int64_t rows)
{
    constexpr int TY = columns<LANES>::TY;
    struct place at = place_of<LANES>(task.shape, rows);
    transform<LANES> k;
    set_transform<LANES, EVALUATE>(task, at, k);
    if (!at.active) return;
    for (int64_t row = at.first + at.ty; row < at.last; row += COLUMNS_UNROLL * TY) {
        lanes<T, LANES> x[COLUMNS_UNROLL];
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++)
            if (row + u * TY < at.last) x[u] = load_x<T, LANES, F>(task, (row + u * TY) * task.shape.c + at.c);
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++)
            if (row + u * TY < at.last)
                store_lanes<LANES>((T *)task.y + (row + u * TY) * task.shape.c + at.c,
                                   output_of<T, LANES, F>(task, k, row + u * TY, at.c, x[u]));
    }
}

/* The rows are those of y, outputs.m in all. */
template <typename T, int LANES, bool EVALUATE, typename F>
__global__ __launch_bounds__(COLUMNS_THREADS) static void pool_kernel(task_t task, struct cuda_matrix outputs,
                                                                      int64_t rows)
{
    struct place at = place_of<LANES>(outputs, rows);
    transform<LANES> k;
    set_transform<LANES, EVALUATE>(task, at, k);
    if (!at.active) return;
    store_pooled<T, LANES, F>(task, k, (unsigned)(at.first + at.ty), (unsigned)at.last, columns<LANES>::TY,
                              (unsigned)at.c);
}

/* Sums dgamma and dbeta over the rows. */
template <typename T, int LANES, typename F>
__global__ __launch_bounds__(COLUMNS_THREADS, 1) static void gradient_sums_kernel(task_t task, int64_t rows)
{
    constexpr int TX = columns<LANES>::TX, TY = columns<LANES>::TY, TILE = columns<LANES>::TILE;
    __shared__ float parts[COLUMNS_WARPS * 2 * TILE];
    __shared__ float shares[2 * COLUMNS_THREADS];
    struct place at = place_of<LANES>(task.shape, rows);
    transform<LANES> k;
    recall<LANES, F>(task, at.c, at.active, k);
    float sums[2 * LANES] = {}, total[2] = {};
    for (int64_t row = at.first + at.ty; at.active && row < at.last; row += COLUMNS_UNROLL * TY) {
        lanes<T, LANES> x[COLUMNS_UNROLL], dy[COLUMNS_UNROLL];
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++) {
            if (row + u * TY >= at.last) continue;
            x[u] = load_x<T, LANES, F>(task, (row + u * TY) * task.shape.c + at.c);
            dy[u] = incoming<T, LANES, F>(task, k, row + u * TY, at.c, x[u]);
        }
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++)
            if (row + u * TY < at.last) add_gradient(x[u], dy[u], k.mean, sums);
    }
    block_sum<TX, LANES, 2>(sums, parts, total);
    int64_t c = (int64_t)blockIdx.x * TILE + threadIdx.x;
    bool writes = threadIdx.x < TILE && c < task.shape.c;
    if (gridDim.y > 1) {
        float *partial = task.scratch.partial + blockIdx.y * task.shape.c + c; /* [chunks][C], twice */
        if (writes) partial[0] = total[0], partial[gridDim.y * task.shape.c] = total[1];
        if (!last_of_tile(task.scratch.counters)) return;
        writes = sum_chunks<LANES>(task.shape, task.scratch.partial, total, shares);
    }
    if (writes) keep_gradients(task, c, task.rstd[c] * total[0], total[1]);
}

template <typename T, int LANES, typename F>
__global__ __launch_bounds__(COLUMNS_THREADS, 1) static void gradient_kernel(task_t task, int64_t rows)
{
    constexpr int TY = columns<LANES>::TY, TILE = columns<LANES>::TILE;
    __shared__ channel_constants<TILE, 4> constants;
    struct place at = place_of<LANES>(task.shape, rows);
    int64_t c = (int64_t)blockIdx.x * TILE + threadIdx.x;
    if (threadIdx.x < TILE && c < task.shape.c)
        set_constants(constants, (int)threadIdx.x, task, c, task.dgamma[c], task.dbeta[c]);
    __syncthreads();
    if (!at.active) return;
    transform<LANES> forward;
    gradient_constants<LANES> k;
    recall<LANES, F>(task, at.c, true, forward);
    read_constants(constants, at.tx * LANES, k);
    for (int64_t row = at.first + at.ty; row < at.last; row += COLUMNS_UNROLL * TY) {
        lanes<T, LANES> x[COLUMNS_UNROLL], dy[COLUMNS_UNROLL];
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++) {
            if (row + u * TY >= at.last) continue;
            x[u] = load_x<T, LANES, F>(task, (row + u * TY) * task.shape.c + at.c);
            dy[u] = incoming<T, LANES, F>(task, forward, row + u * TY, at.c, x[u]);
        }
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++)
            if (row + u * TY < at.last)
                store_lanes<LANES>((T *)task.dx + (row + u * TY) * task.shape.c + at.c,
                                   gradient_of<T, LANES, F>(task, x[u], dy[u], k));
    }
}

/* --- launches --- */

enum { NORMALIZE_BLOCKS = 4 }; /* blocks per multiprocessor */

template <typename T, int LANES, bool EVALUATE> static void start_normalize(cudaStream_t stream, const task_t &task)
{
    struct cuda_matrix rows = {task.pooled ? task.output_rows : task.shape.m, task.shape.c};
    struct columns_grid grid = columns_grid_of(rows, LANES, task.multiprocessors * NORMALIZE_BLOCKS);
    dim3 blocks(grid.tiles, grid.chunks);
    with_fusion<LANES>(task, [&](auto fusion) {
        using F = decltype(fusion);
        if constexpr (F::POOLED)
            launch(stream, blocks, COLUMNS_THREADS, pool_kernel<T, LANES, EVALUATE, F>, task, rows, grid.rows);
        else
            launch(stream, blocks, COLUMNS_THREADS, normalize_kernel<T, LANES, EVALUATE, F>, task, grid.rows);
    });
}

template <typename T, int LANES> void batchnorm_streaming_forward(cudaStream_t stream, const task_t &task)
{
    struct columns_grid grid = columns_grid_of(task.shape, LANES, task.multiprocessors);
    launch(stream, dim3(grid.tiles, grid.chunks), COLUMNS_THREADS, statistics_kernel<T, LANES>, task, grid.rows);
    start_normalize<T, LANES, false>(stream, task);
}

template <typename T, int LANES> static void start_gradient(cudaStream_t stream, const task_t &task)
{
    struct columns_grid grid = columns_grid_of(task.shape, LANES, task.multiprocessors * NORMALIZE_BLOCKS);
    with_fusion<LANES>(task, [&](auto fusion) {
        launch(stream, dim3(grid.tiles, grid.chunks), COLUMNS_THREADS, gradient_kernel<T, LANES, decltype(fusion)>,
               task, grid.rows);
    });
}

/* The first kernel has stored the gradient of an addend, if it is wanted, so that the second one needs only that. */
template <typename T, int LANES> void batchnorm_streaming_backward(cudaStream_t stream, const task_t &task)
{
    struct columns_grid sums = columns_grid_of(task.shape, LANES, task.multiprocessors);
    with_fusion<LANES>(task, [&](auto fusion) {
        launch(stream, dim3(sums.tiles, sums.chunks), COLUMNS_THREADS, gradient_sums_kernel<T, LANES, decltype(fusion)>,
               task, sums.rows);
    });
    if (!task.dx) return;
    task_t rest = task;
    if (task.daddend) rest.dy = task.daddend, rest.addend = NULL, rest.activated = false;
    start_gradient<T, LANES>(stream, rest);
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
