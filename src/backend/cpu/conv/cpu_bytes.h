/* Products of matrices of bytes with sums in whole numbers, in tiles of 16 x 16: with AMX or AVX-512 VNNI.
 *
 * A word of 32 bits holds four bytes, the four terms of a dot product that are multiplied together. */
#ifndef CPU_BYTES_H
#define CPU_BYTES_H

#include "backend/cpu/cpu_variant.h"

#if defined(CPU_SCALAR_f32)

enum {
    CPU_BYTES_TILE = 16,
    CPU_BYTES_STEP = 64,                                    /* terms in a row of A: 16 words */
    CPU_BYTES_TILE_BYTES = CPU_BYTES_TILE * CPU_BYTES_STEP, /* bytes of a tile, A or B */
    CPU_BYTES_DIGITS = 3,                                   /* matrices B that the same A is multiplied by */
    CPU_BYTES_SUMS = CPU_BYTES_TILE * CPU_BYTES_TILE,
};

/* One or two tiles A, unsigned, by each of three tiles B, signed. The terms go in steps of 64. The last step may be cut
 * short: B is zero in the rest of it. */
struct cpu_bytes_product {
    const uint8_t *a;               /* (16 rows, 64 terms) of step 0 */
    int64_t a_step, a_second;       /* bytes from step to step, and from the first tile to the second */
    const int8_t *b;                /* [steps][3][16 words][16 columns][4] */
    int64_t words;                  /* words in a row of A: a quarter of its terms */
    int rows;                       /* tiles A: 1 or 2 */
    struct cpu_update_ahead *ahead; /* memory to fetch meanwhile, or NULL */
    const int32_t *start;           /* [3][16 columns]: the sums begin with these */
};

/* The instructions that compute such products. */
struct cpu_bytes_engine {
    void (*begin)(void); /* before the first multiply of a range of work, on its thread */
    void (*multiply)(const struct cpu_bytes_product *product, int32_t sums[2][CPU_BYTES_DIGITS][CPU_BYTES_SUMS]);
    void (*end)(void);
};

/* The engine of a backend that is created with that instruction set on this machine; NULL where there is none. */
const struct cpu_bytes_engine *CPU_EXPORT(cpu_bytes_engine_find)(enum cpu_isa isa);

#endif
#endif
