/* The geometry of a pool's windows (formulas: cuda_pool.cu). */
#ifndef CUDA_POOL_CUH
#define CUDA_POOL_CUH

#include "cuda_vector.cuh"

struct pixel {
    unsigned n, h, w, c;
};

/* The pixel and first channel of the i-th group of LANES channels, in images of that height and width. */
template <int LANES>
__device__ inline struct pixel pixel_of(unsigned i, unsigned channels, unsigned height, unsigned width)
{
    unsigned groups = channels / LANES, row = i / groups, column = row / width;
    return {column / height, column % height, row % width, i % groups * LANES};
}

/* Valid taps of output pixel `at` along one side: first <= k < last. */
__device__ inline void tap_range(const struct cuda_pooling &pooling, int at, int size, int *first, int *last)
{
    int start = at * pooling.stride - pooling.padding;
    *first = max(0, -start);
    *last = min(pooling.kernel, size - start);
}

/* The windows that cover input pixel `at` along one side: first <= p < last. The pixel is tap at + padding - p*stride
 * of window p. */
__device__ inline void window_range(const struct cuda_pooling &pooling, int at, int outputs, int *first, int *last)
{
    int end = at + pooling.padding, before = end - pooling.kernel; /* p*stride <= end and p*stride > before */
    *last = min(end / pooling.stride + 1, outputs);
    *first = before < 0 ? 0 : before / pooling.stride + 1;
}

#endif
