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

/* Every device that has clusters can run clusters of up to 8 blocks; some can run 16. */
enum { CUDA_PORTABLE_CLUSTER = 8 };

/* Sums as block_sum does, then over the blocks, in their order; all threads of all blocks get the sums. mine: TX * N
 * floats of shared memory that no other call uses. LAST marks the last call of a kernel: after it no block reads
 * another's memory. */
template <int TX, int MOST, bool LAST, int N>
__device__ inline void cluster_sum(int blocks, float (&value)[N], float *shared, float *mine)
{
    block_sum<TX, MOST>(value, shared);
#if CUDA_HAS_CLUSTERS
    if (blocks == 1) return;
    cooperative_groups::cluster_group cluster = cooperative_groups::this_cluster();
    int tx = (int)threadIdx.x % TX;
    if (threadIdx.x < TX) {
#pragma unroll
        for (int i = 0; i < N; i++) mine[tx * N + i] = value[i];
    }
    cluster.sync();
    if (threadIdx.x < TX * N) {
        float total = 0;
        for (int rank = 0; rank < blocks; rank++)
            total += *cluster.map_shared_rank(mine + (int)threadIdx.x, (unsigned)rank);
        shared[threadIdx.x] = total; /* the barrier above comes after all reads of the block's own sums */
    }
    if (LAST)
        cluster.sync();
    else
        __syncthreads();
#pragma unroll
    for (int i = 0; i < N; i++) value[i] = shared[tx * N + i];
#else
    (void)blocks, (void)mine;
#endif
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
    if (blocks > CUDA_PORTABLE_CLUSTER) {
        cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1);
        if (cudaOccupancyMaxActiveClusters(&resident, kernel, &config) != cudaSuccess) resident = 0;
        cudaGetLastError(); /* not an error of the run: there is another way */
    }
    if (resident > 0) cudaLaunchKernelEx(&config, kernel, arguments...);
    return resident > 0;
}

#endif
