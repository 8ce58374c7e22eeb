/* The sum over the threads of a block, by which the kernels that use a norm add the sums of cuda_norm_launch. */
#ifndef CUDA_SUM_CUH
#define CUDA_SUM_CUH

#include "cuda_vector.cuh"

static_assert((int)CUDA_NORM_BLOCKS == (int)CUDA_BLOCK_SIZE, "a thread per sum");

/* The sum of one value per thread, for every thread; `shared` has CUDA_BLOCK_SIZE places. */
__device__ inline double block_sum(double value, double *shared)
{
    shared[threadIdx.x] = value;
    __syncthreads();
    for (int half = CUDA_BLOCK_SIZE / 2; half > 0; half /= 2) {
        if ((int)threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
        __syncthreads();
    }
    return shared[0];
}

#endif
