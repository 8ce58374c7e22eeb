/* The engines of cpu_bf16.h: products computed in fp32 on any processor, with AVX-512 BF16, and with AMX. This file
 * is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/conv/cpu_bf16.h"

#if defined(CPU_SCALAR_f32)

#include "backend/cpu/conv/cpu_amx.h"

static void nothing(void)
{
}

/* --- anywhere: the same roundings, products and sums in fp32 --- */

enum { TILE_ROWS = CPU_LANES == 16 ? 16 : CPU_LANES / 2 }; /* rows at once: as many as fill the registers */

static void multiply_rounded_rows(const struct cpu_bf16_block *block, int row, int column, int first)
{
    float *c = block->c[row][column] + first * CPU_BF16_TILE;
    vec total[TILE_ROWS * CPU_BLOCK_VECS];
    CPU_UNROLL
    for (int i = 0; i < TILE_ROWS * CPU_BLOCK_VECS; i++) total[i] = vec_load(c + i * CPU_LANES);
    for (int64_t s = 0; s < block->step_count; s++) {
        const uint32_t *a = block->steps[s].a + block->a_offset + row * block->a_second + first * CPU_BF16_TILE;
        const uint32_t *b = block->steps[s].b + column * block->b_second;
        for (int p = 0; p < CPU_BF16_TILE; p++) {
            vec low[CPU_BLOCK_VECS], high[CPU_BLOCK_VECS];
            CPU_UNROLL
            for (int v = 0; v < CPU_BLOCK_VECS; v++) {
                vec_int words = *(const vec_int *)(b + p * CPU_BF16_TILE + v * CPU_LANES);
                low[v] = (vec)(words << 16), high[v] = (vec)(words & (int32_t)0xFFFF0000);
            }
            CPU_UNROLL
            for (int r = 0; r < TILE_ROWS; r++) {
                vec_int word = (int32_t)a[r * CPU_BF16_TILE + p] - (vec_int){0};
                vec a_low = (vec)(word << 16), a_high = (vec)(word & (int32_t)0xFFFF0000);
                CPU_UNROLL
                for (int v = 0; v < CPU_BLOCK_VECS; v++) {
                    total[r * CPU_BLOCK_VECS + v] += a_low * low[v];
                    total[r * CPU_BLOCK_VECS + v] += a_high * high[v];
                }
            }
        }
    }
    CPU_UNROLL
    for (int i = 0; i < TILE_ROWS * CPU_BLOCK_VECS; i++) vec_store(c + i * CPU_LANES, total[i]);
}

static void multiply_rounded(const struct cpu_bf16_block *block)
{
    for (int row = 0; row < block->rows; row++)
        for (int column = 0; column < block->columns; column++)
            for (int first = 0; first < CPU_BF16_TILE; first += TILE_ROWS)
                multiply_rounded_rows(block, row, column, first);
}

static const struct cpu_bf16_engine rounded = {"bf16 computed in fp32", false, nothing, multiply_rounded, nothing};

#if defined(CPU_ISA_avx512)

/* --- AVX-512 BF16: a row of A broadcast word by word --- */

__attribute__((target("avx512bf16"))) static void multiply_avx512_tile(const struct cpu_bf16_block *block, int row,
                                                                       int column)
{
    float *c = block->c[row][column];
    __m512 total[CPU_BF16_TILE];
    CPU_UNROLL
    for (int r = 0; r < CPU_BF16_TILE; r++) total[r] = _mm512_load_ps(c + r * CPU_BF16_TILE);
    for (int64_t s = 0; s < block->step_count; s++) {
        const uint32_t *a = block->steps[s].a + block->a_offset + row * block->a_second;
        const uint32_t *b = block->steps[s].b + column * block->b_second;
        for (int p = 0; p < CPU_BF16_TILE; p++) {
            __m512bh words = (__m512bh)_mm512_load_si512(b + p * CPU_BF16_TILE);
            CPU_UNROLL
            for (int r = 0; r < CPU_BF16_TILE; r++)
                total[r] =
                    _mm512_dpbf16_ps(total[r], (__m512bh)_mm512_set1_epi32((int)a[r * CPU_BF16_TILE + p]), words);
        }
    }
    CPU_UNROLL
    for (int r = 0; r < CPU_BF16_TILE; r++) _mm512_store_ps(c + r * CPU_BF16_TILE, total[r]);
}

static void multiply_avx512(const struct cpu_bf16_block *block)
{
    for (int row = 0; row < block->rows; row++)
        for (int column = 0; column < block->columns; column++) multiply_avx512_tile(block, row, column);
}

static const struct cpu_bf16_engine avx512 = {"bf16", false, nothing, multiply_avx512, nothing};

/* --- AMX: of the eight tiles four hold C, two A, two B --- */

CPU_AMX static void amx_four_tiles(const struct cpu_bf16_block *block)
{
    _tile_loadd(0, block->c[0][0], 64);
    _tile_loadd(1, block->c[0][1], 64);
    _tile_loadd(2, block->c[1][0], 64);
    _tile_loadd(3, block->c[1][1], 64);
    for (int64_t s = 0; s < block->step_count; s++) {
        const uint32_t *a = block->steps[s].a + block->a_offset, *b = block->steps[s].b;
        _tile_loadd(4, a, 64);
        _tile_loadd(6, b, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, b + block->b_second, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, a + block->a_second, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, block->c[0][0], 64);
    _tile_stored(1, block->c[0][1], 64);
    _tile_stored(2, block->c[1][0], 64);
    _tile_stored(3, block->c[1][1], 64);
}

CPU_AMX static void amx_one_tile(const struct cpu_bf16_block *block, int row, int column)
{
    _tile_loadd(0, block->c[row][column], 64);
    for (int64_t s = 0; s < block->step_count; s++) {
        _tile_loadd(4, block->steps[s].a + block->a_offset + row * block->a_second, 64);
        _tile_loadd(6, block->steps[s].b + column * block->b_second, 64);
        _tile_dpbf16ps(0, 4, 6);
    }
    _tile_stored(0, block->c[row][column], 64);
}

static void amx_multiply(const struct cpu_bf16_block *block)
{
    if (block->rows == 2 && block->columns == 2) {
        amx_four_tiles(block);
        return;
    }
    for (int row = 0; row < block->rows; row++)
        for (int column = 0; column < block->columns; column++) amx_one_tile(block, row, column);
}

static const struct cpu_bf16_engine amx = {"bf16", true, cpu_amx_begin, amx_multiply, cpu_amx_end};

static const struct cpu_bf16_engine *find_engine(enum cpu_isa isa)
{
    if (isa == CPU_ISA_AMX) return &amx;
    return __builtin_cpu_supports("avx512bf16") ? &avx512 : &rounded;
}

#else

static const struct cpu_bf16_engine *find_engine(enum cpu_isa isa)
{
    (void)isa;
    return &rounded;
}

#endif

const struct cpu_bf16_engine *CPU_EXPORT(cpu_bf16_engine_find)(enum cpu_isa isa)
{
    return find_engine(isa);
}

#endif
