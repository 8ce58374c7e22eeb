/* The comparison of a max-pool, and the form in which it saves the taps that won. */
#ifndef CPU_POOL_H
#define CPU_POOL_H

#include "backend/cpu/cpu_variant.h"

enum {
    CPU_POOL_MAX_TAPS = 65536, /* a tap's number is saved in 16 bits */
    CPU_FUSED_MAX_TAPS = 64,   /* taps of a pool that can be fused: their addresses are listed */
};

typedef uint16_t saved_tap;
typedef saved_tap saved_taps __attribute__((vector_size(CPU_LANES * sizeof(saved_tap)), may_alias));

/* The bytes of `saved` for an output y of that shape. */
static inline size_t cpu_pool_saved_bytes(const struct backend *backend, struct pool_params params, struct shape y)
{
    if (params.kind != POOL_MAX) return 0;
    return tensor_bytes(backend, TENSOR_ACTIVATION, y) / sizeof(real) * sizeof(saved_tap);
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
