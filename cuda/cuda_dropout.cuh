/* The mask of a dropout (struct dropout_params in backend.h), for its own kernel and for those that it is fused with. */
#ifndef CUDA_DROPOUT_CUH
#define CUDA_DROPOUT_CUH

#include "cuda_vector.cuh"
#include "util/philox.h"

enum { DROPOUT_WORDS = 4, DROPOUT_INDEX_CHANNELS = 16 };

/* The draw of the four channels from c on of a row (n,h,w), with n counted from the first sample of the whole batch; c is a
 * multiple of 4. */
__device__ inline struct philox_words dropout_draw(const struct dropout_params &params, uint32_t step, int64_t channels,
                                                   int64_t row, int64_t c)
{
    int64_t padded = (channels + DROPOUT_INDEX_CHANNELS - 1) / DROPOUT_INDEX_CHANNELS * DROPOUT_INDEX_CHANNELS;
    return philox_draw(params.seed, params.stream, step, (uint64_t)(row * padded + c) / DROPOUT_WORDS);
}

__device__ inline float dropout_value(const struct dropout_params &params, uint32_t word, float value)
{
    return philox_uniform(word) < (float)params.rate ? 0 : value * (float)(1 / (1 - params.rate));
}

/* Drops and scales the values of a row from channel c on; c and N are multiples of 4. */
template <int N>
__device__ inline void dropout_values(const struct dropout_params &params, uint32_t step, int64_t channels, int64_t row,
                                      int64_t c, float (&values)[N])
{
#pragma unroll
    for (int v = 0; v + DROPOUT_WORDS <= N; v += DROPOUT_WORDS) {
        struct philox_words words = dropout_draw(params, step, channels, row, c + v);
#pragma unroll
        for (int k = 0; k < DROPOUT_WORDS; k++) values[v + k] = dropout_value(params, words.word[k], values[v + k]);
    }
}

#endif
