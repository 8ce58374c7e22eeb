/* Dropout: to = mask * from / (1 - rate). The mask is drawn anew from its counters in both directions (struct
 * dropout_params in backend.h), so nothing is stored. A replayed graph draws a new mask in every step, because the step
 * number is read from the device. A thread takes the four channels that share a Philox draw. */
#include "cuda_dropout.cuh"

enum { WORDS = DROPOUT_WORDS };

template <typename T>
__global__ static void dropout_kernel(struct dropout_params params, const struct step_state *state, int64_t sample_rows,
                                      int64_t rows, int64_t channels, const T *from, T *to)
{
    int64_t i = (int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x;
    int64_t groups = (channels + WORDS - 1) / WORDS;
    if (i >= rows * groups) return;
    int64_t row = i / groups, c = i % groups * WORDS, at = row * channels + c;
    int64_t whole_row = state->slice_first * sample_rows + row;
    uint32_t step = (uint32_t)state->step;
    if (channels % WORDS == 0) {
        float values[WORDS];
        unpack(load_lanes<WORDS>(from + at), values);
        dropout_values<WORDS>(params, step, channels, whole_row, c, values);
        store_lanes<WORDS>(to + at, pack<T>(values));
        return;
    }
    struct philox_words words = dropout_draw(params, step, channels, whole_row, c);
#pragma unroll
    for (int k = 0; k < WORDS; k++)
        if (c + k < channels) to[at + k] = from_float<T>(dropout_value(params, words.word[k], to_float(from[at + k])));
}

template <typename T>
static cudaError_t dropout(cudaStream_t stream, const struct dropout_params *params, const struct step_state *state,
                           int64_t sample_rows, struct cuda_matrix shape, const void *from, void *to)
{
    int64_t threads = shape.m * ((shape.c + WORDS - 1) / WORDS);
    launch(stream, blocks_for(threads, CUDA_BLOCK_SIZE), CUDA_BLOCK_SIZE, dropout_kernel<T>, *params, state,
           sample_rows, shape.m, shape.c, (const T *)from, (T *)to);
    return cudaGetLastError();
}

cudaError_t cuda_dropout_launch(cudaStream_t stream, enum cuda_type type, const struct dropout_params *params,
                                const struct step_state *state, int64_t sample_rows, struct cuda_matrix shape,
                                const void *from, void *to)
{
    return CUDA_DISPATCH(type, dropout, stream, params, state, sample_rows, shape, from, to);
}
