/* The gradient of a 3x3 filter by Winograd's method. Through Y = A^T [ U . V ] A, U = G g G^T, V = B^T d B
 * (cpu_winograd.c; "." element by element), with e = dL/dY given, the chain rule yields
 *
 *   dL/dU = (A e A^T) . V, summed over tiles and samples,       dL/dg = G^T (dL/dU) G.
 *
 * So each of the 36 points is a matrix product I x rows times rows x O, of V and E = A e A^T.
 *
 * Blocking. V and E of a slab of rows are made first. An item of work is a chunk of input channels and a column of
 * output channels. For each point it multiplies V with E, 128 rows at a time (both then in L1), into
 * dU [36][16 i][column] (L2). It transforms that into dw, or adds it to the sum of the slabs before. FLOP:
 * 2 * 36 * tiles * N * I * O, a quarter of the taps' where 4 divides height and width. Bytes per slab: x and dy once, V
 * and E written once, V read once per column and E once per chunk, dw once.
 *
 * Of up to PART_BLOCKS blocks of channels on both sides, a slab would make too few items. There the rows are cut into
 * parts. A thread transforms some rows of a part for itself (V, E and dU: its L2), adds them to dU, and transforms that
 * at the part's end. The parts of dw are added at last.
 *
 * Every gradient is summed in an order that the number of threads does not change.
 *
 * This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/conv/cpu_winograd.h"
#include "backend/cpu/conv/cpu_winograd_slab.h"

/* Input channels of a register tile: a divisor of CPU_BLOCK. */
enum { GRADIENT_ROWS = CPU_BLOCK % WINOGRAD_ROWS == 0 ? WINOGRAD_ROWS : 4, SUM_ROWS = 128 };

struct filter_task {
    struct winograd_slab inputs, gradients;
    real *dweight; /* [O/16][I/16][3][3][16 i][16 o] */
    real *scratch;
    int64_t chunk_blocks; /* blocks of input channels in an item */
    int64_t chunks;
    int64_t part_rows; /* 0 where the filter is not summed in parts */
    real *parts;
    const struct cpu_update *update; /* set where dw becomes whole */
};

/* G^T u */
static inline __attribute__((always_inline)) void transform_filter_gradient(const vec *u, int step, vec *g)
{
    const real sixth = (real)1 / 6, twelfth = (real)1 / 12, twenty_fourth = (real)1 / 24;
    vec sum = u[step] + u[2 * step], far_sum = u[3 * step] + u[4 * step];
    g[0] = (real)0.25 * u[0] - sixth * sum + twenty_fourth * far_sum;
    g[1] = sixth * (u[2 * step] - u[step]) + twelfth * (u[3 * step] - u[4 * step]);
    g[2] = sixth * (far_sum - sum) + u[5 * step];
}

/* Computes a tile of sums, (GRADIENT_ROWS input channels) x (blocks of output channels), over `count` rows of V and of
 * E. Always inlined with a constant number of blocks, so that the sums are registers. */
static inline __attribute__((always_inline)) void multiply_rows(const int blocks, const real *inputs,
                                                                const real *gradients, int64_t block_stride,
                                                                int64_t count, bool add, real *sums)
{
    enum { ROWS = GRADIENT_ROWS, MOST_VECS = WINOGRAD_BLOCKS * CPU_BLOCK_VECS };
    const int vecs = blocks * CPU_BLOCK_VECS;
    vec total[ROWS * MOST_VECS], gradient[MOST_VECS];
    CPU_UNROLL
    for (int i = 0; i < ROWS * vecs; i++) total[i] = add ? vec_load(sums + i * CPU_LANES) : (vec){0};
    for (int64_t at = 0; at < count * CPU_BLOCK; at += CPU_BLOCK) {
        CPU_UNROLL
        for (int v = 0; v < vecs; v++)
            gradient[v] = vec_load(gradients + v / CPU_BLOCK_VECS * block_stride + at + v % CPU_BLOCK_VECS * CPU_LANES);
        CPU_UNROLL
        for (int r = 0; r < ROWS; r++) {
            vec value = vec_set(inputs[at + r]);
            CPU_UNROLL
            for (int v = 0; v < vecs; v++) total[r * vecs + v] += value * gradient[v];
        }
    }
    CPU_UNROLL
    for (int i = 0; i < ROWS * vecs; i++) vec_store(sums + i * CPU_LANES, total[i]);
}

/* Computes one point, for blocks first..last-1 of input channels and `blocks` blocks of output channels from `block`
 * on; or adds it to `sums`. */
static void multiply_point(const struct filter_task *task, int point, int64_t first, int64_t last, int64_t block,
                           int64_t blocks, bool add, real *sums, struct cpu_update_ahead *ahead)
{
    /* Every call of multiply_rows fetches its share of the weights that the item will update. */
    const int64_t lines =
        TAPS * FILTER_BLOCK * (int64_t)sizeof(real) / 64 * blocks * GRADIENT_ROWS / CPU_BLOCK / POINTS;
    const struct winograd_slab *x = &task->inputs, *dy = &task->gradients;
    int64_t rows = x->last - x->first;
    const real *gradients = dy->points + point * dy->point_stride + block * dy->block_stride;
    for (int64_t row = 0; row < rows; row += SUM_ROWS) {
        int64_t count = min_of(SUM_ROWS, rows - row);
        real *to = sums;
        for (int64_t i = first; i < last; i++)
            for (int lane = 0; lane < CPU_BLOCK; lane += GRADIENT_ROWS, to += GRADIENT_ROWS * blocks * CPU_BLOCK) {
                const real *inputs = x->points + point * x->point_stride + i * x->block_stride + row * CPU_BLOCK + lane;
                if (blocks == WINOGRAD_BLOCKS)
                    multiply_rows(WINOGRAD_BLOCKS, inputs, gradients + row * CPU_BLOCK, dy->block_stride, count,
                                  add || row > 0, to);
                else
                    multiply_rows(1, inputs, gradients + row * CPU_BLOCK, dy->block_stride, count, add || row > 0, to);
                cpu_update_fetch(ahead, lines);
            }
    }
}

/* Transforms a block of dU [36][...][16 i][column][16 o] into dw's block [3][3][16 i][16 o]. */
static void transform_block(const real *sums, int64_t point_stride, int64_t row_stride, bool add, real *to)
{
    for (int row = 0; row < CPU_BLOCK; row++)
        for (int v = 0; v < CPU_BLOCK; v += CPU_LANES) {
            vec u[INPUTS], half[3 * INPUTS], g[3];
            CPU_UNROLL
            for (int column = 0; column < INPUTS; column++) {
                CPU_UNROLL
                for (int k = 0; k < INPUTS; k++)
                    u[k] = vec_load(sums + (k * INPUTS + column) * point_stride + row * row_stride + v);
                transform_filter_gradient(u, 1, half + column * 3);
            }
            CPU_UNROLL
            for (int k = 0; k < 3; k++) {
                transform_filter_gradient(half + k, 3, g);
                CPU_UNROLL
                for (int l = 0; l < 3; l++) {
                    real *place = to + (k * 3 + l) * FILTER_BLOCK + row * CPU_BLOCK + v;
                    if (add) g[l] += vec_load(place);
                    vec_store(place, g[l]);
                }
            }
        }
}

/* --- in parts --- */

/* Adds the rows that task has transformed to dU of the whole filter, column by column; the first ones begin it. */
static void add_rows(const struct filter_task *task, bool add, real *sums)
{
    int64_t inputs = cpu_blocks(task->inputs.images.shape.c), outputs = cpu_blocks(task->gradients.images.shape.c);
    for (int64_t block = 0, blocks; block < outputs; block += blocks) {
        blocks = min_of(WINOGRAD_BLOCKS, outputs - block);
        struct cpu_update_ahead none = {0};
        int64_t point_stride = inputs * blocks * FILTER_BLOCK + SPACE;
        for (int point = 0; point < POINTS; point++, sums += point_stride)
            multiply_point(task, point, 0, inputs, block, blocks, add, sums, &none);
    }
}

static void transform_part(const struct filter_task *task, const real *sums, real *to)
{
    int64_t inputs = cpu_blocks(task->inputs.images.shape.c), outputs = cpu_blocks(task->gradients.images.shape.c);
    for (int64_t block = 0, blocks; block < outputs; block += blocks) {
        blocks = min_of(WINOGRAD_BLOCKS, outputs - block);
        int64_t row_stride = blocks * CPU_BLOCK, point_stride = inputs * blocks * FILTER_BLOCK + SPACE;
        for (int64_t b = 0; b < blocks; b++)
            for (int64_t i = 0; i < inputs; i++, to += TAPS * FILTER_BLOCK)
                transform_block(sums + i * CPU_BLOCK * row_stride + b * CPU_BLOCK, point_stride, row_stride, false, to);
        sums += POINTS * point_stride;
    }
}

/* An item is a part. The rows that a thread transforms at a time stay in its L2, as dU does. */
static void part_items(void *argument, int64_t first, int64_t last)
{
    struct filter_task own = *(const struct filter_task *)argument;
    int64_t thread = cpu_threads_current();
    real *sums = own.scratch + thread * SCRATCH;
    own.inputs.points += thread * 2 * OWN_SCALARS, own.gradients.points += thread * 2 * OWN_SCALARS;
    int64_t inputs = cpu_blocks(own.inputs.images.shape.c), outputs = cpu_blocks(own.gradients.images.shape.c);
    int64_t all = winograd_tiles(own.inputs.images.shape) * own.inputs.images.shape.n;
    int64_t share = winograd_own_rows(max_of(inputs, outputs));
    for (int64_t part = first; part < last; part++) {
        int64_t from = part * own.part_rows, to = min_of(from + own.part_rows, all);
        for (int64_t row = from; row < to; row += share) {
            own.inputs.first = own.gradients.first = row;
            own.inputs.last = own.gradients.last = min_of(row + share, to);
            CPU_EXPORT(cpu_winograd_transform_own_inputs)(&own.inputs);
            CPU_EXPORT(cpu_winograd_transform_own_gradients)(&own.gradients);
            add_rows(&own, row > from, sums);
        }
        transform_part(&own, sums, own.parts + part * inputs * outputs * TAPS * FILTER_BLOCK);
    }
}

/* An item is a tap of a block of the filter. */
static void add_parts(void *argument, int64_t first, int64_t last)
{
    const struct filter_task *task = argument;
    struct shape x = task->inputs.images.shape;
    int64_t stride = cpu_blocks(x.c) * cpu_blocks(task->gradients.images.shape.c) * TAPS * FILTER_BLOCK;
    int64_t parts = divide_up(winograd_tiles(x) * x.n, task->part_rows);
    for (int64_t at = first * FILTER_BLOCK; at < last * FILTER_BLOCK; at += CPU_LANES) {
        vec sum = vec_load(task->parts + at);
        for (int64_t part = 1; part < parts; part++) sum += vec_load(task->parts + part * stride + at);
        vec_store(task->dweight + at, sum);
    }
    cpu_update_piece(task->update, task->dweight + first * FILTER_BLOCK, (last - first) * FILTER_BLOCK);
}

static void run_parts(struct backend *backend, struct filter_task *task, const struct cpu_update *update)
{
    const struct cpu_winograd *winograd = cpu_backend_of(backend)->winograd;
    struct shape x = task->inputs.images.shape;
    int64_t blocks = cpu_blocks(x.c) * cpu_blocks(task->gradients.images.shape.c);
    int64_t parts = divide_up(winograd_tiles(x) * x.n, task->part_rows);
    CHECK(parts * blocks * TAPS * FILTER_BLOCK <= winograd->parts_count);
    task->inputs.points = winograd->own, task->gradients.points = winograd->own + OWN_SCALARS;
    task->parts = winograd->parts, task->update = update;
    cpu_for(backend, parts, task->part_rows * POINTS * blocks * FILTER_BLOCK, part_items, task);
    cpu_for(backend, blocks * TAPS, parts * FILTER_BLOCK, add_parts, task);
}

/* --- slab by slab --- */

static void gradient_items(void *argument, int64_t first, int64_t last)
{
    const struct filter_task *task = argument;
    real *sums = task->scratch + (int64_t)cpu_threads_current() * SCRATCH;
    int64_t inputs = cpu_blocks(task->inputs.images.shape.c), outputs = cpu_blocks(task->gradients.images.shape.c);
    for (int64_t item = first; item < last; item++) {
        int64_t block = item / task->chunks * WINOGRAD_BLOCKS, blocks = min_of(WINOGRAD_BLOCKS, outputs - block);
        int64_t from = item % task->chunks * task->chunk_blocks, to = min_of(from + task->chunk_blocks, inputs);
        int64_t row_stride = blocks * CPU_BLOCK, point_stride = (to - from) * CPU_BLOCK * row_stride + SPACE;
        real *dweight = task->dweight + (block * inputs + from) * TAPS * FILTER_BLOCK;
        int64_t column_stride = inputs * TAPS * FILTER_BLOCK;
        struct cpu_update_ahead ahead =
            cpu_update_ahead(task->update, dweight, blocks, (to - from) * TAPS * FILTER_BLOCK, column_stride);
        for (int point = 0; point < POINTS; point++)
            multiply_point(task, point, from, to, block, blocks, false, sums + point * point_stride, &ahead);
        for (int64_t b = 0; b < blocks; b++)
            for (int64_t i = 0; i < to - from; i++) {
                real *place = dweight + b * column_stride + i * TAPS * FILTER_BLOCK;
                transform_block(sums + i * CPU_BLOCK * row_stride + b * CPU_BLOCK, point_stride, row_stride,
                                task->inputs.first > 0, place);
                cpu_update_piece(task->update, place, TAPS * FILTER_BLOCK);
            }
    }
}

static void run_slabs(struct backend *backend, struct filter_task *task, const struct cpu_update *update)
{
    const struct cpu_winograd *winograd = cpu_backend_of(backend)->winograd;
    struct shape x = task->inputs.images.shape;
    int64_t inputs = cpu_blocks(x.c), outputs = cpu_blocks(task->gradients.images.shape.c);
    int64_t columns = divide_up(outputs, WINOGRAD_BLOCKS), widest = max_of(inputs, outputs);
    int64_t rows = winograd_tiles(x) * x.n, slab = winograd_slab_rows(widest, rows);
    CHECK(POINTS * winograd_point_count(widest, slab) <= winograd->slab_count);
    task->inputs.points = winograd->inputs, task->gradients.points = winograd->gradients;
    /* The items are so small, in blocks of input channels, that every thread gets some. */
    int64_t wanted = 4 * (int64_t)cpu_threads_width(cpu_backend_of(backend)->threads);
    task->chunk_blocks = min_of(max_of(inputs * columns / wanted, 1), CHUNK_BLOCKS);
    task->chunks = divide_up(inputs, task->chunk_blocks);
    for (int64_t first = 0; first < rows; first += slab) {
        task->inputs.first = task->gradients.first = first;
        task->inputs.last = task->gradients.last = min_of(first + slab, rows);
        if (task->inputs.last == rows) task->update = update;
        CPU_EXPORT(cpu_winograd_transform_inputs)(backend, &task->inputs);
        CPU_EXPORT(cpu_winograd_transform_gradients)(backend, &task->gradients);
        cpu_for(backend, columns * task->chunks, slab * POINTS * task->chunk_blocks * CPU_BLOCK * COLUMN,
                gradient_items, task);
    }
}

void CPU_EXPORT(cpu_winograd_filter_gradient)(struct backend *backend, const struct tensor *x, const struct tensor *dy,
                                              const struct tensor *dweight, const struct cpu_update *update)
{
    const struct cpu_winograd *winograd = cpu_backend_of(backend)->winograd;
    CHECK(winograd);
    struct filter_task task = {
        .inputs.images = *x,
        .gradients.images = *dy,
        .dweight = dweight->data,
        .scratch = winograd->scratch,
        .part_rows =
            winograd_part_rows(cpu_blocks(x->shape.c), cpu_blocks(dy->shape.c), winograd_tiles(x->shape) * x->shape.n),
    };
    if (task.part_rows)
        run_parts(backend, &task, update);
    else
        run_slabs(backend, &task, update);
}
