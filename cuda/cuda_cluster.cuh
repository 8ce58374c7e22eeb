/* Sums over the blocks of a thread block cluster (sm_90 and later), which read each other's shared memory. On other
 * devices a cluster is one block, and the code for clusters is not compiled. */
#ifndef CUDA_CLUSTER_CUH
#define CUDA_CLUSTER_CUH

#include <cooperative_groups.h>

#include "cuda_columns.cuh"

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
#define CUDA_HAS_CLUSTERS 1
#else
#define CUDA_HAS_CLUSTERS 0
#endif

/* Every whole device that has clusters can run clusters of up to 8 blocks, some can run 16. A part of a device (MIG) may
 * have too few multiprocessors side by side for either. */
enum { CUDA_PORTABLE_CLUSTER = 8 };

/* Sums as block_sum does, then over the blocks, in their order: thread t < TX * LANES of every block gets the totals of
 * channel t. mine: Q * TX * LANES floats of shared memory that no other call uses. After the last call of a kernel the
 * blocks must meet once more (cluster_barrier) before one ends, since others may still read its memory. */
template <int TX, int LANES, int Q>
__device__ inline void cluster_sum(int blocks, float (&value)[Q * LANES], float *partial, float *mine,
                                   float (&total)[Q])
{
    block_sum<TX, LANES, Q>(value, partial, total);
#if CUDA_HAS_CLUSTERS
    constexpr int TILE = TX * LANES;
    if (blocks == 1) return;
    cooperative_groups::cluster_group cluster = cooperative_groups::this_cluster();
    float *own = mine + threadIdx.x;
    if (threadIdx.x < TILE) {
#pragma unroll
        for (int q = 0; q < Q; q++) own[q * TILE] = total[q];
    }
    cluster.sync();
    if (threadIdx.x >= TILE) return;
#pragma unroll
    for (int q = 0; q < Q; q++) total[q] = 0;
    for (int rank = 0; rank < blocks; rank++) {
        const float *other = cluster.map_shared_rank(own, (unsigned)rank);
#pragma unroll
        for (int q = 0; q < Q; q++) total[q] += other[q * TILE];
    }
#else
    (void)blocks, (void)mine;
#endif
}

/* A barrier for all threads of all blocks. */
__device__ inline void cluster_barrier(int blocks)
{
#if CUDA_HAS_CLUSTERS
    if (blocks > 1) {
        cooperative_groups::this_cluster().sync();
        return;
    }
#endif
    (void)blocks;
    __syncthreads();
}

/* Launches clusters of `blocks` blocks; false: this device cannot run them, and nothing was launched. */
template <typename... Parameters, typename... Arguments>
static bool launch_clusters(cudaStream_t stream, unsigned clusters, int blocks, int threads,
                            void (*kernel)(Parameters...), Arguments... arguments)
{
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim.x = (unsigned)blocks, attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(clusters * (unsigned)blocks);
    config.blockDim = dim3((unsigned)threads);
    config.stream = stream;
    config.attrs = &attribute, config.numAttrs = blocks > 1 ? 1 : 0;
    int resident = 1;
    if (blocks > CUDA_PORTABLE_CLUSTER) cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1);
    if (blocks > 1) {
        if (cudaOccupancyMaxActiveClusters(&resident, kernel, &config) != cudaSuccess) resident = 0;
        cudaGetLastError(); /* not an error of the run: there is another way */
    }
    if (resident > 0) cudaLaunchKernelEx(&config, kernel, arguments...);
    return resident > 0;
}

#endif
