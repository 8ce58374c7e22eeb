/* Winograd's convolution with precision = bf16, y and dx: F(3x3,3x3). A tile of 3x3 outputs needs 5x5 inputs d and, per
 * pair of channels, 25 multiplications instead of 81 (cpu_winograd.c has F(4x4,3x3) for fp32, and the source):
 *
 *   Y = A^T [ (G g G^T) . (B^T d B) ] A,   "." element by element, g the 3x3 filter.
 *
 * U = G g G^T and V = B^T d B are computed in fp32 and rounded to bf16; the products are summed in fp32. So the
 * roundings are those of the direct sum's operands, enlarged by the transforms. By how much depends on the points at which
 * the polynomials of the method are evaluated. Here they are a, -a, b, -b and infinity with a = 3/8 and b = 5/4:
 *
 *         |    -b^2      -b^2/a    1    1/a  0 |        |  s   a s  a^2 s |
 *         |    -b^2       b^2/a    1   -1/a  0 |        |  s  -a s  a^2 s |         |  1    1   0   1    1  |
 *   B^T = |  a^2 b^2        0   -a^2-b^2  0  1 |    G = |  0    0     1   |   A^T = |  a   -a   0   b   -b  |
 *         |    -a^2      -a^2/b    1    1/b  0 |        | -s  -b s -b^2 s |         | a^2  a^2  1  b^2  b^2 |
 *         |    -a^2       a^2/b    1   -1/b  0 |        | -s   b s -b^2 s |
 *
 * with s = 1 / (2 (a^2 - b^2)). For independent inputs and filters of one size, the square of an output's error is that of the
 * direct sum times f_p f_q,  f_j = sum_k A^T_jk^2 |B^T_k|^2 |G_k|^2 / 3  over the points k, for its place (p,q) in the
 * tile. The mean of f is 2.6, so the errors grow 2.6 times. With the usual points of F(4x4,3x3), 0, 1, -1, 2, -2 and
 * infinity, they would grow 10.8 times, and with the best six points 4.7 times. F(2x2,3x3) has 1.7 and multiplies 1.4
 * times as much.
 *
 * Where height or width is 1 more than a multiple of 3, the last row or column of tiles has one output along that
 * side. It takes the three points a, -a and infinity, whose U are the same:
 *
 *           | a^2-b^2   (a^2-b^2)/a  0 |
 *   B^T  =  | a^2-b^2  -(a^2-b^2)/a  0 |    A^T = | 1 1 1 |
 *           |  -a^2          0       1 |
 *
 * Blocking. The filter is transformed once, into U [column][25][I/2 words][column's channels], a column being
 * WINOGRAD_BLOCKS blocks of output channels and a word two input channels. Rows are pairs of a tile and a sample. An item
 * of work is some rows: samples of one tile, or some tiles of a small batch. It transforms their inputs into V
 * [25][I/16][rows][16], which stays in L2, and for each column it multiplies V with U, which streams from L3, into M
 * [25][blocks][rows][16] and transforms M into y. Samples come in groups and a group takes all tiles before the next
 * one begins, so that x is fetched from memory once. FLOP: 2 * 25/9 per output and channel, and some tenth for the
 * transforms.
 *
 * cpu_winograd_bf16_filter.c has the gradient of the filter. Every output is computed by one thread in an order that
 * neither items nor the number of threads changes.
 *
 * This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/conv/cpu_winograd_bf16.h"

#if defined(CPU_SCALAR_f32)

#include "backend/cpu/conv/cpu_bf16.h"
#include "backend/cpu/conv/cpu_transpose.h"
#include "backend/cpu/conv/cpu_winograd_bf16_tile.h"
#include "backend/cpu/cpu_install.h"

enum {
    COLUMN = WINOGRAD_BLOCKS * CPU_BLOCK, /* destination channels of a column */
    ITEM_BYTES = 640 << 10,               /* of V and M: they fit into L2 */
    MOST_ROWS = 128,                      /* of an item */
    FEWEST_ROWS = 16,
};

struct sum_task {
    struct conv2d_sum sum;
    const struct winograd_bf16_kernels *kernels;
    struct winograd_tiling tilings[TILINGS];
    int tiling_count;
    int64_t columns, column_groups;     /* columns in all, and parts of them that are items of their own */
    int64_t group_samples, groups;      /* samples of an item; groups of that many in the batch */
    int64_t item_tiles, items_in_group; /* tiles of an item; row items in a group of samples */
    int64_t rows;                       /* of an item, in whole register tiles */
    uint32_t *filters;                  /* U */
    uint32_t *memory;                   /* [threads][thread_words]: V and M */
    int64_t thread_words;
};

/* --- sizes --- */

static int64_t source_words(const struct sum_task *task)
{
    return divide_up(task->sum.source.shape.c, 2);
}

static int64_t filter_words(int64_t from, int64_t to)
{
    return divide_up(to, COLUMN) * COLUMN * POINTS * divide_up(from, 2);
}

/* Words from a point of V, or of M, to the next. */
static int64_t input_stride(int64_t channels, int64_t rows)
{
    return cpu_blocks(channels) * rows * BLOCK_WORDS + SPACE;
}

static int64_t sum_stride(int64_t rows)
{
    return rows * COLUMN + SPACE;
}

static int64_t most_rows(int64_t channels)
{
    int64_t row_bytes = POINTS * (cpu_blocks(channels) * BLOCK_WORDS + COLUMN) * (int64_t)sizeof(uint32_t);
    int64_t rows = min_of(max_of(ITEM_BYTES / row_bytes, FEWEST_ROWS), MOST_ROWS);
    return rows / WINOGRAD_ROWS * WINOGRAD_ROWS;
}

/* Cuts the batch and the tiles into items. */
static void cut_rows(struct sum_task *task)
{
    struct shape from = task->sum.source.shape;
    int64_t most = most_rows(from.c);
    task->groups = divide_up(from.n, most);
    task->group_samples = divide_up(from.n, task->groups);
    task->item_tiles = max_of(most / task->group_samples, 1);
    task->rows = divide_up(task->item_tiles * task->group_samples, WINOGRAD_ROWS) * WINOGRAD_ROWS;
    task->thread_words = POINTS * (input_stride(from.c, task->rows) + sum_stride(task->rows));
    task->tiling_count = winograd_tilings(from, task->tilings);
    task->items_in_group = 0;
    for (int i = 0; i < task->tiling_count; i++)
        task->items_in_group += divide_up(task->tilings[i].down * task->tilings[i].across, task->item_tiles);
}

/* Scratch memory of y or dx, for a batch of any size. */
static size_t sum_bytes(struct backend *backend, int64_t from, int64_t to)
{
    int64_t threads = cpu_threads_count(cpu_backend_of(backend)->threads), rows = most_rows(from);
    int64_t thread_words = POINTS * (input_stride(from, rows) + sum_stride(rows));
    return (size_t)(filter_words(from, to) + threads * thread_words) * sizeof(uint32_t);
}

/* --- filters --- */

/* The filter block of 16 source and 16 destination channels, [3][3][16 from][16 to]: in its place, or turned for dx. */
static const real *filter_block(const struct sum_task *task, int64_t source, int64_t destination, real *turned)
{
    int64_t sources = cpu_blocks(task->sum.source.shape.c), destinations = cpu_blocks(task->sum.destination.shape.c);
    if (!task->sum.transposed) return task->sum.filter + (destination * sources + source) * TAPS * FILTER_BLOCK;
    const real *from = task->sum.filter + (source * destinations + destination) * TAPS * FILTER_BLOCK;
    for (int tap = 0; tap < TAPS; tap++)
        cpu_transpose_block(from + tap * FILTER_BLOCK, turned + (TAPS - 1 - tap) * FILTER_BLOCK);
    return turned;
}

static void transform_filter_row(const real *filter, vec *points)
{
    vec taps[TAPS];
    for (int tap = 0; tap < TAPS; tap++) taps[tap] = vec_load(filter + tap * FILTER_BLOCK);
    transform_square(3, SIDE, SIDE, transform_filter, transform_filter, taps, points);
}

/* Transforms a filter block into its place in U. */
static void transform_filter_block(const real *filter, int64_t words, int64_t word_stride, int64_t point_stride,
                                   uint32_t *to)
{
    for (int64_t word = 0; word < words; word++)
        for (int v = 0; v < CPU_BLOCK; v += CPU_LANES) {
            vec first[POINTS], second[POINTS];
            transform_filter_row(filter + 2 * word * CPU_BLOCK + v, first);
            transform_filter_row(filter + (2 * word + 1) * CPU_BLOCK + v, second);
            for (int point = 0; point < POINTS; point++)
                cpu_bf16_pack(first[point], second[point], to + point * point_stride + word * word_stride + v);
        }
}

/* Iterations are [destination block][source block]. */
static void transform_filters(void *argument, int64_t first, int64_t last)
{
    const struct sum_task *task = argument;
    int64_t sources = cpu_blocks(task->sum.source.shape.c), blocks = cpu_blocks(task->sum.destination.shape.c);
    real turned[TAPS * FILTER_BLOCK] __attribute__((aligned(64)));
    for (int64_t i = first; i < last; i++) {
        int64_t block = i / sources, source = i % sources, column = block / WINOGRAD_BLOCKS;
        int64_t words = source_words(task), from = source * BLOCK_WORDS;
        int64_t word_stride = min_of(WINOGRAD_BLOCKS, blocks - column * WINOGRAD_BLOCKS) * CPU_BLOCK;
        uint32_t *place = task->filters + column * COLUMN * POINTS * words + from * word_stride;
        transform_filter_block(filter_block(task, source, block, turned), min_of(BLOCK_WORDS, words - from),
                               word_stride, words * word_stride, place + block % WINOGRAD_BLOCKS * CPU_BLOCK);
    }
}

/* --- rows --- */

static const real zeros[RUN * CPU_BLOCK] __attribute__((aligned(64)));

/* The rows of an item. */
struct item {
    const struct winograd_tiling *tiling;
    int64_t first_tile, tiles, first_sample, samples;
};

static struct item find_item(const struct sum_task *task, int64_t number)
{
    int64_t group = number / task->items_in_group, place = number % task->items_in_group;
    struct item item = {.first_sample = group * task->group_samples};
    item.samples = min_of(task->group_samples, task->sum.source.shape.n - item.first_sample);
    for (int i = 0; i < task->tiling_count; i++) {
        int64_t tiles = task->tilings[i].down * task->tilings[i].across, items = divide_up(tiles, task->item_tiles);
        if (place < items) {
            item.tiling = &task->tilings[i], item.first_tile = place * task->item_tiles;
            item.tiles = min_of(task->item_tiles, tiles - item.first_tile);
            break;
        }
        place -= items;
    }
    return item;
}

static void transform_inputs(const struct sum_task *task, const struct item *item, uint32_t *to)
{
    const struct tensor *source = &task->sum.source;
    int64_t blocks = cpu_blocks(source->shape.c), stride = input_stride(source->shape.c, task->rows);
    for (int64_t tile = 0; tile < item->tiles; tile++)
        for (int64_t block = 0; block < blocks; block++) {
            uint32_t *place = to + (block * task->rows + tile * item->samples) * BLOCK_WORDS;
            for (int64_t sample = 0, count; sample < item->samples; sample += count) {
                const real *pixels[POINTS];
                count = min_of(RUN, item->samples - sample);
                winograd_bf16_inputs(source, item->tiling, item->first_tile + tile, block, item->first_sample + sample,
                                     zeros, pixels);
                task->kernels->transform_inputs(item->tiling, pixels, count, winograd_bf16_ahead(source->shape, block),
                                                place + sample * BLOCK_WORDS, stride);
            }
        }
}

/* Where the outputs of a tile belong. */
struct output_place {
    real *corner;
    int64_t height, width;            /* outputs that are in the image */
    int64_t row_stride, pixel_stride; /* scalars */
    const real *bias;                 /* (16) or NULL */
};

/* Transforms M [point][count][16] to outputs of a tile. Always inlined with constant sides. */
WINOGRAD_TRANSFORM write_outputs(const bool short_rows, const bool short_columns, const float *sums, int64_t stride,
                                 int64_t count, const struct output_place *place)
{
    const int rows = short_rows ? SHORT_SIDE : SIDE, columns = short_columns ? SHORT_SIDE : SIDE;
    const int down = short_rows ? 1 : OUTPUTS, across = short_columns ? 1 : OUTPUTS;
    for (int64_t at = 0; at < count * CPU_BLOCK; at += CPU_LANES) {
        vec points[POINTS], outputs[OUTPUTS * OUTPUTS];
        vec shift = place->bias ? vec_load(place->bias + at % CPU_BLOCK) : (vec){0};
        CPU_UNROLL
        for (int i = 0; i < rows * columns; i++) points[i] = vec_load(sums + i * stride + at);
        transform_square(columns, down, across, short_rows ? transform_short_output : transform_output,
                         short_columns ? transform_short_output : transform_output, points, outputs);
        CPU_UNROLL
        for (int i = 0; i < down * across; i++)
            if (i / across < place->height && i % across < place->width)
                vec_store(place->corner + i / across * place->row_stride + i % across * place->pixel_stride + at,
                          outputs[i] + shift);
    }
}

static void transform_outputs(const struct sum_task *task, const struct item *item, int64_t block, const float *sums)
{
    struct shape s = task->sum.destination.shape;
    const struct winograd_tiling *tiling = item->tiling;
    int64_t stride = sum_stride(task->rows);
    struct output_place place = {.row_stride = s.w * s.n * CPU_BLOCK, .pixel_stride = s.n * CPU_BLOCK};
    if (task->sum.bias) place.bias = task->sum.bias + block * CPU_BLOCK;
    for (int64_t i = 0; i < item->tiles; i++, sums += item->samples * CPU_BLOCK) {
        int64_t tile = item->first_tile + i, top = tiling->top + tile / tiling->across * OUTPUTS;
        int64_t left = tiling->left + tile % tiling->across * OUTPUTS;
        place.corner = (real *)task->sum.destination.data + block * cpu_block_stride(s) +
                       ((top * s.w + left) * s.n + item->first_sample) * CPU_BLOCK;
        place.height = s.h - top, place.width = s.w - left;
        WINOGRAD_WITH_SIDES(tiling, write_outputs, sums, stride, item->samples, &place);
    }
}

static void sum_item(const struct sum_task *task, int64_t number, uint32_t *inputs)
{
    int64_t part = number % task->column_groups, blocks = cpu_blocks(task->sum.destination.shape.c);
    int64_t words = source_words(task), channels = task->sum.source.shape.c;
    struct item item = find_item(task, number / task->column_groups);
    void *behind = inputs + POINTS * input_stride(channels, task->rows);
    float *sums = behind;
    int64_t rows = divide_up(item.tiles * item.samples, WINOGRAD_ROWS) * WINOGRAD_ROWS;
    transform_inputs(task, &item, inputs);
    for (int64_t column = part * task->columns / task->column_groups;
         column < (part + 1) * task->columns / task->column_groups; column++) {
        int64_t block = column * WINOGRAD_BLOCKS, width = min_of(WINOGRAD_BLOCKS, blocks - block);
        const uint32_t *filter = task->filters + column * COLUMN * POINTS * words;
        for (int64_t i = 0; i < tiling_points(item.tiling); i++)
            task->kernels->multiply(inputs + i * input_stride(channels, task->rows), task->rows * BLOCK_WORDS,
                                    filter + tiling_point(item.tiling, i) * words * width * CPU_BLOCK, words,
                                    (int)width, rows, sums + i * sum_stride(task->rows), task->rows * CPU_BLOCK);
        for (int64_t b = 0; b < width; b++)
            transform_outputs(task, &item, block + b, sums + b * task->rows * CPU_BLOCK);
    }
}

static void sum_items(void *argument, int64_t first, int64_t last)
{
    const struct sum_task *task = argument;
    uint32_t *memory = task->memory + cpu_threads_current() * task->thread_words;
    for (int64_t item = first; item < last; item++) sum_item(task, item, memory);
}

/* --- a whole convolution --- */

void CPU_EXPORT(cpu_winograd_bf16_sum)(struct backend *backend, const struct conv2d_sum *sum)
{
    enum { ITEMS_PER_THREAD = 4 };
    struct shape from = sum->source.shape, to = sum->destination.shape;
    struct sum_task task = {.sum = *sum, .kernels = CPU_EXPORT(cpu_winograd_bf16_kernels)()};
    cut_rows(&task);
    task.filters = cpu_backend_of(backend)->scratch;
    task.memory = task.filters + filter_words(from.c, to.c);
    task.columns = divide_up(to.c, COLUMN);
    int64_t items = task.groups * task.items_in_group;
    int64_t wanted = (int64_t)cpu_threads_width(cpu_backend_of(backend)->threads) * ITEMS_PER_THREAD;
    task.column_groups = min_of(max_of(divide_up(wanted, items), 1), task.columns);
    cpu_for(backend, cpu_blocks(from.c) * cpu_blocks(to.c), POINTS * FILTER_BLOCK, transform_filters, &task);
    cpu_for(backend, items * task.column_groups, task.rows * POINTS * from.c * divide_up(to.c, task.column_groups),
            sum_items, &task);
}

bool CPU_EXPORT(cpu_winograd_bf16_wanted)(struct backend *backend, struct window window, struct shape x,
                                          int64_t output_channels)
{
    enum { FEWEST_CHANNELS = 16, FEWEST_SAMPLES = 8 }; /* below, the transforms cost more than they save */
    const struct cpu_backend *cpu = cpu_backend_of(backend);
    if (cpu->winograd_choice == WINOGRAD_OFF || window.kernel != 3 || window.stride != 1 || window.padding != 1)
        return false;
    if (cpu->winograd_choice == WINOGRAD_ON) return true;
    struct winograd_tiling tilings[TILINGS];
    int64_t taps = window_useful_taps(x.h, window) * window_useful_taps(x.w, window), points = 0;
    for (int i = winograd_tilings(x, tilings) - 1; i >= 0; i--)
        points += tilings[i].down * tilings[i].across * tiling_points(&tilings[i]);
    return !cpu->bf16->many_times_fp32 && min_of(x.c, output_channels) >= FEWEST_CHANNELS && x.n >= FEWEST_SAMPLES &&
           4 * taps >= 7 * points;
}

void CPU_EXPORT(cpu_winograd_bf16_reserve)(struct backend *backend, struct shape input, int64_t output_channels)
{
    CPU_EXPORT(cpu_scratch_reserve)(backend, sum_bytes(backend, input.c, output_channels));
    CPU_EXPORT(cpu_scratch_reserve)(backend, sum_bytes(backend, output_channels, input.c));
    CPU_EXPORT(cpu_scratch_reserve)(backend, CPU_EXPORT(cpu_winograd_bf16_filter_bytes)(input.c, output_channels));
}

#endif
