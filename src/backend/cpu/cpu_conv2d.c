/* Convolution (cross-correlation, as in PyTorch) and, with a 1x1 window on 1x1 images, the linear layer.
 *
 *   y[n,o,p,q]   = b[o] + sum_{i,k,l} w[o,i,k,l] x[n,i,p*s+k-pad,q*s+l-pad]        (terms outside the image are zero)
 * so, with dy = dL/dy given,
 *   db[o]        = sum_{n,p,q} dy[n,o,p,q]
 *   dw[o,i,k,l]  = sum_{n,p,q} dy[n,o,p,q] x[n,i,p*s+k-pad,q*s+l-pad]
 *   dx[n,i,h,w]  = sum_{o,k,l} dy[n,o,p,q] w[o,i,k,l]   over the p, q with p*s+k-pad = h and q*s+l-pad = w.
 *
 * Blocking. For one output pixel the valid taps (k,l) are listed; each is a matrix product of a batch of rows with a
 * 16 x 16 block of the filter per block of input channels. A register tile is CPU_TILE_ROWS samples by CPU_TILE_BLOCKS
 * blocks of output channels; the filter block streams from L2, the rows are broadcast. No term outside the image is
 * computed: 2 FLOP per useful multiply and no more. Bytes: the filter is read once per pixel and tile column, from L2.
 *
 * dx is the same sum with x and y exchanged, over the transposed filter [I/16][O/16][K][K][16 o][16 i], which is made
 * anew in the plan's scratch memory each time, since the weights have changed.
 *
 * dw: one tile of the filter gradient, (16 i) x (CPU_TILE_BLOCKS * 16 o), stays in registers while a chunk of pixels
 * and the batch stream past; chunks are small enough for L1, where all the taps find them again.
 *
 * Every output is summed by one thread in an order that neither the tile nor the number of threads changes. */
#include "backend/cpu/cpu_install.h"

#include <stdlib.h>

#include "trainer/memory.h"

/* Register tiles: rows x vectors accumulators, plus the vectors of one filter row, within the register file. */
#if defined(CPU_ISA_avx512) && defined(CPU_SCALAR_f32)
enum { CPU_TILE_ROWS = 8, CPU_TILE_BLOCKS = 2 };
#elif defined(CPU_ISA_avx512)
enum { CPU_TILE_ROWS = 8, CPU_TILE_BLOCKS = 1 };
#elif defined(CPU_ISA_avx2) && defined(CPU_SCALAR_f32)
enum { CPU_TILE_ROWS = 4, CPU_TILE_BLOCKS = 1 };
#elif defined(CPU_SCALAR_f32)
enum { CPU_TILE_ROWS = 2, CPU_TILE_BLOCKS = 1 };
#else
enum { CPU_TILE_ROWS = 1, CPU_TILE_BLOCKS = 1 };
#endif

enum {
    CPU_FILTER_BLOCK = CPU_BLOCK * CPU_BLOCK,
    CPU_CHUNK_ROWS = 128,   /* pixels x batch in a chunk of the filter gradient: about 32 KiB with its inputs */
    CPU_CHUNK_CHANNELS = 4, /* blocks of input channels that share a chunk of dy while it is in L1 */
    CPU_PREFETCH = 4,   /* taps ahead for which rows are fetched: they lie too far apart for the hardware to guess */
    CPU_ITEM_TILES = 4, /* row tiles in an item of work */
};

struct conv2d_plan {
    struct window window;
    struct shape input;
    int64_t output_channels;
    real *transposed; /* the filter as dx wants it */
};

/* A place in the source and the filter blocks that meet it, for one output pixel. */
struct tap {
    const real *source; /* first row of channel block 0 */
    const real *filter; /* block (0,0) of the tap */
};

/* One of the two sums over taps, forward or dx: destination = bias + sum of source * filter. */
struct conv_task {
    struct window window;
    bool transposed; /* dx */
    struct tensor source, destination;
    const real *filter;   /* [destination blocks][source blocks][K][K][16 source][16 destination] */
    const real *bias;     /* (destination channels) or NULL */
    int64_t tile_columns; /* destination blocks / CPU_TILE_BLOCKS, rounded up */
    int64_t row_groups;   /* batch / (CPU_ITEM_TILES * CPU_TILE_ROWS), rounded up */
};

/* --- the sum over taps --- */

/* rows x blocks accumulators += rows of the source times `depth` filter rows. Always inlined with constant rows and
 * blocks, so that the accumulators are registers. */
static inline __attribute__((always_inline)) void multiply_add(const int rows, const int vecs, vec *total,
                                                               const real *source, const real *filter,
                                                               int64_t filter_stride, int64_t depth)
{
    for (int64_t k = 0; k < depth; k++) {
        vec weight[CPU_TILE_BLOCKS * CPU_BLOCK_VECS];
        CPU_UNROLL
        for (int v = 0; v < vecs; v++)
            weight[v] = vec_load(filter + v / CPU_BLOCK_VECS * filter_stride + k * CPU_BLOCK +
                                 v % CPU_BLOCK_VECS * CPU_VEC_LANES);
        CPU_UNROLL
        for (int r = 0; r < rows; r++) {
            vec value = vec_set(source[r * CPU_BLOCK + k]);
            CPU_UNROLL
            for (int v = 0; v < vecs; v++) total[r * vecs + v] += value * weight[v];
        }
    }
}

static inline __attribute__((always_inline)) void sum_taps(const int rows, const int blocks,
                                                           const struct conv_task *task, const struct tap *taps,
                                                           int64_t tap_count, const real *bias, real *destination)
{
    const int vecs = blocks * CPU_BLOCK_VECS;
    int64_t source_stride = cpu_block_stride(task->source.shape);
    int64_t destination_stride = cpu_block_stride(task->destination.shape);
    int64_t channels = task->source.shape.c, window = task->window.kernel * task->window.kernel;
    int64_t block_stride = window * CPU_FILTER_BLOCK, column_stride = cpu_blocks(channels) * block_stride;
    vec total[CPU_TILE_ROWS * CPU_TILE_BLOCKS * CPU_BLOCK_VECS];
    CPU_UNROLL
    for (int i = 0; i < rows * vecs; i++) total[i] = bias ? vec_load(bias + i % vecs * CPU_VEC_LANES) : (vec){0};
    int64_t ahead_tap = CPU_PREFETCH % max_of(tap_count, 1), ahead_block = CPU_PREFETCH / max_of(tap_count, 1);
    for (int64_t c = 0; c < channels; c += CPU_BLOCK) {
        int64_t depth = min_of(CPU_BLOCK, channels - c);
        for (int64_t t = 0; t < tap_count; t++) {
            const real *ahead = taps[ahead_tap].source + ahead_block * source_stride;
            CPU_UNROLL
            for (int r = 0; r < rows; r++) __builtin_prefetch(ahead + r * CPU_BLOCK);
            if (++ahead_tap == tap_count) ahead_tap = 0, ahead_block++;
            multiply_add(rows, vecs, total, taps[t].source + c / CPU_BLOCK * source_stride,
                         taps[t].filter + c / CPU_BLOCK * block_stride, column_stride, depth);
        }
    }
    CPU_UNROLL
    for (int i = 0; i < rows * vecs; i++) {
        int v = i % vecs;
        vec_store(destination + v / CPU_BLOCK_VECS * destination_stride + i / vecs * CPU_BLOCK +
                      v % CPU_BLOCK_VECS * CPU_VEC_LANES,
                  total[i]);
    }
}

static void sum_tile(int64_t rows, int64_t blocks, const struct conv_task *task, const struct tap *taps,
                     int64_t tap_count, const real *bias, real *destination)
{
#define TILE(r, b)                                                                                                     \
    case (r)*4 + (b):                                                                                                  \
        if ((r) <= CPU_TILE_ROWS && (b) <= CPU_TILE_BLOCKS)                                                            \
            sum_taps((r) <= CPU_TILE_ROWS ? (r) : 1, (b) <= CPU_TILE_BLOCKS ? (b) : 1, task, taps, tap_count, bias,    \
                     destination);                                                                                     \
        return;
    switch (rows * 4 + blocks) {
        TILE(1, 1)
        TILE(2, 1)
        TILE(3, 1) TILE(4, 1) TILE(5, 1) TILE(6, 1) TILE(7, 1) TILE(8, 1) TILE(1, 2) TILE(2, 2) TILE(3, 2) TILE(4, 2)
            TILE(5, 2) TILE(6, 2) TILE(7, 2) TILE(8, 2)
    }
#undef TILE
    check_failed("the tile size is compiled", __FILE__, __LINE__);
}

/* Of a source of `size` pixels, the one that tap k of output pixel `at` meets, or -1. */
static int64_t tap_position(const struct conv_task *task, int64_t at, int64_t k, int64_t size)
{
    struct window window = task->window;
    int64_t position = at * window.stride + k - window.padding;
    if (task->transposed) {
        position = at + window.padding - k;
        if (position % window.stride != 0) return -1;
        position /= window.stride;
    }
    return position >= 0 && position < size ? position : -1;
}

/* The taps of output pixel (h, w), in the filter's order; their filter blocks are those of tile column 0. */
static int64_t list_taps(const struct conv_task *task, int64_t h, int64_t w, struct tap *taps)
{
    struct shape source = task->source.shape;
    int64_t count = 0, kernel = task->window.kernel;
    for (int64_t k = 0; k < kernel; k++) {
        int64_t row = tap_position(task, h, k, source.h);
        if (row < 0) continue;
        for (int64_t l = 0; l < kernel; l++) {
            int64_t column = tap_position(task, w, l, source.w);
            if (column < 0) continue;
            taps[count++] = (struct tap){
                (const real *)task->source.data + (row * source.w + column) * source.n * CPU_BLOCK,
                task->filter + (k * kernel + l) * CPU_FILTER_BLOCK,
            };
        }
    }
    return count;
}

/* An item is a tile column of output channels, a pixel and a group of row tiles. */
static void sum_item(const struct conv_task *task, int64_t item, struct tap *taps)
{
    struct shape to = task->destination.shape;
    int64_t pixels = to.h * to.w, group = item % task->row_groups, pixel = item / task->row_groups % pixels;
    int64_t block = item / task->row_groups / pixels * CPU_TILE_BLOCKS;
    int64_t blocks = min_of(CPU_TILE_BLOCKS, cpu_blocks(to.c) - block);
    int64_t kernel = task->window.kernel;
    int64_t column = block * cpu_blocks(task->source.shape.c) * kernel * kernel * CPU_FILTER_BLOCK;
    int64_t count = list_taps(task, pixel / to.w, pixel % to.w, taps);
    int64_t row = group * CPU_ITEM_TILES * CPU_TILE_ROWS;
    int64_t last = min_of(to.n, row + CPU_ITEM_TILES * CPU_TILE_ROWS);
    for (int64_t t = 0; t < count; t++) taps[t].filter += column, taps[t].source += row * CPU_BLOCK;
    real *data = (real *)task->destination.data + block * cpu_block_stride(to) + pixel * to.n * CPU_BLOCK;
    for (; row < last; row += CPU_TILE_ROWS) {
        sum_tile(min_of(CPU_TILE_ROWS, last - row), blocks, task, taps, count,
                 task->bias ? task->bias + block * CPU_BLOCK : NULL, data + row * CPU_BLOCK);
        for (int64_t t = 0; t < count; t++) taps[t].source += CPU_TILE_ROWS * CPU_BLOCK;
    }
}

static void sum_items(void *argument, int64_t first, int64_t last)
{
    const struct conv_task *task = argument;
    int64_t window = task->window.kernel * task->window.kernel;
    enum { FEW_TAPS = 81 };
    struct tap few[FEW_TAPS], *taps = window <= FEW_TAPS ? few : memory_alloc((size_t)window, sizeof *taps);
    for (int64_t item = first; item < last; item++) sum_item(task, item, taps);
    if (taps != few) free(taps);
}

static void run_sum(struct backend *backend, struct conv_task *task)
{
    struct shape to = task->destination.shape, from = task->source.shape;
    int64_t item_rows = CPU_ITEM_TILES * CPU_TILE_ROWS, kernel = task->window.kernel;
    task->tile_columns = (cpu_blocks(to.c) + CPU_TILE_BLOCKS - 1) / CPU_TILE_BLOCKS;
    task->row_groups = (to.n + item_rows - 1) / item_rows;
    cpu_for(backend, task->tile_columns * to.h * to.w * task->row_groups,
            min_of(item_rows, to.n) * from.c * kernel * kernel, sum_items, task);
}

/* --- the transposed filter --- */

struct transpose_task {
    const real *filter;
    real *transposed;
    int64_t output_blocks, input_blocks, window; /* window: K*K */
};

static void transpose_blocks(void *argument, int64_t first, int64_t last)
{
    const struct transpose_task *task = argument;
    for (int64_t block = first; block < last; block++) {
        int64_t tap = block % task->window, o = block / task->window % task->output_blocks;
        int64_t i = block / task->window / task->output_blocks;
        const real *from = task->filter + ((o * task->input_blocks + i) * task->window + tap) * CPU_FILTER_BLOCK;
        real *to = task->transposed + block * CPU_FILTER_BLOCK;
        for (int64_t row = 0; row < CPU_BLOCK; row++)
            for (int64_t column = 0; column < CPU_BLOCK; column++)
                to[row * CPU_BLOCK + column] = from[column * CPU_BLOCK + row];
    }
}

static void transpose_filter(struct backend *backend, const struct tensor *weight, real *transposed)
{
    struct shape s = weight->shape;
    struct transpose_task task = {weight->data, transposed, cpu_blocks(s.n), cpu_blocks(s.c), s.h * s.w};
    cpu_for(backend, task.output_blocks * task.input_blocks * task.window, CPU_FILTER_BLOCK, transpose_blocks, &task);
}

/* --- the gradient of the filter --- */

struct filter_task {
    struct window window;
    struct tensor x, dy, dweight;
    int64_t input_groups; /* groups of CPU_CHUNK_CHANNELS blocks of input channels */
};

/* rows x blocks accumulators of dw += a row of x times a row of dy, for each sample. */
static inline __attribute__((always_inline)) void multiply_pixel(const int rows, const int vecs, vec *total,
                                                                 const real *x, const real *dy, int64_t dy_stride,
                                                                 int64_t batch)
{
    for (int64_t n = 0; n < batch; n++) {
        vec gradient[CPU_TILE_BLOCKS * CPU_BLOCK_VECS];
        CPU_UNROLL
        for (int v = 0; v < vecs; v++)
            gradient[v] =
                vec_load(dy + v / CPU_BLOCK_VECS * dy_stride + n * CPU_BLOCK + v % CPU_BLOCK_VECS * CPU_VEC_LANES);
        CPU_UNROLL
        for (int r = 0; r < rows; r++) {
            vec value = vec_set(x[n * CPU_BLOCK + r]);
            CPU_UNROLL
            for (int v = 0; v < vecs; v++) total[r * vecs + v] += value * gradient[v];
        }
    }
}

/* A pixel of x and the pixel of dy that it meets under the tap at hand. */
struct pixel_pair {
    const real *x, *dy;
};

static inline __attribute__((always_inline)) void sum_pixels(const int rows, const int blocks,
                                                             const struct filter_task *task,
                                                             const struct pixel_pair *pairs, int64_t pair_count,
                                                             int64_t row, bool add, real *dweight)
{
    const int vecs = blocks * CPU_BLOCK_VECS;
    struct shape filter = task->dweight.shape;
    int64_t dy_stride = cpu_block_stride(task->dy.shape);
    int64_t column_stride = cpu_blocks(filter.c) * filter.h * filter.w * CPU_FILTER_BLOCK;
    vec total[CPU_TILE_ROWS * CPU_TILE_BLOCKS * CPU_BLOCK_VECS];
    CPU_UNROLL
    for (int i = 0; i < rows * vecs; i++) total[i] = (vec){0};
    for (int64_t p = 0; p < pair_count; p++)
        multiply_pixel(rows, vecs, total, pairs[p].x + row, pairs[p].dy, dy_stride, task->x.shape.n);
    CPU_UNROLL
    for (int i = 0; i < rows * vecs; i++) {
        int v = i % vecs;
        real *to = dweight + v / CPU_BLOCK_VECS * column_stride + (row + i / vecs) * CPU_BLOCK +
                   v % CPU_BLOCK_VECS * CPU_VEC_LANES;
        if (add) total[i] += vec_load(to);
        vec_store(to, total[i]);
    }
}

static void sum_pixels_tile(int64_t rows, int64_t blocks, const struct filter_task *task,
                            const struct pixel_pair *pairs, int64_t pair_count, int64_t row, bool add, real *dweight)
{
#define TILE(r, b)                                                                                                     \
    case (r)*4 + (b):                                                                                                  \
        if ((r) <= CPU_TILE_ROWS && (b) <= CPU_TILE_BLOCKS)                                                            \
            sum_pixels((r) <= CPU_TILE_ROWS ? (r) : 1, (b) <= CPU_TILE_BLOCKS ? (b) : 1, task, pairs, pair_count, row, \
                       add, dweight);                                                                                  \
        return;
    switch (rows * 4 + blocks) {
        TILE(1, 1)
        TILE(2, 1)
        TILE(3, 1) TILE(4, 1) TILE(5, 1) TILE(6, 1) TILE(7, 1) TILE(8, 1) TILE(1, 2) TILE(2, 2) TILE(3, 2) TILE(4, 2)
            TILE(5, 2) TILE(6, 2) TILE(7, 2) TILE(8, 2)
    }
#undef TILE
    check_failed("the tile size is compiled", __FILE__, __LINE__);
}

/* The pairs of pixels that tap (k,l) joins, for the output pixels first..last-1, with the blocks of x and dy at hand.
 */
static int64_t list_pairs(const struct filter_task *task, int64_t k, int64_t l, int64_t first, int64_t last,
                          int64_t x_block, int64_t dy_block, struct pixel_pair *pairs)
{
    struct shape x = task->x.shape, dy = task->dy.shape;
    struct window window = task->window;
    int64_t count = 0;
    for (int64_t pixel = first; pixel < last; pixel++) {
        int64_t h = pixel / dy.w * window.stride + k - window.padding;
        int64_t w = pixel % dy.w * window.stride + l - window.padding;
        if (h < 0 || h >= x.h || w < 0 || w >= x.w) continue;
        pairs[count++] = (struct pixel_pair){
            (const real *)task->x.data + x_block * cpu_block_stride(x) + (h * x.w + w) * x.n * CPU_BLOCK,
            (const real *)task->dy.data + dy_block * cpu_block_stride(dy) + pixel * dy.n * CPU_BLOCK,
        };
    }
    return count;
}

/* dw of one block of input channels and one tile column of output channels, from the chunk first..last-1 of pixels. */
static void filter_chunk(const struct filter_task *task, int64_t x_block, int64_t dy_block, int64_t first, int64_t last)
{
    struct shape filter = task->dweight.shape;
    int64_t kernel = filter.h, depth = min_of(CPU_BLOCK, filter.c - x_block * CPU_BLOCK);
    int64_t blocks = min_of(CPU_TILE_BLOCKS, cpu_blocks(filter.n) - dy_block);
    struct pixel_pair pairs[CPU_CHUNK_ROWS];
    for (int64_t tap = 0; tap < kernel * kernel; tap++) {
        int64_t block = (dy_block * cpu_blocks(filter.c) + x_block) * kernel * kernel + tap;
        real *dweight = (real *)task->dweight.data + block * CPU_FILTER_BLOCK;
        int64_t count = list_pairs(task, tap / kernel, tap % kernel, first, last, x_block, dy_block, pairs);
        if (count == 0 && first > 0) continue;
        for (int64_t row = 0; row < depth; row += CPU_TILE_ROWS)
            sum_pixels_tile(min_of(CPU_TILE_ROWS, depth - row), blocks, task, pairs, count, row, first > 0, dweight);
    }
}

/* An item is a tile column of output channels and a group of blocks of input channels. */
static void filter_items(void *argument, int64_t first, int64_t last)
{
    const struct filter_task *task = argument;
    struct shape dy = task->dy.shape;
    int64_t pixels = dy.h * dy.w, chunk = max_of(CPU_CHUNK_ROWS / dy.n, 1);
    for (int64_t item = first; item < last; item++) {
        int64_t dy_block = item / task->input_groups * CPU_TILE_BLOCKS;
        int64_t x_first = item % task->input_groups * CPU_CHUNK_CHANNELS;
        int64_t x_last = min_of(x_first + CPU_CHUNK_CHANNELS, cpu_blocks(task->x.shape.c));
        for (int64_t pixel = 0; pixel < pixels; pixel += chunk)
            for (int64_t block = x_first; block < x_last; block++)
                filter_chunk(task, block, dy_block, pixel, min_of(pixel + chunk, pixels));
    }
}

static void filter_gradient(struct backend *backend, struct window window, const struct tensor *x,
                            const struct tensor *dy, const struct tensor *dweight)
{
    struct filter_task task = {window, *x, *dy, *dweight, 0};
    struct shape filter = dweight->shape;
    int64_t columns = (cpu_blocks(filter.n) + CPU_TILE_BLOCKS - 1) / CPU_TILE_BLOCKS;
    task.input_groups = (cpu_blocks(filter.c) + CPU_CHUNK_CHANNELS - 1) / CPU_CHUNK_CHANNELS;
    int64_t cost = dy->shape.h * dy->shape.w * dy->shape.n * filter.h * filter.w * CPU_BLOCK;
    cpu_for(backend, columns * task.input_groups, cost, filter_items, &task);
}

/* --- the operations --- */

static struct conv2d_plan *cpu_conv2d_plan_create(struct backend *backend, struct window window, struct shape input,
                                                  int64_t output_channels)
{
    struct conv2d_plan *plan = memory_alloc(1, sizeof *plan);
    *plan = (struct conv2d_plan){.window = window, .input = input, .output_channels = output_channels};
    struct shape filter = {output_channels, input.c, window.kernel, window.kernel};
    plan->transposed = memory_alloc_aligned(tensor_bytes(backend, TENSOR_FILTER, filter));
    return plan;
}

static void cpu_conv2d_plan_destroy(struct backend *backend, struct conv2d_plan *plan)
{
    (void)backend;
    if (!plan) return;
    free(plan->transposed);
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
    filter_gradient(backend, plan->window, x, dy, dweight);
    if (dbias) backend->ops->channel_sum(backend, 1, dy, dbias);
    if (!dx) return;
    transpose_filter(backend, weight, plan->transposed);
    struct conv_task task = {
        .window = plan->window,
        .transposed = true,
        .source = *dy,
        .destination = *dx,
        .filter = plan->transposed,
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
