/* The magnitude of an arena, and the scaling that limits it (formulas: reference_norm.c). A fixed number of blocks
 * sums the squares in double, each block its own elements in an order of their own, so that the bits are the same in
 * every run. The user of the norm adds the sums of the blocks. A norm is one pass over the memory; scaling is a
 * second one. */
#include "cuda_sum.cuh"
#include "cuda_vector.cuh"

__global__ static void norm_kernel(int64_t count, const float *x, double *sums)
{
    __shared__ double shared[CUDA_BLOCK_SIZE];
    int64_t first = (int64_t)blockIdx.x * CUDA_BLOCK_SIZE;
    double sum = 0;
    if (first >= count) { /* a small arena leaves most blocks without elements */
        if (threadIdx.x == 0) sums[blockIdx.x] = 0;
        return;
    }
    for (int64_t i = first + threadIdx.x; i < count; i += (int64_t)CUDA_NORM_BLOCKS * CUDA_BLOCK_SIZE)
        sum += (double)x[i] * (double)x[i];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

cudaError_t cuda_norm_launch(cudaStream_t stream, int64_t count, const float *x, double *sums)
{
    launch(stream, CUDA_NORM_BLOCKS, CUDA_BLOCK_SIZE, norm_kernel, count, x, sums);
    return cudaGetLastError();
}

__global__ static void magnitude_kernel(const double *sums, double *y)
{
    __shared__ double shared[CUDA_BLOCK_SIZE];
    double sum = block_sum(sums[threadIdx.x], shared);
    if (threadIdx.x == 0) *y = sqrt(sum);
}

cudaError_t cuda_magnitude_launch(cudaStream_t stream, const double *sums, double *y)
{
    launch(stream, 1, CUDA_BLOCK_SIZE, magnitude_kernel, sums, y);
    return cudaGetLastError();
}

/* A norm that is NaN goes on to the gradient and the weights, where it is found. */
__global__ static void clip_kernel(double limit, int64_t count, float *x, const double *sums)
{
    __shared__ double shared[CUDA_BLOCK_SIZE];
    double factor = limit / (sqrt(block_sum(sums[threadIdx.x], shared)) + 1e-6);
    int64_t i = (int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x;
    if (factor >= 1 || i >= count) return;
    x[i] *= (float)factor;
}

cudaError_t cuda_clip_launch(cudaStream_t stream, double limit, int64_t count, float *x, const double *sums)
{
    launch(stream, blocks_for(count, CUDA_BLOCK_SIZE), CUDA_BLOCK_SIZE, clip_kernel, limit, count, x, sums);
    return cudaGetLastError();
}
