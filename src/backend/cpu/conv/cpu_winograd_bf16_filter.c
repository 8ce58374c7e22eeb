/* The gradient of a 3x3 filter by Winograd's method with bf16 operands. Through Y = A^T [ U . V ] A, U = G g G^T,
 * V = B^T d B (cpu_winograd_bf16.c; "." element by element), with e = dL/dY given, the chain rule yields
 *
 *   dL/dU = (A e A^T) . V, summed over tiles and samples,       dL/dg = G^T (dL/dU) G.
 *
 * So each of the 25 points is a matrix product I x rows times rows x O, of V and E = A e A^T. V and E are computed in
 * fp32 and rounded to bf16; the products are summed in fp32. The roundings of two factors are enlarged as those of y
 * are, 2.6 times.
 *
 * Blocking. A word of V and E holds two samples of a tile, a pair. Tiles of one kind (cpu_winograd_bf16_tile.h) are
 * handled in slabs of some pairs, whose V [25][I/16][pairs][16] and E [25][O/16][pairs][16] stay in L3; a slab is
 * transformed, then multiplied. An item of a product is a point, a column of output channels and a few blocks of input
 * channels. It adds 128 pairs at a time, whose E is then in L1, to dU [column][25][I][column's channels], which is kept in
 * memory until the last slab. Then dU is transformed into dw. Bytes per slab: x and dy once, V and E written once and read
 * once per column and per few blocks, dU read and written once.
 *
 * Every gradient is summed by one thread in an order that the number of threads does not change.
 *
 * This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/conv/cpu_winograd_bf16.h"

#if defined(CPU_SCALAR_f32)

#include "backend/cpu/conv/cpu_winograd_bf16_tile.h"

enum {
    COLUMN = WINOGRAD_BLOCKS * CPU_BLOCK, /* output channels of a column */
    SLAB_BYTES = 2 << 20,                 /* of V and E */
    MOST_PAIRS = 512,                     /* of a slab */
    FEWEST_PAIRS = 64,
    SUM_PAIRS = 128,    /* pairs that are added to dU at a time */
    PIECE_SAMPLES = 32, /* samples of a tile in a slab */
    ITEM_BLOCKS = 4,    /* blocks of input channels of an item */
};

/* Samples of a tile are a piece: a group of samples takes all tiles of a kind before the next one begins. */
struct filter_task {
    struct tensor x, dy;
    const struct winograd_bf16_kernels *kernels;
    const struct winograd_tiling *tiling;
    int64_t piece_pairs, groups;           /* pairs of a piece; groups of samples */
    int64_t slab_pieces;                   /* at most */
    int64_t first, last;                   /* pieces of the slab at hand */
    int64_t block_stride;                  /* words between blocks of V and E */
    int64_t input_stride, gradient_stride; /* words between points of V, of E */
    uint32_t *inputs, *gradients;          /* V, E */
    float *sums;                           /* dU */
    real *dweight;                         /* [O/16][I/16][3][3][16 i][16 o] */
    const struct cpu_update *update;
};

/* Pairs of a slab, at most. */
static int64_t slab_pairs(int64_t inputs, int64_t outputs)
{
    int64_t pair_bytes = POINTS * (cpu_blocks(inputs) + cpu_blocks(outputs)) * CPU_BLOCK * (int64_t)sizeof(uint32_t);
    return min_of(max_of(SLAB_BYTES / pair_bytes, FEWEST_PAIRS), MOST_PAIRS);
}

static void cut_batch(struct filter_task *task)
{
    struct shape x = task->x.shape;
    int64_t most = slab_pairs(x.c, task->dy.shape.c);
    task->groups = divide_up(x.n, PIECE_SAMPLES);
    task->piece_pairs = divide_up(divide_up(x.n, task->groups), 2);
    task->slab_pieces = most / task->piece_pairs;
    task->block_stride = task->slab_pieces * task->piece_pairs * CPU_BLOCK;
    task->input_stride = cpu_blocks(x.c) * task->block_stride + SPACE;
    task->gradient_stride = cpu_blocks(task->dy.shape.c) * task->block_stride + SPACE;
}

static int64_t sums_count(int64_t inputs, int64_t outputs)
{
    return divide_up(outputs, COLUMN) * COLUMN * POINTS * cpu_blocks(inputs) * CPU_BLOCK;
}

size_t CPU_EXPORT(cpu_winograd_bf16_filter_bytes)(int64_t input_channels, int64_t output_channels)
{
    int64_t blocks = cpu_blocks(input_channels) + cpu_blocks(output_channels);
    int64_t words = POINTS * (blocks * slab_pairs(input_channels, output_channels) * CPU_BLOCK + 2 * SPACE);
    return (size_t)words * sizeof(uint32_t) + (size_t)sums_count(input_channels, output_channels) * sizeof(float);
}

/* --- V and E --- */

static const real zeros[PIECE_SAMPLES * CPU_BLOCK] __attribute__((aligned(64)));

/* Iterations are [piece][block of x or dy]. */
static void transform_items(void *argument, int64_t first, int64_t last)
{
    const struct filter_task *task = argument;
    int64_t inputs = cpu_blocks(task->x.shape.c), blocks = inputs + cpu_blocks(task->dy.shape.c);
    int64_t tiles = task->tiling->down * task->tiling->across;
    for (int64_t i = first; i < last; i++) {
        const real *pixels[POINTS];
        int64_t place = i / blocks, block = i % blocks, piece = task->first + place, tile = piece % tiles;
        int64_t sample = piece / tiles * task->piece_pairs * 2;
        int64_t count = min_of(2 * task->piece_pairs, task->x.shape.n - sample);
        if (block < inputs) {
            winograd_bf16_inputs(&task->x, task->tiling, tile, block, sample, zeros, pixels);
            task->kernels->transform_input_pairs(
                task->tiling, pixels, count, winograd_bf16_ahead(task->x.shape, block), task->piece_pairs,
                task->inputs + block * task->block_stride + place * task->piece_pairs * CPU_BLOCK, task->input_stride);
        } else {
            block -= inputs;
            winograd_bf16_gradients(&task->dy, task->tiling, tile, block, sample, zeros, pixels);
            task->kernels->transform_gradient_pairs(
                task->tiling, pixels, count, winograd_bf16_ahead(task->dy.shape, block), task->piece_pairs,
                task->gradients + block * task->block_stride + place * task->piece_pairs * CPU_BLOCK,
                task->gradient_stride);
        }
    }
}

/* --- dU --- */

/* Iterations are [point of the tiling][column][few blocks of input channels]. */
static void multiply_items(void *argument, int64_t first, int64_t last)
{
    const struct filter_task *task = argument;
    int64_t inputs = cpu_blocks(task->x.shape.c), outputs = cpu_blocks(task->dy.shape.c);
    int64_t columns = divide_up(outputs, WINOGRAD_BLOCKS), parts = divide_up(inputs, ITEM_BLOCKS);
    int64_t stride = task->block_stride, pairs = (task->last - task->first) * task->piece_pairs;
    for (int64_t i = first; i < last; i++) {
        int64_t point = i / parts / columns, column = i / parts % columns, from = i % parts * ITEM_BLOCKS;
        int64_t to = min_of(from + ITEM_BLOCKS, inputs), block = column * WINOGRAD_BLOCKS;
        int64_t width = min_of(WINOGRAD_BLOCKS, outputs - block), block_sums = CPU_BLOCK * width * CPU_BLOCK;
        const uint32_t *x = task->inputs + point * task->input_stride;
        const uint32_t *dy = task->gradients + point * task->gradient_stride + block * stride;
        float *sums = task->sums + column * COLUMN * POINTS * inputs * CPU_BLOCK +
                      tiling_point(task->tiling, point) * inputs * block_sums;
        for (int64_t pair = 0; pair < pairs; pair += SUM_PAIRS)
            for (int64_t b = from; b < to; b++)
                task->kernels->multiply_pairs(x + b * stride + pair * CPU_BLOCK, dy + pair * CPU_BLOCK, stride,
                                              min_of(SUM_PAIRS, pairs - pair), (int)width, sums + b * block_sums);
    }
}

/* --- dw --- */

/* Transforms a block of dU [25][I][column's channels] into dw's block [3][3][16 i][16 o]. */
static void transform_block(const float *sums, int64_t point_stride, int64_t row_stride, real *to)
{
    for (int row = 0; row < CPU_BLOCK; row++)
        for (int v = 0; v < CPU_BLOCK; v += CPU_LANES) {
            vec points[POINTS], taps[TAPS];
            for (int i = 0; i < POINTS; i++) points[i] = vec_load(sums + i * point_stride + row * row_stride + v);
            transform_square(SIDE, 3, 3, transform_filter_gradient, transform_filter_gradient, points, taps);
            for (int i = 0; i < TAPS; i++) vec_store(to + i * FILTER_BLOCK + row * CPU_BLOCK + v, taps[i]);
        }
}

/* Iterations are [output block][input block]. */
static void finish_items(void *argument, int64_t first, int64_t last)
{
    const struct filter_task *task = argument;
    int64_t inputs = cpu_blocks(task->x.shape.c), outputs = cpu_blocks(task->dy.shape.c);
    for (int64_t i = first; i < last; i++) {
        int64_t block = i / inputs, input = i % inputs, column = block / WINOGRAD_BLOCKS;
        int64_t row_stride = min_of(WINOGRAD_BLOCKS, outputs - column * WINOGRAD_BLOCKS) * CPU_BLOCK;
        const float *sums = task->sums + column * COLUMN * POINTS * inputs * CPU_BLOCK +
                            input * CPU_BLOCK * row_stride + block % WINOGRAD_BLOCKS * CPU_BLOCK;
        real *place = task->dweight + i * TAPS * FILTER_BLOCK;
        transform_block(sums, inputs * CPU_BLOCK * row_stride, row_stride, place);
        cpu_update_piece(task->update, place, TAPS * FILTER_BLOCK);
    }
}

/* --- a whole gradient --- */

static void run_tiling(struct backend *backend, struct filter_task *task, const struct winograd_tiling *tiling)
{
    int64_t inputs = cpu_blocks(task->x.shape.c), outputs = cpu_blocks(task->dy.shape.c);
    int64_t pieces = tiling->down * tiling->across * task->groups, pairs = task->slab_pieces * task->piece_pairs;
    int64_t items = tiling_points(tiling) * divide_up(outputs, WINOGRAD_BLOCKS) * divide_up(inputs, ITEM_BLOCKS);
    task->tiling = tiling;
    for (task->first = 0; task->first < pieces; task->first = task->last) {
        task->last = min_of(task->first + task->slab_pieces, pieces);
        cpu_for(backend, (task->last - task->first) * (inputs + outputs), task->piece_pairs * POINTS * CPU_BLOCK * 8,
                transform_items, task);
        cpu_for(backend, items, pairs * min_of(inputs, ITEM_BLOCKS) * CPU_BLOCK * COLUMN, multiply_items, task);
    }
}

void CPU_EXPORT(cpu_winograd_bf16_filter)(struct backend *backend, const struct tensor *x, const struct tensor *dy,
                                          const struct tensor *dweight, const struct cpu_update *update)
{
    struct winograd_tiling tilings[TILINGS];
    struct filter_task task = {.x = *x, .dy = *dy, .kernels = CPU_EXPORT(cpu_winograd_bf16_kernels)()};
    int64_t sums = sums_count(x->shape.c, dy->shape.c);
    task.dweight = dweight->data, task.update = update;
    cut_batch(&task);
    task.sums = cpu_backend_of(backend)->scratch;
    void *behind = task.sums + sums;
    task.inputs = behind, task.gradients = task.inputs + POINTS * task.input_stride;
    memset(task.sums, 0, (size_t)sums * sizeof(float));
    int count = winograd_tilings(x->shape, tilings);
    for (int i = 0; i < count; i++) run_tiling(backend, &task, &tilings[i]);
    cpu_for(backend, cpu_blocks(x->shape.c) * cpu_blocks(dy->shape.c), POINTS * FILTER_BLOCK, finish_items, &task);
}

#endif
