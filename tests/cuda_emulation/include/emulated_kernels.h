/* CUDA C++ as far as the kernels in cuda/ use it, as C++ for the CPU: a kernel's place, its block, its warp and its
 * cluster, and its launch. */
#ifndef EMULATED_KERNELS_H
#define EMULATED_KERNELS_H

#include <cmath>
#include <functional>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)
/* A block runs on one thread of the CPU from its beginning to its end. */
#define __shared__ static thread_local

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_)
    {
    }
};

extern thread_local dim3 threadIdx, blockIdx;
extern thread_local dim3 blockDim, gridDim;

/* --- calls of all threads of a block together: each stops the program where CUDA would leave the result undefined
 * --- */

void emulated_block_barrier();
/* Hands `value` to the warp and returns what lane `source` handed over in the same call. */
uint64_t emulated_warp_exchange(unsigned mask, uint64_t value, int source);
int emulated_lane();

static inline void __syncthreads()
{
    emulated_block_barrier();
}

static inline void __syncwarp(unsigned mask = 0xffffffffu)
{
    emulated_warp_exchange(mask, 0, emulated_lane());
}

static inline void __threadfence()
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

template <typename T> static inline T emulated_shuffle(unsigned mask, T value, int source)
{
    static_assert(sizeof(T) <= sizeof(uint64_t) && std::is_trivially_copyable<T>::value, "");
    uint64_t word = 0;
    __builtin_memcpy(&word, &value, sizeof value);
    word = emulated_warp_exchange(mask, word, source);
    __builtin_memcpy(&value, &word, sizeof value);
    return value;
}

template <typename T> static inline T __shfl_xor_sync(unsigned mask, T value, int other)
{
    return emulated_shuffle(mask, value, emulated_lane() ^ other);
}

template <typename T> static inline T __shfl_down_sync(unsigned mask, T value, int distance)
{
    int source = emulated_lane() + distance;
    return emulated_shuffle(mask, value, source < 32 ? source : emulated_lane());
}

template <typename T> static inline T __shfl_sync(unsigned mask, T value, int source)
{
    return emulated_shuffle(mask, value, source);
}

static inline unsigned atomicAdd(unsigned *to, unsigned value)
{
    return __atomic_fetch_add(to, value, __ATOMIC_SEQ_CST);
}

template <typename T> static inline T __ldcg(const T *from)
{
    return *from;
}

template <typename T> static inline T __ldg(const T *from)
{
    return *from;
}

/* --- arithmetic --- */

/* True where the variable CUDA_EMULATION_FAULT names this part of a device, which then computes wrongly. */
bool emulated_fault(const char *part);

static inline float __fdividef(float a, float b)
{
    return a / b;
}

static inline float __frsqrt_rn(float x)
{
    return (float)((emulated_fault("rsqrt") ? 1.25 : 1.0) / std::sqrt((double)x));
}

static inline float __uint_as_float(unsigned bits)
{
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

static inline int max(int a, int b)
{
    return a > b ? a : b;
}

static inline int min(int a, int b)
{
    return a < b ? a : b;
}

/* --- launches --- */

enum cudaLaunchAttributeID { cudaLaunchAttributeClusterDimension, cudaLaunchAttributeProgrammaticStreamSerialization };

union cudaLaunchAttributeValue {
    struct {
        unsigned x, y, z;
    } clusterDim;
    int programmaticStreamSerializationAllowed;
};

struct cudaLaunchAttribute {
    cudaLaunchAttributeID id;
    cudaLaunchAttributeValue val;
};

struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes;
    cudaStream_t stream;
    cudaLaunchAttribute *attrs;
    unsigned numAttrs;
};

cudaError_t emulated_launch(const cudaLaunchConfig_t *config, std::function<void()> kernel);

template <typename... Parameters, typename... Arguments>
static inline cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *config, void (*kernel)(Parameters...),
                                             Arguments... arguments)
{
    return emulated_launch(config, [=] { kernel(arguments...); });
}

template <typename Kernel>
static inline cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *attributes, Kernel *kernel)
{
    (void)kernel;
    attributes->maxThreadsPerBlock = 1024;
    return cudaSuccess;
}

template <typename Kernel>
static inline cudaError_t cudaFuncSetAttribute(Kernel *kernel, cudaFuncAttribute attribute, int value)
{
    (void)kernel, (void)attribute, (void)value;
    return cudaSuccess;
}

/* The clusters of that launch that run at a time. */
int emulated_active_clusters(const cudaLaunchConfig_t *config);

template <typename Kernel>
static inline cudaError_t cudaOccupancyMaxActiveClusters(int *clusters, Kernel *kernel,
                                                         const cudaLaunchConfig_t *config)
{
    (void)kernel;
    *clusters = emulated_active_clusters(config);
    return cudaSuccess;
}

#endif
