/* AMX: eight registers ("tiles") of 16 rows of 64 bytes, and instructions that multiply them. Linux gives a process the
 * registers when it asks for them (shared/cpu_create.c). */
#ifndef CPU_AMX_H
#define CPU_AMX_H

#include "backend/cpu/cpu_variant.h"

#if defined(CPU_ISA_avx512) && defined(CPU_SCALAR_f32)

#include <immintrin.h>

#define CPU_AMX __attribute__((target("amx-tile,amx-bf16,amx-int8")))

/* The operand of ldtilecfg (Intel SDM, vol. 1, 18.3): all tiles whole. It is a constant in memory, because gcc's
 * intrinsic hides that the instruction reads it. */
static const struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} cpu_amx_config = {
    .palette = 1,
    .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
    .rows = {16, 16, 16, 16, 16, 16, 16, 16},
};

/* cpu_amx_begin and cpu_amx_end enclose the work with tiles, on the thread that does it. Other code may destroy the
 * contents of the tiles. */
CPU_AMX static inline void cpu_amx_begin(void)
{
    _tile_loadconfig(&cpu_amx_config);
}

CPU_AMX static inline void cpu_amx_end(void)
{
    _tile_release();
}

#endif
#endif
