/* Products of bf16 matrices with fp32 sums, in tiles of 16 x 16: with AMX, with AVX-512 BF16, or rounded to bf16 and
 * computed in fp32.
 *
 * A word of 32 bits holds two bf16 values, the two terms of a dot product that are multiplied together: the first in
 * its lower half. Which two terms share a word is the caller's choice, as long as A and B agree; so rows and blocks are
 * packed lane by lane, without moving anything across lanes. */
#ifndef CPU_BF16_H
#define CPU_BF16_H

#include "backend/cpu/cpu_variant.h"

#if defined(CPU_SCALAR_f32)

enum { CPU_BF16_TILE = 16, CPU_BF16_WORDS = 16 * 16 };

/* One step of the sums: A (16 rows, 16 words) and B (16 words, 16 columns), 32 terms. */
struct cpu_bf16_step {
    const uint32_t *a, *b;
};

/* Up to 2 x 2 tiles of C (16,16), to which the products of all steps are added. */
struct cpu_bf16_block {
    const struct cpu_bf16_step *steps;
    int64_t step_count;
    int64_t a_offset;           /* words to add to every step's a */
    int64_t a_second, b_second; /* words from the first tile of A, of B, to the second */
    int rows, columns;          /* tiles of C: 1 or 2 */
    float *c[2][2];             /* [row][column] */
};

/* The instructions that compute such products. */
struct cpu_bf16_engine {
    const char *name;
    bool many_times_fp32; /* products are so fast that neither Winograd's method nor fp32 for a part of them pays */
    void (*begin)(void);  /* before the first multiply of a range of work, on its thread */
    void (*multiply)(const struct cpu_bf16_block *block);
    void (*end)(void);
};

/* The engine of a backend that is created with that instruction set on this machine. */
const struct cpu_bf16_engine *CPU_EXPORT(cpu_bf16_engine_find)(enum cpu_isa isa);

/* Rounds to nearest even, with the result in the upper 16 bits of each lane; a NaN stays a NaN. */
static inline vec_int cpu_bf16_round(vec value)
{
    vec_int bits = (vec_int)value;
    vec_int rounded = bits + 0x7FFF + ((bits >> 16) & 1);
    vec_int nan = value != value;
    return (nan & (bits | 0x400000)) | (~nan & rounded);
}

static inline void cpu_bf16_pack(vec first, vec second, uint32_t *to)
{
    vec_int low = cpu_bf16_round(first) >> 16 & 0xFFFF, high = cpu_bf16_round(second) & (int32_t)0xFFFF0000;
    *(vec_int *)to = low | high;
}

#endif
#endif
