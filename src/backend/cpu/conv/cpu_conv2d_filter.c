/* dw and db of a convolution (cpu_conv2d.c has the formulas).
 *
 * Blocking of dw: one tile, CPU_TILE_ROWS input channels by a column of output channels for one tap, stays in registers
 * while a chunk of pixels with the whole batch streams past. Chunks of x and dy are small enough for L1, where all taps
 * find them again; db is summed on the way. Where a filter has too few columns for the threads (a first layer), the
 * pixels are cut into parts, by the shape alone. The sums of the parts are added up at the end.
 *
 * This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/conv/cpu_conv2d.h"

#include "backend/cpu/conv/cpu_tile.h"

enum {
    CPU_CHUNK_ROWS = 128,  /* pixels x batch in a chunk of dw: about 32 KiB with its inputs */
    CPU_FILTER_ITEMS = 16, /* items that dw is cut into at least */
};

struct filter_task {
    struct window window;
    struct tensor x, dy, dweight;
    int64_t chunk_height, chunk_width, chunks_across; /* a chunk's pixels of dy; chunks in a row of chunks */
    int64_t chunks, part_chunks, parts;               /* chunks in all and in a part; number of parts */
    real *part;                      /* [parts] sums as large as dweight; dweight itself if parts = 1 */
    real *bias_part;                 /* [parts] (O), dbias itself if parts = 1, or NULL: not wanted */
    const struct cpu_update *update; /* set if parts = 1 */
};

/* The output pixels of some rows p and columns q. */
struct rectangle {
    struct window_range p, q;
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

/* Sums a tile of dw over the pixels of `valid`, which tap (k,l) moves into the image. x and dy point to the channel
 * blocks at hand, x to the first input channel of the tile. */
static inline __attribute__((always_inline)) void sum_pixels(const int rows, const int blocks,
                                                             const struct filter_task *task, const real *x,
                                                             const real *dy, int64_t k, int64_t l,
                                                             const struct rectangle *valid, bool add, real *dweight)
{
    const int vecs = blocks * CPU_BLOCK_VECS;
    struct shape filter = task->dweight.shape, from = task->x.shape, to = task->dy.shape;
    int64_t dy_stride = cpu_block_stride(to);
    int64_t column_stride = cpu_blocks(filter.c) * filter.h * filter.w * CPU_FILTER_BLOCK;
    /* Pixels that lie side by side in x as in dy. */
    int64_t run = task->window.stride == 1 ? valid->q.last - valid->q.first : 1;
    vec total[CPU_TILE_VECS];
    CPU_UNROLL
    for (int i = 0; i < rows * vecs; i++) total[i] = (vec){0};
    for (int64_t p = valid->p.first; p < valid->p.last; p++)
        for (int64_t q = valid->q.first; q < valid->q.last; q += run) {
            int64_t pixel = window_input(task->window, p, k) * from.w + window_input(task->window, q, l);
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

/* Computes dw of one block of input channels and one column of output channels, from one chunk of pixels. `add` keeps
 * the sums of earlier chunks. */
static void filter_chunk(const struct filter_task *task, int64_t x_block, int64_t dy_block, int64_t blocks,
                         int64_t chunk, bool add, real *part, struct cpu_update_ahead *ahead)
{
    struct shape filter = task->dweight.shape, from = task->x.shape, to = task->dy.shape;
    int64_t kernel = filter.h, depth = min_of(CPU_BLOCK, filter.c - x_block * CPU_BLOCK);
    const real *x = (const real *)task->x.data + x_block * cpu_block_stride(from);
    const real *dy = (const real *)task->dy.data + dy_block * cpu_block_stride(to);
    real *dweight = part + (dy_block * cpu_blocks(filter.c) + x_block) * kernel * kernel * CPU_FILTER_BLOCK;
    int64_t p = chunk / task->chunks_across * task->chunk_height, q = chunk % task->chunks_across * task->chunk_width;
    const struct rectangle pixels = {{p, min_of(p + task->chunk_height, to.h)},
                                     {q, min_of(q + task->chunk_width, to.w)}};
    for (int64_t tap = 0; tap < kernel * kernel; tap++, dweight += CPU_FILTER_BLOCK) {
        int64_t k = tap / kernel, l = tap % kernel;
        const struct rectangle valid = {window_outputs_of_tap(task->window, k, from.h, pixels.p),
                                        window_outputs_of_tap(task->window, l, from.w, pixels.q)};
        if (add && (valid.p.first >= valid.p.last || valid.q.first >= valid.q.last)) continue;
        for (int64_t row = 0; row < depth; row += CPU_TILE_ROWS) {
            sum_pixels_tile(min_of(CPU_TILE_ROWS, depth - row), blocks, task, x + row, dy, k, l, &valid, add,
                            dweight + row * CPU_BLOCK);
            if (ahead) cpu_update_fetch(ahead, CPU_TILE_ROWS * blocks);
        }
    }
}

/* Computes db of a column of output channels, from one chunk of pixels. `add` keeps the sums of earlier chunks. */
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
    int64_t block_count = filter.h * filter.w * CPU_FILTER_BLOCK;
    size_t count = (size_t)(cpu_blocks(filter.n) * cpu_blocks(filter.c) * block_count);
    for (int64_t item = first; item < last; item++) {
        int64_t part = item % task->parts, column = item / task->parts % columns;
        int64_t start = part * task->part_chunks, end = min_of(start + task->part_chunks, task->chunks);
        int64_t x_block = item / task->parts / columns, dy_block = column_first(column, flat);
        int64_t blocks = column_blocks(cpu_blocks(filter.n), column, flat);
        struct cpu_update_ahead ahead =
            cpu_update_ahead(task->update, task->part + (dy_block * cpu_blocks(filter.c) + x_block) * block_count,
                             blocks, block_count, cpu_blocks(filter.c) * block_count);
        for (int64_t chunk = start; chunk < end; chunk++) {
            filter_chunk(task, x_block, dy_block, blocks, chunk, chunk > start, task->part + (size_t)part * count,
                         chunk + 1 == end ? &ahead : NULL);
            if (x_block == 0 && task->bias_part)
                bias_chunk(task, dy_block, blocks, chunk, chunk > start,
                           task->bias_part + part * cpu_blocks(filter.n) * CPU_BLOCK);
        }
        for (int64_t block = dy_block; block < dy_block + blocks; block++)
            cpu_update_piece(task->update, task->part + (block * cpu_blocks(filter.c) + x_block) * block_count,
                             block_count);
    }
}

/* The same items for db alone; without input channels, as it does not depend on them. */
static void bias_items(void *argument, int64_t first, int64_t last)
{
    const struct filter_task *task = argument;
    int64_t output_blocks = cpu_blocks(task->dweight.shape.n);
    bool flat = filter_is_flat(task->dweight.shape);
    for (int64_t item = first; item < last; item++) {
        int64_t part = item % task->parts, column = item / task->parts;
        int64_t start = part * task->part_chunks, end = min_of(start + task->part_chunks, task->chunks);
        for (int64_t chunk = start; chunk < end; chunk++)
            bias_chunk(task, column_first(column, flat), column_blocks(output_blocks, column, flat), chunk,
                       chunk > start, task->bias_part + part * output_blocks * CPU_BLOCK);
    }
}

/* Adds up some arrays, in their order. */
struct part_task {
    const real *parts; /* [part_count][count] */
    int64_t part_count, count;
    real *sum; /* (count) */
    const struct cpu_update *update;
};

static void add_parts(void *argument, int64_t first, int64_t last)
{
    const struct part_task *task = argument;
    for (int64_t i = first * CPU_LANES; i < last * CPU_LANES; i += CPU_LANES) {
        vec total = vec_load(task->parts + i);
        for (int64_t part = 1; part < task->part_count; part++) total += vec_load(task->parts + part * task->count + i);
        vec_store(task->sum + i, total);
    }
    cpu_update_piece(task->update, task->sum + first * CPU_LANES, (last - first) * CPU_LANES);
}

static void run_add_parts(struct backend *backend, const real *parts, int64_t part_count, const struct tensor *sum,
                          const struct cpu_update *update)
{
    int64_t count = (int64_t)backend->table->tensor_count(backend, sum->kind, sum->shape);
    struct part_task task = {parts, part_count, count, sum->data, update};
    cpu_for(backend, count / CPU_LANES, part_count * CPU_LANES, add_parts, &task);
}

/* Cuts the pixels of dy into chunks and parts, for batches of dy.n. */
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

void CPU_EXPORT(cpu_conv2d_filter_plan)(struct backend *backend, struct conv2d_plan *plan)
{
    struct shape filter = {plan->output_channels, plan->input.c, plan->window.kernel, plan->window.kernel};
    int64_t items = filter_item_count(filter);
    if (items >= CPU_FILTER_ITEMS) return;
    size_t parts = (size_t)((CPU_FILTER_ITEMS + items - 1) / items);
    plan->parts = backend->table->alloc(backend, parts * tensor_bytes(backend, TENSOR_FILTER, filter));
    plan->bias_parts =
        backend->table->alloc(backend, parts * tensor_bytes(backend, TENSOR_VECTOR, shape_vector(filter.n)));
}

void CPU_EXPORT(cpu_conv2d_filter_bias)(struct backend *backend, const struct conv2d_plan *plan,
                                        const struct tensor *dy, struct shape filter, const struct tensor *dbias)
{
    struct filter_task task = {.window = plan->window, .dy = *dy, .dweight = {.shape = filter}};
    cut_pixels(&task, dy->shape, filter);
    bool cut = task.parts > 1;
    task.bias_part = cut ? plan->bias_parts : (real *)dbias->data;
    int64_t columns = column_count(cpu_blocks(filter.n), filter_is_flat(filter));
    int64_t rows = min_of(task.part_chunks * CPU_CHUNK_ROWS, dy->shape.h * dy->shape.w * dy->shape.n);
    cpu_for(backend, columns * task.parts, rows * CPU_BLOCK, bias_items, &task);
    if (cut) run_add_parts(backend, plan->bias_parts, task.parts, dbias, NULL);
}

void CPU_EXPORT(cpu_conv2d_filter)(struct backend *backend, const struct conv2d_plan *plan, const struct tensor *x,
                                   const struct tensor *dy, const struct tensor *dweight, const struct tensor *dbias,
                                   const struct cpu_update *update)
{
    struct filter_task task = {.window = plan->window, .x = *x, .dy = *dy, .dweight = *dweight};
    struct shape filter = dweight->shape;
    cut_pixels(&task, dy->shape, filter);
    bool cut = task.parts > 1;
    if (!cut) task.update = update;
    task.part = cut ? plan->parts : dweight->data;
    if (dbias) task.bias_part = cut ? plan->bias_parts : (real *)dbias->data;
    int64_t rows = min_of(task.part_chunks * CPU_CHUNK_ROWS, dy->shape.h * dy->shape.w * dy->shape.n);
    cpu_for(backend, filter_item_count(filter) * task.parts, rows * filter.h * filter.w * CPU_BLOCK, filter_items,
            &task);
    if (cut) run_add_parts(backend, task.part, task.parts, dweight, update);
    if (cut && dbias) run_add_parts(backend, plan->bias_parts, task.parts, dbias, NULL);
}
