/* Convolution with operands rounded to bf16 and sums in fp32 (precision = bf16). x, w and dy are packed to bf16 for the
 * products; everything that is stored, the weights too, stays fp32. cpu_conv2d.c has the formulas.
 *
 * Packing. A word holds the two terms of a dot product that lie 16 apart (cpu_bf16.h), so that packing takes lanes as
 * they are:
 *   rows of x or dy, for y and dx:  [C/32][pixel][N][16]         channels c and c + 16 of sample n
 *   filter, for y and dx:           [tap][16][16]                channels c and c + 16 of the source, per destination
 *                                                                channel
 *   columns of dy, for dw:          [O/16][pixel][N/32][16][16]  samples n and n + 16, per output channel
 *   rows of x, for dw:              [I/16][pixel][N/32][16][16]  the same samples of each input channel: transposed
 * The batch is filled up with zeros to whole tiles.
 *
 * Blocking is as in fp32. y and dx are sums over taps, in chunks of source channels; the chunk's filter blocks are
 * packed into L1 as they are fetched, transposed for dx. For dw, a tile of the filter stays in registers while a chunk
 * of pixels streams past. Both make 32 x 32 values at a time. With AMX the arithmetic takes a fifteenth of the time of
 * fp32. The rest is bytes: packing moves 4 + 2 per element of x, 4 + 2 + 2 per element of dy, and the filter's 4 three
 * times.
 *
 * This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/conv/cpu_bf16.h"

#if defined(CPU_SCALAR_f32)

#include <stdlib.h>

#include "backend/cpu/conv/cpu_conv2d.h"
#include "backend/cpu/conv/cpu_transpose.h"
#include "backend/cpu/cpu_install.h"
#include "backend/cpu/cpu_update.h"

enum {
    WORDS = CPU_BF16_WORDS,
    TILE = CPU_BF16_TILE,
    STEP = 2 * CPU_BLOCK,        /* terms of a step: channels, or samples */
    CHUNK_WORDS = 24 * 1024 / 4, /* words of packed filter that a column keeps in L1 */
    CHUNK_SAMPLES = 256,         /* pixels x batch in a chunk of dw */
    ITEM_ROWS = 2048,            /* pixels x batch in an item of y or dx at most */
    ITEMS_PER_THREAD = 8,
};

static int64_t round_up(int64_t count, int64_t to)
{
    return (count + to - 1) / to * to;
}

static int64_t tile_count(int64_t count, int64_t size)
{
    return (count + size - 1) / size;
}

/* --- packing of activations --- */

struct pack_task {
    struct tensor from;
    uint32_t *rows;       /* [C/32][pixel][N to 16][16], or NULL */
    uint32_t *columns;    /* [C/16][pixel][N/32][16][16], or NULL */
    uint32_t *transposed; /* [C/16][pixel][N/32][16][16], or NULL */
};

static size_t rows_count(struct shape s)
{
    return (size_t)(tile_count(s.c, STEP) * s.h * s.w * round_up(s.n, TILE) * TILE);
}

static size_t columns_count(struct shape s)
{
    return (size_t)(cpu_blocks(s.c) * s.h * s.w * tile_count(s.n, STEP)) * WORDS;
}

static const real zeros[CPU_BLOCK] __attribute__((aligned(64)));

/* The row of a sample, or zeros past the batch. */
static const real *row_or_zeros(const real *rows, int64_t n, int64_t count)
{
    return rows && n < count ? rows + n * CPU_BLOCK : zeros;
}

static void pack_words(const real *first, const real *second, uint32_t *to)
{
    for (int v = 0; v < CPU_BLOCK; v += CPU_LANES) cpu_bf16_pack(vec_load(first + v), vec_load(second + v), to + v);
}

/* Packs one pixel of one block of channels, for dw. */
static void pack_columns(const real *rows, int64_t count, uint32_t *to)
{
    for (int64_t n = 0; n < count; n += STEP)
        for (int64_t p = n; p < n + TILE; p++, to += TILE)
            pack_words(row_or_zeros(rows, p, count), row_or_zeros(rows, p + TILE, count), to);
}

static void transpose_samples(const real *rows, int64_t n, int64_t count, real *to)
{
    if (n + TILE <= count) {
        cpu_transpose_block(rows + n * CPU_BLOCK, to);
        return;
    }
    real filled[WORDS] __attribute__((aligned(64)));
    for (int64_t r = 0; r < TILE; r++) memcpy(filled + r * CPU_BLOCK, row_or_zeros(rows, n + r, count), sizeof zeros);
    cpu_transpose_block(filled, to);
}

static void pack_transposed(const real *rows, int64_t count, uint32_t *to)
{
    real first[WORDS] __attribute__((aligned(64))), second[WORDS] __attribute__((aligned(64)));
    for (int64_t n = 0; n < count; n += STEP, to += WORDS) {
        transpose_samples(rows, n, count, first);
        transpose_samples(rows, n + TILE, count, second);
        for (int i = 0; i < WORDS; i += TILE) pack_words(first + i, second + i, to + i);
    }
}

/* An iteration is a pixel of a pair of blocks. */
static void pack_pixels(void *argument, int64_t first, int64_t last)
{
    const struct pack_task *task = argument;
    struct shape s = task->from.shape;
    int64_t pixels = s.h * s.w, padded = round_up(s.n, TILE), pixel_columns = tile_count(s.n, STEP) * WORDS;
    for (int64_t i = first; i < last; i++) {
        int64_t block = i / pixels * 2, pixel = i % pixels;
        const real *rows[2] = {(const real *)task->from.data + (block * pixels + pixel) * s.n * CPU_BLOCK, NULL};
        if (block + 1 < cpu_blocks(s.c)) rows[1] = rows[0] + cpu_block_stride(s);
        if (task->rows)
            for (int64_t n = 0; n < padded; n++)
                pack_words(row_or_zeros(rows[0], n, s.n), row_or_zeros(rows[1], n, s.n),
                           task->rows + (i * padded + n) * TILE);
        for (int b = 0; b < 2 && rows[b]; b++) {
            int64_t at = ((block + b) * pixels + pixel) * pixel_columns;
            if (task->columns) pack_columns(rows[b], s.n, task->columns + at);
            if (task->transposed) pack_transposed(rows[b], s.n, task->transposed + at);
        }
    }
}

static void pack(struct backend *backend, const struct pack_task *task)
{
    struct shape s = task->from.shape;
    cpu_for(backend, tile_count(s.c, STEP) * s.h * s.w, s.n * STEP, pack_pixels, (void *)task);
}

/* --- y and dx --- */

struct bf16_sum {
    struct conv2d_sum sum;
    const uint32_t *rows; /* the source, packed */
    const struct cpu_bf16_engine *engine;
    uint32_t *filters;           /* per thread: a chunk of the filter */
    struct cpu_bf16_step *steps; /* per thread: the steps of a pixel and chunk */
    int64_t chunk;               /* pairs of source blocks in a chunk */
    int64_t item_pixels;
};

static int64_t chunk_pairs(struct window window, int64_t source_channels)
{
    int64_t words = window.kernel * window.kernel * 2 * WORDS;
    return min_of(max_of(CHUNK_WORDS / words, 1), tile_count(source_channels, STEP));
}

/* The filter block (16 source channels, 16 destination channels) of one tap in fp32: transposed into `to`, or in its
 * place. NULL past the last source block. */
static const real *filter_block(const struct bf16_sum *task, int64_t source, int64_t destination, int64_t tap, real *to)
{
    int64_t window = task->sum.window.kernel * task->sum.window.kernel;
    int64_t sources = cpu_blocks(task->sum.source.shape.c), destinations = cpu_blocks(task->sum.destination.shape.c);
    if (source >= sources) return NULL;
    if (!task->sum.transposed)
        return task->sum.filter + ((destination * sources + source) * window + tap) * CPU_FILTER_BLOCK;
    cpu_transpose_block(task->sum.filter + ((source * destinations + destination) * window + tap) * CPU_FILTER_BLOCK,
                        to);
    return to;
}

/* Packs a chunk of the filter as [column's blocks][chunk's pairs][tap][16][16]. */
static void pack_filters(const struct bf16_sum *task, int64_t column, int64_t columns, int64_t first, int64_t last,
                         uint32_t *to)
{
    real buffer[2][CPU_FILTER_BLOCK] __attribute__((aligned(64)));
    int64_t window = task->sum.window.kernel * task->sum.window.kernel;
    for (int64_t c = column; c < column + columns; c++)
        for (int64_t pair = first; pair < last; pair++)
            for (int64_t tap = 0; tap < window; tap++, to += WORDS) {
                const real *low = filter_block(task, 2 * pair, c, tap, buffer[0]);
                const real *high = filter_block(task, 2 * pair + 1, c, tap, buffer[1]);
                for (int row = 0; row < WORDS; row += TILE) pack_words(low + row, high ? high + row : zeros, to + row);
            }
}

static int64_t list_steps(const struct bf16_sum *task, int64_t pixel, int64_t first, int64_t last,
                          const uint32_t *filters, struct cpu_bf16_step *steps)
{
    struct shape from = task->sum.source.shape, to = task->sum.destination.shape;
    struct window window = task->sum.window;
    struct tap_range h = tap_range_of(window, task->sum.transposed, pixel / to.w, from.h);
    struct tap_range w = tap_range_of(window, task->sum.transposed, pixel % to.w, from.w);
    int64_t count = 0, pixel_words = round_up(from.n, TILE) * TILE;
    for (int64_t pair = first; pair < last; pair++) {
        int64_t row = h.position;
        for (int64_t k = h.first; k < h.last; k += h.step, row += h.position_step) {
            int64_t at = w.position;
            for (int64_t l = w.first; l < w.last; l += w.step, at += w.position_step)
                steps[count++] = (struct cpu_bf16_step){
                    task->rows + ((pair * from.h + row) * from.w + at) * pixel_words,
                    filters + (((pair - first) * window.kernel + k) * window.kernel + l) * WORDS,
                };
        }
    }
    return count;
}

/* A tile of y with fewer than 16 samples is computed in memory of its own. */
struct partial_tile {
    float values[WORDS] __attribute__((aligned(64)));
    float *tile; /* where the first `count` values belong; NULL: the tile is whole */
    int64_t count;
};

static float *tile_take(struct partial_tile *partial, float *tile, int64_t rows)
{
    partial->tile = NULL;
    if (rows >= TILE) return tile;
    partial->tile = tile, partial->count = rows * CPU_BLOCK;
    memset(partial->values, 0, sizeof partial->values);
    memcpy(partial->values, tile, (size_t)partial->count * sizeof(float));
    return partial->values;
}

static void tile_give_back(const struct partial_tile *partial)
{
    if (partial->tile) memcpy(partial->tile, partial->values, (size_t)partial->count * sizeof(float));
}

/* Adds one chunk's products for the whole batch of one pixel and column. */
static void sum_pixel(const struct bf16_sum *task, struct cpu_bf16_block *block, int64_t pixel, int64_t column)
{
    struct shape to = task->sum.destination.shape;
    float *y = (float *)task->sum.destination.data + column * cpu_block_stride(to) + pixel * to.n * CPU_BLOCK;
    struct partial_tile partial[2][2];
    for (int64_t n = 0; n < to.n; n += STEP) {
        block->rows = n + TILE < to.n ? 2 : 1;
        block->a_offset = n * TILE;
        for (int r = 0; r < block->rows; r++)
            for (int c = 0; c < block->columns; c++)
                block->c[r][c] = tile_take(&partial[r][c], y + c * cpu_block_stride(to) + (n + r * TILE) * CPU_BLOCK,
                                           to.n - n - r * TILE);
        task->engine->multiply(block);
        for (int r = 0; r < block->rows; r++)
            for (int c = 0; c < block->columns; c++) tile_give_back(&partial[r][c]);
    }
}

/* Sets y = bias, before the first chunk. */
static void start_pixels(const struct bf16_sum *task, int64_t first, int64_t last, int64_t column, int columns)
{
    struct shape to = task->sum.destination.shape;
    for (int64_t block = column; block < column + columns; block++) {
        const real *bias = task->sum.bias ? task->sum.bias + block * CPU_BLOCK : zeros;
        real *y = (real *)task->sum.destination.data + block * cpu_block_stride(to);
        for (int64_t i = first * to.n; i < last * to.n; i++)
            for (int v = 0; v < CPU_BLOCK; v += CPU_LANES) vec_store(y + i * CPU_BLOCK + v, vec_load(bias + v));
    }
}

/* An item is a column of two blocks of destination channels and a range of pixels. */
static void sum_item(const struct bf16_sum *task, int64_t item, uint32_t *filters, struct cpu_bf16_step *steps)
{
    struct shape to = task->sum.destination.shape;
    int64_t blocks = cpu_blocks(to.c), columns = tile_count(blocks, 2), column = item % columns * 2;
    int64_t first = item / columns * task->item_pixels, last = min_of(first + task->item_pixels, to.h * to.w);
    int64_t pairs = tile_count(task->sum.source.shape.c, STEP), window = task->sum.window.kernel;
    struct cpu_bf16_block block = {.steps = steps, .columns = (int)min_of(2, blocks - column)};
    block.a_second = WORDS;
    start_pixels(task, first, last, column, block.columns);
    for (int64_t pair = 0; pair < pairs; pair += task->chunk) {
        int64_t end = min_of(pair + task->chunk, pairs);
        block.b_second = (end - pair) * window * window * WORDS;
        pack_filters(task, column, block.columns, pair, end, filters);
        for (int64_t pixel = first; pixel < last; pixel++) {
            block.step_count = list_steps(task, pixel, pair, end, filters, steps);
            sum_pixel(task, &block, pixel, column);
        }
    }
}

static void sum_items(void *argument, int64_t first, int64_t last)
{
    const struct bf16_sum *task = argument;
    int64_t thread = cpu_threads_current(), window = task->sum.window.kernel * task->sum.window.kernel;
    task->engine->begin();
    for (int64_t item = first; item < last; item++)
        sum_item(task, item, task->filters + thread * 2 * task->chunk * window * WORDS,
                 task->steps + thread * task->chunk * window);
    task->engine->end();
}

static void run_sum(struct backend *backend, const struct conv2d_plan *plan, const struct conv2d_sum *sum,
                    const uint32_t *rows)
{
    struct shape to = sum->destination.shape;
    struct bf16_sum task = {.sum = *sum, .rows = rows, .engine = cpu_backend_of(backend)->bf16};
    task.filters = plan->bf16.filters, task.steps = plan->bf16.steps;
    task.chunk = chunk_pairs(sum->window, sum->source.shape.c);
    int64_t pixels = to.h * to.w, columns = tile_count(cpu_blocks(to.c), 2);
    int64_t items = (int64_t)cpu_threads_width(cpu_backend_of(backend)->threads) * ITEMS_PER_THREAD;
    int64_t share = min_of(max_of(pixels * columns / items, 1), max_of(ITEM_ROWS / to.n, 1));
    int64_t groups = tile_count(pixels, min_of(share, pixels));
    task.item_pixels = tile_count(pixels, groups);
    int64_t window = sum->window.kernel * sum->window.kernel;
    cpu_for(backend, columns * groups, task.item_pixels * to.n * sum->source.shape.c * window, sum_items, &task);
}

/* --- dw --- */

struct bf16_filter {
    struct window window;
    struct tensor x, dy, dweight;
    const uint32_t *rows, *columns; /* x and dy, packed */
    const struct cpu_bf16_engine *engine;
    struct cpu_bf16_step *steps; /* per thread: the steps of a chunk */
    int64_t chunk_rows;          /* rows of dy's pixels in a chunk */
    const struct cpu_update *update;
};

/* Rows of pixels in a chunk, at least one: so many that they hold CHUNK_SAMPLES samples. */
static int64_t chunk_rows(struct shape dy)
{
    return min_of(max_of(CHUNK_SAMPLES / (dy.w * round_up(dy.n, STEP)), 1), dy.h);
}

static int64_t chunk_steps(struct shape dy)
{
    return chunk_rows(dy) * dy.w * tile_count(dy.n, STEP);
}

/* Lists the pairs of pixels that tap (k,l) joins, for some rows of dy and the whole batch. x and dy point to the item's
 * first blocks. */
static int64_t list_pixels(const struct bf16_filter *task, int64_t k, int64_t l, struct window_range dy_rows,
                           const uint32_t *x, const uint32_t *dy, struct cpu_bf16_step *steps)
{
    struct shape from = task->x.shape, to = task->dy.shape;
    struct window_range rows = window_outputs_of_tap(task->window, k, from.h, dy_rows);
    struct window_range columns = window_outputs_of_tap(task->window, l, from.w, (struct window_range){0, to.w});
    int64_t count = 0, tiles = tile_count(to.n, STEP);
    for (int64_t p = rows.first; p < rows.last; p++)
        for (int64_t q = columns.first; q < columns.last; q++) {
            int64_t pixel = window_input(task->window, p, k) * from.w + window_input(task->window, q, l);
            for (int64_t n = 0; n < tiles; n++)
                steps[count++] =
                    (struct cpu_bf16_step){x + (pixel * tiles + n) * WORDS, dy + ((p * to.w + q) * tiles + n) * WORDS};
        }
    return count;
}

/* An item is a pair of blocks of input channels and a pair of blocks of output channels. */
static void filter_item(const struct bf16_filter *task, int64_t item, struct cpu_bf16_step *steps)
{
    struct shape filter = task->dweight.shape, from = task->x.shape, to = task->dy.shape;
    int64_t x_blocks = cpu_blocks(filter.c), dy_blocks = cpu_blocks(filter.n), kernel = filter.h;
    int64_t o = item % tile_count(dy_blocks, 2) * 2, i = item / tile_count(dy_blocks, 2) * 2;
    struct cpu_bf16_block block = {.steps = steps};
    block.rows = (int)min_of(2, x_blocks - i), block.columns = (int)min_of(2, dy_blocks - o);
    block.a_second = from.h * from.w * tile_count(to.n, STEP) * WORDS;
    block.b_second = to.h * to.w * tile_count(to.n, STEP) * WORDS;
    const uint32_t *x = task->rows + i * block.a_second, *dy = task->columns + o * block.b_second;
    for (int64_t p = 0; p < to.h; p += task->chunk_rows)
        for (int64_t tap = 0; tap < kernel * kernel; tap++) {
            struct window_range rows = {p, min_of(p + task->chunk_rows, to.h)};
            block.step_count = list_pixels(task, tap / kernel, tap % kernel, rows, x, dy, steps);
            for (int r = 0; r < block.rows; r++)
                for (int c = 0; c < block.columns; c++) {
                    int64_t at = (((o + c) * x_blocks + i + r) * kernel * kernel + tap) * CPU_FILTER_BLOCK;
                    block.c[r][c] = (float *)task->dweight.data + at;
                    if (p == 0) memset(block.c[r][c], 0, CPU_FILTER_BLOCK * sizeof(real));
                }
            if (block.step_count > 0) task->engine->multiply(&block);
        }
    int64_t count = kernel * kernel * CPU_FILTER_BLOCK;
    for (int c = 0; c < block.columns; c++) /* blocks of input channels are neighbours */
        cpu_update_piece(task->update, (const real *)task->dweight.data + ((o + c) * x_blocks + i) * count,
                         block.rows * count);
}

static void filter_items(void *argument, int64_t first, int64_t last)
{
    const struct bf16_filter *task = argument;
    task->engine->begin();
    for (int64_t item = first; item < last; item++)
        filter_item(task, item, task->steps + cpu_threads_current() * chunk_steps(task->dy.shape));
    task->engine->end();
}

static void run_filter(struct backend *backend, const struct conv2d_plan *plan, const struct tensor *x,
                       const struct tensor *dy, const struct tensor *dweight, const uint32_t *rows,
                       const uint32_t *columns, const struct cpu_update *update)
{
    struct bf16_filter task = {.window = plan->window, .x = *x, .dy = *dy, .dweight = *dweight, .rows = rows};
    task.columns = columns, task.engine = cpu_backend_of(backend)->bf16;
    task.steps = plan->bf16.steps, task.chunk_rows = chunk_rows(dy->shape);
    task.update = update;
    struct shape filter = dweight->shape;
    int64_t items = tile_count(cpu_blocks(filter.n), 2) * tile_count(cpu_blocks(filter.c), 2);
    cpu_for(backend, items, dy->shape.n * dy->shape.h * dy->shape.w * filter.h * filter.w * CPU_BLOCK, filter_items,
            &task);
}

/* --- the operations --- */

void CPU_EXPORT(cpu_conv2d_bf16_plan)(struct backend *backend, struct conv2d_plan *plan)
{
    struct window window = plan->window;
    struct shape x = plan->input,
                 dy = {x.n, plan->output_channels, window_output_size(x.h, window), window_output_size(x.w, window)};
    size_t threads = (size_t)cpu_threads_count(cpu_backend_of(backend)->threads);
    int64_t chunk = max_of(chunk_pairs(window, x.c), chunk_pairs(window, dy.c)) * window.kernel * window.kernel;
    plan->bf16.filters = backend->table->alloc(backend, threads * 2 * (size_t)chunk * WORDS * sizeof(uint32_t));
    int64_t steps = max_of(chunk, max_of(chunk_steps(dy), CHUNK_SAMPLES / STEP));
    plan->bf16.steps = backend->table->alloc(backend, threads * (size_t)steps * sizeof *plan->bf16.steps);
    size_t forward = rows_count(x), backward = rows_count(dy) + columns_count(dy) + columns_count(x);
    CPU_EXPORT(cpu_scratch_reserve)(backend, (forward > backward ? forward : backward) * sizeof(uint32_t));
}

void CPU_EXPORT(cpu_conv2d_bf16_sum)(struct backend *backend, const struct conv2d_plan *plan,
                                     const struct conv2d_sum *sum)
{
    uint32_t *rows = cpu_backend_of(backend)->scratch;
    pack(backend, &(struct pack_task){.from = sum->source, .rows = rows});
    run_sum(backend, plan, sum, rows);
}

void CPU_EXPORT(cpu_conv2d_bf16_backward)(struct backend *backend, const struct conv2d_plan *plan,
                                          const struct tensor *x, const struct conv2d_sum *dx,
                                          const struct tensor *dweight, const struct cpu_update *update)
{
    bool wanted = dx->destination.data != NULL;
    struct pack_task dy = {.from = dx->source, .columns = cpu_backend_of(backend)->scratch};
    if (wanted) dy.rows = dy.columns + columns_count(dx->source.shape);
    struct pack_task from = {.from = *x};
    from.transposed = dy.columns + columns_count(dx->source.shape) + (wanted ? rows_count(dx->source.shape) : 0);
    pack(backend, &dy);
    pack(backend, &from);
    if (wanted) run_sum(backend, plan, dx, dy.rows);
    run_filter(backend, plan, x, &dx->source, dweight, from.transposed, dy.columns, update);
}

#endif
