/* The engines of cpu_bytes.h: AMX and AVX-512 VNNI. Other variants have none. This file is compiled once per variant
 * (cpu_variant.h). */
#include "backend/cpu/conv/cpu_bytes.h"

#if defined(CPU_SCALAR_f32)

#if defined(CPU_ISA_avx512)

#include "backend/cpu/conv/cpu_amx.h"
#include "backend/cpu/cpu_update.h"

enum { TILE = CPU_BYTES_TILE, STEP = CPU_BYTES_STEP, TILE_BYTES = CPU_BYTES_TILE_BYTES, DIGITS = CPU_BYTES_DIGITS };

/* --- AMX: of the eight tiles six hold the sums --- */

CPU_AMX static void amx_multiply(const struct cpu_bytes_product *product, int32_t sums[2][DIGITS][CPU_BYTES_SUMS])
{
    const int32_t *start = product->start; /* with a stride of 0 all rows are the same */
    _tile_loadd(0, start, 0);
    _tile_loadd(1, start + TILE, 0);
    _tile_loadd(2, start + 2 * TILE, 0);
    _tile_loadd(3, start, 0);
    _tile_loadd(4, start + TILE, 0);
    _tile_loadd(5, start + 2 * TILE, 0);
    const uint8_t *a = product->a;
    const int8_t *b = product->b;
    for (int64_t w = 0; w < product->words; w += TILE, a += product->a_step, b += DIGITS * TILE_BYTES) {
        _tile_loadd(6, a, STEP);
        _tile_loadd(7, b, STEP);
        _tile_dpbusd(0, 6, 7);
        _tile_loadd(7, b + TILE_BYTES, STEP);
        _tile_dpbusd(1, 6, 7);
        _tile_loadd(7, b + 2 * TILE_BYTES, STEP);
        _tile_dpbusd(2, 6, 7);
        if (product->ahead) cpu_update_fetch(product->ahead, 8);
        if (product->rows == 1) continue;
        _tile_loadd(6, a + product->a_second, STEP);
        _tile_dpbusd(5, 6, 7);
        _tile_loadd(7, b + TILE_BYTES, STEP);
        _tile_dpbusd(4, 6, 7);
        _tile_loadd(7, b, STEP);
        _tile_dpbusd(3, 6, 7);
    }
    _tile_stored(0, sums[0][0], STEP);
    _tile_stored(1, sums[0][1], STEP);
    _tile_stored(2, sums[0][2], STEP);
    if (product->rows == 1) return;
    _tile_stored(3, sums[1][0], STEP);
    _tile_stored(4, sums[1][1], STEP);
    _tile_stored(5, sums[1][2], STEP);
}

static const struct cpu_bytes_engine amx = {cpu_amx_begin, amx_multiply, cpu_amx_end};

/* --- AVX-512 VNNI: words of A broadcast; eight rows by the three B fill the registers --- */

enum { VNNI_ROWS = 8 };

static inline __m512i broadcast_word(const uint8_t *bytes)
{
    int32_t word;
    memcpy(&word, bytes, sizeof word);
    return _mm512_set1_epi32(word);
}

/* The sums of VNNI_ROWS rows of A from `a` on. `to` is their place in the first of the three sums. */
__attribute__((target("avx512vnni"))) static void vnni_multiply_rows(const struct cpu_bytes_product *product,
                                                                     const uint8_t *a, int32_t *to)
{
    __m512i total[VNNI_ROWS][DIGITS];
    CPU_UNROLL
    for (int r = 0; r < VNNI_ROWS; r++) {
        CPU_UNROLL
        for (int d = 0; d < DIGITS; d++) total[r][d] = _mm512_load_si512(product->start + d * TILE);
    }
    const int8_t *b = product->b;
    for (int64_t left = product->words; left > 0; left -= TILE, a += product->a_step, b += DIGITS * TILE_BYTES) {
        if (product->ahead) cpu_update_fetch(product->ahead, 2);
        for (int64_t word = 0; word < min_of(left, TILE); word++) {
            __m512i columns[DIGITS];
            CPU_UNROLL
            for (int d = 0; d < DIGITS; d++) columns[d] = _mm512_load_si512(b + d * TILE_BYTES + word * STEP);
            CPU_UNROLL
            for (int r = 0; r < VNNI_ROWS; r++) {
                __m512i row = broadcast_word(a + r * STEP + 4 * word);
                CPU_UNROLL
                for (int d = 0; d < DIGITS; d++) total[r][d] = _mm512_dpbusd_epi32(total[r][d], row, columns[d]);
            }
        }
    }
    CPU_UNROLL
    for (int r = 0; r < VNNI_ROWS; r++) {
        CPU_UNROLL
        for (int d = 0; d < DIGITS; d++) _mm512_store_si512(to + d * CPU_BYTES_SUMS + r * TILE, total[r][d]);
    }
}

static void vnni_multiply(const struct cpu_bytes_product *product, int32_t sums[2][DIGITS][CPU_BYTES_SUMS])
{
    for (int tile = 0; tile < product->rows; tile++)
        for (int row = 0; row < TILE; row += VNNI_ROWS)
            vnni_multiply_rows(product, product->a + tile * product->a_second + row * STEP, sums[tile][0] + row * TILE);
}

static void nothing(void)
{
}

static const struct cpu_bytes_engine vnni = {nothing, vnni_multiply, nothing};

static const struct cpu_bytes_engine *find_engine(enum cpu_isa isa)
{
    if (isa == CPU_ISA_AMX) return &amx;
    return __builtin_cpu_supports("avx512vnni") ? &vnni : NULL;
}

#else

static const struct cpu_bytes_engine *find_engine(enum cpu_isa isa)
{
    (void)isa;
    return NULL;
}

#endif

const struct cpu_bytes_engine *CPU_EXPORT(cpu_bytes_engine_find)(enum cpu_isa isa)
{
    return find_engine(isa);
}

#endif
