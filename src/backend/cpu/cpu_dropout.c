/* Dropout: to = mask * from / (1 - rate). The mask is drawn anew from its counters in both directions (struct
 * dropout_params in backend.h), so nothing is stored.
 *
 * A draw gives the words of four neighbouring lanes. WORD_LANES draws are computed side by side, a register per word of
 * the counter. They serve WORD_LANES / 4 rows of 16 lanes.
 *
 * This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/cpu_install.h"

#include "util/philox.h"

#if defined(CPU_ISA_avx512) || defined(CPU_ISA_avx2)
#include <immintrin.h>
#endif

enum { WORDS = 4, WORD_LANES = CPU_VEC_BYTES / 4, ROW_DRAWS = CPU_BLOCK / WORDS, ROWS = WORD_LANES / ROW_DRAWS };

typedef uint32_t words_vec __attribute__((vector_size(CPU_VEC_BYTES), may_alias));
typedef uint64_t wide_vec __attribute__((vector_size(CPU_VEC_BYTES), may_alias));

typedef uint32_t lane_words __attribute__((vector_size(CPU_LANES * 4), aligned(4), may_alias)); /* one per scalar */

/* The products of the lower halves of each pair of lanes: 32 x 32 -> 64 bits. */
static inline wide_vec multiply_even(wide_vec a, wide_vec b)
{
#if defined(CPU_ISA_avx512)
    return (wide_vec)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(CPU_ISA_avx2)
    return (wide_vec)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#else
    return (a & UINT32_MAX) * (b & UINT32_MAX);
#endif
}

/* The high and low halves of a * factor, lane by lane. */
static inline void multiply_wide(words_vec a, uint32_t factor, words_vec *high, words_vec *low)
{
    wide_vec factors = (wide_vec){0} + factor;
    wide_vec even = multiply_even((wide_vec)a, factors), odd = multiply_even((wide_vec)a >> 32, factors);
    *low = (words_vec)((even & UINT32_MAX) | odd << 32);
    *high = (words_vec)(even >> 32 | (odd & ~(wide_vec){0} << 32));
}

/* WORD_LANES draws of philox_draw at once: index in, the four words out. */
static inline void draw_words(uint64_t seed, uint32_t stream, uint32_t step, const uint64_t *index,
                              words_vec word[WORDS])
{
    uint32_t low[WORD_LANES], high[WORD_LANES];
    for (int i = 0; i < WORD_LANES; i++) low[i] = (uint32_t)index[i], high[i] = (uint32_t)(index[i] >> 32);
    words_vec c0, c1, c2 = (words_vec){0} + step, c3 = (words_vec){0} + stream;
    memcpy(&c0, low, sizeof c0);
    memcpy(&c1, high, sizeof c1);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        words_vec high0, low0, high2, low2;
        multiply_wide(c0, PHILOX_FACTOR_0, &high0, &low0);
        multiply_wide(c2, PHILOX_FACTOR_1, &high2, &low2);
        c0 = high2 ^ c1 ^ k0, c1 = low2, c2 = high0 ^ c3 ^ k1, c3 = low0;
        k0 += PHILOX_KEY_0, k1 += PHILOX_KEY_1;
    }
    word[0] = c0, word[1] = c1, word[2] = c2, word[3] = c3;
}

struct dropout_task {
    const struct dropout_params *params;
    uint32_t step;
    int64_t slice_first;
    struct shape shape;
    const real *from;
    real *to;
};

/* Writes rows n..n+ROWS-1 (those below `last`) of one block and pixel, `at` scalars from the start. */
static void drop_rows(const struct dropout_task *task, int64_t first_index, int64_t sample_index, int64_t n,
                      int64_t last, int64_t at)
{
    const struct dropout_params *params = task->params;
    uint64_t index[WORD_LANES];
    words_vec word[WORDS];
    uint32_t bits[WORD_LANES * WORDS]; /* in the order of the elements */
    for (int i = 0; i < WORD_LANES; i++)
        index[i] = (uint64_t)(first_index + (n + i / ROW_DRAWS) * sample_index) / WORDS + (uint64_t)(i % ROW_DRAWS);
    draw_words(params->seed, params->stream, task->step, index, word);
    for (int i = 0; i < WORD_LANES; i++)
        for (int w = 0; w < WORDS; w++) bits[i * WORDS + w] = word[w][i];
    /* The test is philox_uniform(bits) < rate, with both sides times 2^24. */
    uint32_t threshold = (uint32_t)ceilf((float)params->rate * 16777216.0f);
    vec scale = vec_set((real)(1 / (1 - params->rate)));
    for (int r = 0; r < ROWS && n + r < last; r++)
        for (int lane = 0; lane < CPU_BLOCK; lane += CPU_LANES) {
            int64_t place = at + (n + r) * CPU_BLOCK + lane;
            lane_words row = *(const lane_words *)(bits + r * CPU_BLOCK + lane);
            vec_int dropped = __builtin_convertvector(row >> 8 < threshold, vec_int);
            vec_store(task->to + place, vec_select(dropped, (vec){0}, vec_load(task->from + place) * scale));
        }
}

/* Iterations are the rows [block][h][w], of N x 16 elements. */
static void dropout_rows(void *argument, int64_t first, int64_t last)
{
    const struct dropout_task *task = argument;
    struct shape s = task->shape;
    int64_t plane = s.h * s.w, blocks = cpu_blocks(s.c);
    int64_t sample_index = plane * blocks * CPU_BLOCK, first_index = task->slice_first * sample_index;
    for (int64_t row = first; row < last; row++) {
        int64_t block = row / plane, pixel = row % plane;
        for (int64_t n = 0; n < s.n; n += ROWS)
            drop_rows(task, first_index + (pixel * blocks + block) * CPU_BLOCK, sample_index, n, s.n,
                      row * s.n * CPU_BLOCK);
    }
}

static void run_dropout(struct backend *backend, const struct op_call *call)
{
    const struct tensor *from = &call->tensor[DROPOUT_FROM], *to = &call->tensor[DROPOUT_TO];
    const struct dropout_params *params = &call->op->dropout;
    CHECK(shape_equal(from->shape, to->shape));
    CHECK(params->rate >= 0 && params->rate < 1);
    struct shape s = from->shape;
    const struct step_state *state = &call->input->state;
    struct dropout_task task = {params, (uint32_t)state->step, state->slice_first, s, from->data, to->data};
    enum { PHILOX_COST = 10 };
    cpu_for(backend, cpu_blocks(s.c) * s.h * s.w, s.n * CPU_BLOCK * PHILOX_COST, dropout_rows, &task);
}

void CPU_EXPORT(cpu_dropout_install)(struct op_function *functions)
{
    functions[OP_DROPOUT] = (struct op_function){.run = run_dropout};
}
