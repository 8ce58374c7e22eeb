/* The linear layer whose input is pixels: products of bytes, added up without rounding, as AMX and AVX-512 VNNI compute
 * them.
 *
 * A pixel enters a network as x_k = s_k (p_k - offset_k), with p_k in 0..255. With q_k = p_k - 128 and
 * c_k = 128 - offset_k that is s_k (q_k + c_k), so
 *   y[n,o]  = (b[o] + sum_k w[o,k] s_k c_k) + sum_k (w[o,k] s_k) q[n,k]
 *   dw[o,k] = s_k (sum_n dy[n,o] q[n,k] + c_k db[o]),   db[o] = sum_n dy[n,o].
 * The other factor f, w[o,k] s_k or dy[n,o], is rounded to a whole number F of 24 bits times a power of two u, the same
 * for up to 512 terms of a sum: F = round(f / u) = 65536 h + 256 m + l with h, m and l in -128..127. So a sum is three
 * sums of products of bytes in whole numbers of 32 bits, sum d q = sum d p - 128 sum d, which are exact (they are at
 * most 512 * 128 * 128 = 2^23, so that fp32 holds them too): sum f q = u (65536 sum h q + 256 sum m q + sum l q). (This
 * is the scheme of Ozaki et al. for products of matrices with the integer units that machines have for inference;
 * Ootomo, Ozaki, Yokota 2024. One factor being bytes from the start, three products are enough.) An f is off by u/2 at
 * most, 2^-24 of the largest in its sum, as it would be in fp32, and after that only 512 terms together are rounded:
 * the error of y and dw is below that of a sum in fp32 (tests/test_pixels.c).
 *
 * Work: three byte products per useful one, of which an instruction of AMX does 16,384, one of VNNI 64, four times as
 * many as a multiply-add of fp32. The rest is bytes: the pixels, 1 each; the weights, 4, once, since they are cut
 * in L1 by the item that uses them.
 *
 * Blocking of y: an item is 16 outputs and a slice of the features; it goes through its slice in chunks of 512
 * features, whose weights, cut, stay in L1 (24 KiB) while the batch passes by, and adds each chunk to sums of its own,
 * which are added up at the end. dw: an item is 64 features; their pixels are transposed into L1 (32 KiB for 512
 * samples), and dy, cut, passes by from L2. All cuts follow from the shape alone, and so does the order of every sum.
 *
 * This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/conv/cpu_linear_pixels.h"

#if defined(CPU_ISA_avx512) && defined(CPU_SCALAR_f32)

#include <immintrin.h>

#include "backend/cpu/conv/cpu_bytes.h"
#include "backend/cpu/conv/cpu_conv2d.h"
#include "backend/cpu/conv/cpu_transpose.h"

enum {
    TILE = CPU_BYTES_TILE,
    STEP = CPU_PIXELS_STEP,
    TILE_BYTES = CPU_BYTES_TILE_BYTES,
    DIGITS = CPU_BYTES_DIGITS, /* h, m, l */
    CENTRE = 128,              /* subtracted from every pixel */
    CHUNK_STEPS = 8,
    CHUNK_TERMS = CHUNK_STEPS * STEP,
    SLICE_BYTES = 768 * 1024, /* bytes of pixels that an item goes through at most: they stay in L2 from item to item */
    FEW_ITEMS = 8,            /* items of y at least, where there are features enough */
};

static int64_t tile_count(int64_t count, int64_t size)
{
    return (count + size - 1) / size;
}

static const real zeros[CPU_BLOCK] __attribute__((aligned(64)));

/* --- whole numbers --- */

/* 1/u and u per lane, powers of two. u is as small as lets F have three digits: the largest F is 127 * 65536 + 127 *
 * 256 + 127 = 2^23 - 2^15 - 129. Where an f is not finite, u is NaN. `largest_bits` is the largest of the bits of
 * |f|. */
struct unit {
    __m512 inverse, unit;
};

static struct unit unit_of(__m512i largest_bits)
{
    const __m512i margin = _mm512_set1_epi32((1 << 16) + (1 << 9));
    const __m512i smallest = _mm512_set1_epi32(23), infinity = _mm512_set1_epi32(0x7F800000);
    __mmask16 bad = _mm512_cmpge_epi32_mask(largest_bits, infinity);
    /* u = 2^(exponent - 149), and |f| < u (2^24 - margin) / 2 = u (2^23 - 2^15 - 2^8) */
    __m512i exponent = _mm512_srli_epi32(_mm512_add_epi32(largest_bits, margin), 23);
    exponent = _mm512_max_epi32(exponent, smallest);
    struct unit unit;
    unit.inverse = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_sub_epi32(_mm512_set1_epi32(276), exponent), 23));
    unit.unit = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_sub_epi32(exponent, _mm512_set1_epi32(22)), 23));
    unit.unit = _mm512_mask_blend_ps(bad, unit.unit, _mm512_set1_ps(NAN));
    return unit;
}

static __m512i magnitude_bits(__m512 f)
{
    return _mm512_and_si512(_mm512_castps_si512(f), _mm512_set1_epi32(0x7FFFFFFF));
}

/* Joins the bytes of four terms into words: words[0] has byte 2 of each term, words[1] byte 1, words[2] byte 0. */
static inline void join_bytes(const __m512i whole[4], __m512i words[DIGITS])
{
    const __mmask32 upper = 0xAAAAAAAA;                 /* the upper halves of words */
    const __m512i even = _mm512_set1_epi32(0x00FF00FF); /* the even bytes */
    __m512i low02 = _mm512_mask_blend_epi16(upper, whole[0], _mm512_slli_epi32(whole[2], 16));
    __m512i low13 = _mm512_mask_blend_epi16(upper, whole[1], _mm512_slli_epi32(whole[3], 16));
    __m512i high02 = _mm512_mask_blend_epi16(upper, _mm512_srli_epi32(whole[0], 16), whole[2]);
    __m512i high13 = _mm512_mask_blend_epi16(upper, _mm512_srli_epi32(whole[1], 16), whole[3]);
    enum { CHOOSE = 0xCA }; /* a ? b : c, bit by bit */
    words[0] = _mm512_ternarylogic_epi32(even, high02, _mm512_slli_epi32(high13, 8), CHOOSE);
    words[1] = _mm512_ternarylogic_epi32(even, _mm512_srli_epi32(low02, 8), low13, CHOOSE);
    words[2] = _mm512_ternarylogic_epi32(even, low02, _mm512_slli_epi32(low13, 8), CHOOSE);
}

/* Per lane, the sum of the four signed bytes of a word. */
static __m512i add_bytes(__m512i words)
{
    __m512i pairs = _mm512_maddubs_epi16(_mm512_set1_epi8(1), words);
    return _mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
}

/* Cuts four neighbouring terms of 16 sums into digits, as row `row` of the tiles h, m and l. The digits are added to
 * sums[]. */
static inline void cut_terms(const __m512 *terms, struct unit unit, int64_t row, int8_t *tiles, __m512i sums[DIGITS])
{
    const __m512i half = _mm512_set1_epi8((char)0x80); /* F + 0x808080 has the digits' 128 + h, 128 + m, 128 + l */
    __m512i whole[4];
    for (int j = 0; j < 4; j++)
        whole[j] =
            _mm512_add_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(terms[j], unit.inverse)), _mm512_set1_epi32(0x808080));
    __m512i words[DIGITS];
    join_bytes(whole, words);
    for (int d = 0; d < DIGITS; d++) {
        __m512i digits = _mm512_xor_si512(words[d], half);
        sums[d] = _mm512_add_epi32(sums[d], add_bytes(digits));
        _mm512_store_si512(tiles + d * TILE_BYTES + row * STEP, digits);
    }
}

/* The sums over p begin with -128 times the sum of the digits, which makes them sums over q. */
static void store_start(const __m512i sums[DIGITS], int32_t *start)
{
    for (int d = 0; d < DIGITS; d++)
        _mm512_store_si512(start + d * TILE, _mm512_mullo_epi32(sums[d], _mm512_set1_epi32(-CENTRE)));
}

/* u (65536 h + 256 m + l) of a row. */
static inline __m512 row_of(int32_t sums[DIGITS][TILE * TILE], int row, __m512 unit)
{
    __m512 h = _mm512_cvtepi32_ps(_mm512_load_si512(sums[0] + row * TILE));
    __m512 m = _mm512_cvtepi32_ps(_mm512_load_si512(sums[1] + row * TILE));
    __m512 l = _mm512_cvtepi32_ps(_mm512_load_si512(sums[2] + row * TILE));
    l = _mm512_fmadd_ps(h, _mm512_set1_ps(65536), _mm512_fmadd_ps(m, _mm512_set1_ps(256), l));
    return _mm512_mul_ps(unit, l);
}

/* --- y --- */

struct forward_task {
    const struct cpu_bytes_engine *engine;
    const struct cpu_pixels *pixels;
    int64_t samples, features;
    const struct tensor *weight, *bias, *y;
    int64_t slices, slice_steps;
    float *sums;      /* [slices][O/16][N up to a multiple of 64][16] */
    float *constants; /* [slices][O/16][16]: the sums of w[o,k] s_k c_k */
};

/* w[o,k] s_k of 16 outputs for feature k, zeros past the last block. */
static inline __m512 scaled_weights(const struct forward_task *task, const real *weights, int64_t k)
{
    if (k >= cpu_blocks(task->features) * CPU_BLOCK) return _mm512_setzero_ps();
    return _mm512_mul_ps(_mm512_load_ps(weights + k * CPU_BLOCK), _mm512_set1_ps(task->pixels->scale[k]));
}

/* Cuts the weights of 16 outputs for a chunk of features into tiles, as the chunk's product takes them. Adds the
 * chunk's share of the constant. Returns u. */
static __m512 cut_weights(const struct forward_task *task, int64_t block, int64_t step, int64_t steps, int8_t *tiles,
                          int32_t *start, float *constant)
{
    const real *weights = (const real *)task->weight->data + block * cpu_blocks(task->features) * CPU_FILTER_BLOCK;
    int64_t first = step * STEP, last = first + steps * STEP;
    __m512i largest = _mm512_setzero_si512(), digit_sums[DIGITS] = {largest, largest, largest};
    __m512 total[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (int64_t k = first; k < last; k++) {
        __m512 w = scaled_weights(task, weights, k);
        largest = _mm512_max_epi32(largest, magnitude_bits(w));
        total[k % 2] = _mm512_fmadd_ps(w, _mm512_set1_ps(CENTRE - task->pixels->offset[k]), total[k % 2]);
    }
    _mm512_store_ps(constant, _mm512_add_ps(_mm512_load_ps(constant), _mm512_add_ps(total[0], total[1])));
    struct unit unit = unit_of(largest);
    for (int64_t k = first; k < last; k += 4) {
        __m512 terms[4];
        for (int j = 0; j < 4; j++) terms[j] = scaled_weights(task, weights, k + j);
        cut_terms(terms, unit, (k - first) % STEP / 4, tiles + (k - first) / STEP * DIGITS * TILE_BYTES, digit_sums);
    }
    store_start(digit_sums, start);
    return unit.unit;
}

/* An item is a slice of the features and a block of outputs; neighbours have the slice in common. */
static void forward_item(const struct forward_task *task, int64_t item)
{
    int64_t blocks = cpu_blocks(task->weight->shape.n), slice = item / blocks, block = item % blocks;
    int64_t first = slice * task->slice_steps, rows = cpu_pixels_rows(task->samples);
    int64_t last = min_of(first + task->slice_steps, cpu_pixels_steps(task->features));
    int8_t tiles[CHUNK_STEPS * DIGITS * TILE_BYTES] __attribute__((aligned(64)));
    int32_t start[DIGITS * TILE] __attribute__((aligned(64))),
        products[2][DIGITS][TILE * TILE] __attribute__((aligned(64)));
    float *sums = task->sums + item * rows * CPU_BLOCK, *constant = task->constants + item * CPU_BLOCK;
    _mm512_store_ps(constant, _mm512_setzero_ps());
    for (int64_t chunk = first; chunk < last; chunk += CHUNK_STEPS) {
        struct cpu_bytes_product product = {.a_step = rows * STEP, .a_second = TILE_BYTES, .b = tiles, .start = start};
        int64_t steps = min_of(CHUNK_STEPS, last - chunk);
        product.words = steps * TILE;
        __m512 unit = cut_weights(task, block, chunk, steps, tiles, start, constant);
        for (int64_t n = 0; n < task->samples; n += 2 * TILE) {
            product.a = task->pixels->values + (chunk * rows + n) * STEP;
            product.rows = n + TILE < task->samples ? 2 : 1;
            task->engine->multiply(&product, products);
            for (int r = 0; r < product.rows * TILE; r++) {
                __m512 sum = row_of(products[r / TILE], r % TILE, unit);
                if (chunk > first) sum = _mm512_add_ps(sum, _mm512_load_ps(sums + (n + r) * CPU_BLOCK));
                _mm512_store_ps(sums + (n + r) * CPU_BLOCK, sum);
            }
        }
    }
}

static void forward_items(void *argument, int64_t first, int64_t last)
{
    const struct forward_task *task = argument;
    task->engine->begin();
    for (int64_t item = first; item < last; item++) forward_item(task, item);
    task->engine->end();
}

/* Writes y of some blocks of outputs: bias, constants and sums, slice after slice. */
static void add_slices(void *argument, int64_t first, int64_t last)
{
    const struct forward_task *task = argument;
    int64_t blocks = cpu_blocks(task->weight->shape.n), rows = cpu_pixels_rows(task->samples);
    for (int64_t block = first; block < last; block++) {
        vec start = task->bias ? vec_load((const real *)task->bias->data + block * CPU_BLOCK) : (vec){0};
        for (int64_t slice = 0; slice < task->slices; slice++)
            start += vec_load(task->constants + (slice * blocks + block) * CPU_BLOCK);
        real *y = (real *)task->y->data + block * task->samples * CPU_BLOCK;
        for (int64_t n = 0; n < task->samples; n++) {
            vec total = start;
            for (int64_t slice = 0; slice < task->slices; slice++)
                total += vec_load(task->sums + ((slice * blocks + block) * rows + n) * CPU_BLOCK);
            vec_store(y + n * CPU_BLOCK, total);
        }
    }
}

static void cut_slices(struct forward_task *task)
{
    int64_t steps = cpu_pixels_steps(task->features), blocks = cpu_blocks(task->weight->shape.n);
    int64_t bytes = steps * cpu_pixels_rows(task->samples) * STEP;
    int64_t wanted = max_of(tile_count(FEW_ITEMS, blocks), tile_count(bytes, SLICE_BYTES));
    task->slice_steps = max_of(tile_count(steps, wanted), min_of(CHUNK_STEPS, steps));
    task->slices = tile_count(steps, task->slice_steps);
}

void CPU_EXPORT(cpu_linear_pixels_forward)(struct backend *backend, const struct tensor *x, const struct tensor *weight,
                                           const struct tensor *bias, const struct tensor *y)
{
    struct forward_task task = {
        .engine = cpu_backend_of(backend)->bytes, .pixels = x->data, .weight = weight, .bias = bias, .y = y};
    task.samples = x->shape.n, task.features = x->shape.c;
    cut_slices(&task);
    int64_t blocks = cpu_blocks(weight->shape.n), items = task.slices * blocks;
    size_t sums = (size_t)(items * cpu_pixels_rows(task.samples) * CPU_BLOCK), constants = (size_t)(items * CPU_BLOCK);
    CPU_EXPORT(cpu_scratch_reserve)(backend, (sums + constants) * sizeof(float));
    task.sums = cpu_backend_of(backend)->scratch;
    task.constants = task.sums + sums;
    cpu_for(backend, items, task.slice_steps * STEP * task.samples, forward_items, &task);
    cpu_for(backend, blocks, task.slices * task.samples * CPU_BLOCK, add_slices, &task);
}

/* --- dw and db --- */

struct backward_task {
    const struct cpu_bytes_engine *engine;
    const struct cpu_pixels *pixels;
    int64_t samples, features;
    const struct tensor *dy, *dweight;
    const struct cpu_update *update;
    int64_t chunks;  /* chunks of up to 512 samples */
    int8_t *tiles;   /* [O/16][N/64][h, m, l][16][64]: dy, cut */
    int32_t *starts; /* [O/16][chunks][h, m, l][16] */
    float *units;    /* [O/16][chunks][16] */
    real *dbias;     /* [O/16][16] */
};

static __m512 dy_row(const real *dy, int64_t n, int64_t count)
{
    return _mm512_load_ps(n < count ? dy + n * CPU_BLOCK : zeros);
}

/* Cuts dy of some blocks of outputs, and sums it over the batch. */
static void cut_dy(void *argument, int64_t first, int64_t last)
{
    const struct backward_task *task = argument;
    int64_t count = task->samples, steps = cpu_pixels_steps(count);
    for (int64_t block = first; block < last; block++) {
        const real *dy = (const real *)task->dy->data + block * count * CPU_BLOCK;
        int8_t *tiles = task->tiles + block * steps * DIGITS * TILE_BYTES;
        for (int64_t chunk = 0; chunk < task->chunks; chunk++) {
            int64_t start = chunk * CHUNK_TERMS, end = min_of(start + CHUNK_TERMS, count);
            __m512i largest = _mm512_setzero_si512(), digit_sums[DIGITS] = {largest, largest, largest};
            for (int64_t n = start; n < end; n++)
                largest = _mm512_max_epi32(largest, magnitude_bits(dy_row(dy, n, count)));
            struct unit unit = unit_of(largest);
            _mm512_store_ps(task->units + (block * task->chunks + chunk) * CPU_BLOCK, unit.unit);
            for (int64_t n = start; n < cpu_pixels_rows(end); n += 4) {
                __m512 terms[4];
                for (int j = 0; j < 4; j++) terms[j] = dy_row(dy, n + j, count);
                cut_terms(terms, unit, n % STEP / 4, tiles + n / STEP * DIGITS * TILE_BYTES, digit_sums);
            }
            store_start(digit_sums, task->starts + (block * task->chunks + chunk) * DIGITS * TILE);
        }
        vec_store(task->dbias + block * CPU_BLOCK, cpu_sum_rows(dy, count * CPU_BLOCK));
    }
}

/* Interleaves four samples of 64 features into words of a feature's four samples: to[b] has features 16 b to 16 b +
 * 15. */
static inline void interleave(const uint8_t *samples, __m512i to[4])
{
    __m512i a = _mm512_load_si512(samples), b = _mm512_load_si512(samples + STEP);
    __m512i c = _mm512_load_si512(samples + 2 * STEP), d = _mm512_load_si512(samples + 3 * STEP);
    __m512i ab = _mm512_unpacklo_epi8(a, b), cd = _mm512_unpacklo_epi8(c, d);
    __m512i ab_high = _mm512_unpackhi_epi8(a, b), cd_high = _mm512_unpackhi_epi8(c, d);
    /* q0 to q3 have features 0-3, 4-7, 8-11 and 12-15 of each quarter's 16. */
    __m512i q0 = _mm512_unpacklo_epi16(ab, cd), q1 = _mm512_unpackhi_epi16(ab, cd);
    __m512i q2 = _mm512_unpacklo_epi16(ab_high, cd_high), q3 = _mm512_unpackhi_epi16(ab_high, cd_high);
    __m512i even01 = _mm512_shuffle_i32x4(q0, q1, 0x88), odd01 = _mm512_shuffle_i32x4(q0, q1, 0xDD);
    __m512i even23 = _mm512_shuffle_i32x4(q2, q3, 0x88), odd23 = _mm512_shuffle_i32x4(q2, q3, 0xDD);
    to[0] = _mm512_shuffle_i32x4(even01, even23, 0x88), to[2] = _mm512_shuffle_i32x4(even01, even23, 0xDD);
    to[1] = _mm512_shuffle_i32x4(odd01, odd23, 0x88), to[3] = _mm512_shuffle_i32x4(odd01, odd23, 0xDD);
}

/* Transposes 64 samples of 64 features, [64][64], into the tiles of four blocks of features, [16 features][64 samples],
 * `stride` bytes apart. */
static void transpose_pixels(const uint8_t *pixels, int64_t stride, uint8_t *tiles)
{
    __m512i words[4][TILE];
    for (int g = 0; g < TILE; g++) {
        __m512i row[4];
        interleave(pixels + g * 4 * STEP, row);
        for (int b = 0; b < 4; b++) words[b][g] = row[b];
    }
    for (int b = 0; b < 4; b++) cpu_transpose_block((const real *)words[b], (real *)(tiles + b * stride));
}

/* The place of dw for a block of outputs and the tile of features that begins with k. */
static real *gradient_at(const struct backward_task *task, int64_t block, int64_t k)
{
    int64_t features = cpu_blocks(task->features);
    return (real *)task->dweight->data + (block * features + k / CPU_BLOCK) * CPU_FILTER_BLOCK;
}

/* Adds this chunk's products to dw of a tile of features and a block of outputs. The last chunk makes dw of the sum:
 * s_k (sum + c_k db). */
static void add_products(const struct backward_task *task, int64_t block, int64_t k, int64_t chunk,
                         int32_t products[DIGITS][TILE * TILE])
{
    real *dweight = gradient_at(task, block, k);
    __m512 unit = _mm512_load_ps(task->units + (block * task->chunks + chunk) * CPU_BLOCK);
    __m512 dbias = _mm512_load_ps(task->dbias + block * CPU_BLOCK);
    for (int r = 0; r < TILE; r++) {
        __m512 sum = row_of(products, r, unit);
        if (chunk > 0) sum = _mm512_add_ps(sum, _mm512_load_ps(dweight + r * CPU_BLOCK));
        if (chunk + 1 == task->chunks) {
            sum = _mm512_fmadd_ps(_mm512_set1_ps(CENTRE - task->pixels->offset[k + r]), dbias, sum);
            sum = _mm512_mul_ps(sum, _mm512_set1_ps(task->pixels->scale[k + r]));
        }
        _mm512_store_ps(dweight + r * CPU_BLOCK, sum);
    }
    if (chunk + 1 == task->chunks) cpu_update_piece(task->update, dweight, CPU_FILTER_BLOCK);
}

/* An item is a step of 64 features. */
static void backward_item(const struct backward_task *task, int64_t item)
{
    enum { TILES_OF_STEP = STEP / TILE };
    int64_t blocks = cpu_blocks(task->dweight->shape.n), steps = cpu_pixels_steps(task->samples);
    int64_t tiles = min_of(TILES_OF_STEP, cpu_blocks(task->features) - item * TILES_OF_STEP);
    uint8_t pixels[TILES_OF_STEP][CHUNK_STEPS * TILE_BYTES] __attribute__((aligned(64)));
    int32_t products[2][DIGITS][TILE * TILE] __attribute__((aligned(64)));
    struct cpu_bytes_product product = {.a_step = TILE_BYTES, .a_second = sizeof pixels[0]};
    for (int64_t chunk = 0; chunk < task->chunks; chunk++) {
        int64_t first = chunk * CHUNK_STEPS;
        int64_t samples = min_of(task->samples - first * STEP, CHUNK_TERMS);
        product.words = tile_count(samples, 4);
        const struct cpu_update *update = chunk + 1 == task->chunks ? task->update : NULL;
        for (int64_t s = 0; s < cpu_pixels_steps(samples); s++)
            transpose_pixels(task->pixels->values + (item * steps + first + s) * STEP * STEP, sizeof pixels[0],
                             pixels[0] + s * TILE_BYTES);
        for (int64_t block = 0; block < blocks; block++) {
            product.b = task->tiles + (block * steps + first) * DIGITS * TILE_BYTES;
            product.start = task->starts + (block * task->chunks + chunk) * DIGITS * TILE;
            for (int64_t t = 0; t < tiles; t += 2) {
                int64_t k = item * STEP + t * TILE;
                product.a = pixels[t], product.rows = t + 1 < tiles ? 2 : 1;
                struct cpu_update_ahead ahead =
                    cpu_update_ahead(update, gradient_at(task, block, k), 1, product.rows * CPU_FILTER_BLOCK, 0);
                product.ahead = &ahead;
                task->engine->multiply(&product, products);
                for (int r = 0; r < product.rows; r++) add_products(task, block, k + r * TILE, chunk, products[r]);
            }
        }
    }
}

static void backward_items(void *argument, int64_t first, int64_t last)
{
    const struct backward_task *task = argument;
    task->engine->begin();
    for (int64_t item = first; item < last; item++) backward_item(task, item);
    task->engine->end();
}

void CPU_EXPORT(cpu_linear_pixels_backward)(struct backend *backend, const struct tensor *x, const struct tensor *dy,
                                            const struct tensor *dweight, const struct tensor *dbias,
                                            const struct cpu_update *update)
{
    struct backward_task task = {
        .engine = cpu_backend_of(backend)->bytes, .pixels = x->data, .dy = dy, .dweight = dweight};
    task.samples = x->shape.n, task.features = x->shape.c;
    task.chunks = tile_count(task.samples, CHUNK_TERMS);
    task.update = update;
    int64_t blocks = cpu_blocks(dy->shape.c);
    size_t tiles = (size_t)(blocks * cpu_pixels_steps(task.samples) * DIGITS * TILE_BYTES);
    size_t units = (size_t)(blocks * task.chunks * CPU_BLOCK), starts = DIGITS * units;
    size_t sums = (size_t)(blocks * CPU_BLOCK);
    CPU_EXPORT(cpu_scratch_reserve)(backend, tiles + starts * sizeof(int32_t) + (units + sums) * sizeof(float));
    task.tiles = cpu_backend_of(backend)->scratch;
    task.starts = (int32_t *)(task.tiles + tiles);
    task.units = (float *)(task.starts + starts);
    task.dbias = dbias ? dbias->data : task.units + units;
    cpu_for(backend, blocks, task.samples * CPU_BLOCK, cut_dy, &task);
    cpu_for(backend, cpu_pixels_steps(task.features), STEP * task.samples * dy->shape.c, backward_items, &task);
}

#else

void CPU_EXPORT(cpu_linear_pixels_forward)(struct backend *backend, const struct tensor *x, const struct tensor *weight,
                                           const struct tensor *bias, const struct tensor *y)
{
    (void)backend, (void)x, (void)weight, (void)bias, (void)y;
    CHECK(!"a processor that multiplies bytes");
}

void CPU_EXPORT(cpu_linear_pixels_backward)(struct backend *backend, const struct tensor *x, const struct tensor *dy,
                                            const struct tensor *dweight, const struct tensor *dbias,
                                            const struct cpu_update *update)
{
    (void)backend, (void)x, (void)dy, (void)dweight, (void)dbias, (void)update;
    CHECK(!"a processor that multiplies bytes");
}

#endif
