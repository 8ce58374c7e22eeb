/* The maximum of a pool's window, and the gradient of a pixel, which batch normalization computes too where the pool is
 * fused with it (formulas: cuda_pool.cu). */
#ifndef CUDA_POOL_CUH
#define CUDA_POOL_CUH

#include "cuda_vector.cuh"
#include "tensor/window.h"

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

/* The maximum of LANES channels over the window of output pixel `at`, and the taps that won: of equal values the first,
 * and a NaN before all. load(pixel, value) sets value[LANES] to those of a pixel, counted through all images. */
template <int LANES, typename Tap, typename Load>
__device__ inline void max_of_window(const struct cuda_pooling &pool, const struct pixel &at, Load load,
                                     float (&best)[LANES], lanes<Tap, LANES> &winner)
{
    const int kernel = (int)pool.window.kernel;
    struct window_range rows = window_taps(pool.window, (int)at.h, (int)pool.height);
    struct window_range columns = window_taps(pool.window, (int)at.w, (int)pool.width);
#pragma unroll
    for (int v = 0; v < LANES; v++) best[v] = -INFINITY, winner.value[v] = (Tap)(rows.first * kernel + columns.first);
    for (int k = rows.first; k < rows.last; k++) {
        for (int l = columns.first; l < columns.last; l++) {
            unsigned h = (unsigned)window_input(pool.window, (int)at.h, k);
            unsigned w = (unsigned)window_input(pool.window, (int)at.w, l);
            float value[LANES];
            load(((int64_t)at.n * pool.height + h) * pool.width + w, value);
#pragma unroll
            for (int v = 0; v < LANES; v++)
                if (value[v] > best[v] || value[v] != value[v])
                    best[v] = value[v], winner.value[v] = (Tap)(k * kernel + l);
        }
    }
}

/* The sum of dy, of LANES channels from c on, over the windows that input pixel `at` is in. Of a max-pool's windows
 * only those count in which it won. */
template <enum pool KIND, int LANES, typename T, typename Tap>
__device__ inline void sum_of_windows(const struct cuda_pooling &pool, const struct pixel &at, int64_t c, const T *dy,
                                      const Tap *saved, float (&total)[LANES])
{
    struct window_range rows = window_outputs(pool.window, (int)at.h, (int)pool.output_height);
    struct window_range columns = window_outputs(pool.window, (int)at.w, (int)pool.output_width);
#pragma unroll
    for (int v = 0; v < LANES; v++) total[v] = 0;
#pragma unroll 1 /* few windows have a pixel */
    for (int p = rows.first; p < rows.last; p++) {
#pragma unroll 1
        for (int q = columns.first; q < columns.last; q++) {
            int64_t pixel = ((int64_t)at.n * pool.output_height + (unsigned)p) * pool.output_width + (unsigned)q;
            float value[LANES];
            unpack(load_lanes<LANES>(dy + pixel * pool.channels + c), value);
            lanes<Tap, LANES> winner;
            if (KIND == POOL_MAX) winner = load_lanes<LANES>(saved + pixel * pool.channels + c);
            int tap =
                window_tap(pool.window, p, (int)at.h) * (int)pool.window.kernel + window_tap(pool.window, q, (int)at.w);
#pragma unroll
            for (int v = 0; v < LANES; v++)
                if (KIND == POOL_AVERAGE || winner.value[v] == tap) total[v] += value[v];
        }
    }
}

#endif
