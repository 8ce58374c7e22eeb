/* Register tiles of the matrix products that convolutions are made of, and how channels are cut into columns of them.
 */
#ifndef CPU_TILE_H
#define CPU_TILE_H

#include "backend/cpu/cpu_variant.h"

/* Register tiles: rows x vectors accumulators, plus the vectors of one filter row, within the register file. For dw of
 * an image's few channels, which would fill few registers, the tile is flat: up to CPU_FLAT_ROWS by more columns. */
#if defined(CPU_ISA_avx512) && defined(CPU_SCALAR_f32)
enum { CPU_TILE_ROWS = 8, CPU_TILE_BLOCKS = 2, CPU_TILE_MOST_BLOCKS = 3, CPU_FLAT_ROWS = 4, CPU_FLAT_BLOCKS = 4 };
#elif defined(CPU_ISA_avx512)
enum { CPU_TILE_ROWS = 8, CPU_TILE_BLOCKS = 1, CPU_TILE_MOST_BLOCKS = 1, CPU_FLAT_ROWS = 0, CPU_FLAT_BLOCKS = 1 };
#elif defined(CPU_ISA_avx2) && defined(CPU_SCALAR_f32)
enum { CPU_TILE_ROWS = 6, CPU_TILE_BLOCKS = 1, CPU_TILE_MOST_BLOCKS = 1, CPU_FLAT_ROWS = 0, CPU_FLAT_BLOCKS = 1 };
#elif defined(CPU_SCALAR_f32)
enum { CPU_TILE_ROWS = 2, CPU_TILE_BLOCKS = 1, CPU_TILE_MOST_BLOCKS = 1, CPU_FLAT_ROWS = 0, CPU_FLAT_BLOCKS = 1 };
#else
enum { CPU_TILE_ROWS = 1, CPU_TILE_BLOCKS = 1, CPU_TILE_MOST_BLOCKS = 1, CPU_FLAT_ROWS = 0, CPU_FLAT_BLOCKS = 1 };
#endif

/* Blocks of channels are cut into columns of CPU_TILE_BLOCKS. The last column takes one block more rather than leave
 * one alone. Flat columns take CPU_FLAT_BLOCKS; the last one takes the rest. */
static inline int64_t column_count(int64_t blocks, bool flat)
{
    if (flat) return (blocks + CPU_FLAT_BLOCKS - 1) / CPU_FLAT_BLOCKS;
    bool one_more = CPU_TILE_MOST_BLOCKS > CPU_TILE_BLOCKS;
    return one_more ? max_of(blocks / CPU_TILE_BLOCKS, 1) : (blocks + CPU_TILE_BLOCKS - 1) / CPU_TILE_BLOCKS;
}

static inline int64_t column_first(int64_t column, bool flat)
{
    return column * (flat ? CPU_FLAT_BLOCKS : CPU_TILE_BLOCKS);
}

static inline int64_t column_blocks(int64_t blocks, int64_t column, bool flat)
{
    bool last = column + 1 == column_count(blocks, flat);
    return (last ? blocks : column_first(column + 1, flat)) - column_first(column, flat);
}

#define TILE_IS_COMPILED(rows, blocks)                                                                                 \
    (((rows) <= CPU_TILE_ROWS && (blocks) <= CPU_TILE_MOST_BLOCKS) ||                                                  \
     ((rows) <= CPU_FLAT_ROWS && (blocks) <= CPU_FLAT_BLOCKS))

enum {
    CPU_TILE_VECS =
        (CPU_TILE_ROWS * CPU_TILE_MOST_BLOCKS > CPU_FLAT_ROWS * CPU_FLAT_BLOCKS ? CPU_TILE_ROWS * CPU_TILE_MOST_BLOCKS
                                                                                : CPU_FLAT_ROWS * CPU_FLAT_BLOCKS) *
        CPU_BLOCK_VECS,
    CPU_COLUMN_VECS =
        (CPU_TILE_MOST_BLOCKS > CPU_FLAT_BLOCKS ? CPU_TILE_MOST_BLOCKS : CPU_FLAT_BLOCKS) * CPU_BLOCK_VECS,
};

/* TILE_SWITCH calls TILE_RUN(r, b), which the including file defines, with rows and blocks as constants. */
#define TILE_CASE(r, b)                                                                                                \
    case (r)*8 + (b):                                                                                                  \
        if (TILE_IS_COMPILED(r, b)) TILE_RUN((TILE_IS_COMPILED(r, b) ? (r) : 1), (TILE_IS_COMPILED(r, b) ? (b) : 1));  \
        return;
#define TILE_CASES(b)                                                                                                  \
    TILE_CASE(1, b)                                                                                                    \
    TILE_CASE(2, b)                                                                                                    \
    TILE_CASE(3, b) TILE_CASE(4, b) TILE_CASE(5, b) TILE_CASE(6, b) TILE_CASE(7, b) TILE_CASE(8, b)
#define TILE_SWITCH(rows, blocks)                                                                                      \
    switch ((rows)*8 + (blocks)) {                                                                                     \
        TILE_CASES(1) TILE_CASES(2) TILE_CASES(3) TILE_CASES(4)                                                        \
    }                                                                                                                  \
    check_failed("the tile size is compiled", __FILE__, __LINE__)

/* The address of vector v of row r of a tile. */
static inline __attribute__((always_inline)) real *tile_at(real *tile, int64_t block_stride, int r, int v)
{
    return tile + v / CPU_BLOCK_VECS * block_stride + r * CPU_BLOCK + v % CPU_BLOCK_VECS * CPU_LANES;
}

#endif
