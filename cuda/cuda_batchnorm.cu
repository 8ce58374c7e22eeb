/* Batch normalization over a matrix (M,C): M = N*H*W rows, C channels (definition: struct batchnorm_params in backend.h).
 *
 * Backward. Per channel, with r = 1/sqrt(var + eps), xhat_s = (x_s - mu) r, y_s = gamma xhat_s + beta:
 *   dbeta  = sum_s dy_s,   dgamma = sum_s dy_s xhat_s = r sum_s dy_s (x_s - mu)
 *   dmu/dx_t = 1/M  and  dvar/dx_t = 2 (x_t - mu) / M      (the term from mu inside var vanishes: sum (x_s - mu) = 0)
 *   dxhat_s/dx_t = r (delta_ts - 1/M) - (x_s - mu) r^3 (x_t - mu) / M = r (delta_ts - 1/M - xhat_s xhat_t / M)
 *   dx_t = sum_s dy_s gamma dxhat_s/dx_t = gamma r (dy_t - dbeta/M - xhat_t dgamma/M).
 *
 * Two ways, by the number of rows; M = 32*32*32 is the ConvNet's largest, M = 384 a perceptron's:
 *   resident   A block takes all rows of a few channels and keeps them in registers: one kernel, x is read once and y
 *              written once, which is the floor of 2 bytes per byte of x (backward 3). Mean first, then the sum of
 *              (x - mean)^2 and of x - mean, which takes out what rounding left in the mean.
 *   streaming  Two kernels. The first has each thread run Welford's recurrence down its rows,
 *                mean += (x - mean)/n,  m2 += (x - mean_before)(x - mean),
 *              and joins two such (n, mean, m2) as Chan, Golub and LeVeque (1979) do,
 *                d = mean_b - mean_a,  mean = mean_a + d n_b/n,  m2 = m2_a + m2_b + d^2 n_a n_b/n,
 *              over the threads, then over the chunks. The second kernel normalises. Floor: 3 bytes per byte of x
 *              (backward 5).
 * Both compute in fp32 whatever the type of x, have one order of summation, and take any M >= 1 and any C: where C is no
 * multiple of the 16 bytes that a thread loads at once, it takes one channel. */
#include "cuda_columns.cuh"

typedef struct cuda_batchnorm task_t;

enum { RESIDENT_MOST_ROWS = 8 }; /* per thread, in registers: 64 of them in backward */

template <int LANES> struct resident {
    enum { TX = LANES > 1 ? 2 : 8, TY = COLUMNS_THREADS / TX, TILE = TX * LANES };
};

/* --- what both ways share --- */

/* Keeps mean and 1/sqrt(var + eps), and moves the running statistics. One thread per channel. Returns the latter. */
__device__ static float keep_statistics(const task_t &task, int64_t c, float mean, float variance)
{
    float values = (float)task.shape.m, rstd = __frsqrt_rn(variance + task.epsilon);
    task.mean[c] = mean;
    task.rstd[c] = rstd;
    if (task.running_mean)
        task.running_mean[c] = (1 - task.momentum) * task.running_mean[c] + task.momentum * mean;
    if (task.running_var) {
        float unbiased = values > 1 ? values / (values - 1) : 1;
        task.running_var[c] = (1 - task.momentum) * task.running_var[c] + task.momentum * (variance * unbiased);
    }
    return rstd;
}

/* y = (x - mean) scale + beta */
template <typename T, int LANES>
__device__ inline lanes<T, LANES> normalized(const lanes<T, LANES> &x, const float (&mean)[LANES],
                                             const float (&scale)[LANES], const float (&beta)[LANES])
{
    lanes<T, LANES> y;
#pragma unroll
    for (int v = 0; v < LANES; v++) y.value[v] = from_float<T>((to_float(x.value[v]) - mean[v]) * scale[v] + beta[v]);
    return y;
}

/* dx = scale dy - slope (x - mean) - shift, with scale = gamma r, slope = scale r dgamma/M and shift = scale dbeta/M. */
template <int LANES> struct gradient_constants {
    float mean[LANES], scale[LANES], slope[LANES], shift[LANES];
};

/* Channel v of the constants; the sums are complete. */
template <int LANES>
__device__ inline void set_constants(gradient_constants<LANES> &k, int v, const task_t &task, int64_t c, float dgamma,
                                     float dbeta)
{
    float rstd = task.rstd[c], values = (float)task.shape.m;
    k.mean[v] = task.mean[c];
    k.scale[v] = task.gamma[c] * rstd;
    k.slope[v] = k.scale[v] * rstd * (dgamma / values);
    k.shift[v] = k.scale[v] * (dbeta / values);
}

template <typename T, int LANES>
__device__ inline lanes<T, LANES> gradient_of(const lanes<T, LANES> &x, const lanes<T, LANES> &dy,
                                              const gradient_constants<LANES> &k)
{
    lanes<T, LANES> dx;
#pragma unroll
    for (int v = 0; v < LANES; v++) {
        float rest = k.slope[v] * (to_float(x.value[v]) - k.mean[v]) + k.shift[v];
        dx.value[v] = from_float<T>(k.scale[v] * to_float(dy.value[v]) - rest);
    }
    return dx;
}

/* --- resident --- */

/* mean and variance of the channels whose rows the threads hold; every thread gets those of its channels. */
template <typename T, int LANES, int ROWS>
__device__ inline void resident_moments(const lanes<T, LANES> (&x)[ROWS], int held, float values, float *shared,
                                        float (&mean)[LANES], float (&variance)[LANES])
{
    constexpr int TX = resident<LANES>::TX;
    float rough[LANES] = {}, parts[2 * LANES] = {}; /* sum of squares, then sum, of x - rough */
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < LANES; v++)
            if (r < held) rough[v] += to_float(x[r].value[v]);
    block_sum<TX, 2 * LANES>(rough, shared);
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
    block_sum<TX, 2 * LANES>(parts, shared);
#pragma unroll
    for (int v = 0; v < LANES; v++) {
        float rest = parts[LANES + v] / values, difference = parts[v] / values - rest * rest;
        mean[v] = rough[v] + rest;
        variance[v] = difference < 0 ? 0 : difference; /* equal values: rounding must not make it negative; NaN stays */
    }
}

/* Rows ty, ty + TY, ... of the matrix: how many of a thread's ROWS there are. */
template <int LANES, int ROWS> __device__ inline int rows_held(const task_t &task, int64_t c, int ty)
{
    constexpr int TY = resident<LANES>::TY;
    if (c >= task.shape.c || ty >= task.shape.m) return 0;
    return (int)((task.shape.m - ty + TY - 1) / TY);
}

template <typename T, int LANES, int ROWS>
__global__ __launch_bounds__(COLUMNS_THREADS) static void resident_forward_kernel(task_t task)
{
    constexpr int TX = resident<LANES>::TX, TY = resident<LANES>::TY;
    __shared__ float shared[(COLUMNS_WARPS + 1) * TX * 2 * LANES];
    int ty = (int)threadIdx.x / TX;
    int64_t c = (int64_t)blockIdx.x * resident<LANES>::TILE + (int)threadIdx.x % TX * LANES;
    int64_t at = ty * task.shape.c + c, stride = TY * task.shape.c;
    int held = rows_held<LANES, ROWS>(task, c, ty);
    lanes<T, LANES> x[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        if (r < held) x[r] = load_lanes<LANES>((const T *)task.x + at + r * stride);
    float mean[LANES], variance[LANES], scale[LANES], beta[LANES];
    resident_moments<T, LANES, ROWS>(x, held, (float)task.shape.m, shared, mean, variance);
    if (held == 0) return; /* no barrier follows */
#pragma unroll
    for (int v = 0; v < LANES; v++) {
        scale[v] = task.gamma[c + v] * __frsqrt_rn(variance[v] + task.epsilon), beta[v] = task.beta[c + v];
        if (ty == 0) keep_statistics(task, c + v, mean[v], variance[v]);
    }
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        if (r < held) store_lanes<LANES>((T *)task.y + at + r * stride, normalized(x[r], mean, scale, beta));
}

/* Every thread gets the constants of its channels; one of them per channel writes dgamma and dbeta. */
template <typename T, int LANES, int ROWS>
__device__ inline void resident_constants(const task_t &task, const lanes<T, LANES> (&x)[ROWS],
                                          const lanes<T, LANES> (&dy)[ROWS], int held, int64_t c, float *shared,
                                          gradient_constants<LANES> &k)
{
    constexpr int TX = resident<LANES>::TX;
    float sums[2 * LANES] = {}; /* of dy (x - mean), then of dy */
#pragma unroll
    for (int v = 0; v < LANES; v++) k.mean[v] = held > 0 ? task.mean[c + v] : 0;
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        for (int v = 0; v < LANES; v++) {
            if (r >= held) continue;
            float gradient = to_float(dy[r].value[v]);
            sums[v] += gradient * (to_float(x[r].value[v]) - k.mean[v]);
            sums[LANES + v] += gradient;
        }
    }
    block_sum<TX, 2 * LANES>(sums, shared);
    if (held == 0) return;
#pragma unroll
    for (int v = 0; v < LANES; v++) {
        float dgamma = task.rstd[c + v] * sums[v], dbeta = sums[LANES + v];
        if (threadIdx.x < TX) task.dgamma[c + v] = dgamma, task.dbeta[c + v] = dbeta;
        set_constants(k, v, task, c + v, dgamma, dbeta);
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
__global__ __launch_bounds__(COLUMNS_THREADS) static void resident_backward_kernel(task_t task)
{
    constexpr int TX = resident<LANES>::TX, TY = resident<LANES>::TY;
    __shared__ float shared[(COLUMNS_WARPS + 1) * TX * 2 * LANES];
    int ty = (int)threadIdx.x / TX;
    int64_t c = (int64_t)blockIdx.x * resident<LANES>::TILE + (int)threadIdx.x % TX * LANES;
    int64_t at = ty * task.shape.c + c, stride = TY * task.shape.c;
    int held = rows_held<LANES, ROWS>(task, c, ty);
    lanes<T, LANES> x[ROWS], dy[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        if (r >= held) continue;
        x[r] = load_lanes<LANES>((const T *)task.x + at + r * stride);
        dy[r] = load_lanes<LANES>((const T *)task.dy + at + r * stride);
    }
    gradient_constants<LANES> k;
    resident_constants<T, LANES, ROWS>(task, x, dy, held, c, shared, k);
    if (!task.dx) return;
#pragma unroll
    for (int r = 0; r < ROWS; r++) keep_packed(x[r]), keep_packed(dy[r]);
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        if (r < held) store_lanes<LANES>((T *)task.dx + at + r * stride, gradient_of(x[r], dy[r], k));
}

/* --- streaming --- */

/* Count, mean and sum of squared differences from the mean, of some values. */
struct moments {
    float n, mean, m2;
};

/* a and b together. */
__device__ inline struct moments join(struct moments a, struct moments b)
{
    float n = a.n + b.n, part = n > 0 ? b.n / n : 0, d = b.mean - a.mean;
    return {n, a.mean + d * part, a.m2 + b.m2 + d * d * a.n * part};
}

/* Welford down the thread's rows of a chunk. */
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

/* Joins the threads of a block: thread t < TILE returns with channel t of the tile. shared: COLUMNS_WARPS * TILE. */
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
            own[v] = join(own[v], other); /* of use in the lower half; lanes < TX end with the warp's */
        }
    }
    for (int v = 0; lane < TX && v < LANES; v++) shared[warp * TILE + at.tx * LANES + v] = own[v];
    __syncthreads();
    struct moments total = {0, 0, 0};
    if (threadIdx.x < TILE)
        for (int w = 0; w < COLUMNS_WARPS; w++) total = join(total, shared[w * TILE + (int)threadIdx.x]);
    return total;
}

/* For the block that is last: joins the chunks' means and m2, which lie in scratch memory one after the other, [chunks][C]
 * each; true in one thread per channel. shared: COLUMNS_THREADS. */
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

/* In evaluation the running statistics stand for the batch's. */
template <typename T, int LANES, bool EVALUATE>
__global__ __launch_bounds__(COLUMNS_THREADS) static void normalize_kernel(task_t task, int64_t rows)
{
    constexpr int TY = columns<LANES>::TY;
    struct place at = place_of<LANES>(task.shape, rows);
    if (!at.active) return;
    float mean[LANES], scale[LANES], beta[LANES];
#pragma unroll
    for (int v = 0; v < LANES; v++) {
        int64_t c = at.c + v;
        float rstd = EVALUATE ? __frsqrt_rn(task.running_var[c] + task.epsilon) : task.rstd[c];
        mean[v] = EVALUATE ? task.running_mean[c] : task.mean[c];
        scale[v] = task.gamma[c] * rstd, beta[v] = task.beta[c];
    }
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
                                   normalized(x[u], mean, scale, beta));
    }
}

/* dgamma and dbeta. */
template <typename T, int LANES>
__global__ __launch_bounds__(COLUMNS_THREADS) static void gradient_sums_kernel(task_t task, int64_t rows)
{
    constexpr int TX = columns<LANES>::TX, TY = columns<LANES>::TY;
    __shared__ float shared[(COLUMNS_WARPS + 1) * TX * 2 * LANES];
    __shared__ float shares[2 * COLUMNS_THREADS];
    struct place at = place_of<LANES>(task.shape, rows);
    float mean[LANES], sums[2 * LANES] = {}; /* of dy (x - mean), then of dy */
#pragma unroll
    for (int v = 0; v < LANES; v++) mean[v] = at.active ? task.mean[at.c + v] : 0;
    for (int64_t row = at.first + at.ty; at.active && row < at.last; row += COLUMNS_UNROLL * TY) {
        lanes<T, LANES> x[COLUMNS_UNROLL], dy[COLUMNS_UNROLL];
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++) {
            if (row + u * TY >= at.last) continue;
            x[u] = load_lanes<LANES>((const T *)task.x + (row + u * TY) * task.shape.c + at.c);
            dy[u] = load_lanes<LANES>((const T *)task.dy + (row + u * TY) * task.shape.c + at.c);
        }
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++) {
            for (int v = 0; v < LANES && row + u * TY < at.last; v++) {
                float gradient = to_float(dy[u].value[v]);
                sums[v] += gradient * (to_float(x[u].value[v]) - mean[v]);
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
    gradient_constants<LANES> k;
#pragma unroll
    for (int v = 0; v < LANES; v++)
        set_constants(k, v, task, at.c + v, task.dgamma[at.c + v], task.dbeta[at.c + v]);
    for (int64_t row = at.first + at.ty; row < at.last; row += COLUMNS_UNROLL * TY) {
        lanes<T, LANES> x[COLUMNS_UNROLL], dy[COLUMNS_UNROLL];
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++) {
            if (row + u * TY >= at.last) continue;
            x[u] = load_lanes<LANES>((const T *)task.x + (row + u * TY) * task.shape.c + at.c);
            dy[u] = load_lanes<LANES>((const T *)task.dy + (row + u * TY) * task.shape.c + at.c);
        }
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++)
            if (row + u * TY < at.last)
                store_lanes<LANES>((T *)task.dx + (row + u * TY) * task.shape.c + at.c, gradient_of(x[u], dy[u], k));
    }
}

/* --- launches --- */

enum { NORMALIZE_BLOCKS = 4 }; /* per multiprocessor */

template <typename T, int LANES, int ROWS> static void start_resident(cudaStream_t stream, const task_t &task)
{
    unsigned blocks = blocks_for(task.shape.c, resident<LANES>::TILE);
    if (task.dy)
        launch(stream, blocks, COLUMNS_THREADS, resident_backward_kernel<T, LANES, ROWS>, task);
    else
        launch(stream, blocks, COLUMNS_THREADS, resident_forward_kernel<T, LANES, ROWS>, task);
}

/* False where there are too many rows. */
template <typename T, int LANES> static bool try_resident(cudaStream_t stream, const task_t &task)
{
    constexpr int TY = resident<LANES>::TY;
    if (task.shape.m <= TY)
        start_resident<T, LANES, 1>(stream, task);
    else if (task.shape.m <= 2 * TY)
        start_resident<T, LANES, 2>(stream, task);
    else if (task.shape.m <= 4 * TY)
        start_resident<T, LANES, 4>(stream, task);
    else if (task.shape.m <= RESIDENT_MOST_ROWS * TY)
        start_resident<T, LANES, RESIDENT_MOST_ROWS>(stream, task);
    else
        return false;
    return true;
}

template <typename T, int LANES> static void start_normalize(cudaStream_t stream, const task_t &task, bool evaluate)
{
    struct columns_grid grid = columns_grid_of(task.shape, LANES, task.multiprocessors * NORMALIZE_BLOCKS);
    dim3 blocks(grid.tiles, grid.chunks);
    if (evaluate)
        launch(stream, blocks, COLUMNS_THREADS, normalize_kernel<T, LANES, true>, task, grid.rows);
    else
        launch(stream, blocks, COLUMNS_THREADS, normalize_kernel<T, LANES, false>, task, grid.rows);
}

template <typename T, int LANES> static void start_forward(cudaStream_t stream, const task_t &task)
{
    if (try_resident<T, LANES>(stream, task)) return;
    struct columns_grid grid = columns_grid_of(task.shape, LANES, task.multiprocessors);
    launch(stream, dim3(grid.tiles, grid.chunks), COLUMNS_THREADS, statistics_kernel<T, LANES>, task, grid.rows);
    start_normalize<T, LANES>(stream, task, false);
}

template <typename T, int LANES> static void start_backward(cudaStream_t stream, const task_t &task)
{
    if (try_resident<T, LANES>(stream, task)) return;
    struct columns_grid grid = columns_grid_of(task.shape, LANES, task.multiprocessors);
    launch(stream, dim3(grid.tiles, grid.chunks), COLUMNS_THREADS, gradient_sums_kernel<T, LANES>, task, grid.rows);
    if (!task.dx) return;
    grid = columns_grid_of(task.shape, LANES, task.multiprocessors * NORMALIZE_BLOCKS);
    launch(stream, dim3(grid.tiles, grid.chunks), COLUMNS_THREADS, gradient_kernel<T, LANES>, task, grid.rows);
}

template <typename T> static cudaError_t forward(cudaStream_t stream, const task_t &task)
{
    constexpr int LANES = vector_lanes<T>();
    if (task.shape.c % LANES == 0)
        start_forward<T, LANES>(stream, task);
    else
        start_forward<T, 1>(stream, task);
    return cudaGetLastError();
}

template <typename T> static cudaError_t evaluate(cudaStream_t stream, const task_t &task)
{
    constexpr int LANES = vector_lanes<T>();
    if (task.shape.c % LANES == 0)
        start_normalize<T, LANES>(stream, task, true);
    else
        start_normalize<T, 1>(stream, task, true);
    return cudaGetLastError();
}

template <typename T> static cudaError_t backward(cudaStream_t stream, const task_t &task)
{
    constexpr int LANES = vector_lanes<T>();
    if (task.shape.c % LANES == 0)
        start_backward<T, LANES>(stream, task);
    else
        start_backward<T, 1>(stream, task);
    return cudaGetLastError();
}

cudaError_t cuda_batchnorm_forward_launch(cudaStream_t stream, enum cuda_type type, const struct cuda_batchnorm *task)
{
    return CUDA_DISPATCH(type, forward, stream, *task);
}

cudaError_t cuda_batchnorm_evaluate_launch(cudaStream_t stream, enum cuda_type type, const struct cuda_batchnorm *task)
{
    return CUDA_DISPATCH(type, evaluate, stream, *task);
}

cudaError_t cuda_batchnorm_backward_launch(cudaStream_t stream, enum cuda_type type, const struct cuda_batchnorm *task)
{
    return CUDA_DISPATCH(type, backward, stream, *task);
}
