/* Flatten: element (n,c,p) of an image, p = h*W + w, is feature c*H*W + p of sample n. Images lie as [N][H*W][C],
 * vectors as [N][C*H*W], so this moves data; a thread per element of the destination. */
#include "cuda_vector.cuh"

template <typename T>
__global__ static void flatten_kernel(bool forward, unsigned count, unsigned channels, unsigned plane, const T *from,
                                      T *to)
{
    unsigned i = blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x;
    if (i >= count) return;
    unsigned sample_size = channels * plane, first = i / sample_size * sample_size, element = i % sample_size;
    unsigned source = forward ? element % plane * channels + element / plane     /* feature c*plane + p -> [p][c] */
                              : element % channels * plane + element / channels; /* [p][c] -> c*plane + p */
    to[i] = from[first + source];
}

template <typename T>
static cudaError_t flatten(cudaStream_t stream, bool forward, struct shape image, const void *from, void *to)
{
    int64_t plane = image.h * image.w, count = image.n * image.c * plane;
    launch(stream, blocks_for(count, CUDA_BLOCK_SIZE), CUDA_BLOCK_SIZE, flatten_kernel<T>, forward, (unsigned)count,
           (unsigned)image.c, (unsigned)plane, (const T *)from, (T *)to);
    return cudaGetLastError();
}

cudaError_t cuda_flatten_launch(cudaStream_t stream, enum cuda_type type, bool forward, struct shape image,
                                const void *from, void *to)
{
    return CUDA_DISPATCH(type, flatten, stream, forward, image, from, to);
}
