/* Sums and additions per channel: dbias = sum of dy over the rows (and the primitive channel_sum), y += bias. Bytes:
 * the sum reads its input once; the addition reads and writes y. */
#include "cuda_columns.cuh"

template <typename T, int LANES>
__global__ __launch_bounds__(COLUMNS_THREADS) static void column_sum_kernel(struct cuda_matrix shape, int64_t rows,
                                                                            struct cuda_scratch scratch, float scale,
                                                                            const T *x, float *y)
{
    constexpr int TX = columns<LANES>::TX, TY = columns<LANES>::TY, TILE = columns<LANES>::TILE;
    __shared__ float partial[COLUMNS_WARPS * TILE];
    __shared__ float shares[COLUMNS_THREADS];
    struct place at = place_of<LANES>(shape, rows);
    float sum[LANES] = {}, total[1] = {};
    for (int64_t row = at.first + at.ty; at.active && row < at.last; row += COLUMNS_UNROLL * TY) {
        lanes<T, LANES> values[COLUMNS_UNROLL];
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++)
            if (row + u * TY < at.last) values[u] = load_lanes<LANES>(x + (row + u * TY) * shape.c + at.c);
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++) {
            if (row + u * TY >= at.last) continue;
            float value[LANES];
            unpack(values[u], value);
#pragma unroll
            for (int v = 0; v < LANES; v++) sum[v] += value[v];
        }
    }
    block_sum<TX, LANES, 1>(sum, partial, total);
    int64_t c = (int64_t)blockIdx.x * TILE + threadIdx.x;
    bool writes = threadIdx.x < TILE && c < shape.c;
    if (gridDim.y > 1) {
        if (writes) scratch.partial[blockIdx.y * shape.c + c] = total[0];
        if (!last_of_tile(scratch.counters)) return;
        writes = sum_chunks<LANES>(shape, scratch.partial, total, shares);
    }
    if (writes) y[c] = scale * total[0];
}

template <typename T, int LANES>
static void start_sum(cudaStream_t stream, struct cuda_matrix shape, int multiprocessors, struct cuda_scratch scratch,
                      float scale, const void *x, float *y)
{
    struct columns_grid grid = columns_grid_of(shape, LANES, multiprocessors);
    launch(stream, dim3(grid.tiles, grid.chunks), COLUMNS_THREADS, column_sum_kernel<T, LANES>, shape, grid.rows,
           scratch, scale, (const T *)x, y);
}

template <typename T>
static cudaError_t column_sum(cudaStream_t stream, struct cuda_matrix shape, int multiprocessors,
                              struct cuda_scratch scratch, float scale, const void *x, float *y)
{
    constexpr int LANES = vector_lanes<T>();
    if (shape.c % LANES == 0)
        start_sum<T, LANES>(stream, shape, multiprocessors, scratch, scale, x, y);
    else
        start_sum<T, 1>(stream, shape, multiprocessors, scratch, scale, x, y);
    return cudaGetLastError();
}

cudaError_t cuda_column_sum_launch(cudaStream_t stream, enum cuda_type type, struct cuda_matrix shape,
                                   int multiprocessors, struct cuda_scratch scratch, float scale, const void *x,
                                   float *y)
{
    return CUDA_DISPATCH(type, column_sum, stream, shape, multiprocessors, scratch, scale, x, y);
}

template <typename T, int LANES, typename B>
__global__ __launch_bounds__(COLUMNS_THREADS) static void bias_kernel(struct cuda_matrix shape, int64_t rows,
                                                                      const B *bias, T *y)
{
    constexpr int TY = columns<LANES>::TY;
    struct place at = place_of<LANES>(shape, rows);
    if (!at.active) return;
    float added[LANES];
    if constexpr (sizeof(B) == sizeof(float))
        load_floats(bias + at.c, added);
    else
        unpack(load_lanes<LANES>(bias + at.c), added);
    for (int64_t row = at.first + at.ty; row < at.last; row += COLUMNS_UNROLL * TY) {
        lanes<T, LANES> values[COLUMNS_UNROLL];
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++)
            if (row + u * TY < at.last) values[u] = load_lanes<LANES>(y + (row + u * TY) * shape.c + at.c);
#pragma unroll
        for (int u = 0; u < COLUMNS_UNROLL; u++) {
            if (row + u * TY >= at.last) continue;
            float value[LANES];
            unpack(values[u], value);
#pragma unroll
            for (int v = 0; v < LANES; v++) value[v] += added[v];
            store_lanes<LANES>(y + (row + u * TY) * shape.c + at.c, pack<T>(value));
        }
    }
}

template <typename T, int LANES, typename B>
static void start_bias(cudaStream_t stream, struct cuda_matrix shape, int multiprocessors, const void *bias, void *y)
{
    enum { BLOCKS_PER_MULTIPROCESSOR = 4 };
    struct columns_grid grid = columns_grid_of(shape, LANES, multiprocessors * BLOCKS_PER_MULTIPROCESSOR);
    launch(stream, dim3(grid.tiles, grid.chunks), COLUMNS_THREADS, bias_kernel<T, LANES, B>, shape, grid.rows,
           (const B *)bias, (T *)y);
}

template <typename T, typename B>
static void add_bias_of(cudaStream_t stream, struct cuda_matrix shape, int multiprocessors, const void *bias, void *y)
{
    constexpr int LANES = vector_lanes<T>();
    if (shape.c % LANES == 0)
        start_bias<T, LANES, B>(stream, shape, multiprocessors, bias, y);
    else
        start_bias<T, 1, B>(stream, shape, multiprocessors, bias, y);
}

template <typename T>
static cudaError_t add_bias(cudaStream_t stream, struct cuda_matrix shape, int multiprocessors, const void *bias,
                            enum cuda_type bias_type, void *y)
{
    if (bias_type == CUDA_FP32)
        add_bias_of<T, float>(stream, shape, multiprocessors, bias, y);
    else
        add_bias_of<T, T>(stream, shape, multiprocessors, bias, y);
    return cudaGetLastError();
}

cudaError_t cuda_bias_launch(cudaStream_t stream, enum cuda_type type, struct cuda_matrix shape, int multiprocessors,
                             const void *bias, enum cuda_type bias_type, void *y)
{
    return CUDA_DISPATCH(type, add_bias, stream, shape, multiprocessors, bias, bias_type, y);
}
