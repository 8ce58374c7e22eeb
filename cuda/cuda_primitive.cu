/* The primitives of automatic differentiation: y = a op b element by element, and a channel's value spread over its
 * rows. The sum over a channel is in cuda_bias.cu. */
#include "cuda_vector.cuh"

__device__ static float apply(struct elementwise_params params, float a, float b)
{
    switch (params.op) {
    case ELEMENTWISE_ADD:
        return a + b;
    case ELEMENTWISE_SUBTRACT:
        return a - b;
    case ELEMENTWISE_MULTIPLY:
        return a * b;
    case ELEMENTWISE_DIVIDE:
        return a / b;
    case ELEMENTWISE_SQUARE:
        return a * a;
    case ELEMENTWISE_SQRT:
        return sqrtf(a);
    case ELEMENTWISE_AFFINE:
        return (float)params.scale * a + (float)params.shift;
    case ELEMENTWISE_ROUND: /* cuda_to_bf16_launch */
        break;
    }
    return 0;
}

/* y may be a or b: each thread reads its elements before it writes them. */
template <typename T>
__global__ static void elementwise_kernel(struct elementwise_params params, int64_t count, const T *a, const T *b, T *y)
{
    constexpr int LANES = vector_lanes<T>();
    int64_t i = ((int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x) * LANES;
    if (i >= count) return;
    if (i + LANES > count) {
#pragma unroll 1
        for (; i < count; i++) y[i] = from_float<T>(apply(params, to_float(a[i]), b ? to_float(b[i]) : 0));
        return;
    }
    float left[LANES], right[LANES];
    unpack(load_lanes<LANES>(a + i), left);
    unpack(load_lanes<LANES>((b ? b : a) + i), right);
#pragma unroll
    for (int k = 0; k < LANES; k++) left[k] = apply(params, left[k], right[k]);
    store_lanes<LANES>(y + i, pack<T>(left));
}

template <typename T>
static cudaError_t elementwise(cudaStream_t stream, struct elementwise_params params, int64_t count, const void *a,
                               const void *b, void *y)
{
    unsigned blocks = blocks_for((count + vector_lanes<T>() - 1) / vector_lanes<T>(), CUDA_BLOCK_SIZE);
    launch(stream, blocks, CUDA_BLOCK_SIZE, elementwise_kernel<T>, params, count, (const T *)a, (const T *)b, (T *)y);
    return cudaGetLastError();
}

cudaError_t cuda_elementwise_launch(cudaStream_t stream, enum cuda_type type, struct elementwise_params params,
                                    int64_t count, const void *a, const void *b, void *y)
{
    return CUDA_DISPATCH(type, elementwise, stream, params, count, a, b, y);
}

template <typename T>
__global__ static void broadcast_kernel(int64_t count, unsigned channels, float scale, const float *y, T *x)
{
    int64_t i = (int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x;
    if (i >= count) return;
    x[i] = from_float<T>(scale * y[(unsigned)i % channels]);
}

template <typename T>
static cudaError_t broadcast(cudaStream_t stream, struct cuda_matrix shape, float scale, const float *y, void *x)
{
    int64_t count = shape.m * shape.c;
    launch(stream, blocks_for(count, CUDA_BLOCK_SIZE), CUDA_BLOCK_SIZE, broadcast_kernel<T>, count, (unsigned)shape.c,
           scale, y, (T *)x);
    return cudaGetLastError();
}

cudaError_t cuda_broadcast_launch(cudaStream_t stream, enum cuda_type type, struct cuda_matrix shape, float scale,
                                  const float *y, void *x)
{
    return CUDA_DISPATCH(type, broadcast, stream, shape, scale, y, x);
}
