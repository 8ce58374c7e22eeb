/* y and dx of a convolution: sums over taps (cpu_conv2d.c has the formulas).
 *
 * Blocking of y and dx. For one output pixel the valid taps (k,l) are a rectangle; each is a matrix product of a batch
 * of rows with a 16 x 16 block of the filter per block of input channels. A register tile is CPU_TILE_ROWS samples of a
 * pixel by CPU_TILE_BLOCKS blocks of output channels (one block more where the number of blocks is odd). An item of
 * work is a range of tiles and columns. It goes through the input channels in chunks whose filter blocks fit into half
 * of L1, so that the filter comes from L1 for all tiles but the first, and adds each chunk to the sums that the tiles
 * hold already. No term outside the image is computed: 2 FLOP per useful multiply and no more. Bytes per item: its
 * column of the filter once; x once from L2; y once per chunk, written and read.
 *
 * dx is the same sum with x and y exchanged, over the transposed filter: its blocks are transposed in registers as a
 * chunk is fetched, into scratch memory that stays in L1.
 *
 * This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/conv/cpu_conv2d.h"

#include "backend/cpu/conv/cpu_tile.h"
#include "backend/cpu/conv/cpu_transpose.h"

enum {
    CPU_CHUNK_FILTER = 24 * 1024, /* bytes of filter blocks that a column keeps in L1 */
    CPU_ITEM_TILES = 512,         /* tiles x columns in an item at most: their y stays in L2 from chunk to chunk */
    CPU_ITEM_FEW_TILES = 8,       /* and at least, so that fetching the filter's column pays */
    CPU_ITEMS_PER_THREAD = 8,     /* so that no thread waits long for the last item */
};

struct sum_task {
    struct conv2d_sum sum;
    const struct conv2d_plan *plan;
    int64_t chunk_blocks;           /* blocks of source channels in a chunk */
    int64_t pixel_tiles;            /* tiles of a pixel's batch */
    int64_t columns, column_groups; /* columns in all; ranges of columns */
    int64_t item_tiles;             /* tiles in an item */
};

/* One chunk of source channels, as a column of tiles sees it. */
struct conv_chunk {
    const real *filter;                  /* filter block 0 of the chunk and of the column, tap 0 */
    int64_t block_stride;                /* between the filter blocks of two source blocks */
    int64_t column_stride;               /* between those of two blocks of the column */
    int64_t first_channel, last_channel; /* source channels */
    /* The filter of the next chunk in memory: next_runs runs of next_run scalars, next_stride apart. */
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

/* Adds the products of all taps, for each block of the chunk's channels. A window of one tap, such as a linear layer's,
 * leaves only the loop over channels. */
static inline __attribute__((always_inline)) void
multiply_taps(const int rows, const int vecs, vec *total, const struct sum_task *task, const struct conv_chunk *chunk,
              const struct tap_range *h, const struct tap_range *w, const real *source)
{
    struct shape from = task->sum.source.shape;
    int64_t from_stride = cpu_block_stride(from), pixel = from.n * CPU_BLOCK, kernel = task->sum.window.kernel;
    const real *filter = chunk->filter;
    if (h->first >= h->last || w->first >= w->last) return; /* every tap lies in the padding */
    if (kernel == 1) source += (h->position * from.w + w->position) * pixel;
    for (int64_t c = chunk->first_channel; c < chunk->last_channel; c += CPU_BLOCK) {
        int64_t depth = min_of(CPU_BLOCK, from.c - c), row = h->position;
        if (kernel == 1) {
            multiply_add(rows, vecs, total, source, filter, chunk->column_stride, depth);
        } else {
            for (int64_t k = h->first; k < h->last; k += h->step, row += h->position_step) {
                const real *at = source + (row * from.w + w->position) * pixel;
                for (int64_t l = w->first; l < w->last; l += w->step, at += w->position_step * pixel)
                    multiply_add(rows, vecs, total, at, filter + (k * kernel + l) * CPU_FILTER_BLOCK,
                                 chunk->column_stride, depth);
            }
        }
        source += from_stride;
        filter += chunk->block_stride;
    }
}

static inline __attribute__((always_inline)) void sum_taps(const int rows, const int blocks,
                                                           const struct sum_task *task, const struct conv_chunk *chunk,
                                                           const struct tap_range *h, const struct tap_range *w,
                                                           const real *bias, const real *source, real *destination)
{
    const int vecs = blocks * CPU_BLOCK_VECS;
    int64_t to_stride = cpu_block_stride(task->sum.destination.shape);
    vec total[CPU_TILE_VECS];
    CPU_UNROLL
    for (int i = 0; i < rows * vecs; i++) {
        if (chunk->first_channel > 0)
            total[i] = vec_load(tile_at(destination, to_stride, i / vecs, i % vecs));
        else
            total[i] = bias ? vec_load(bias + i % vecs * CPU_LANES) : (vec){0};
    }
    multiply_taps(rows, vecs, total, task, chunk, h, w, source);
    CPU_UNROLL
    for (int i = 0; i < rows * vecs; i++) vec_store(tile_at(destination, to_stride, i / vecs, i % vecs), total[i]);
}

static void sum_tile(int64_t rows, int64_t blocks, const struct sum_task *task, const struct conv_chunk *chunk,
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
    int64_t lines_per_tile, runs, run_lines, lines_left; /* lines_left: in the run at hand */
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

/* Computes the tiles first..last-1 of a column, for one chunk. */
static void sum_chunk(const struct sum_task *task, const struct conv_chunk *chunk, int64_t first, int64_t last,
                      int64_t block, int64_t blocks)
{
    struct shape to = task->sum.destination.shape, from = task->sum.source.shape;
    const real *source =
        (const real *)task->sum.source.data + chunk->first_channel / CPU_BLOCK * cpu_block_stride(from);
    real *destination = (real *)task->sum.destination.data + block * cpu_block_stride(to);
    const real *bias = task->sum.bias ? task->sum.bias + block * CPU_BLOCK : NULL;
    int64_t pixel = first / task->pixel_tiles, row = first % task->pixel_tiles * CPU_TILE_ROWS;
    struct prefetch prefetch = prefetch_start(chunk, last - first);
    for (int64_t tile = first; tile < last; pixel++, row = 0) {
        struct tap_range h = tap_range_of(task->sum.window, task->sum.transposed, pixel / to.w, from.h),
                         w = tap_range_of(task->sum.window, task->sum.transposed, pixel % to.w, from.w);
        for (; row < to.n && tile < last; row += CPU_TILE_ROWS, tile++) {
            prefetch_some(&prefetch, chunk);
            sum_tile(min_of(CPU_TILE_ROWS, to.n - row), blocks, task, chunk, &h, &w, bias, source + row * CPU_BLOCK,
                     destination + (pixel * to.n + row) * CPU_BLOCK);
        }
    }
}

/* --- the transposed filter --- */

/* Transposes the chunk's blocks of a column into the scratch memory, [column's blocks][chunk's blocks][K*K][16 o][16
 * i]. */
static void transpose_chunk(const struct sum_task *task, struct conv_chunk *chunk, int64_t block, int64_t blocks,
                            real *scratch)
{
    int64_t window = task->sum.window.kernel * task->sum.window.kernel,
            row_blocks = cpu_blocks(task->sum.destination.shape.c);
    int64_t first = chunk->first_channel / CPU_BLOCK, last = cpu_blocks(chunk->last_channel);
    chunk->filter = scratch;
    chunk->block_stride = window * CPU_FILTER_BLOCK;
    chunk->column_stride = (last - first) * chunk->block_stride;
    for (int64_t b = 0; b < blocks; b++)
        for (int64_t c = first; c < last; c++) {
            const real *from = task->sum.filter + (c * row_blocks + block + b) * window * CPU_FILTER_BLOCK;
            for (int64_t tap = 0; tap < window; tap++, scratch += CPU_FILTER_BLOCK)
                cpu_transpose_block(from + tap * CPU_FILTER_BLOCK, scratch);
        }
}

/* Notes where the filter of the next chunk lies, for column `column` and the source blocks from `first` on. */
static void set_next(const struct sum_task *task, struct conv_chunk *chunk, int64_t first, int64_t column)
{
    struct shape to = task->sum.destination.shape, from = task->sum.source.shape;
    int64_t window = task->sum.window.kernel * task->sum.window.kernel;
    int64_t block = column_first(column, false), blocks = column_blocks(cpu_blocks(to.c), column, false);
    int64_t count = min_of(task->chunk_blocks, cpu_blocks(from.c) - first);
    bool transposed = task->sum.transposed;
    int64_t inner = cpu_blocks(transposed ? to.c : from.c), o = transposed ? first : block,
            i = transposed ? block : first;
    chunk->next = task->sum.filter + (o * inner + i) * window * CPU_FILTER_BLOCK;
    chunk->next_runs = transposed ? count : blocks;
    chunk->next_run = (transposed ? blocks : count) * window * CPU_FILTER_BLOCK;
    chunk->next_stride = inner * window * CPU_FILTER_BLOCK;
}

/* An item is a range of columns and a range of tiles. It goes chunk by chunk, so that source, filter and destination
 * stay in L2. */
static void sum_item(const struct sum_task *task, int64_t item)
{
    struct shape to = task->sum.destination.shape, from = task->sum.source.shape;
    int64_t group = item % task->column_groups, first_column = group * task->columns / task->column_groups;
    int64_t last_column = (group + 1) * task->columns / task->column_groups;
    int64_t first = item / task->column_groups * task->item_tiles;
    int64_t last = min_of(first + task->item_tiles, to.h * to.w * task->pixel_tiles);
    int64_t block_stride = task->sum.window.kernel * task->sum.window.kernel * CPU_FILTER_BLOCK;
    int64_t column_stride = cpu_blocks(from.c) * block_stride;
    size_t thread = (size_t)cpu_threads_current();
    for (int64_t c = 0; c < cpu_blocks(from.c); c += task->chunk_blocks)
        for (int64_t column = first_column; column < last_column; column++) {
            int64_t block = column_first(column, false), blocks = column_blocks(cpu_blocks(to.c), column, false);
            struct conv_chunk chunk = {
                .filter = task->sum.filter + block * column_stride + c * block_stride,
                .block_stride = block_stride,
                .column_stride = column_stride,
                .first_channel = c * CPU_BLOCK,
                .last_channel = min_of((c + task->chunk_blocks) * CPU_BLOCK, from.c),
            };
            if (column + 1 < last_column)
                set_next(task, &chunk, c, column + 1);
            else if (c + task->chunk_blocks < cpu_blocks(from.c))
                set_next(task, &chunk, c + task->chunk_blocks, first_column);
            if (task->sum.transposed)
                transpose_chunk(task, &chunk, block, blocks,
                                task->plan->transposed + thread * task->plan->scratch_count);
            sum_chunk(task, &chunk, first, last, block, blocks);
        }
}

static void sum_items(void *argument, int64_t first, int64_t last)
{
    for (int64_t item = first; item < last; item++) sum_item(argument, item);
}

/* The number of blocks of source channels whose filter blocks fit into L1 together. */
static int64_t chunk_blocks(struct window window, int64_t source_blocks)
{
    int64_t bytes = window.kernel * window.kernel * CPU_TILE_BLOCKS * CPU_FILTER_BLOCK * (int64_t)sizeof(real);
    return min_of(max_of(CPU_CHUNK_FILTER / bytes, 1), source_blocks);
}

void CPU_EXPORT(cpu_conv2d_sum_plan)(struct backend *backend, struct conv2d_plan *plan)
{
    size_t threads = (size_t)cpu_threads_count(cpu_backend_of(backend)->threads);
    int64_t blocks = chunk_blocks(plan->window, cpu_blocks(plan->output_channels)) * CPU_TILE_MOST_BLOCKS;
    plan->scratch_count = (size_t)(blocks * plan->window.kernel * plan->window.kernel) * CPU_FILTER_BLOCK;
    plan->transposed = backend->table->alloc(backend, threads * plan->scratch_count * sizeof(real));
}

/* Cuts items enough for the threads. Every range of columns reads the source and every range of tiles reads the filter;
 * the cut with the fewest reads is taken. */
static void cut_items(struct sum_task *task, int64_t items, int64_t tiles)
{
    struct shape to = task->sum.destination.shape, from = task->sum.source.shape;
    int64_t window = task->sum.window.kernel * task->sum.window.kernel, least = INT64_MAX;
    int64_t filter = cpu_blocks(to.c) * cpu_blocks(from.c) * window * CPU_FILTER_BLOCK;
    for (int64_t groups = 1; groups <= task->columns; groups++) {
        int64_t most_tiles = max_of(CPU_ITEM_TILES / ((task->columns + groups - 1) / groups), CPU_ITEM_FEW_TILES);
        int64_t share = min_of(max_of(tiles * groups / items, CPU_ITEM_FEW_TILES), most_tiles);
        int64_t ranges = (tiles + share - 1) / share;
        int64_t cost = groups * cpu_blocks(from.c) * cpu_block_stride(from) + ranges * filter;
        if (cost >= least) continue;
        least = cost;
        task->column_groups = groups;
        task->item_tiles = (tiles + ranges - 1) / ranges;
    }
}

void CPU_EXPORT(cpu_conv2d_sum)(struct backend *backend, const struct conv2d_plan *plan, const struct conv2d_sum *sum)
{
    struct shape to = sum->destination.shape, from = sum->source.shape;
    struct sum_task task = {.sum = *sum, .plan = plan};
    task.columns = column_count(cpu_blocks(to.c), false);
    task.chunk_blocks = chunk_blocks(sum->window, cpu_blocks(from.c));
    task.pixel_tiles = (to.n + CPU_TILE_ROWS - 1) / CPU_TILE_ROWS;
    int64_t tiles = to.h * to.w * task.pixel_tiles, window = sum->window.kernel * sum->window.kernel;
    cut_items(&task, (int64_t)cpu_threads_width(cpu_backend_of(backend)->threads) * CPU_ITEMS_PER_THREAD, tiles);
    int64_t ranges = (tiles + task.item_tiles - 1) / task.item_tiles;
    int64_t item_columns = (task.columns + task.column_groups - 1) / task.column_groups;
    cpu_for(backend, task.column_groups * ranges, item_columns * task.item_tiles * CPU_TILE_ROWS * from.c * window,
            sum_items, &task);
}
