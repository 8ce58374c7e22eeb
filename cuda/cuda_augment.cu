/* Changes the images of a training batch in a buffer of bytes: geometry and colour. The formulas stand at struct
 * augment_params; augment_picture.h has them as code, which the CPU compiles too, so the bytes are the CPU's. A block
 * takes an image, and a thread every CUDA_BLOCK_SIZE-th pixel of it, with all its channels. */
#include "backend/augment_picture.h"
#include "cuda_vector.cuh"

/* Writes the image moved and with its brightness changed. */
__device__ static void move_image(const struct cuda_images *images, const struct augment_picture *picture,
                                  const uint8_t *from, uint8_t *to)
{
    int height = (int)images->height, width = (int)images->width, plane = height * width;
    struct augment_map map = picture->map;
    for (int place = (int)threadIdx.x; place < plane; place += CUDA_BLOCK_SIZE) {
        int64_t h = place / width, w = place % width;
        struct augment_tap row =
            augment_tap_of(map.row + h * map.row_down + w * map.row_right, height - 1, map.row_folds);
        struct augment_tap column =
            augment_tap_of(map.column + h * map.column_down + w * map.column_right, width - 1, map.column_folds);
        const uint8_t *above = from + row.first * width, *below = from + row.second * width;
        for (int64_t c = 0; c < images->channels; c++) {
            int64_t channel = c * plane;
            uint8_t value = augment_blend(above[channel + column.first], above[channel + column.second],
                                          below[channel + column.first], below[channel + column.second],
                                          (unsigned)row.weight, (unsigned)column.weight);
            to[channel + place] = augment_tone(value, picture->brightness, 0);
        }
    }
}

/* The sum over the block; every thread gets it. All threads must call. */
__device__ static int64_t block_sum(int64_t value)
{
    __shared__ int64_t sums[CUDA_BLOCK_SIZE / CUDA_WARP];
    for (int offset = CUDA_WARP / 2; offset > 0; offset /= 2) value += __shfl_down_sync(CUDA_FULL_WARP, value, offset);
    if (threadIdx.x % CUDA_WARP == 0) sums[threadIdx.x / CUDA_WARP] = value;
    __syncthreads();
    int64_t total = 0;
    for (int w = 0; w < CUDA_BLOCK_SIZE / CUDA_WARP; w++) total += sums[w];
    return total;
}

__device__ static int grey_of(const uint8_t *red, int64_t plane)
{
    return augment_grey(red[0], red[plane], red[2 * plane]);
}

/* Moves the pixels away from the image's mean grey. All threads of the block must call. */
__device__ static void change_contrast(uint8_t *pixels, int64_t channels, int plane, int factor)
{
    int64_t sum = 0;
    for (int place = (int)threadIdx.x; place < plane; place += CUDA_BLOCK_SIZE) {
        if (channels == 3)
            sum += grey_of(pixels + place, plane);
        else
            for (int64_t c = 0; c < channels; c++) sum += pixels[c * plane + place];
    }
    int shift = augment_contrast_shift(factor, block_sum(sum), channels == 3 ? plane : channels * plane);
    for (int place = (int)threadIdx.x; place < plane; place += CUDA_BLOCK_SIZE)
        for (int64_t c = 0; c < channels; c++) {
            uint8_t *pixel = pixels + c * plane + place;
            *pixel = augment_tone(*pixel, factor, shift);
        }
}

/* Moves each pixel away from its own grey. */
__device__ static void change_saturation(uint8_t *pixels, int plane, int factor)
{
    for (int place = (int)threadIdx.x; place < plane; place += CUDA_BLOCK_SIZE) {
        int shift = (AUGMENT_COLOUR_ONE - factor) * grey_of(pixels + place, plane);
        for (int64_t c = 0; c < 3; c++) {
            uint8_t *pixel = pixels + c * plane + place;
            *pixel = augment_tone(*pixel, factor, shift);
        }
    }
}

__global__ static void stage_kernel(struct cuda_images images, struct augment_params augment, struct step_state state,
                                    struct cuda_stage stage)
{
    __shared__ struct augment_picture picture;
    int height = (int)images.height, width = (int)images.width, plane = height * width;
    int64_t n = blockIdx.x, sample = images.order[state.batch_first + n], bytes = images.channels * plane;
    uint32_t step = (uint32_t)state.step;
    if (threadIdx.x == 0) {
        picture = augment_picture_draw(augment, step, sample, height, width);
        augment_holes_draw(stage.holes + n * AUGMENT_HOLES, augment, step, sample, height, width);
    }
    __syncthreads();
    uint8_t *to = stage.pixels + n * bytes;
    move_image(&images, &picture, images.pixels + sample * bytes, to);
    if (augment.contrast > 0) change_contrast(to, images.channels, plane, picture.contrast);
    if (augment.saturation > 0) change_saturation(to, plane, picture.saturation);
}

size_t cuda_stage_hole_bytes(int64_t n)
{
    return (size_t)n * AUGMENT_HOLES * sizeof(struct augment_box);
}

cudaError_t cuda_stage_launch(cudaStream_t stream, const struct cuda_images *images,
                              const struct augment_params *augment, const struct step_state *state,
                              struct cuda_stage stage, int64_t n)
{
    launch(stream, (unsigned)n, CUDA_BLOCK_SIZE, stage_kernel, *images, *augment, *state, stage);
    return cudaGetLastError();
}
