/* The state of a step, and a batch of normalised images straight from the data set's bytes: one kernel reads the place in the
 * epoch, the order and the pixels, normalises, converts, and writes in the layout of the network's input. */
#include "cuda_vector.cuh"

__global__ static void state_kernel(struct step_state *to, struct step_state value)
{
    *to = value;
}

cudaError_t cuda_state_set(cudaStream_t stream, struct step_state *to, const struct step_state *value)
{
    state_kernel<<<1, 1, 0, stream>>>(to, *value);
    return cudaGetLastError();
}

__global__ static void identity_kernel(int32_t *order, int64_t count)
{
    int64_t i = (int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x;
    if (i >= count) return;
    order[i] = (int32_t)i;
}

cudaError_t cuda_order_identity(cudaStream_t stream, int32_t *order, int64_t count)
{
    identity_kernel<<<blocks_for(count, CUDA_BLOCK_SIZE), CUDA_BLOCK_SIZE, 0, stream>>>(order, count);
    return cudaGetLastError();
}

cudaError_t cuda_kernels_usable(void)
{
    cudaFuncAttributes attributes;
    return cudaFuncGetAttributes(&attributes, identity_kernel);
}

/* A thread per value of x; the first n threads bring a label each as well. */
template <typename T>
__global__ static void gather_kernel(struct cuda_images images, const struct step_state *state, bool vectors,
                                     unsigned n, T *x, int32_t *labels)
{
    unsigned i = blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x;
    unsigned channels = (unsigned)images.channels, plane = (unsigned)images.plane, sample_size = channels * plane;
    const int32_t *order = images.order + state->batch_first;
    if (i < n) labels[i] = images.labels[order[i]];
    if (i >= n * sample_size) return;
    unsigned sample = i / sample_size, element = i % sample_size;
    /* In an image, x runs over the channels of a pixel first; in the file, over the pixels of a channel. */
    unsigned channel = vectors ? element / plane : element % channels;
    unsigned pixel = vectors ? element : channel * plane + element / channels;
    float value = images.pixels[(int64_t)order[sample] * sample_size + pixel];
    x[i] = from_float<T>((value - images.offset[pixel]) * images.scale[channel]);
}

template <typename T>
static cudaError_t gather(cudaStream_t stream, const struct cuda_images *images, const struct step_state *state,
                          bool vectors, int64_t n, void *x, int32_t *labels)
{
    int64_t count = n * images->channels * images->plane;
    gather_kernel<T><<<blocks_for(count, CUDA_BLOCK_SIZE), CUDA_BLOCK_SIZE, 0, stream>>>(*images, state, vectors,
                                                                                        (unsigned)n, (T *)x, labels);
    return cudaGetLastError();
}

cudaError_t cuda_gather_launch(cudaStream_t stream, enum cuda_type type, const struct cuda_images *images,
                               const struct step_state *state, bool vectors, int64_t n, void *x, int32_t *labels)
{
    return CUDA_DISPATCH(type, gather, stream, images, state, vectors, n, x, labels);
}
