/* The kernels of Winograd's convolution in bf16: transforms of images and register tiles of products, with AVX-512 BF16
 * or with the same roundings in fp32. cpu_winograd_bf16.c has the method.
 *
 * This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/conv/cpu_bf16.h"
#include "backend/cpu/conv/cpu_winograd_bf16_tile.h"

#if defined(CPU_SCALAR_f32)

#if defined(CPU_ISA_avx512)
#include <immintrin.h>
#endif

/* The instructions of a kernel. Kernels are inlined with constant pointers to them. */
typedef void round_lanes(vec value, uint16_t *to);                   /* to bf16 */
typedef void pack_lanes(vec first, vec second, uint32_t *to);        /* to words of two bf16 values */
typedef vec multiply_words(vec total, uint32_t word, vec_int words); /* adds two products per lane */

#define ALWAYS static inline __attribute__((always_inline))

/* --- transforms --- */

ALWAYS void load_square(const int count, const real *const *pixels, int64_t at, vec *square)
{
    CPU_UNROLL
    for (int i = 0; i < count; i++) square[i] = vec_load(pixels[i] + at);
}

ALWAYS void input_square(const bool short_rows, const bool short_columns, const vec *square, vec *points)
{
    const int rows = short_rows ? SHORT_SIDE : SIDE, columns = short_columns ? SHORT_SIDE : SIDE;
    transform_square(columns, rows, columns, short_rows ? transform_short_input : transform_input,
                     short_columns ? transform_short_input : transform_input, square, points);
}

ALWAYS void gradient_square(const bool short_rows, const bool short_columns, const vec *square, vec *points)
{
    const int rows = short_rows ? SHORT_SIDE : SIDE, columns = short_columns ? SHORT_SIDE : SIDE;
    transform_square(short_columns ? 1 : OUTPUTS, rows, columns,
                     short_rows ? transform_short_gradient : transform_gradient,
                     short_columns ? transform_short_gradient : transform_gradient, square, points);
}

/* The pixel that lies so many scalars behind will be read next. */
ALWAYS void fetch_square(const int count, const real *const *pixels, int64_t at)
{
    CPU_UNROLL
    for (int i = 0; i < count; i++)
        __builtin_prefetch((const void *)((uintptr_t)pixels[i] + (uintptr_t)at * sizeof(real)), 0, 2);
}

ALWAYS void inputs_of(const bool short_rows, const bool short_columns, round_lanes *const halve,
                      const real *const *pixels, int64_t count, int64_t ahead, uint32_t *to, int64_t stride)
{
    const int side = short_rows ? SHORT_SIDE : SIDE, points = side * (short_columns ? SHORT_SIDE : SIDE);
    for (int64_t at = 0; at < count * CPU_BLOCK; at += CPU_LANES) {
        vec square[POINTS], transformed[POINTS];
        load_square(points, pixels, at, square);
        fetch_square(points, pixels, at + ahead);
        input_square(short_rows, short_columns, square, transformed);
        CPU_UNROLL
        for (int i = 0; i < points; i++) halve(transformed[i], (uint16_t *)(to + i * stride) + at);
    }
}

/* Always inlined with one of the two transforms of squares. */
ALWAYS void pairs_of(const bool short_rows, const bool short_columns, const int inputs, const int points,
                     void (*const transform)(const bool, const bool, const vec *, vec *), pack_lanes *const pack,
                     const real *const *pixels, int64_t count, int64_t ahead, int64_t pairs, uint32_t *to,
                     int64_t stride)
{
    for (int64_t at = 0; at < pairs * CPU_BLOCK; at += CPU_LANES) {
        int64_t sample = at / CPU_BLOCK * 2, place = sample * CPU_BLOCK + at % CPU_BLOCK;
        vec square[POINTS], first[POINTS] = {{0}}, second[POINTS] = {{0}};
        if (sample < count) {
            load_square(inputs, pixels, place, square);
            fetch_square(inputs, pixels, place + ahead);
            transform(short_rows, short_columns, square, first);
        }
        if (sample + 1 < count) {
            load_square(inputs, pixels, place + CPU_BLOCK, square);
            fetch_square(inputs, pixels, place + CPU_BLOCK + ahead);
            transform(short_rows, short_columns, square, second);
        }
        CPU_UNROLL
        for (int i = 0; i < points; i++) pack(first[i], second[i], to + i * stride + at);
    }
}

ALWAYS void input_pairs_of(const bool short_rows, const bool short_columns, pack_lanes *const pack,
                           const real *const *pixels, int64_t count, int64_t ahead, int64_t pairs, uint32_t *to,
                           int64_t stride)
{
    const int side = short_rows ? SHORT_SIDE : SIDE, points = side * (short_columns ? SHORT_SIDE : SIDE);
    pairs_of(short_rows, short_columns, points, points, input_square, pack, pixels, count, ahead, pairs, to, stride);
}

ALWAYS void gradient_pairs_of(const bool short_rows, const bool short_columns, pack_lanes *const pack,
                              const real *const *pixels, int64_t count, int64_t ahead, int64_t pairs, uint32_t *to,
                              int64_t stride)
{
    const int side = short_rows ? SHORT_SIDE : SIDE, points = side * (short_columns ? SHORT_SIDE : SIDE);
    const int outputs = (short_rows ? 1 : OUTPUTS) * (short_columns ? 1 : OUTPUTS);
    pairs_of(short_rows, short_columns, outputs, points, gradient_square, pack, pixels, count, ahead, pairs, to,
             stride);
}

/* --- products --- */

ALWAYS void multiply_tile(const int blocks, multiply_words *const multiply, const uint32_t *inputs,
                          int64_t input_stride, const uint32_t *filter, int64_t words, float *sums, int64_t sum_stride)
{
    enum { ROWS = WINOGRAD_ROWS, MOST_VECS = WINOGRAD_BLOCKS * CPU_BLOCK_VECS };
    const int vecs = blocks * CPU_BLOCK_VECS;
    vec total[ROWS * MOST_VECS];
    CPU_UNROLL
    for (int i = 0; i < ROWS * vecs; i++) total[i] = (vec){0};
    for (; words > 0; words -= BLOCK_WORDS, inputs += input_stride) {
        int64_t count = min_of(words, BLOCK_WORDS);
        for (int64_t k = 0; k < count; k++, filter += vecs * CPU_LANES) {
            vec_int weights[MOST_VECS];
            CPU_UNROLL
            for (int v = 0; v < vecs; v++) weights[v] = *(const vec_int *)(filter + v * CPU_LANES);
            CPU_UNROLL
            for (int r = 0; r < ROWS; r++) {
                uint32_t word = inputs[r * BLOCK_WORDS + k];
                CPU_UNROLL
                for (int v = 0; v < vecs; v++) total[r * vecs + v] = multiply(total[r * vecs + v], word, weights[v]);
            }
        }
    }
    CPU_UNROLL
    for (int r = 0; r < ROWS; r++) {
        CPU_UNROLL
        for (int v = 0; v < vecs; v++)
            vec_store(sums + v / CPU_BLOCK_VECS * sum_stride + r * CPU_BLOCK + v % CPU_BLOCK_VECS * CPU_LANES,
                      total[r * vecs + v]);
    }
}

ALWAYS void multiply_rows(multiply_words *const multiply, const uint32_t *inputs, int64_t input_stride,
                          const uint32_t *filter, int64_t words, int blocks, int64_t rows, float *sums,
                          int64_t sum_stride)
{
    for (int64_t row = 0; row < rows; row += WINOGRAD_ROWS) {
        const uint32_t *from = inputs + row * BLOCK_WORDS;
        float *to = sums + row * CPU_BLOCK;
        if (blocks == WINOGRAD_BLOCKS)
            multiply_tile(WINOGRAD_BLOCKS, multiply, from, input_stride, filter, words, to, sum_stride);
        else
            multiply_tile(1, multiply, from, input_stride, filter, words, to, sum_stride);
    }
}

ALWAYS void multiply_pair_tile(const int blocks, multiply_words *const multiply, const uint32_t *inputs,
                               const uint32_t *gradients, int64_t gradient_stride, int64_t pairs, float *sums)
{
    enum { ROWS = WINOGRAD_ROWS, MOST_VECS = WINOGRAD_BLOCKS * CPU_BLOCK_VECS };
    const int vecs = blocks * CPU_BLOCK_VECS;
    vec total[ROWS * MOST_VECS];
    CPU_UNROLL
    for (int i = 0; i < ROWS * vecs; i++) total[i] = vec_load(sums + i * CPU_LANES);
    for (int64_t at = 0; at < pairs * CPU_BLOCK; at += CPU_BLOCK) {
        vec_int gradient[MOST_VECS];
        CPU_UNROLL
        for (int v = 0; v < vecs; v++)
            gradient[v] = *(const vec_int *)(gradients + v / CPU_BLOCK_VECS * gradient_stride + at +
                                             v % CPU_BLOCK_VECS * CPU_LANES);
        CPU_UNROLL
        for (int r = 0; r < ROWS; r++) {
            uint32_t word = inputs[at + r];
            CPU_UNROLL
            for (int v = 0; v < vecs; v++) total[r * vecs + v] = multiply(total[r * vecs + v], word, gradient[v]);
        }
    }
    CPU_UNROLL
    for (int i = 0; i < ROWS * vecs; i++) vec_store(sums + i * CPU_LANES, total[i]);
}

ALWAYS void multiply_pair_rows(multiply_words *const multiply, const uint32_t *inputs, const uint32_t *gradients,
                               int64_t gradient_stride, int64_t pairs, int blocks, float *sums)
{
    for (int lane = 0; lane < CPU_BLOCK; lane += WINOGRAD_ROWS, sums += WINOGRAD_ROWS * blocks * CPU_BLOCK) {
        if (blocks == WINOGRAD_BLOCKS)
            multiply_pair_tile(WINOGRAD_BLOCKS, multiply, inputs + lane, gradients, gradient_stride, pairs, sums);
        else
            multiply_pair_tile(1, multiply, inputs + lane, gradients, gradient_stride, pairs, sums);
    }
}

/* Defines the kernels of a set of instructions. */
#define DEFINE_KERNELS(name, target, round, pack, multiply)                                                            \
    target static void name##_inputs(const struct winograd_tiling *tiling, const real *const *pixels, int64_t count,   \
                                     int64_t ahead, uint32_t *to, int64_t stride)                                      \
    {                                                                                                                  \
        WINOGRAD_WITH_SIDES(tiling, inputs_of, round, pixels, count, ahead, to, stride);                               \
    }                                                                                                                  \
    target static void name##_input_pairs(const struct winograd_tiling *tiling, const real *const *pixels,             \
                                          int64_t count, int64_t ahead, int64_t pairs, uint32_t *to, int64_t stride)   \
    {                                                                                                                  \
        WINOGRAD_WITH_SIDES(tiling, input_pairs_of, pack, pixels, count, ahead, pairs, to, stride);                    \
    }                                                                                                                  \
    target static void name##_gradient_pairs(const struct winograd_tiling *tiling, const real *const *pixels,          \
                                             int64_t count, int64_t ahead, int64_t pairs, uint32_t *to,                \
                                             int64_t stride)                                                           \
    {                                                                                                                  \
        WINOGRAD_WITH_SIDES(tiling, gradient_pairs_of, pack, pixels, count, ahead, pairs, to, stride);                 \
    }                                                                                                                  \
    target static void name##_multiply(const uint32_t *inputs, int64_t input_stride, const uint32_t *filter,           \
                                       int64_t words, int blocks, int64_t rows, float *sums, int64_t sum_stride)       \
    {                                                                                                                  \
        multiply_rows(multiply, inputs, input_stride, filter, words, blocks, rows, sums, sum_stride);                  \
    }                                                                                                                  \
    target static void name##_multiply_pairs(const uint32_t *inputs, const uint32_t *gradients,                        \
                                             int64_t gradient_stride, int64_t pairs, int blocks, float *sums)          \
    {                                                                                                                  \
        multiply_pair_rows(multiply, inputs, gradients, gradient_stride, pairs, blocks, sums);                         \
    }                                                                                                                  \
    static const struct winograd_bf16_kernels name##_kernels = {                                                       \
        name##_inputs, name##_input_pairs, name##_gradient_pairs, name##_multiply, name##_multiply_pairs};

/* --- anywhere: the same roundings and products in fp32 --- */

typedef uint16_t half_lanes __attribute__((vector_size(CPU_LANES * sizeof(uint16_t)), may_alias));

ALWAYS void round_anywhere(vec value, uint16_t *to)
{
    *(half_lanes *)to = __builtin_convertvector(cpu_bf16_round(value) >> 16, half_lanes);
}

ALWAYS void pack_anywhere(vec first, vec second, uint32_t *to)
{
    cpu_bf16_pack(first, second, to);
}

ALWAYS vec multiply_anywhere(vec total, uint32_t word, vec_int words)
{
    const int32_t upper = (int32_t)0xFFFF0000;
    vec_int value = (int32_t)word - (vec_int){0};
    total += (vec)(value << 16) * (vec)(words << 16);
    return total + (vec)(value & upper) * (vec)(words & upper);
}

DEFINE_KERNELS(anywhere, , round_anywhere, pack_anywhere, multiply_anywhere)

#if defined(CPU_ISA_avx512)

/* --- AVX-512 BF16 --- */

#define BF16_TARGET __attribute__((target("avx512bf16")))

BF16_TARGET ALWAYS void round_avx512(vec value, uint16_t *to)
{
    _mm256_storeu_si256((__m256i *)to, (__m256i)_mm512_cvtneps_pbh((__m512)value));
}

BF16_TARGET ALWAYS void pack_avx512(vec first, vec second, uint32_t *to)
{
    static const uint16_t order[]
        __attribute__((aligned(64))) = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    __m512i halves = (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
    _mm512_store_si512(to, _mm512_permutexvar_epi16(_mm512_load_si512(order), halves));
}

BF16_TARGET ALWAYS vec multiply_avx512(vec total, uint32_t word, vec_int words)
{
    return (vec)_mm512_dpbf16_ps((__m512)total, (__m512bh)_mm512_set1_epi32((int)word), (__m512bh)words);
}

DEFINE_KERNELS(avx512, BF16_TARGET, round_avx512, pack_avx512, multiply_avx512)

static const struct winograd_bf16_kernels *find_kernels(void)
{
    return __builtin_cpu_supports("avx512bf16") ? &avx512_kernels : &anywhere_kernels;
}

#else

static const struct winograd_bf16_kernels *find_kernels(void)
{
    return &anywhere_kernels;
}

#endif

const struct winograd_bf16_kernels *CPU_EXPORT(cpu_winograd_bf16_kernels)(void)
{
    return find_kernels();
}

#endif
