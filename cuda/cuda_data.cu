/* The state of a step, and a batch of normalised images straight from the data set's bytes. One kernel has the state as
 * an argument and leaves it for the kernels that follow. It reads the order and the pixels, moves those that are
 * augmented, normalises, converts, and writes in the layout of the network's input. Images that are changed in other
 * ways it reads from the stage (cuda_augment.cu). */
#include "backend/augment_picture.h"
#include "cuda_vector.cuh"

__global__ static void state_kernel(struct step_state *to, struct step_state value)
{
    *to = value;
}

cudaError_t cuda_state_set(cudaStream_t stream, struct step_state *to, const struct step_state *value)
{
    launch(stream, 1, 1, state_kernel, to, *value);
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
    launch(stream, blocks_for(count, CUDA_BLOCK_SIZE), CUDA_BLOCK_SIZE, identity_kernel, order, count);
    return cudaGetLastError();
}

cudaError_t cuda_kernels_usable(void)
{
    cudaFuncAttributes attributes;
    return cudaFuncGetAttributes(&attributes, identity_kernel);
}

/* The byte of sample n of `count` staged ones, mixed with its partner's. */
__device__ inline int mixed_byte(const struct batch_mix *mix, const uint8_t *staged, unsigned sample_size, unsigned n,
                                 unsigned count, unsigned pixel, int h, int w)
{
    const uint8_t *own = staged + (int64_t)n * sample_size + pixel;
    const uint8_t *other = staged + (int64_t)(n + 1 < count ? n + 1 : 0) * sample_size + pixel;
    struct augment_box box = {mix->top, mix->left, mix->height, mix->width};
    if (mix->kind == MIX_BLEND) return augment_mixed(mix, *own, *other);
    return mix->kind == MIX_BOX && augment_box_has(&box, h, w) ? *other : *own;
}

enum gather_source { GATHER_PLAIN, GATHER_MOVED, GATHER_STAGED }; /* how the images are changed */

/* A thread takes a value of x; the first n threads take a label each as well. A thread draws its sample's move anew,
 * which costs less than to write and read a table of moves. */
template <typename T, enum gather_source SOURCE>
__global__ static void gather_kernel(struct cuda_images images, struct augment_params augment, struct cuda_stage stage,
                                     struct step_state state, struct step_state *to, bool vectors, unsigned n, T *x,
                                     int32_t *labels)
{
    unsigned i = blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x;
    unsigned channels = (unsigned)images.channels, plane = (unsigned)(images.height * images.width);
    unsigned sample_size = channels * plane;
    const int32_t *order = images.order + state.batch_first;
    if (i == 0) *to = state;
    if (i < n) labels[i] = images.labels[order[i]];
    if (i >= n * sample_size) return;
    unsigned sample = i / sample_size, element = i % sample_size;
    /* In an image, x runs over the channels of a pixel first; in the file, over the pixels of a channel. */
    unsigned channel = vectors ? element / plane : element % channels;
    unsigned place = vectors ? element % plane : element / channels;
    int height = (int)images.height, width = (int)images.width, h = (int)place / width, w = (int)place % width;
    bool in_hole = false;
    struct batch_mix mix = {};
    if (SOURCE == GATHER_STAGED && augment_mixes(&augment)) mix = state.mix;
    if (SOURCE == GATHER_MOVED) {
        struct augment_move move = augment_draw(augment, (uint32_t)state.step, order[sample], height, width);
        int source = augment_source(&move, h, w, height, width);
        in_hole = source < 0;
        if (!in_hole) place = (unsigned)source;
    }
    if (SOURCE == GATHER_STAGED)
        for (int k = 0; k < AUGMENT_HOLES; k++)
            in_hole |= augment_box_has(&stage.holes[sample * AUGMENT_HOLES + k], h, w);
    unsigned pixel = channel * plane + place;
    float value;
    if (SOURCE == GATHER_STAGED)
        value = (float)mixed_byte(&mix, stage.pixels, sample_size, sample, n, pixel, h, w);
    else
        value = images.pixels[(int64_t)order[sample] * sample_size + pixel];
    x[i] = from_float<T>(in_hole ? 0 : (value - images.offset[pixel]) * images.scale[channel]);
}

template <typename T>
static cudaError_t gather(cudaStream_t stream, const struct cuda_images *images, const struct augment_params *augment,
                          struct cuda_stage stage, const struct step_state *state, struct step_state *to, bool vectors,
                          int64_t n, void *x, int32_t *labels)
{
    unsigned blocks = blocks_for(n * images->channels * images->height * images->width, CUDA_BLOCK_SIZE);
    struct augment_params params = augment ? *augment : augment_params{};
    auto kernel = stage.pixels ? gather_kernel<T, GATHER_STAGED>
                  : augment    ? gather_kernel<T, GATHER_MOVED>
                               : gather_kernel<T, GATHER_PLAIN>;
    launch(stream, blocks, CUDA_BLOCK_SIZE, kernel, *images, params, stage, *state, to, vectors, (unsigned)n, (T *)x,
           labels);
    return cudaGetLastError();
}

cudaError_t cuda_gather_launch(cudaStream_t stream, enum cuda_type type, const struct cuda_images *images,
                               const struct augment_params *augment, struct cuda_stage stage,
                               const struct step_state *state, struct step_state *to, bool vectors, int64_t n, void *x,
                               int32_t *labels)
{
    return CUDA_DISPATCH(type, gather, stream, images, augment, stage, state, to, vectors, n, x, labels);
}
