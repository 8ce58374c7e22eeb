/* Winograd's convolution for 3x3 windows at stride 1 with padding 1, forward and dx: F(4x4,3x3) of Lavin and Gray,
 * "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016, arXiv 1509.09308), section 4.3. A tile of 4x4 outputs
 * needs 6x6 inputs d and, per pair of channels, 36 multiplications instead of 144:
 *
 *   Y = A^T [ (G g G^T) . (B^T d B) ] A,   "." element by element, g the 3x3 filter,
 *
 *         | 4  0 -5  0  1  0 |       |  1/4    0     0  |
 *         | 0 -4 -4  1  1  0 |       | -1/6  -1/6  -1/6 |         | 1  1  1  1  1  0 |
 *   B^T = | 0  4 -4 -1  1  0 |   G = | -1/6   1/6  -1/6 |   A^T = | 0  1 -1  2 -2  0 |
 *         | 0 -2 -1  2  1  0 |       | 1/24  1/12   1/6 |         | 0  1  1  4  4  0 |
 *         | 0  2 -1 -2  1  0 |       | 1/24 -1/12   1/6 |         | 0  1 -1  8 -8  1 |
 *         | 0  4  0 -5  0  1 |       |   0     0     1  |
 *
 * Inputs outside the image are zero, outputs outside it are dropped. Summed over input channels, each of the 36 points
 * is a matrix product (tiles * N rows) x I times I x O. dx is the same with dy in x's place and the filter transposed
 * and turned by half a turn.
 *
 * Blocking. Rows (tile, sample) are handled in slabs whose transformed inputs V [36][I/16][rows][16] fit into L2 and
 * L3. First all threads transform inputs. Then an item of work is a column of WINOGRAD_BLOCKS blocks of output channels
 * for a group of rows of the slab. For a chunk of input channels it transforms the filter into scratch memory
 * U [36][16 i][column] (L2; one point of it: L1), and multiplies all its rows with U into M [36][column][rows][16]
 * (L2). After the last chunk it transforms M into y. So a filter is read once per group of rows, and its transform
 * never leaves the cache. FLOP: 2 * 36 * tiles * N * I * O, a quarter of the taps' where 4 divides height and width,
 * and about a tenth as many for the transforms. Bytes per slab: x once, V written once and read once per column, the
 * filter once per group, y once.
 *
 * Of few channels, the whole filter is transformed first, and an item is a group of rows: a thread transforms their
 * inputs for itself and computes all columns of them. Then V, M and U stay in its L2 (own_items).
 *
 * cpu_winograd_filter.c has the gradient of the filter. cpu_winograd_wanted has the rule when to use the method;
 * docs/performance.md has the measurements behind it. Every output is computed by one thread in an order that neither
 * slab nor group nor the number of threads changes.
 *
 * This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/conv/cpu_winograd.h"

#include <stdlib.h>

#include "backend/cpu/conv/cpu_transpose.h"
#include "backend/cpu/conv/cpu_winograd_slab.h"
#include "util/memory.h"

/* One of the two convolutions: destination = bias + source * filter. */
struct winograd_task {
    bool transposed;             /* the convolution is that of dx */
    struct winograd_slab inputs; /* the source, transformed */
    struct tensor destination;
    const real *filter; /* [O/16][I/16][3][3][16 i][16 o] */
    const real *bias;   /* (destination channels) or NULL */
    real *scratch;
    real
        *filters; /* the whole filter, transformed: U of each column; set where threads transform rows for themselves */
    int64_t columns, group_rows;
};

/* --- filters --- */

/* G g */
static inline __attribute__((always_inline)) void transform_filter(const vec *g, int step, vec *u)
{
    const real sixth = (real)1 / 6, twelfth = (real)1 / 12, twenty_fourth = (real)1 / 24;
    vec outer = -sixth * (g[0] + g[2 * step]), middle = sixth * g[step];
    vec far = twenty_fourth * g[0] + sixth * g[2 * step], far_middle = twelfth * g[step];
    u[0] = (real)0.25 * g[0];
    u[1] = outer - middle, u[2] = outer + middle;
    u[3] = far + far_middle, u[4] = far - far_middle;
    u[5] = g[2 * step];
}

/* Transforms a filter block [3][3][16 from][16 to] into its place in U, [36][...][16 from][column][16 to]. */
static void transform_filter_block(const real *filter, const real *next, real *to, int64_t point_stride,
                                   int64_t row_stride)
{
    for (int row = 0; row < CPU_BLOCK; row++) {
        CPU_UNROLL
        for (int tap = 0; tap < TAPS; tap++) __builtin_prefetch(next + tap * FILTER_BLOCK + row * CPU_BLOCK);
        for (int v = 0; v < CPU_BLOCK; v += CPU_LANES) {
            vec g[TAPS], half[3 * INPUTS], u[INPUTS];
            CPU_UNROLL
            for (int tap = 0; tap < TAPS; tap++) g[tap] = vec_load(filter + tap * FILTER_BLOCK + row * CPU_BLOCK + v);
            CPU_UNROLL
            for (int column = 0; column < 3; column++) transform_filter(g + column, 3, half + column * INPUTS);
            CPU_UNROLL
            for (int k = 0; k < INPUTS; k++) {
                transform_filter(half + k, INPUTS, u);
                CPU_UNROLL
                for (int l = 0; l < INPUTS; l++)
                    vec_store(to + (k * INPUTS + l) * point_stride + row * row_stride + v, u[l]);
            }
        }
    }
}

/* The part of the filter that an item holds at a time: source blocks first..last-1, for a column of destination
 * blocks. */
struct chunk {
    int64_t first, last, block, blocks;
};

/* The scalars of a point of the chunk's U. */
static inline int64_t chunk_point_count(const struct chunk *chunk)
{
    return (chunk->last - chunk->first) * CPU_BLOCK * chunk->blocks * CPU_BLOCK + SPACE;
}

/* Transforms the filters of source block `s` of a chunk. */
static void transform_filter_blocks(const struct winograd_task *task, const struct chunk *chunk, int64_t s, real *to,
                                    real *turned)
{
    int64_t inputs = cpu_blocks(task->transposed ? task->destination.shape.c : task->inputs.images.shape.c);
    int64_t row_stride = chunk->blocks * CPU_BLOCK, block_stride = TAPS * FILTER_BLOCK;
    int64_t point_stride = chunk_point_count(chunk);
    for (int64_t b = 0; b < chunk->blocks; b++) {
        real *place = to + (s - chunk->first) * CPU_BLOCK * row_stride + b * CPU_BLOCK;
        int64_t o = task->transposed ? s : chunk->block + b, i = task->transposed ? chunk->block + b : s;
        const real *from = task->filter + (o * inputs + i) * block_stride;
        if (!task->transposed) {
            transform_filter_block(from, from + block_stride, place, point_stride, row_stride);
            continue;
        }
        for (int tap = 0; tap < TAPS; tap++)
            cpu_transpose_block(from + tap * FILTER_BLOCK, turned + (TAPS - 1 - tap) * FILTER_BLOCK);
        transform_filter_block(turned, from + inputs * block_stride, place, point_stride, row_stride);
    }
}

/* --- products --- */

/* Computes a tile of sums, [blocks][rows][16] with `to_stride` between the blocks, of one point over `depth` blocks of
 * source channels. Always inlined with a constant number of blocks, so that the sums are registers. */
static inline __attribute__((always_inline)) void multiply_tile(const int blocks, const real *inputs,
                                                                int64_t block_stride, const real *filter, int64_t depth,
                                                                bool add, real *sums, int64_t to_stride)
{
    enum { ROWS = WINOGRAD_ROWS, MOST_VECS = WINOGRAD_BLOCKS * CPU_BLOCK_VECS };
    const int vecs = blocks * CPU_BLOCK_VECS;
    vec total[ROWS * MOST_VECS], weight[MOST_VECS];
    CPU_UNROLL
    for (int r = 0; r < ROWS; r++) {
        CPU_UNROLL
        for (int v = 0; v < vecs; v++) {
            const real *at = sums + v / CPU_BLOCK_VECS * to_stride + r * CPU_BLOCK + v % CPU_BLOCK_VECS * CPU_LANES;
            total[r * vecs + v] = add ? vec_load(at) : (vec){0};
        }
    }
    for (int64_t block = 0; block < depth; block++, inputs += block_stride) {
        CPU_UNROLL
        for (int r = 0; r < ROWS; r++) __builtin_prefetch(inputs + (ROWS + r) * CPU_BLOCK);
        for (int k = 0; k < CPU_BLOCK; k++, filter += vecs * CPU_LANES) {
            CPU_UNROLL
            for (int v = 0; v < vecs; v++) weight[v] = vec_load(filter + v * CPU_LANES);
            CPU_UNROLL
            for (int r = 0; r < ROWS; r++) {
                vec value = vec_set(inputs[r * CPU_BLOCK + k]);
                CPU_UNROLL
                for (int v = 0; v < vecs; v++) total[r * vecs + v] += value * weight[v];
            }
        }
    }
    CPU_UNROLL
    for (int r = 0; r < ROWS; r++) {
        CPU_UNROLL
        for (int v = 0; v < vecs; v++) {
            real *at = sums + v / CPU_BLOCK_VECS * to_stride + r * CPU_BLOCK + v % CPU_BLOCK_VECS * CPU_LANES;
            vec_store(at, total[r * vecs + v]);
        }
    }
}

/* Multiplies all rows of a group, in whole tiles, with a chunk of the filter, point by point. */
static void multiply_chunk(const struct winograd_task *task, const struct chunk *chunk, int64_t group, int64_t rows,
                           const real *filter, real *sums)
{
    int64_t depth = chunk->last - chunk->first, to_stride = GROUP_TILES * WINOGRAD_ROWS * CPU_BLOCK;
    bool add = chunk->first > 0;
    for (int point = 0; point < POINTS; point++) {
        const real *inputs = task->inputs.points + point * task->inputs.point_stride +
                             chunk->first * task->inputs.block_stride + group * CPU_BLOCK;
        for (int64_t at = 0; at < rows * CPU_BLOCK; at += WINOGRAD_ROWS * CPU_BLOCK) {
            if (chunk->blocks == WINOGRAD_BLOCKS)
                multiply_tile(WINOGRAD_BLOCKS, inputs + at, task->inputs.block_stride, filter, depth, add, sums + at,
                              to_stride);
            else
                multiply_tile(1, inputs + at, task->inputs.block_stride, filter, depth, add, sums + at, to_stride);
        }
        filter += chunk_point_count(chunk);
        sums += SUMS_STRIDE;
    }
}

/* --- outputs --- */

/* A^T m */
static inline __attribute__((always_inline)) void transform_output(const vec *m, int step, vec *y)
{
    vec sum = m[step] + m[2 * step], difference = m[step] - m[2 * step];
    vec far_sum = m[3 * step] + m[4 * step], far_difference = m[3 * step] - m[4 * step];
    y[0] = m[0] + sum + far_sum;
    y[1] = difference + 2 * far_difference;
    y[2] = sum + 4 * far_sum;
    y[3] = difference + 8 * far_difference + m[5 * step];
}

/* Writes one block of channels of a tile, for `count` samples from `sample` on. */
static void transform_output_rows(const struct winograd_task *task, int64_t tile, int64_t sample, int64_t count,
                                  const real *sums, const real *bias, real *to)
{
    struct shape s = task->destination.shape;
    int64_t top = tile / divide_up(s.w, OUTPUTS) * OUTPUTS, left = tile % divide_up(s.w, OUTPUTS) * OUTPUTS;
    int64_t height = min_of(OUTPUTS, s.h - top), width = min_of(OUTPUTS, s.w - left);
    real *corner = to + ((top * s.w + left) * s.n + sample) * CPU_BLOCK;
    for (int64_t at = 0; at < count * CPU_BLOCK; at += CPU_LANES) {
        vec m[INPUTS], half[INPUTS * OUTPUTS], y[OUTPUTS];
        vec shift = bias ? vec_load(bias + at % CPU_BLOCK) : (vec){0};
        CPU_UNROLL
        for (int column = 0; column < INPUTS; column++) {
            CPU_UNROLL
            for (int row = 0; row < INPUTS; row++) m[row] = vec_load(sums + (row * INPUTS + column) * SUMS_STRIDE + at);
            transform_output(m, 1, half + column * OUTPUTS);
        }
        for (int64_t row = 0; row < height; row++) {
            transform_output(half + row, OUTPUTS, y);
            CPU_UNROLL
            for (int column = 0; column < OUTPUTS; column++)
                if (column < width) vec_store(corner + (row * s.w + column) * s.n * CPU_BLOCK + at, y[column] + shift);
        }
    }
}

static void transform_outputs(const struct winograd_task *task, const struct chunk *column, int64_t group, int64_t rows,
                              const real *sums)
{
    int64_t batch = task->destination.shape.n;
    for (int64_t b = 0; b < column->blocks; b++) {
        int64_t block = column->block + b, count;
        real *to = (real *)task->destination.data + block * cpu_block_stride(task->destination.shape);
        const real *bias = task->bias ? task->bias + block * CPU_BLOCK : NULL;
        for (int64_t row = 0; row < rows; row += count) {
            int64_t place = task->inputs.first + group + row, sample = place % batch;
            count = min_of(batch - sample, rows - row);
            transform_output_rows(task, place / batch, sample, count,
                                  sums + (b * GROUP_TILES * WINOGRAD_ROWS + row) * CPU_BLOCK, bias, to);
        }
    }
}

/* The chunk with all source blocks of a column of destination channels. */
static struct chunk whole_column(const struct winograd_task *task, int64_t column)
{
    int64_t block = column * WINOGRAD_BLOCKS, width = cpu_blocks(task->destination.shape.c);
    return (struct chunk){
        .last = cpu_blocks(task->inputs.images.shape.c),
        .block = block,
        .blocks = min_of(WINOGRAD_BLOCKS, width - block),
    };
}

/* Computes a column of destination channels for a group of the slab's rows. */
static void multiply_column(const struct winograd_task *task, int64_t column, int64_t group)
{
    real *filter = task->scratch + (int64_t)cpu_threads_current() * SCRATCH;
    real *turned = filter + SCRATCH_FILTER, *sums = turned + SCRATCH_TURNED;
    int64_t rows = min_of(task->group_rows, task->inputs.last - task->inputs.first - group);
    struct chunk chunk = whole_column(task, column);
    int64_t depth = chunk.last;
    for (; chunk.first < depth; chunk.first = chunk.last) {
        chunk.last = min_of(chunk.first + CHUNK_BLOCKS, depth);
        for (int64_t s = chunk.first; s < chunk.last; s++) transform_filter_blocks(task, &chunk, s, filter, turned);
        multiply_chunk(task, &chunk, group, rows, filter, sums);
    }
    transform_outputs(task, &chunk, group, rows, sums);
}

/* An item is a column and a group of rows. */
static void multiply_items(void *argument, int64_t first, int64_t last)
{
    const struct winograd_task *task = argument;
    for (int64_t item = first; item < last; item++)
        multiply_column(task, item % task->columns, item / task->columns * task->group_rows);
}

/* U of a column of the whole filter. */
static real *own_filter(const struct winograd_task *task, int64_t column)
{
    struct chunk full = {.last = cpu_blocks(task->inputs.images.shape.c), .blocks = WINOGRAD_BLOCKS};
    return task->filters + column * POINTS * chunk_point_count(&full);
}

/* An item is a source block of a column of the whole filter. */
static void filter_items(void *argument, int64_t first, int64_t last)
{
    const struct winograd_task *task = argument;
    real *turned = task->scratch + (int64_t)cpu_threads_current() * SCRATCH + SCRATCH_FILTER;
    int64_t depth = cpu_blocks(task->inputs.images.shape.c);
    for (int64_t item = first; item < last; item++) {
        struct chunk chunk = whole_column(task, item / depth);
        transform_filter_blocks(task, &chunk, item % depth, own_filter(task, item / depth), turned);
    }
}

/* An item is a group of rows, which the thread transforms for itself. */
static void own_items(void *argument, int64_t first, int64_t last)
{
    const struct winograd_task *task = argument;
    int64_t rows = winograd_tiles(task->destination.shape) * task->destination.shape.n;
    struct winograd_task own = *task;
    own.inputs.points += cpu_threads_current() * 2 * OWN_SCALARS;
    real *sums = task->scratch + (int64_t)cpu_threads_current() * SCRATCH + SCRATCH_FILTER + SCRATCH_TURNED;
    for (int64_t item = first; item < last; item++) {
        own.inputs.first = item * task->group_rows;
        own.inputs.last = min_of(own.inputs.first + task->group_rows, rows);
        CPU_EXPORT(cpu_winograd_transform_own_inputs)(&own.inputs);
        for (int64_t column = 0; column < task->columns; column++) {
            struct chunk chunk = whole_column(task, column);
            multiply_chunk(&own, &chunk, 0, own.inputs.last - own.inputs.first, own_filter(task, column), sums);
            transform_outputs(&own, &chunk, 0, own.inputs.last - own.inputs.first, sums);
        }
    }
}

/* --- a whole convolution --- */

static void run_slab(struct backend *backend, struct winograd_task *task)
{
    int64_t rows = task->inputs.last - task->inputs.first, row_tiles = divide_up(rows, WINOGRAD_ROWS);
    CPU_EXPORT(cpu_winograd_transform_inputs)(backend, &task->inputs);
    int64_t wanted =
        4 * (int64_t)cpu_threads_width(cpu_backend_of(backend)->threads); /* items; many make a short wait at the end */
    int64_t share = min_of(max_of(row_tiles * task->columns / wanted, FEW_TILES), GROUP_TILES);
    int64_t groups = divide_up(row_tiles, share);
    task->group_rows = divide_up(row_tiles, groups) * WINOGRAD_ROWS;
    cpu_for(backend, task->columns * divide_up(rows, task->group_rows),
            task->group_rows * POINTS * task->inputs.images.shape.c * COLUMN, multiply_items, task);
}

/* Runs items of rows that their threads transform for themselves, if there are enough and U is small; else returns
 * false. */
static bool run_own(struct backend *backend, struct winograd_task *task, int64_t rows)
{
    enum { ITEMS_PER_THREAD = 4 };
    struct shape image = task->inputs.images.shape;
    const struct cpu_winograd *winograd = cpu_backend_of(backend)->winograd;
    int64_t inputs = cpu_blocks(image.c),
            filter_count = winograd_own_filter_count(inputs, cpu_blocks(task->destination.shape.c));
    if (filter_count == 0) return false;
    task->group_rows = min_of(winograd_own_rows(inputs), OWN_ROWS);
    int64_t items = divide_up(rows, task->group_rows);
    if (items < (int64_t)cpu_threads_width(cpu_backend_of(backend)->threads) * ITEMS_PER_THREAD) return false;
    CHECK(filter_count <= winograd->own_filter_count);
    task->inputs.points = winograd->own, task->filters = winograd->own_filters;
    cpu_for(backend, task->columns * inputs, POINTS * CPU_BLOCK * COLUMN * 4, filter_items, task);
    cpu_for(backend, items, task->group_rows * POINTS * image.c * task->columns * COLUMN, own_items, task);
    return true;
}

static void run(struct backend *backend, struct winograd_task *task)
{
    const struct cpu_winograd *winograd = cpu_backend_of(backend)->winograd;
    struct shape image = task->inputs.images.shape;
    int64_t blocks = cpu_blocks(image.c), rows = winograd_tiles(image) * image.n;
    int64_t slab = winograd_slab_rows(blocks, rows);
    CHECK(winograd && POINTS * winograd_point_count(blocks, slab) <= winograd->slab_count);
    task->columns = divide_up(cpu_blocks(task->destination.shape.c), WINOGRAD_BLOCKS);
    task->inputs.points = winograd->inputs, task->scratch = winograd->scratch;
    if (run_own(backend, task, rows)) return;
    for (int64_t first = 0; first < rows; first += slab) {
        task->inputs.first = first, task->inputs.last = min_of(first + slab, rows);
        run_slab(backend, task);
    }
}

bool CPU_EXPORT(cpu_winograd_wanted)(struct backend *backend, struct window window, struct shape x,
                                     int64_t output_channels)
{
    enum { FEWEST_CHANNELS = 16, FEWEST_ROWS = 8 }; /* below, the transforms cost more than they save */
    enum winograd choice = cpu_backend_of(backend)->winograd_choice;
    if (choice == WINOGRAD_OFF || window.kernel != 3 || window.stride != 1 || window.padding != 1) return false;
    if (choice == WINOGRAD_ON) return true;
    int64_t taps = window_useful_taps(x.h, window) * window_useful_taps(x.w, window), tiles = winograd_tiles(x);
    return sizeof(real) == sizeof(float) && min_of(x.c, output_channels) >= FEWEST_CHANNELS &&
           tiles * x.n >= FEWEST_ROWS && taps >= 2 * tiles * POINTS;
}

static void reserve_parts(struct backend *backend, int64_t inputs, int64_t outputs, int64_t rows)
{
    struct cpu_winograd *winograd = cpu_backend_of(backend)->winograd;
    int64_t part = winograd_part_rows(inputs, outputs, rows);
    int64_t count = part ? divide_up(rows, part) * inputs * outputs * TAPS * FILTER_BLOCK : 0;
    if (count <= winograd->parts_count) return;
    backend->table->free(backend, winograd->parts);
    winograd->parts = backend->table->alloc(backend, (size_t)count * sizeof(real));
    winograd->parts_count = count;
}

static void reserve_own_filters(struct backend *backend, int64_t inputs, int64_t outputs)
{
    struct cpu_winograd *winograd = cpu_backend_of(backend)->winograd;
    int64_t count = max_of(winograd_own_filter_count(inputs, outputs), winograd_own_filter_count(outputs, inputs));
    if (count <= winograd->own_filter_count) return;
    backend->table->free(backend, winograd->own_filters);
    winograd->own_filters = backend->table->alloc(backend, (size_t)count * sizeof(real));
    winograd->own_filter_count = count;
}

void CPU_EXPORT(cpu_winograd_reserve)(struct backend *backend, struct shape input, int64_t output_channels)
{
    struct cpu_backend *cpu = cpu_backend_of(backend);
    int64_t rows = winograd_tiles(input) * input.n, most = 0, channels[] = {input.c, output_channels};
    for (int i = 0; i < 2; i++) {
        int64_t blocks = cpu_blocks(channels[i]);
        most = max_of(most, POINTS * winograd_point_count(blocks, winograd_slab_rows(blocks, rows)));
    }
    if (!cpu->winograd) {
        cpu->winograd = memory_alloc(1, sizeof *cpu->winograd);
        size_t threads = (size_t)cpu_threads_count(cpu->threads);
        cpu->winograd->scratch = backend->table->alloc(backend, threads * SCRATCH * sizeof(real));
        cpu->winograd->own = backend->table->alloc(backend, threads * 2 * OWN_SCALARS * sizeof(real));
    }
    reserve_parts(backend, cpu_blocks(input.c), cpu_blocks(output_channels), rows);
    reserve_own_filters(backend, cpu_blocks(input.c), cpu_blocks(output_channels));
    if (most <= cpu->winograd->slab_count) return;
    backend->table->free(backend, cpu->winograd->inputs);
    backend->table->free(backend, cpu->winograd->gradients);
    cpu->winograd->inputs = backend->table->alloc(backend, (size_t)most * sizeof(real));
    cpu->winograd->gradients = backend->table->alloc(backend, (size_t)most * sizeof(real));
    cpu->winograd->slab_count = most;
}

void CPU_EXPORT(cpu_winograd_release)(struct backend *backend)
{
    struct cpu_winograd *winograd = cpu_backend_of(backend)->winograd;
    if (!winograd) return;
    backend->table->free(backend, winograd->inputs);
    backend->table->free(backend, winograd->gradients);
    backend->table->free(backend, winograd->scratch);
    backend->table->free(backend, winograd->own);
    backend->table->free(backend, winograd->own_filters);
    backend->table->free(backend, winograd->parts);
    free(winograd);
}

void CPU_EXPORT(cpu_winograd_forward)(struct backend *backend, const struct tensor *x, const struct tensor *weight,
                                      const struct tensor *bias, const struct tensor *y)
{
    struct winograd_task task = {
        .inputs.images = *x,
        .destination = *y,
        .filter = weight->data,
        .bias = bias ? bias->data : NULL,
    };
    run(backend, &task);
}

void CPU_EXPORT(cpu_winograd_input_gradient)(struct backend *backend, const struct tensor *dy,
                                             const struct tensor *weight, const struct tensor *dx)
{
    struct winograd_task task = {
        .transposed = true,
        .inputs.images = *dy,
        .destination = *dx,
        .filter = weight->data,
    };
    run(backend, &task);
}
