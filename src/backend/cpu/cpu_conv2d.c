/* Convolution (cross-correlation, as in PyTorch) and, with a 1x1 window on 1x1 images, the linear layer.
 *
 *   y[n,o,p,q]   = b[o] + sum_{i,k,l} w[o,i,k,l] x[n,i,p*s+k-pad,q*s+l-pad]        (terms outside the image are zero)
 * so, with dy = dL/dy given,
 *   db[o]        = sum_{n,p,q} dy[n,o,p,q]
 *   dw[o,i,k,l]  = sum_{n,p,q} dy[n,o,p,q] x[n,i,p*s+k-pad,q*s+l-pad]
 *   dx[n,i,h,w]  = sum_{o,k,l} dy[n,o,p,q] w[o,i,k,l]   over the p, q with p*s+k-pad = h and q*s+l-pad = w.
 *
 * Blocking of y and dx. For one output pixel the valid taps (k,l) are a rectangle; each is a matrix product of a batch
 * of rows with a 16 x 16 block of the filter per block of input channels. A register tile is CPU_TILE_ROWS samples of a
 * pixel by CPU_TILE_BLOCKS blocks of output channels (one block more where the number of blocks is odd). An item of
 * work is a column of tiles. It goes through the input channels in chunks whose filter blocks fit into half of L1, so
 * that the filter comes from L1 for all tiles but the first, and adds each chunk to what the tiles hold already. No
 * term outside the image is computed: 2 FLOP per useful multiply and no more. Bytes per item: its column of the filter
 * once; x once from L2; y once per chunk, written and read.
 *
 * dx is the same sum with x and y exchanged, over the transposed filter: its blocks are transposed in registers as a
 * chunk is fetched, into scratch memory that stays in L1.
 *
 * Blocking of dw: one tile, CPU_TILE_ROWS input channels by a column of output channels for one tap, stays in registers
 * while a chunk of pixels with the whole batch streams past; chunks of x and dy are small enough for L1, where all taps
 * find them again; db is summed on the way. Where a filter has too few columns for the threads (a first layer), the
 * pixels are cut into parts, by the shape alone, whose sums are added up at the end.
 *
 * Where cpu_winograd_wanted says so, y and dx are computed in cpu_winograd.c instead.
 *
 * Every output is summed by one thread in an order that neither the tile nor the number of threads changes. */
#include "backend/cpu/cpu_install.h"

#include <stdlib.h>

#include "backend/cpu/cpu_transpose.h"
#include "backend/cpu/cpu_winograd.h"
#include "trainer/memory.h"

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

enum {
    CPU_FILTER_BLOCK = CPU_BLOCK * CPU_BLOCK,
    CPU_CHUNK_FILTER = 24 * 1024, /* bytes of filter blocks that a column keeps in L1 */
    CPU_CHUNK_ROWS = 128,         /* pixels x batch in a chunk of dw: about 32 KiB with its inputs */
    CPU_CHUNK_CHANNELS = 4,       /* blocks of input channels that share a chunk of dy while it is in L1 */
    CPU_ITEM_TILES = 256,         /* tiles in an item at most: their y stays in L2 from chunk to chunk */
    CPU_ITEM_FEW_TILES = 8,       /* and at least: fetching the filter's column is worth it */
    CPU_ITEMS_PER_THREAD = 8,     /* so that no thread waits long for the last item */
    CPU_FILTER_ITEMS = 16,        /* items that dw is cut into at least */
};

struct conv2d_plan {
    struct window window;
    struct shape input;
    int64_t output_channels;
    real *transposed;         /* [threads] a chunk of the filter as dx wants it */
    size_t scratch_count;     /* scalars of such a chunk */
    real *parts, *bias_parts; /* the sums of dw's and db's parts, or NULL: there is one */
};

/* --- columns of tiles --- */

/* Blocks of channels are cut into columns of CPU_TILE_BLOCKS; the last takes one more rather than leave one alone. Flat
 * columns take CPU_FLAT_BLOCKS, the last what is left. */
static int64_t column_count(int64_t blocks, bool flat)
{
    if (flat) return (blocks + CPU_FLAT_BLOCKS - 1) / CPU_FLAT_BLOCKS;
    bool one_more = CPU_TILE_MOST_BLOCKS > CPU_TILE_BLOCKS;
    return one_more ? max_of(blocks / CPU_TILE_BLOCKS, 1) : (blocks + CPU_TILE_BLOCKS - 1) / CPU_TILE_BLOCKS;
}

static int64_t column_first(int64_t column, bool flat)
{
    return column * (flat ? CPU_FLAT_BLOCKS : CPU_TILE_BLOCKS);
}

static int64_t column_blocks(int64_t blocks, int64_t column, bool flat)
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

/* Calls TILE_RUN(r, b) with the constants that rows and blocks are. */
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

/* --- the sum over taps: forward and dx --- */

/* One of the two sums: destination = bias + sum of source * filter. */
struct conv_task {
    struct window window;
    bool transposed; /* dx */
    struct tensor source, destination;
    const real *filter;          /* [O/16][I/16][K][K][16 i][16 o] */
    const real *bias;            /* (destination channels) or NULL */
    real *scratch;               /* transposed: of this thread's chunks */
    size_t scratch_count;        /* scalars per thread */
    int64_t chunk_blocks;        /* blocks of source channels in a chunk */
    int64_t pixel_tiles;         /* tiles of a pixel's batch */
    int64_t columns, item_tiles; /* tiles in an item */
};

/* The taps that meet the image along one axis for one output position: tap first, first + step, ... below last; the
 * first meets source position `position`, each next one `position_step` further. */
struct tap_range {
    int64_t first, last, step, position, position_step;
};

static struct tap_range tap_range_of(const struct conv_task *task, int64_t at, int64_t size)
{
    struct window window = task->window;
    int64_t stride = window.stride, kernel = window.kernel;
    if (!task->transposed) { /* position = at*stride + k - padding */
        int64_t start = at * stride - window.padding, first = max_of(-start, 0);
        return (struct tap_range){first, min_of(kernel, size - start), 1, start + first, 1};
    }
    /* position = (at + padding - k) / stride, where that divides */
    int64_t sum = at + window.padding;
    int64_t first = max_of(sum - (size - 1) * stride, sum % stride);
    return (struct tap_range){first, min_of(kernel, sum + 1), stride, (sum - first) / stride, -1};
}

/* One chunk of source channels, as a column of tiles sees it. */
struct conv_chunk {
    const real *filter; /* of block 0 of the chunk and of the column, tap 0 */
    int64_t block_stride,
        column_stride; /* between the filter blocks of two source blocks; of two blocks of the column */
    int64_t first_channel, last_channel; /* of the source */
    /* Where the filter of the chunk after this one lies in memory: runs of next_run scalars, next_stride apart. */
    const real *next;
    int64_t next_runs, next_run, next_stride;
};

/* rows x vecs accumulators += rows of the source times `depth` filter rows. Always inlined with constant rows and vecs,
 * so that the accumulators are registers. */
static inline __attribute__((always_inline)) void multiply_add(const int rows, const int vecs, vec *total,
                                                               const real *source, const real *filter,
                                                               int64_t filter_stride, int64_t depth)
{
    for (int64_t k = 0; k < depth; k++) {
        vec weight[CPU_COLUMN_VECS];
        CPU_UNROLL
        for (int v = 0; v < vecs; v++)
            weight[v] =
                vec_load(filter + v / CPU_BLOCK_VECS * filter_stride + k * CPU_BLOCK + v % CPU_BLOCK_VECS * CPU_LANES);
        CPU_UNROLL
        for (int r = 0; r < rows; r++) {
            vec value = vec_set(source[r * CPU_BLOCK + k]);
            CPU_UNROLL
            for (int v = 0; v < vecs; v++) total[r * vecs + v] += value * weight[v];
        }
    }
}

/* The address of vector v of row r of a tile. */
static inline __attribute__((always_inline)) real *tile_at(real *tile, int64_t block_stride, int r, int v)
{
    return tile + v / CPU_BLOCK_VECS * block_stride + r * CPU_BLOCK + v % CPU_BLOCK_VECS * CPU_LANES;
}

static inline __attribute__((always_inline)) void sum_taps(const int rows, const int blocks,
                                                           const struct conv_task *task, const struct conv_chunk *chunk,
                                                           const struct tap_range *h, const struct tap_range *w,
                                                           const real *bias, const real *source, real *destination)
{
    const int vecs = blocks * CPU_BLOCK_VECS;
    struct shape from = task->source.shape;
    int64_t to_stride = cpu_block_stride(task->destination.shape), from_stride = cpu_block_stride(from);
    int64_t pixel = from.n * CPU_BLOCK, kernel = task->window.kernel;
    vec total[CPU_TILE_VECS];
    CPU_UNROLL
    for (int i = 0; i < rows * vecs; i++) {
        if (chunk->first_channel > 0)
            total[i] = vec_load(tile_at(destination, to_stride, i / vecs, i % vecs));
        else
            total[i] = bias ? vec_load(bias + i % vecs * CPU_LANES) : (vec){0};
    }
    const real *filter = chunk->filter;
    for (int64_t c = chunk->first_channel; c < chunk->last_channel; c += CPU_BLOCK) {
        int64_t depth = min_of(CPU_BLOCK, from.c - c), row = h->position;
        for (int64_t k = h->first; k < h->last; k += h->step, row += h->position_step) {
            const real *at = source + (row * from.w + w->position) * pixel;
            for (int64_t l = w->first; l < w->last; l += w->step, at += w->position_step * pixel)
                multiply_add(rows, vecs, total, at, filter + (k * kernel + l) * CPU_FILTER_BLOCK, chunk->column_stride,
                             depth);
        }
        source += from_stride;
        filter += chunk->block_stride;
    }
    CPU_UNROLL
    for (int i = 0; i < rows * vecs; i++) vec_store(tile_at(destination, to_stride, i / vecs, i % vecs), total[i]);
}

static void sum_tile(int64_t rows, int64_t blocks, const struct conv_task *task, const struct conv_chunk *chunk,
                     const struct tap_range *h, const struct tap_range *w, const real *bias, const real *source,
                     real *destination)
{
#define TILE_RUN(r, b) sum_taps(r, b, task, chunk, h, w, bias, source, destination)
    TILE_SWITCH(rows, blocks);
#undef TILE_RUN
}

/* A walk over the lines of the next chunk's filter, which comes from L3 or from memory: each tile asks for some of
 * them. */
struct prefetch {
    const real *at;
    int64_t lines_per_tile, runs, run_lines, lines_left; /* lines_left: of the run at hand */
};

enum { CPU_LINE = 64 / sizeof(real) };

static struct prefetch prefetch_start(const struct conv_chunk *chunk, int64_t tiles)
{
    int64_t run_lines = chunk->next_run / CPU_LINE;
    return (struct prefetch){chunk->next, (chunk->next_runs * run_lines + tiles - 1) / tiles, chunk->next_runs,
                             run_lines, run_lines};
}

static void prefetch_some(struct prefetch *prefetch, const struct conv_chunk *chunk)
{
    for (int64_t i = 0; i < prefetch->lines_per_tile && prefetch->runs > 0; i++) {
        __builtin_prefetch(prefetch->at, 0, 2);
        prefetch->at += CPU_LINE;
        if (--prefetch->lines_left > 0) continue;
        prefetch->at += chunk->next_stride - chunk->next_run;
        prefetch->lines_left = prefetch->run_lines;
        prefetch->runs--;
    }
}

/* The tiles first..last-1 of a column, for one chunk. */
static void sum_chunk(const struct conv_task *task, const struct conv_chunk *chunk, int64_t first, int64_t last,
                      int64_t block, int64_t blocks)
{
    struct shape to = task->destination.shape, from = task->source.shape;
    const real *source = (const real *)task->source.data + chunk->first_channel / CPU_BLOCK * cpu_block_stride(from);
    real *destination = (real *)task->destination.data + block * cpu_block_stride(to);
    const real *bias = task->bias ? task->bias + block * CPU_BLOCK : NULL;
    int64_t pixel = first / task->pixel_tiles, row = first % task->pixel_tiles * CPU_TILE_ROWS;
    struct prefetch prefetch = prefetch_start(chunk, last - first);
    for (int64_t tile = first; tile < last; pixel++, row = 0) {
        struct tap_range h = tap_range_of(task, pixel / to.w, from.h), w = tap_range_of(task, pixel % to.w, from.w);
        for (; row < to.n && tile < last; row += CPU_TILE_ROWS, tile++) {
            prefetch_some(&prefetch, chunk);
            sum_tile(min_of(CPU_TILE_ROWS, to.n - row), blocks, task, chunk, &h, &w, bias, source + row * CPU_BLOCK,
                     destination + (pixel * to.n + row) * CPU_BLOCK);
        }
    }
}

/* --- the transposed filter --- */

/* Fetches the chunk's blocks of a column into the scratch memory, [column's blocks][chunk's blocks][K*K][16 o][16 i].
 */
static void transpose_chunk(const struct conv_task *task, struct conv_chunk *chunk, int64_t block, int64_t blocks,
                            real *scratch)
{
    int64_t window = task->window.kernel * task->window.kernel, row_blocks = cpu_blocks(task->destination.shape.c);
    int64_t first = chunk->first_channel / CPU_BLOCK, last = cpu_blocks(chunk->last_channel);
    chunk->filter = scratch;
    chunk->block_stride = window * CPU_FILTER_BLOCK;
    chunk->column_stride = (last - first) * chunk->block_stride;
    for (int64_t b = 0; b < blocks; b++)
        for (int64_t c = first; c < last; c++) {
            const real *from = task->filter + (c * row_blocks + block + b) * window * CPU_FILTER_BLOCK;
            for (int64_t tap = 0; tap < window; tap++, scratch += CPU_FILTER_BLOCK)
                cpu_transpose_block(from + tap * CPU_FILTER_BLOCK, scratch);
        }
}

static void set_next(const struct conv_task *task, struct conv_chunk *chunk, int64_t block, int64_t blocks)
{
    int64_t window = task->window.kernel * task->window.kernel, first = chunk->last_channel / CPU_BLOCK;
    int64_t count = min_of(task->chunk_blocks, cpu_blocks(task->source.shape.c) - first);
    if (count <= 0) return;
    int64_t inner = cpu_blocks(task->transposed ? task->destination.shape.c : task->source.shape.c);
    int64_t o = task->transposed ? first : block, i = task->transposed ? block : first;
    chunk->next = task->filter + (o * inner + i) * window * CPU_FILTER_BLOCK;
    chunk->next_runs = task->transposed ? count : blocks;
    chunk->next_run = (task->transposed ? blocks : count) * window * CPU_FILTER_BLOCK;
    chunk->next_stride = inner * window * CPU_FILTER_BLOCK;
}

static void sum_item(const struct conv_task *task, int64_t item)
{
    struct shape to = task->destination.shape, from = task->source.shape;
    int64_t window = task->window.kernel * task->window.kernel, column = item % task->columns;
    int64_t block = column_first(column, false), blocks = column_blocks(cpu_blocks(to.c), column, false);
    int64_t first = item / task->columns * task->item_tiles;
    int64_t last = min_of(first + task->item_tiles, to.h * to.w * task->pixel_tiles);
    int64_t block_stride = window * CPU_FILTER_BLOCK, column_stride = cpu_blocks(from.c) * block_stride;
    for (int64_t c = 0; c < from.c; c += task->chunk_blocks * CPU_BLOCK) {
        struct conv_chunk chunk = {
            .filter = task->filter + block * column_stride + c / CPU_BLOCK * block_stride,
            .block_stride = block_stride,
            .column_stride = column_stride,
            .first_channel = c,
            .last_channel = min_of(c + task->chunk_blocks * CPU_BLOCK, from.c),
        };
        set_next(task, &chunk, block, blocks);
        if (task->transposed)
            transpose_chunk(task, &chunk, block, blocks,
                            task->scratch + (size_t)cpu_threads_current() * task->scratch_count);
        sum_chunk(task, &chunk, first, last, block, blocks);
    }
}

static void sum_items(void *argument, int64_t first, int64_t last)
{
    for (int64_t item = first; item < last; item++) sum_item(argument, item);
}

/* Blocks of source channels whose filter blocks fit into L1 together. */
static int64_t chunk_blocks(struct window window, int64_t source_blocks)
{
    int64_t bytes = window.kernel * window.kernel * CPU_TILE_BLOCKS * CPU_FILTER_BLOCK * (int64_t)sizeof(real);
    return min_of(max_of(CPU_CHUNK_FILTER / bytes, 1), source_blocks);
}

static void run_sum(struct backend *backend, struct conv_task *task)
{
    struct shape to = task->destination.shape, from = task->source.shape;
    int64_t window = task->window.kernel * task->window.kernel;
    task->columns = column_count(cpu_blocks(to.c), false);
    task->chunk_blocks = chunk_blocks(task->window, cpu_blocks(from.c));
    task->pixel_tiles = (to.n + CPU_TILE_ROWS - 1) / CPU_TILE_ROWS;
    int64_t tiles = to.h * to.w * task->pixel_tiles;
    int64_t items = (int64_t)cpu_threads_count(cpu_backend_of(backend)->threads) * CPU_ITEMS_PER_THREAD;
    int64_t share = max_of(tiles * task->columns / items, CPU_ITEM_FEW_TILES);
    int64_t groups = (tiles + min_of(share, CPU_ITEM_TILES) - 1) / min_of(share, CPU_ITEM_TILES);
    task->item_tiles = (tiles + groups - 1) / groups;
    cpu_for(backend, task->columns * groups, task->item_tiles * CPU_TILE_ROWS * from.c * window, sum_items, task);
}

/* --- the filter's gradient --- */

struct filter_task {
    struct window window;
    struct tensor x, dy, dweight;
    int64_t chunk_height, chunk_width, chunks_across; /* a chunk's pixels of dy; chunks in a row of chunks */
    int64_t chunks, part_chunks, parts;               /* in all; in a part; parts */
    real *part;      /* [parts] sums as large as dweight; dweight itself if parts = 1 */
    real *bias_part; /* [parts] (O), dbias itself if parts = 1, or NULL: not wanted */
};

/* Output pixels p0 <= p < p1, q0 <= q < q1. */
struct rectangle {
    int64_t p0, p1, q0, q1;
};

/* rows x vecs accumulators += (rows input channels) x (vecs vectors of output channels), over `count` samples. */
static inline __attribute__((always_inline)) void multiply_samples(const int rows, const int vecs, vec *total,
                                                                   const real *x, const real *dy, int64_t dy_stride,
                                                                   int64_t count)
{
    for (int64_t n = 0; n < count; n++) {
        vec gradient[CPU_COLUMN_VECS];
        CPU_UNROLL
        for (int v = 0; v < vecs; v++)
            gradient[v] =
                vec_load(dy + v / CPU_BLOCK_VECS * dy_stride + n * CPU_BLOCK + v % CPU_BLOCK_VECS * CPU_LANES);
        CPU_UNROLL
        for (int r = 0; r < rows; r++) {
            vec value = vec_set(x[n * CPU_BLOCK + r]);
            CPU_UNROLL
            for (int v = 0; v < vecs; v++) total[r * vecs + v] += value * gradient[v];
        }
    }
}

/* x, dy: the channel blocks at hand, input channel 0 of the tile; (k,l): the tap, for which the pixels of `valid` meet
 * the image. */
static inline __attribute__((always_inline)) void sum_pixels(const int rows, const int blocks,
                                                             const struct filter_task *task, const real *x,
                                                             const real *dy, int64_t k, int64_t l,
                                                             const struct rectangle *valid, bool add, real *dweight)
{
    const int vecs = blocks * CPU_BLOCK_VECS;
    struct shape filter = task->dweight.shape, from = task->x.shape, to = task->dy.shape;
    int64_t dy_stride = cpu_block_stride(to), stride = task->window.stride, padding = task->window.padding;
    int64_t column_stride = cpu_blocks(filter.c) * filter.h * filter.w * CPU_FILTER_BLOCK;
    int64_t run = stride == 1 ? valid->q1 - valid->q0 : 1; /* pixels that lie side by side in x as in dy */
    vec total[CPU_TILE_VECS];
    CPU_UNROLL
    for (int i = 0; i < rows * vecs; i++) total[i] = (vec){0};
    for (int64_t p = valid->p0; p < valid->p1; p++)
        for (int64_t q = valid->q0; q < valid->q1; q += run) {
            int64_t pixel = (p * stride + k - padding) * from.w + q * stride + l - padding;
            multiply_samples(rows, vecs, total, x + pixel * from.n * CPU_BLOCK, dy + (p * to.w + q) * to.n * CPU_BLOCK,
                             dy_stride, run * to.n);
        }
    CPU_UNROLL
    for (int i = 0; i < rows * vecs; i++) {
        real *at = tile_at(dweight, column_stride, i / vecs, i % vecs);
        if (add) total[i] += vec_load(at);
        vec_store(at, total[i]);
    }
}

static void sum_pixels_tile(int64_t rows, int64_t blocks, const struct filter_task *task, const real *x, const real *dy,
                            int64_t k, int64_t l, const struct rectangle *valid, bool add, real *dweight)
{
#define TILE_RUN(r, b) sum_pixels(r, b, task, x, dy, k, l, valid, add, dweight)
    TILE_SWITCH(rows, blocks);
#undef TILE_RUN
}

/* Of first..last-1, the output positions whose tap k meets the image. */
static void clip(struct window window, int64_t k, int64_t size, int64_t *first, int64_t *last)
{
    int64_t start = window.padding - k; /* position*stride >= start */
    if (start > 0) *first = max_of(*first, (start + window.stride - 1) / window.stride);
    int64_t end = size - 1 + start; /* position*stride <= end */
    *last = end < 0 ? 0 : min_of(*last, end / window.stride + 1);
}

/* dw of one block of input channels and one column of output channels, from one chunk of pixels. */
static void filter_chunk(const struct filter_task *task, int64_t x_block, int64_t dy_block, int64_t blocks,
                         int64_t chunk, bool add, real *part)
{
    struct shape filter = task->dweight.shape, from = task->x.shape, to = task->dy.shape;
    int64_t kernel = filter.h, depth = min_of(CPU_BLOCK, filter.c - x_block * CPU_BLOCK);
    const real *x = (const real *)task->x.data + x_block * cpu_block_stride(from);
    const real *dy = (const real *)task->dy.data + dy_block * cpu_block_stride(to);
    real *dweight = part + (dy_block * cpu_blocks(filter.c) + x_block) * kernel * kernel * CPU_FILTER_BLOCK;
    int64_t p = chunk / task->chunks_across * task->chunk_height, q = chunk % task->chunks_across * task->chunk_width;
    for (int64_t tap = 0; tap < kernel * kernel; tap++, dweight += CPU_FILTER_BLOCK) {
        int64_t k = tap / kernel, l = tap % kernel;
        struct rectangle valid = {p, min_of(p + task->chunk_height, to.h), q, min_of(q + task->chunk_width, to.w)};
        clip(task->window, k, from.h, &valid.p0, &valid.p1);
        clip(task->window, l, from.w, &valid.q0, &valid.q1);
        if (add && (valid.p0 >= valid.p1 || valid.q0 >= valid.q1)) continue;
        for (int64_t row = 0; row < depth; row += CPU_TILE_ROWS)
            sum_pixels_tile(min_of(CPU_TILE_ROWS, depth - row), blocks, task, x + row, dy, k, l, &valid, add,
                            dweight + row * CPU_BLOCK);
    }
}

/* db of a column of output channels, from one chunk of pixels. */
static void bias_chunk(const struct filter_task *task, int64_t dy_block, int64_t blocks, int64_t chunk, bool add,
                       real *part)
{
    struct shape to = task->dy.shape;
    int64_t p = chunk / task->chunks_across * task->chunk_height, q = chunk % task->chunks_across * task->chunk_width;
    int64_t p_end = min_of(p + task->chunk_height, to.h), width = min_of(task->chunk_width, to.w - q);
    for (int64_t block = dy_block; block < dy_block + blocks; block++)
        for (int64_t row = p; row < p_end; row++)
            for (int v = 0; v < CPU_BLOCK_VECS; v++) {
                const real *dy = (const real *)task->dy.data + block * cpu_block_stride(to) +
                                 (row * to.w + q) * to.n * CPU_BLOCK + v * CPU_LANES;
                real *at = part + block * CPU_BLOCK + v * CPU_LANES;
                vec sum = cpu_sum_rows(dy, width * to.n * CPU_BLOCK);
                if (add || row > p) sum += vec_load(at);
                vec_store(at, sum);
            }
}

static bool filter_is_flat(struct shape filter)
{
    return filter.c <= CPU_FLAT_ROWS;
}

static int64_t filter_item_count(struct shape filter)
{
    return column_count(cpu_blocks(filter.n), filter_is_flat(filter)) * cpu_blocks(filter.c);
}

/* An item is a block of input channels, a column of output channels and a part of the pixels. */
static void filter_items(void *argument, int64_t first, int64_t last)
{
    const struct filter_task *task = argument;
    struct shape filter = task->dweight.shape;
    bool flat = filter_is_flat(filter);
    int64_t columns = column_count(cpu_blocks(filter.n), flat);
    size_t count = (size_t)(cpu_blocks(filter.n) * cpu_blocks(filter.c) * filter.h * filter.w) * CPU_FILTER_BLOCK;
    for (int64_t item = first; item < last; item++) {
        int64_t part = item % task->parts, column = item / task->parts % columns;
        int64_t start = part * task->part_chunks, end = min_of(start + task->part_chunks, task->chunks);
        int64_t x_block = item / task->parts / columns, dy_block = column_first(column, flat);
        int64_t blocks = column_blocks(cpu_blocks(filter.n), column, flat);
        for (int64_t chunk = start; chunk < end; chunk++) {
            filter_chunk(task, x_block, dy_block, blocks, chunk, chunk > start, task->part + (size_t)part * count);
            if (x_block == 0 && task->bias_part)
                bias_chunk(task, dy_block, blocks, chunk, chunk > start,
                           task->bias_part + part * cpu_blocks(filter.n) * CPU_BLOCK);
        }
    }
}

/* The sum of some arrays, in their order. */
struct part_task {
    const real *parts; /* [part_count][count] */
    int64_t part_count, count;
    real *sum; /* (count) */
};

static void add_parts(void *argument, int64_t first, int64_t last)
{
    const struct part_task *task = argument;
    for (int64_t i = first * CPU_LANES; i < last * CPU_LANES; i += CPU_LANES) {
        vec total = vec_load(task->parts + i);
        for (int64_t part = 1; part < task->part_count; part++) total += vec_load(task->parts + part * task->count + i);
        vec_store(task->sum + i, total);
    }
}

static void run_add_parts(struct backend *backend, const real *parts, int64_t part_count, const struct tensor *sum)
{
    int64_t count = (int64_t)backend->ops->tensor_count(backend, sum->kind, sum->shape);
    struct part_task task = {parts, part_count, count, sum->data};
    cpu_for(backend, count / CPU_LANES, part_count * CPU_LANES, add_parts, &task);
}

/* How the pixels of dy are cut up, for batches of dy.n. */
static void cut_pixels(struct filter_task *task, struct shape dy, struct shape filter)
{
    int64_t pixels = max_of(CPU_CHUNK_ROWS / dy.n, 1);
    task->chunk_width = min_of(pixels, dy.w);
    task->chunk_height = task->chunk_width < dy.w ? 1 : min_of(pixels / dy.w, dy.h);
    task->chunks_across = (dy.w + task->chunk_width - 1) / task->chunk_width;
    task->chunks = task->chunks_across * ((dy.h + task->chunk_height - 1) / task->chunk_height);
    int64_t items = filter_item_count(filter);
    task->part_chunks = (task->chunks * items + CPU_FILTER_ITEMS - 1) / CPU_FILTER_ITEMS;
    task->part_chunks = min_of(task->part_chunks, task->chunks);
    task->parts = (task->chunks + task->part_chunks - 1) / task->part_chunks;
}

static void filter_gradient(struct backend *backend, const struct conv2d_plan *plan, const struct tensor *x,
                            const struct tensor *dy, const struct tensor *dweight, const struct tensor *dbias)
{
    struct filter_task task = {.window = plan->window, .x = *x, .dy = *dy, .dweight = *dweight};
    struct shape filter = dweight->shape;
    cut_pixels(&task, dy->shape, filter);
    bool cut = task.parts > 1;
    task.part = cut ? plan->parts : dweight->data;
    if (dbias) task.bias_part = cut ? plan->bias_parts : (real *)dbias->data;
    int64_t rows = min_of(task.part_chunks * CPU_CHUNK_ROWS, dy->shape.h * dy->shape.w * dy->shape.n);
    cpu_for(backend, filter_item_count(filter) * task.parts, rows * filter.h * filter.w * CPU_BLOCK, filter_items,
            &task);
    if (cut) run_add_parts(backend, task.part, task.parts, dweight);
    if (cut && dbias) run_add_parts(backend, plan->bias_parts, task.parts, dbias);
}

/* --- the operations --- */

static struct conv2d_plan *cpu_conv2d_plan_create(struct backend *backend, struct window window, struct shape input,
                                                  int64_t output_channels)
{
    struct conv2d_plan *plan = memory_alloc(1, sizeof *plan);
    *plan = (struct conv2d_plan){.window = window, .input = input, .output_channels = output_channels};
    size_t taps = (size_t)(window.kernel * window.kernel),
           threads = (size_t)cpu_threads_count(cpu_backend_of(backend)->threads);
    plan->scratch_count =
        (size_t)chunk_blocks(window, cpu_blocks(output_channels)) * CPU_TILE_MOST_BLOCKS * taps * CPU_FILTER_BLOCK;
    plan->transposed = memory_alloc_aligned(threads * plan->scratch_count * sizeof(real));
    struct shape filter = {output_channels, input.c, window.kernel, window.kernel};
    int64_t items = filter_item_count(filter);
    if (items < CPU_FILTER_ITEMS) {
        size_t parts = (size_t)((CPU_FILTER_ITEMS + items - 1) / items);
        plan->parts = memory_alloc_aligned(parts * tensor_bytes(backend, TENSOR_FILTER, filter));
        plan->bias_parts =
            memory_alloc_aligned(parts * tensor_bytes(backend, TENSOR_VECTOR, shape_vector(output_channels)));
    }
    if (CPU_EXPORT(cpu_winograd_wanted)(backend, window, input, output_channels))
        CPU_EXPORT(cpu_winograd_reserve)(backend, input, output_channels);
    return plan;
}

static void cpu_conv2d_plan_destroy(struct backend *backend, struct conv2d_plan *plan)
{
    (void)backend;
    if (!plan) return;
    free(plan->transposed);
    free(plan->parts);
    free(plan->bias_parts);
    free(plan);
}

static void check_shapes(const struct conv2d_plan *plan, struct shape x, struct shape weight, struct shape y)
{
    CHECK(x.n <= plan->input.n && x.c == plan->input.c && x.h == plan->input.h && x.w == plan->input.w);
    CHECK(weight.n == plan->output_channels && weight.c == x.c);
    CHECK(weight.h == plan->window.kernel && weight.w == plan->window.kernel);
    CHECK(y.n == x.n && y.c == weight.n);
    CHECK(y.h == window_output_size(x.h, plan->window) && y.w == window_output_size(x.w, plan->window));
}

static void cpu_conv2d_forward(struct backend *backend, struct conv2d_plan *plan, const struct tensor *x,
                               const struct tensor *weight, const struct tensor *bias, const struct tensor *y)
{
    check_shapes(plan, x->shape, weight->shape, y->shape);
    if (CPU_EXPORT(cpu_winograd_wanted)(backend, plan->window, x->shape, y->shape.c)) {
        CPU_EXPORT(cpu_winograd_forward)(backend, x, weight, bias, y);
        return;
    }
    struct conv_task task = {
        .window = plan->window,
        .source = *x,
        .destination = *y,
        .filter = weight->data,
        .bias = bias ? bias->data : NULL,
    };
    run_sum(backend, &task);
}

static void cpu_conv2d_backward(struct backend *backend, struct conv2d_plan *plan, const struct tensor *x,
                                const struct tensor *weight, const struct tensor *dy, const struct tensor *dx,
                                const struct tensor *dweight, const struct tensor *dbias)
{
    check_shapes(plan, x->shape, weight->shape, dy->shape);
    filter_gradient(backend, plan, x, dy, dweight, dbias);
    if (!dx) return;
    if (CPU_EXPORT(cpu_winograd_wanted)(backend, plan->window, x->shape, dy->shape.c)) {
        CPU_EXPORT(cpu_winograd_input_gradient)(backend, dy, weight, dx);
        return;
    }
    struct conv_task task = {
        .window = plan->window,
        .transposed = true,
        .source = *dy,
        .destination = *dx,
        .filter = weight->data,
        .scratch = plan->transposed,
        .scratch_count = plan->scratch_count,
    };
    run_sum(backend, &task);
}

void CPU_EXPORT(cpu_conv2d_install)(struct backend_ops *ops)
{
    ops->conv2d_plan_create = cpu_conv2d_plan_create;
    ops->conv2d_plan_destroy = cpu_conv2d_plan_destroy;
    ops->conv2d_forward = cpu_conv2d_forward;
    ops->conv2d_backward = cpu_conv2d_backward;
}
