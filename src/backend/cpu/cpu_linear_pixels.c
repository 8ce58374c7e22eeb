/* The linear layer whose input is pixels: products of bytes, added up without rounding, as AMX computes them.
 *
 * A pixel enters a network as x_k = s_k (p_k - offset_k), with p_k in 0..255. With q_k = p_k - 128, a signed byte, and
 * c_k = 128 - offset_k that is s_k (q_k + c_k), so
 *   y[n,o]  = (b[o] + sum_k w[o,k] s_k c_k) + sum_k (w[o,k] s_k) q[n,k]
 *   dw[o,k] = s_k (sum_n dy[n,o] q[n,k] + c_k db[o]),   db[o] = sum_n dy[n,o].
 * The other factor f, w[o,k] s_k or dy[n,o], is rounded to a whole number F of 24 bits times a power of two u, the same
 * for up to 512 terms of a sum: |f| < 2^23 u, F = round(f / u). Cut into bytes, F = 65536 h + 256 m + l with h signed,
 * a sum is three sums of products of bytes in whole numbers of 32 bits, which are exact (512 * 128 * 255 < 2^24, so
 * that fp32 holds them too): sum f q = u (65536 sum h q + 256 sum m q + sum l q). (This is the scheme of Ozaki et al.
 * for products of matrices with the integer units that machines have for inference; Ootomo, Ozaki, Yokota 2024. One
 * factor being bytes from the start, three products are enough.) An f is off by u/2 at most, 2^-24 of the largest in
 * its sum, as it would be in fp32, and after that only 512 terms together are rounded: the error of y and dw is below
 * that of a sum in fp32 (tests/test_pixels.c).
 *
 * Work: three byte products per useful one, 16,384 of them an instruction. What is left is bytes: the pixels, 1 each;
 * the weights, 4, once, since they are cut in L1 by the item that uses them.
 *
 * Blocking of y: an item is 16 outputs and a slice of the features; it goes through its slice in chunks of 512
 * features, whose weights, cut, stay in L1 (24 KiB) while the batch passes by, and adds each chunk to sums of its own,
 * which are added up at the end. dw: an item is 64 features; their pixels are transposed into L1 (32 KiB for 512
 * samples), and dy, cut, passes by from L2. All cuts follow from the shape alone, and so does the order of every sum.
 */
#include "backend/cpu/cpu_linear_pixels.h"

#include "backend/cpu/cpu_amx.h"

#if defined(CPU_ISA_avx512) && defined(CPU_SCALAR_f32)

#include "backend/cpu/cpu_conv2d.h"
#include "backend/cpu/cpu_transpose.h"

enum {
    TILE = 16,
    STEP = CPU_PIXELS_STEP,
    TILE_BYTES = TILE * STEP,
    DIGITS = 3, /* h, m, l */
    CHUNK_STEPS = 8,
    CHUNK_TERMS = CHUNK_STEPS * STEP,
    SLICE_BYTES = 768 * 1024, /* of pixels that an item goes through at most: they stay in L2 from item to item */
    FEW_ITEMS = 8,            /* of y at least, where there are features enough */
};

static int64_t tile_count(int64_t count, int64_t size)
{
    return (count + size - 1) / size;
}

static const real zeros[CPU_BLOCK] __attribute__((aligned(64)));

/* --- whole numbers --- */

/* Per lane, from the largest of the bits of |f|: 1/u and u, powers of two. Where an f is not finite u is NaN. */
struct unit {
    __m512 inverse, unit;
};

static struct unit unit_of(__m512i largest_bits)
{
    const __m512i smallest = _mm512_set1_epi32(23), not_finite = _mm512_set1_epi32(255);
    __m512i exponent = _mm512_srli_epi32(largest_bits, 23); /* |f| < 2^(exponent - 126), so u = 2^(exponent - 149) */
    __mmask16 bad = _mm512_cmpge_epi32_mask(exponent, not_finite);
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

/* Byte b of each of four terms, side by side in a word. */
static __m512i join_bytes(const __m512i *whole, unsigned b)
{
    const __m512i byte = _mm512_set1_epi32(255);
    __m512i words = _mm512_and_si512(_mm512_srai_epi32(whole[0], 8 * b), byte);
    for (unsigned j = 1; j < 4; j++) {
        __m512i moved = _mm512_and_si512(_mm512_srai_epi32(whole[j], 8 * b), byte);
        words = _mm512_or_si512(words, _mm512_slli_epi32(moved, 8 * j));
    }
    return words;
}

/* Four neighbouring terms of 16 sums, as row `row` of the tiles h, m and l. */
static inline void cut_terms(const __m512 *terms, struct unit unit, int64_t row, uint8_t *tiles)
{
    __m512i whole[4];
    for (int j = 0; j < 4; j++)
        whole[j] = _mm512_min_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(terms[j], unit.inverse)),
                                    _mm512_set1_epi32((1 << 23) - 1));
    for (unsigned d = 0; d < DIGITS; d++)
        _mm512_store_si512(tiles + d * TILE_BYTES + row * STEP, join_bytes(whole, DIGITS - 1 - d));
}

/* --- products --- */

/* Sums of products of bytes: `rows` (1 or 2) tiles of q by the tiles h, m, l, over `steps` of 64 terms. */
struct product {
    const int8_t *q;          /* of step 0 */
    int64_t q_step, q_second; /* bytes from step to step, from the first tile to the second */
    const uint8_t *tiles;     /* [steps][h, m, l][16][64] */
    int64_t steps;
    int rows;
};

CPU_AMX static void multiply(const struct product *product, int32_t sums[2][DIGITS][TILE * TILE])
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    const int8_t *q = product->q;
    const uint8_t *tiles = product->tiles;
    for (int64_t s = 0; s < product->steps; s++, q += product->q_step, tiles += DIGITS * TILE_BYTES) {
        _tile_loadd(6, q, STEP);
        _tile_loadd(7, tiles, STEP);
        _tile_dpbssd(0, 6, 7);
        _tile_loadd(7, tiles + TILE_BYTES, STEP);
        _tile_dpbsud(1, 6, 7);
        _tile_loadd(7, tiles + 2 * TILE_BYTES, STEP);
        _tile_dpbsud(2, 6, 7);
        if (product->rows == 1) continue;
        _tile_loadd(6, q + product->q_second, STEP);
        _tile_dpbsud(5, 6, 7);
        _tile_loadd(7, tiles + TILE_BYTES, STEP);
        _tile_dpbsud(4, 6, 7);
        _tile_loadd(7, tiles, STEP);
        _tile_dpbssd(3, 6, 7);
    }
    _tile_stored(0, sums[0][0], STEP);
    _tile_stored(1, sums[0][1], STEP);
    _tile_stored(2, sums[0][2], STEP);
    if (product->rows == 1) return;
    _tile_stored(3, sums[1][0], STEP);
    _tile_stored(4, sums[1][1], STEP);
    _tile_stored(5, sums[1][2], STEP);
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

/* The weights of 16 outputs for a chunk of features, cut; the chunk's share of the constant is added. */
static __m512 cut_weights(const struct forward_task *task, int64_t block, int64_t step, int64_t steps, uint8_t *tiles,
                          float *constant)
{
    const real *weights = (const real *)task->weight->data + block * cpu_blocks(task->features) * CPU_FILTER_BLOCK;
    int64_t first = step * STEP, last = first + steps * STEP;
    __m512i largest = _mm512_setzero_si512();
    __m512 total[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (int64_t k = first; k < last; k++) {
        __m512 w = scaled_weights(task, weights, k);
        largest = _mm512_max_epi32(largest, magnitude_bits(w));
        total[k % 2] = _mm512_fmadd_ps(w, _mm512_set1_ps(CPU_PIXELS_CENTRE - task->pixels->offset[k]), total[k % 2]);
    }
    _mm512_store_ps(constant, _mm512_add_ps(_mm512_load_ps(constant), _mm512_add_ps(total[0], total[1])));
    struct unit unit = unit_of(largest);
    for (int64_t k = first; k < last; k += 4) {
        __m512 terms[4];
        for (int j = 0; j < 4; j++) terms[j] = scaled_weights(task, weights, k + j);
        cut_terms(terms, unit, (k - first) % STEP / 4, tiles + (k - first) / STEP * DIGITS * TILE_BYTES);
    }
    return unit.unit;
}

/* An item is a slice of the features and a block of outputs; neighbours have the slice in common. */
static void forward_item(const struct forward_task *task, int64_t item)
{
    int64_t blocks = cpu_blocks(task->weight->shape.n), slice = item / blocks, block = item % blocks;
    int64_t first = slice * task->slice_steps, rows = cpu_pixels_rows(task->samples);
    int64_t last = min_of(first + task->slice_steps, cpu_pixels_steps(task->features));
    uint8_t tiles[CHUNK_STEPS * DIGITS * TILE_BYTES] __attribute__((aligned(64)));
    int32_t products[2][DIGITS][TILE * TILE] __attribute__((aligned(64)));
    float *sums = task->sums + item * rows * CPU_BLOCK, *constant = task->constants + item * CPU_BLOCK;
    _mm512_store_ps(constant, _mm512_setzero_ps());
    for (int64_t chunk = first; chunk < last; chunk += CHUNK_STEPS) {
        struct product product = {.q_step = rows * STEP, .q_second = TILE_BYTES, .tiles = tiles};
        product.steps = min_of(CHUNK_STEPS, last - chunk);
        __m512 unit = cut_weights(task, block, chunk, product.steps, tiles, constant);
        for (int64_t n = 0; n < task->samples; n += 2 * TILE) {
            product.q = task->pixels->values + (chunk * rows + n) * STEP;
            product.rows = n + TILE < task->samples ? 2 : 1;
            multiply(&product, products);
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
    cpu_amx_begin();
    for (int64_t item = first; item < last; item++) forward_item(argument, item);
    cpu_amx_end();
}

/* y of some blocks of outputs: bias, constants and sums, slice after slice. */
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
    struct forward_task task = {.pixels = x->data, .weight = weight, .bias = bias, .y = y};
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
    const struct cpu_pixels *pixels;
    int64_t samples, features;
    const struct tensor *dy, *dweight;
    int64_t chunks; /* of up to 512 samples */
    uint8_t *tiles; /* [O/16][N/64][h, m, l][16][64]: dy, cut */
    float *units;   /* [O/16][chunks][16] */
    real *dbias;    /* [O/16][16] */
};

static __m512 dy_row(const real *dy, int64_t n, int64_t count)
{
    return _mm512_load_ps(n < count ? dy + n * CPU_BLOCK : zeros);
}

/* dy of some blocks of outputs, cut, and its sums over the batch. */
static void cut_dy(void *argument, int64_t first, int64_t last)
{
    const struct backward_task *task = argument;
    int64_t count = task->samples, steps = cpu_pixels_steps(count);
    for (int64_t block = first; block < last; block++) {
        const real *dy = (const real *)task->dy->data + block * count * CPU_BLOCK;
        uint8_t *tiles = task->tiles + block * steps * DIGITS * TILE_BYTES;
        for (int64_t chunk = 0; chunk < task->chunks; chunk++) {
            int64_t start = chunk * CHUNK_TERMS, end = min_of(start + CHUNK_TERMS, count);
            __m512i largest = _mm512_setzero_si512();
            for (int64_t n = start; n < end; n++)
                largest = _mm512_max_epi32(largest, magnitude_bits(dy_row(dy, n, count)));
            struct unit unit = unit_of(largest);
            _mm512_store_ps(task->units + (block * task->chunks + chunk) * CPU_BLOCK, unit.unit);
            for (int64_t n = start; n < cpu_pixels_rows(end); n += 4) {
                __m512 terms[4];
                for (int j = 0; j < 4; j++) terms[j] = dy_row(dy, n + j, count);
                cut_terms(terms, unit, n % STEP / 4, tiles + n / STEP * DIGITS * TILE_BYTES);
            }
        }
        vec_store(task->dbias + block * CPU_BLOCK, cpu_sum_rows(dy, count * CPU_BLOCK));
    }
}

/* Four samples of 64 features, as words of the four per feature: to[b] has features 16 b to 16 b + 15. */
static inline void interleave(const int8_t *samples, __m512i to[4])
{
    __m512i a = _mm512_load_si512(samples), b = _mm512_load_si512(samples + STEP);
    __m512i c = _mm512_load_si512(samples + 2 * STEP), d = _mm512_load_si512(samples + 3 * STEP);
    __m512i ab = _mm512_unpacklo_epi8(a, b), cd = _mm512_unpacklo_epi8(c, d);
    __m512i ab_high = _mm512_unpackhi_epi8(a, b), cd_high = _mm512_unpackhi_epi8(c, d);
    /* Of each quarter's 16 features, four by four. */
    __m512i q0 = _mm512_unpacklo_epi16(ab, cd), q1 = _mm512_unpackhi_epi16(ab, cd);
    __m512i q2 = _mm512_unpacklo_epi16(ab_high, cd_high), q3 = _mm512_unpackhi_epi16(ab_high, cd_high);
    __m512i even01 = _mm512_shuffle_i32x4(q0, q1, 0x88), odd01 = _mm512_shuffle_i32x4(q0, q1, 0xDD);
    __m512i even23 = _mm512_shuffle_i32x4(q2, q3, 0x88), odd23 = _mm512_shuffle_i32x4(q2, q3, 0xDD);
    to[0] = _mm512_shuffle_i32x4(even01, even23, 0x88), to[2] = _mm512_shuffle_i32x4(even01, even23, 0xDD);
    to[1] = _mm512_shuffle_i32x4(odd01, odd23, 0x88), to[3] = _mm512_shuffle_i32x4(odd01, odd23, 0xDD);
}

/* 64 samples of 64 features, [64][64], to the tiles of four blocks of features, [16 features][64 samples], `stride`
 * bytes apart. */
static void transpose_pixels(const int8_t *pixels, int64_t stride, int8_t *tiles)
{
    __m512i words[4][TILE];
    for (int g = 0; g < TILE; g++) {
        __m512i row[4];
        interleave(pixels + g * 4 * STEP, row);
        for (int b = 0; b < 4; b++) words[b][g] = row[b];
    }
    for (int b = 0; b < 4; b++) cpu_transpose_block((const real *)words[b], (real *)(tiles + b * stride));
}

/* dw of a tile of features, `k` the first, for a block of outputs: this chunk's products, and in the last one
 * s_k (... + c_k db). */
static void add_products(const struct backward_task *task, int64_t block, int64_t k, int64_t chunk,
                         int32_t products[DIGITS][TILE * TILE])
{
    int64_t features = cpu_blocks(task->features);
    real *dweight = (real *)task->dweight->data + (block * features + k / CPU_BLOCK) * CPU_FILTER_BLOCK;
    __m512 unit = _mm512_load_ps(task->units + (block * task->chunks + chunk) * CPU_BLOCK);
    __m512 dbias = _mm512_load_ps(task->dbias + block * CPU_BLOCK);
    for (int r = 0; r < TILE; r++) {
        __m512 sum = row_of(products, r, unit);
        if (chunk > 0) sum = _mm512_add_ps(sum, _mm512_load_ps(dweight + r * CPU_BLOCK));
        if (chunk + 1 == task->chunks) {
            sum = _mm512_fmadd_ps(_mm512_set1_ps(CPU_PIXELS_CENTRE - task->pixels->offset[k + r]), dbias, sum);
            sum = _mm512_mul_ps(sum, _mm512_set1_ps(task->pixels->scale[k + r]));
        }
        _mm512_store_ps(dweight + r * CPU_BLOCK, sum);
    }
}

/* An item is a step of 64 features. */
static void backward_item(const struct backward_task *task, int64_t item)
{
    enum { TILES_OF_STEP = STEP / TILE };
    int64_t blocks = cpu_blocks(task->dweight->shape.n), steps = cpu_pixels_steps(task->samples);
    int64_t tiles = min_of(TILES_OF_STEP, cpu_blocks(task->features) - item * TILES_OF_STEP);
    int8_t pixels[TILES_OF_STEP][CHUNK_STEPS * TILE_BYTES] __attribute__((aligned(64)));
    int32_t products[2][DIGITS][TILE * TILE] __attribute__((aligned(64)));
    struct product product = {.q_step = TILE_BYTES, .q_second = sizeof pixels[0]};
    for (int64_t chunk = 0; chunk < task->chunks; chunk++) {
        int64_t first = chunk * CHUNK_STEPS;
        product.steps = min_of(CHUNK_STEPS, steps - first);
        for (int64_t s = 0; s < product.steps; s++)
            transpose_pixels(task->pixels->values + (item * steps + first + s) * STEP * STEP, sizeof pixels[0],
                             pixels[0] + s * TILE_BYTES);
        for (int64_t block = 0; block < blocks; block++) {
            product.tiles = task->tiles + (block * steps + first) * DIGITS * TILE_BYTES;
            for (int64_t t = 0; t < tiles; t += 2) {
                product.q = pixels[t], product.rows = t + 1 < tiles ? 2 : 1;
                multiply(&product, products);
                for (int r = 0; r < product.rows; r++)
                    add_products(task, block, item * STEP + (t + r) * TILE, chunk, products[r]);
            }
        }
    }
}

static void backward_items(void *argument, int64_t first, int64_t last)
{
    cpu_amx_begin();
    for (int64_t item = first; item < last; item++) backward_item(argument, item);
    cpu_amx_end();
}

void CPU_EXPORT(cpu_linear_pixels_backward)(struct backend *backend, const struct tensor *x, const struct tensor *dy,
                                            const struct tensor *dweight, const struct tensor *dbias)
{
    struct backward_task task = {.pixels = x->data, .dy = dy, .dweight = dweight};
    task.samples = x->shape.n, task.features = x->shape.c;
    task.chunks = tile_count(task.samples, CHUNK_TERMS);
    int64_t blocks = cpu_blocks(dy->shape.c);
    size_t tiles = (size_t)(blocks * cpu_pixels_steps(task.samples) * DIGITS * TILE_BYTES);
    size_t units = (size_t)(blocks * task.chunks * CPU_BLOCK), sums = (size_t)(blocks * CPU_BLOCK);
    CPU_EXPORT(cpu_scratch_reserve)(backend, tiles + (units + sums) * sizeof(float));
    task.tiles = cpu_backend_of(backend)->scratch;
    task.units = (float *)(task.tiles + tiles);
    task.dbias = dbias ? dbias->data : task.units + units;
    cpu_for(backend, blocks, task.samples * CPU_BLOCK, cut_dy, &task);
    cpu_for(backend, cpu_pixels_steps(task.features), STEP * task.samples * dy->shape.c, backward_items, &task);
}

#else

void CPU_EXPORT(cpu_linear_pixels_forward)(struct backend *backend, const struct tensor *x, const struct tensor *weight,
                                           const struct tensor *bias, const struct tensor *y)
{
    (void)backend, (void)x, (void)weight, (void)bias, (void)y;
    CHECK(!"a backend that offers it");
}

void CPU_EXPORT(cpu_linear_pixels_backward)(struct backend *backend, const struct tensor *x, const struct tensor *dy,
                                            const struct tensor *dweight, const struct tensor *dbias)
{
    (void)backend, (void)x, (void)dy, (void)dweight, (void)dbias;
    CHECK(!"a backend that offers it");
}

#endif
