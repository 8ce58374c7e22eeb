/* Conversions of parameters and their gradients between fp32 and bf16. Each thread converts eight elements. */
#include "cuda_vector.cuh"

template <typename From, typename To> __global__ static void convert_kernel(int64_t count, const From *from, To *to)
{
    constexpr int LANES = 8, PART_FROM = vector_lanes<From>(), PART_TO = vector_lanes<To>();
    int64_t i = ((int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x) * LANES;
    if (i >= count) return;
    if (i + LANES > count) {
#pragma unroll 1
        for (; i < count; i++) to[i] = from_float<To>(to_float(from[i]));
        return;
    }
    float values[LANES];
#pragma unroll
    for (int part = 0; part < LANES; part += PART_FROM) {
        lanes<From, PART_FROM> loaded = load_lanes<PART_FROM>(from + i + part);
        for (int k = 0; k < PART_FROM; k++) values[part + k] = to_float(loaded.value[k]);
    }
#pragma unroll
    for (int part = 0; part < LANES; part += PART_TO) {
        lanes<To, PART_TO> stored;
        for (int k = 0; k < PART_TO; k++) stored.value[k] = from_float<To>(values[part + k]);
        store_lanes<PART_TO>(to + i + part, stored);
    }
}

template <typename From, typename To>
static cudaError_t convert(cudaStream_t stream, int64_t count, const From *from, To *to)
{
    launch(stream, blocks_for((count + 7) / 8, CUDA_BLOCK_SIZE), CUDA_BLOCK_SIZE, convert_kernel<From, To>, count, from,
           to);
    return cudaGetLastError();
}

cudaError_t cuda_to_bf16_launch(cudaStream_t stream, int64_t count, const float *from, void *to)
{
    return convert(stream, count, from, (bf16 *)to);
}

cudaError_t cuda_from_bf16_launch(cudaStream_t stream, int64_t count, const void *from, float *to)
{
    return convert(stream, count, (const bf16 *)from, to);
}
