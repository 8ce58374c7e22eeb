/* The tools that all kernels share: scalars of an activation as float and back, loads and stores of 16 bytes at a time,
 * launches. */
#ifndef CUDA_VECTOR_CUH
#define CUDA_VECTOR_CUH

#include <cuda_bf16.h>

#include "cuda_kernels.h"

enum { CUDA_WARP = 32, CUDA_BLOCK_SIZE = 256 };
#define CUDA_FULL_WARP 0xffffffffu

typedef __nv_bfloat16 bf16;

__device__ inline float to_float(float value)
{
    return value;
}

__device__ inline float to_float(bf16 value)
{
    return __bfloat162float(value);
}

template <typename T> __device__ inline T from_float(float value);

template <> __device__ inline float from_float<float>(float value)
{
    return value;
}

template <> __device__ inline bf16 from_float<bf16>(float value)
{
    return __float2bfloat16_rn(value);
}

/* Scalars in 16 bytes: 4 fp32, 8 bf16. */
template <typename T> __host__ __device__ constexpr int vector_lanes()
{
    return (int)(16 / sizeof(T));
}

/* N scalars that are loaded and stored at once, from an address that is a multiple of their size. */
template <typename T, int N> struct alignas(N * sizeof(T)) lanes {
    T value[N];
};

template <int N, typename T> __device__ inline lanes<T, N> load_lanes(const T *from)
{
    return *reinterpret_cast<const lanes<T, N> *>(from);
}

/* Where the values come out of a branch, the compiler alone would split 16 bytes into four stores, each of which fills
 * a quarter of the sectors that the warp touches. */
template <int N, typename T> __device__ inline void store_lanes(T *to, const lanes<T, N> &from)
{
#ifdef __CUDA_ARCH__
    if constexpr (sizeof from == 16) {
        uint32_t word[4];
        memcpy(word, from.value, sizeof word);
        asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(to)), "r"(word[0]),
                     "r"(word[1]), "r"(word[2]), "r"(word[3])
                     : "memory");
        return;
    }
#endif
    *reinterpret_cast<lanes<T, N> *>(to) = from;
}

/* The scalars as fp32. A pair of bf16 stays in its word until then: the compiler keeps a scalar that is taken from it
 * alone in a register of its own. */
template <int N> __device__ inline void unpack(const lanes<float, N> &from, float (&to)[N])
{
#pragma unroll
    for (int v = 0; v < N; v++) to[v] = from.value[v];
}

template <int N> __device__ inline void unpack(const lanes<bf16, N> &from, float (&to)[N])
{
    if constexpr (N == 1) {
        to[0] = to_float(from.value[0]);
    } else {
#pragma unroll
        for (int v = 0; v < N; v += 2) {
            uint32_t pair;
            memcpy(&pair, from.value + v, sizeof pair);
            to[v] = __uint_as_float(pair << 16), to[v + 1] = __uint_as_float(pair & 0xffff0000u);
        }
    }
}

/* The values rounded to T. */
template <typename T, int N> __device__ inline lanes<T, N> pack(const float (&from)[N])
{
    lanes<T, N> to;
    if constexpr (sizeof(T) == sizeof(float) || N == 1) {
#pragma unroll
        for (int v = 0; v < N; v++) to.value[v] = from_float<T>(from[v]);
    } else {
#pragma unroll
        for (int v = 0; v < N; v += 2) {
            __nv_bfloat162 pair = __floats2bfloat162_rn(from[v], from[v + 1]);
            memcpy(to.value + v, &pair, sizeof pair);
        }
    }
    return to;
}

/* Reads N values, of as many channels, from an address that is a multiple of 16 bytes where N is a multiple of 4. */
template <int N> __device__ inline void load_floats(const float *from, float (&to)[N])
{
    constexpr int QUAD = N % 4 == 0 ? 4 : 1;
#pragma unroll
    for (int v = 0; v < N; v += QUAD) {
        lanes<float, QUAD> values = load_lanes<QUAD>(from + v);
#pragma unroll
        for (int i = 0; i < QUAD; i++) to[v + i] = values.value[i];
    }
}

/* Blocks of a launch with `threads` threads in all. */
static inline unsigned blocks_for(int64_t threads, int block)
{
    return (unsigned)((threads + block - 1) / block);
}

/* Puts a kernel on the stream; cudaGetLastError has its error. It is a function rather than <<< >>>, so that a compiler
 * of plain C++ can read the file too (tests/cuda_emulation). */
template <typename... Parameters, typename... Arguments>
static void launch(cudaStream_t stream, dim3 blocks, int threads, void (*kernel)(Parameters...), Arguments... arguments)
{
    cudaLaunchConfig_t config = {};
    config.gridDim = blocks;
    config.blockDim = dim3((unsigned)threads);
    config.stream = stream;
    cudaLaunchKernelEx(&config, kernel, arguments...);
}

/* Calls with<float>(arguments) or with<bf16>(arguments). */
#define CUDA_DISPATCH(type, with, ...) ((type) == CUDA_BF16 ? with<bf16>(__VA_ARGS__) : with<float>(__VA_ARGS__))

#endif
