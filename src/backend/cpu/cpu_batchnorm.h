/* The statistics of batch normalization, for the operation alone and the fused one: the same sums in the same order.
 *
 * A block of 16 channels is a matrix of B = N*H*W rows. Its rows are cut into segments, so that few blocks of large
 * images still make work for many threads, and a segment into chunks that fit the first-level cache. The cuts depend on
 * the shape alone. The sums of the chunks are added up per segment, then the sums of the segments. So the rounding
 * error of fp32 stays small, and the number of threads changes nothing.
 *
 * Mean and variance take one read of memory: a chunk's mean first, then, from cache, its squares around that mean. Two
 * sets of rows with counts n, m, sums S, T and squares around their own mean Q, R have together (Chan, Golub and
 * LeVeque 1979) the squares  Q + R + (S/n - T/m)^2 n m / (n + m).  Sums are of x minus the block's first row: a large
 * mean costs no digits. */
#ifndef CPU_BATCHNORM_H
#define CPU_BATCHNORM_H

#include "backend/cpu/cpu_variant.h"

enum {
    CPU_CHUNK_OF_ROWS = CPU_SUM_CHUNK / CPU_BLOCK,
    CPU_MAX_SEGMENTS = 32 /* segments of all blocks together, where a block has several */
};

/* Rows per segment. A block is one segment where there are enough blocks, or too few rows. */
static inline int64_t cpu_segment_rows(int64_t blocks, int64_t rows)
{
    enum { ENOUGH_BLOCKS = CPU_MAX_SEGMENTS / 2, WORTHWHILE_CHUNKS = 16 };
    int64_t chunks = (rows + CPU_CHUNK_OF_ROWS - 1) / CPU_CHUNK_OF_ROWS;
    int64_t segments = min_of((ENOUGH_BLOCKS + blocks - 1) / blocks, chunks / WORTHWHILE_CHUNKS);
    if (segments <= 1) return max_of(rows, 1);
    return (chunks + segments - 1) / segments * CPU_CHUNK_OF_ROWS;
}

/* Sums over rows, one per channel of a block: sums of x - shift and of its squares around their mean, or of
 * gradients. */
struct cpu_row_sums {
    _Alignas(64) real first[CPU_BLOCK];
    _Alignas(64) real second[CPU_BLOCK];
};

/* (S, Q) of n rows += (T, R) of m rows */
static inline void cpu_moments_join(struct cpu_row_sums *to, int64_t n, const vec *sums, const vec *squares, int64_t m)
{
    real share = (real)((double)n * (double)m / (double)(n + m)), per_n = n > 0 ? (real)1 / (real)n : 0;
    for (int v = 0; v < CPU_BLOCK_VECS; v++) {
        real *first = to->first + v * CPU_LANES, *second = to->second + v * CPU_LANES;
        vec apart = vec_load(first) * per_n - sums[v] * ((real)1 / (real)m);
        vec_store(second, vec_load(second) + squares[v] + apart * apart * share);
        vec_store(first, vec_load(first) + sums[v]);
    }
}

/* Sum and squares of some rows, which are read twice. Each is summed in two parts, since an addition waits for the one
 * before it. */
static inline void cpu_chunk_moments(const real *x, int64_t rows, vec shift, vec *sum, vec *squares)
{
    vec part = {0}, other = {0};
    int64_t i = 0, count = rows * CPU_BLOCK;
    for (; i + CPU_BLOCK < count; i += 2 * CPU_BLOCK) {
        part += vec_load(x + i) - shift;
        other += vec_load(x + i + CPU_BLOCK) - shift;
    }
    if (i < count) part += vec_load(x + i) - shift;
    *sum = part + other;
    vec mean = *sum * ((real)1 / (real)rows), centred;
    part = other = (vec){0};
    for (i = 0; i + CPU_BLOCK < count; i += 2 * CPU_BLOCK) {
        centred = vec_load(x + i) - shift - mean;
        part += centred * centred;
        centred = vec_load(x + i + CPU_BLOCK) - shift - mean;
        other += centred * centred;
    }
    if (i < count) {
        centred = vec_load(x + i) - shift - mean;
        part += centred * centred;
    }
    *squares = part + other;
}

/* The inputs and outputs of the statistics. */
struct cpu_statistics {
    struct batchnorm_params params;
    int64_t channels, rows, segment_rows; /* C, B */
    const real *x;                        /* [blocks][B][16] */
    real *mean, *rstd;                    /* (C) */
    real *running_mean, *running_var;     /* (C) or NULL */
};

static inline int64_t cpu_segment_count(const struct cpu_statistics *to)
{
    return (to->rows + to->segment_rows - 1) / to->segment_rows;
}

/* Sums and squares of one segment of a block. */
static inline struct cpu_row_sums cpu_segment_moments(const struct cpu_statistics *of, int64_t block, int64_t segment)
{
    struct cpu_row_sums total = {{0}, {0}};
    const real *x = of->x + block * of->rows * CPU_BLOCK;
    int64_t first = segment * of->segment_rows, last = min_of(first + of->segment_rows, of->rows);
    for (int64_t row = first; row < last; row += CPU_CHUNK_OF_ROWS) {
        int64_t rows = min_of(CPU_CHUNK_OF_ROWS, last - row);
        vec sums[CPU_BLOCK_VECS], squares[CPU_BLOCK_VECS];
        for (int64_t v = 0; v < CPU_BLOCK_VECS; v++) {
            int64_t lane = v * CPU_LANES;
            cpu_chunk_moments(x + row * CPU_BLOCK + lane, rows, vec_load(x + lane), &sums[v], &squares[v]);
        }
        cpu_moments_join(&total, row - first, sums, squares, rows);
    }
    return total;
}

/* 1/sqrt(var + eps) for channels c, c+1, ...; 0 in the padding. */
static inline vec cpu_inverse_deviation(double epsilon, int64_t channels, int64_t c, vec variance)
{
    vec result = {0};
    for (int i = 0; i < min_of(CPU_LANES, channels - c); i++)
        result[i] = (real)(1 / sqrt((double)variance[i] + epsilon));
    return result;
}

static inline void cpu_move_average(real *running, vec value, double momentum)
{
    vec_store(running, vec_load(running) * (real)(1 - momentum) + value * (real)momentum);
}

/* Computes mean, deviation and running statistics of a block from the moments of its segments. */
static inline void cpu_finish_statistics(const struct cpu_statistics *to, int64_t block,
                                         const struct cpu_row_sums *segments)
{
    struct cpu_row_sums total = segments[0];
    for (int64_t s = 1; s < cpu_segment_count(to); s++) {
        int64_t before = s * to->segment_rows;
        cpu_moments_join(&total, before, (const vec *)segments[s].first, (const vec *)segments[s].second,
                         min_of(to->segment_rows, to->rows - before));
    }
    real rows = (real)to->rows, unbiased = to->rows > 1 ? rows / (rows - 1) : 1;
    for (int64_t lane = 0; lane < CPU_BLOCK; lane += CPU_LANES) {
        int64_t c = block * CPU_BLOCK + lane;
        vec mean = vec_load(to->x + block * to->rows * CPU_BLOCK + lane) + vec_load(total.first + lane) / rows;
        vec variance = vec_load(total.second + lane) / rows;
        vec_store(to->mean + c, mean);
        vec_store(to->rstd + c, cpu_inverse_deviation(to->params.epsilon, to->channels, c, variance));
        if (to->running_mean) cpu_move_average(to->running_mean + c, mean, to->params.momentum);
        if (to->running_var) cpu_move_average(to->running_var + c, variance * unbiased, to->params.momentum);
    }
}

/* Computes the statistics of one block by itself. */
static inline void cpu_block_statistics(const struct cpu_statistics *to, int64_t block)
{
    struct cpu_row_sums segments[CPU_MAX_SEGMENTS];
    segments[0] = cpu_segment_moments(to, block, 0);
    for (int64_t s = 1; s < cpu_segment_count(to); s++) segments[s] = cpu_segment_moments(to, block, s);
    cpu_finish_statistics(to, block, segments);
}

#endif
