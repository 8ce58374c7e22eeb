/* The geometry of a pool's windows, and the form in which a max-pool saves the taps that won. */
#ifndef CPU_POOL_H
#define CPU_POOL_H

#include "backend/cpu/cpu_variant.h"

enum {
    CPU_POOL_MAX_TAPS = 65536, /* a tap's number is saved in 16 bits */
    CPU_FUSED_MAX_TAPS = 64,   /* taps of a pool that can be fused: their addresses are listed */
};

typedef uint16_t saved_tap;
typedef saved_tap saved_taps __attribute__((vector_size(CPU_LANES * sizeof(saved_tap)), may_alias));

/* Valid taps of output pixel `at` along one side: first <= k < last. */
static inline void cpu_tap_range(struct window window, int64_t at, int64_t size, int64_t *first, int64_t *last)
{
    int64_t start = at * window.stride - window.padding;
    *first = max_of(0, -start);
    *last = min_of(window.kernel, size - start);
}

/* The windows that cover input pixel `at` along one side: first <= p < last. The pixel is tap at + padding - p*stride
 * of window p. */
static inline void cpu_window_range(struct window window, int64_t at, int64_t outputs, int64_t *first, int64_t *last)
{
    int64_t end = at + window.padding; /* p*stride <= end and p*stride > end - kernel */
    *last = min_of(end / window.stride + 1, outputs);
    int64_t before = end - window.kernel;
    *first = before < 0 ? 0 : before / window.stride + 1;
}

/* Replaces the lanes of the maxima `best` so far, and of the taps that they came from, where `value` wins. A NaN always
 * wins; of equal values the first does. */
static inline void cpu_take_larger(vec value, int64_t tap, vec *best, vec_int *winner)
{
    vec_int wins = (value > *best) | (value != value);
    *best = vec_select(wins, value, *best);
    *winner = (wins & ((vec_int){0} + (real_int)tap)) | (~wins & *winner);
}

/* dy where this tap won, else 0. */
static inline vec cpu_gradient_of_winner(vec dy, const saved_tap *saved, int64_t tap)
{
    vec_int winner = __builtin_convertvector(*(const saved_taps *)saved, vec_int);
    return (vec)((vec_int)dy & (winner == ((vec_int){0} + (real_int)tap)));
}

#endif
