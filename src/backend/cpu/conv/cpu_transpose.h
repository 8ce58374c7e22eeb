/* The transpose of a block of 16 x 16 scalars: a filter's, for gradients with respect to an input, or of an operand
 * that is packed. */
#ifndef CPU_TRANSPOSE_H
#define CPU_TRANSPOSE_H

#include "backend/cpu/cpu_variant.h"

/* Writes a block of the filter, (16 i) x (16 o), as (16 o) x (16 i). The rows of a square of CPU_LANES are interleaved,
 * the upper half with the lower, once per power of two in it: then they are its columns. */
static inline void cpu_transpose_block(const real *from, real *to)
{
    for (int row = 0; row < CPU_BLOCK; row += CPU_LANES)
        for (int column = 0; column < CPU_BLOCK; column += CPU_LANES) {
            vec square[CPU_LANES], mixed[CPU_LANES];
            CPU_UNROLL
            for (int r = 0; r < CPU_LANES; r++) square[r] = vec_load(from + (row + r) * CPU_BLOCK + column);
            CPU_UNROLL
            for (int done = 1; done < CPU_LANES; done *= 2) {
                CPU_UNROLL
                for (int r = 0; r < CPU_LANES / 2; r++) {
                    mixed[2 * r] = vec_interleave_low(square[r], square[r + CPU_LANES / 2]);
                    mixed[2 * r + 1] = vec_interleave_high(square[r], square[r + CPU_LANES / 2]);
                }
                CPU_UNROLL
                for (int r = 0; r < CPU_LANES; r++) square[r] = mixed[r];
            }
            CPU_UNROLL
            for (int r = 0; r < CPU_LANES; r++) vec_store(to + (column + r) * CPU_BLOCK + row, square[r]);
        }
}

#endif
