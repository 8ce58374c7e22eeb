/* Depthwise convolution (cpu_conv2d.c has the formulas; here o = i = c). A channel's values are products of lanes with
 * lanes, without any sum over channels: 16 channels at a time go through all taps. Of a block of the filter only the
 * row i = 0 has weights, 16 of them side by side, one per output channel.
 *
 * y and dx. Destination pixels that lie side by side and have the same taps, whose sources lie side by side too, make a
 * run; with their batch they are one stretch of memory. For stride 1 that is a whole row but for its ends. A register
 * tile is CPU_DEPTHWISE_ROWS rows of a run. It reads a weight once per tap and each source from L1 or L2, since the taps
 * of neighbours overlap. An item of work is a row of pixels of a block.
 *
 * dw. The sums of all taps of a 3x3 window, or of some taps of a row of a larger one, stay in registers while a run of
 * dy streams past. An item is a block and a part of the rows. The rows of a part are cut by the shape alone, and the
 * sums of the parts are added up at the end in their order; so the rounding error of fp32 stays small.
 *
 * With precision = bf16 both factors are rounded where they are multiplied, as everywhere; sums are fp32.
 *
 * This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/conv/cpu_depthwise.h"

#include "backend/cpu/conv/cpu_bf16.h"

enum {
    CPU_DEPTHWISE_ROWS = 8,    /* accumulators of a tile of y or dx */
    CPU_DEPTHWISE_TAPS = 5,    /* accumulators of dw, of a row of a window */
    CPU_DEPTHWISE_PART = 2048, /* rows of dy in a part of dw at most, unless one row of pixels has more */
};

/* Returns the factor of a product. */
static inline __attribute__((always_inline)) vec factor(const bool rounds, vec value)
{
#if defined(CPU_SCALAR_f32)
    if (rounds) return (vec)(cpu_bf16_round(value) & (int32_t)0xFFFF0000);
#endif
    (void)rounds;
    return value;
}

static bool rounds_factors(struct backend *backend)
{
    return cpu_backend_of(backend)->bf16 != NULL;
}

/* Pixels that have the same taps, with their batch: `count` rows of 16 scalars. From row to row the position in the
 * other tensor, on which the taps lie, moves by `step` scalars. */
struct run {
    int64_t pixels, count, step;
};

/* Returns the run that begins at position `at` of a line of n samples per pixel, up to `end`. `first` are the taps there;
 * they lie on a line of `size` positions. */
static struct run run_at(struct window window, bool transposed, int64_t n, int64_t at, int64_t end, int64_t size,
                         const struct tap_range *first)
{
    int64_t pixels = 1, move = 1;
    for (; at + pixels < end; pixels++) {
        struct tap_range next = tap_range_of(window, transposed, at + pixels, size);
        bool alike = next.first == first->first && next.last == first->last && next.first < next.last;
        if (pixels == 1) move = next.position - first->position;
        if (!alike || (move != 1 && n > 1) || next.position != first->position + pixels * move) break;
    }
    return (struct run){pixels, pixels * n, n > 1 || pixels == 1 ? CPU_BLOCK : move * CPU_BLOCK};
}

/* --- y and dx --- */

struct sum_task {
    struct conv2d_sum sum;
    bool rounds;
};

/* A run's operands: its taps, and where the source's block and its own rows begin. */
struct sum_run {
    struct run run;
    struct tap_range h, w;
    const real *filter, *bias; /* of the block; bias may be NULL */
    const real *source;
    real *destination;
};

/* Computes so many rows of a run, from row `first` on. Always inlined with constants, so that the sums are registers. */
static inline __attribute__((always_inline)) void
sum_rows(const int rows, const bool rounds, const struct sum_task *task, const struct sum_run *at, int64_t first)
{
    struct shape from = task->sum.source.shape;
    int64_t kernel = task->sum.window.kernel, pixel = from.n * CPU_BLOCK;
    for (int v = 0; v < CPU_BLOCK_VECS; v++) {
        vec total[CPU_DEPTHWISE_ROWS];
        int64_t row = at->h.position;
        CPU_UNROLL
        for (int r = 0; r < rows; r++) total[r] = at->bias ? vec_load(at->bias + v * CPU_LANES) : (vec){0};
        for (int64_t k = at->h.first; k < at->h.last; k += at->h.step, row += at->h.position_step) {
            const real *source =
                at->source + (row * from.w + at->w.position) * pixel + first * at->run.step + v * CPU_LANES;
            for (int64_t l = at->w.first; l < at->w.last; l += at->w.step, source += at->w.position_step * pixel) {
                vec weight = factor(rounds, vec_load(at->filter + (k * kernel + l) * CPU_FILTER_BLOCK + v * CPU_LANES));
                CPU_UNROLL
                for (int r = 0; r < rows; r++) total[r] += factor(rounds, vec_load(source + r * at->run.step)) * weight;
            }
        }
        CPU_UNROLL
        for (int r = 0; r < rows; r++) vec_store(at->destination + (first + r) * CPU_BLOCK + v * CPU_LANES, total[r]);
    }
}

static inline __attribute__((always_inline)) void sum_run(const bool rounds, const struct sum_task *task,
                                                          const struct sum_run *at)
{
    int64_t row = 0;
    for (; row + CPU_DEPTHWISE_ROWS <= at->run.count; row += CPU_DEPTHWISE_ROWS)
        sum_rows(CPU_DEPTHWISE_ROWS, rounds, task, at, row);
    if (row + 4 <= at->run.count) sum_rows(4, rounds, task, at, row), row += 4;
    if (row + 2 <= at->run.count) sum_rows(2, rounds, task, at, row), row += 2;
    if (row < at->run.count) sum_rows(1, rounds, task, at, row);
}

/* Computes a row of pixels of a block. */
static void sum_line(const struct sum_task *task, int64_t block, int64_t p)
{
    const struct conv2d_sum *sum = &task->sum;
    struct shape to = sum->destination.shape, from = sum->source.shape;
    struct sum_run at = {
        .h = tap_range_of(sum->window, sum->transposed, p, from.h),
        .filter = sum->filter + block * sum->window.kernel * sum->window.kernel * CPU_FILTER_BLOCK,
        .bias = sum->bias ? sum->bias + block * CPU_BLOCK : NULL,
        .source = (const real *)sum->source.data + block * cpu_block_stride(from),
        .destination = (real *)sum->destination.data + block * cpu_block_stride(to) + p * to.w * to.n * CPU_BLOCK,
    };
    for (int64_t q = 0; q < to.w; q += at.run.pixels) {
        at.w = tap_range_of(sum->window, sum->transposed, q, from.w);
        at.run = run_at(sum->window, sum->transposed, to.n, q, to.w, from.w, &at.w);
        if (task->rounds)
            sum_run(true, task, &at);
        else
            sum_run(false, task, &at);
        at.destination += at.run.count * CPU_BLOCK;
    }
}

/* Items are [block][row of pixels]. */
static void sum_lines(void *argument, int64_t first, int64_t last)
{
    const struct sum_task *task = argument;
    int64_t height = task->sum.destination.shape.h;
    for (int64_t item = first; item < last; item++) sum_line(task, item / height, item % height);
}

void CPU_EXPORT(cpu_depthwise_sum)(struct backend *backend, const struct conv2d_sum *sum)
{
    struct shape to = sum->destination.shape;
    struct sum_task task = {*sum, rounds_factors(backend)};
    int64_t taps = sum->window.kernel * sum->window.kernel;
    cpu_for(backend, cpu_blocks(to.c) * to.h, to.w * to.n * taps, sum_lines, &task);
}

/* --- dw --- */

struct filter_task {
    struct window window;
    struct tensor x, dy, dweight;
    bool rounds;
    int64_t part_rows, parts; /* rows of pixels in a part */
    real *sums;               /* [parts][C/16][K][K][16] */
    const struct cpu_update *update;
};

static int64_t part_rows(struct shape dy)
{
    return min_of(max_of(CPU_DEPTHWISE_PART / (dy.w * dy.n), 1), dy.h);
}

/* Adds the products of a run of dy with x to the sums of rows x columns taps. x points to what the first of them lies on.
 * Always inlined with constants, so that the sums are registers. */
static inline __attribute__((always_inline)) void add_taps(const int rows, const int columns, const bool rounds,
                                                           const struct filter_task *task, struct run run,
                                                           const real *x, const real *dy, real *sums)
{
    int64_t pixel = task->x.shape.n * CPU_BLOCK, line = task->x.shape.w * pixel;
    int64_t sum_row = task->window.kernel * CPU_BLOCK;
    for (int v = 0; v < CPU_BLOCK_VECS; v++) {
        const real *from = x + v * CPU_LANES, *gradients = dy + v * CPU_LANES;
        real *to = sums + v * CPU_LANES;
        vec total[9 > CPU_DEPTHWISE_TAPS ? 9 : CPU_DEPTHWISE_TAPS];
        CPU_UNROLL
        for (int t = 0; t < rows * columns; t++)
            total[t] = vec_load(to + t / columns * sum_row + t % columns * CPU_BLOCK);
        for (int64_t i = 0; i < run.count; i++, from += run.step, gradients += CPU_BLOCK) {
            vec gradient = factor(rounds, vec_load(gradients));
            CPU_UNROLL
            for (int t = 0; t < rows * columns; t++)
                total[t] += factor(rounds, vec_load(from + t / columns * line + t % columns * pixel)) * gradient;
        }
        CPU_UNROLL
        for (int t = 0; t < rows * columns; t++)
            vec_store(to + t / columns * sum_row + t % columns * CPU_BLOCK, total[t]);
    }
}

/* The same for `count` taps of one row of the window. */
static inline __attribute__((always_inline)) void add_row(int64_t count, const bool rounds,
                                                          const struct filter_task *task, struct run run, const real *x,
                                                          const real *dy, real *sums)
{
    int64_t pixel = task->x.shape.n * CPU_BLOCK;
    for (; count > 0; count -= CPU_DEPTHWISE_TAPS) {
        switch (min_of(count, CPU_DEPTHWISE_TAPS)) {
        case 1:
            add_taps(1, 1, rounds, task, run, x, dy, sums);
            break;
        case 2:
            add_taps(1, 2, rounds, task, run, x, dy, sums);
            break;
        case 3:
            add_taps(1, 3, rounds, task, run, x, dy, sums);
            break;
        case 4:
            add_taps(1, 4, rounds, task, run, x, dy, sums);
            break;
        default:
            add_taps(1, CPU_DEPTHWISE_TAPS, rounds, task, run, x, dy, sums);
        }
        x += CPU_DEPTHWISE_TAPS * pixel, sums += CPU_DEPTHWISE_TAPS * CPU_BLOCK;
    }
}

/* Adds the products of row p of dy. x, dy and sums are those of a block. */
static inline __attribute__((always_inline)) void add_line(const bool rounds, const struct filter_task *task,
                                                           const real *x, const real *dy, int64_t p, real *sums)
{
    struct shape from = task->x.shape, to = task->dy.shape;
    int64_t kernel = task->window.kernel, pixel = from.n * CPU_BLOCK;
    struct tap_range h = tap_range_of(task->window, false, p, from.h);
    struct run run;
    dy += p * to.w * to.n * CPU_BLOCK;
    for (int64_t q = 0; q < to.w; q += run.pixels, dy += run.count * CPU_BLOCK) {
        struct tap_range w = tap_range_of(task->window, false, q, from.w);
        run = run_at(task->window, false, to.n, q, to.w, from.w, &w);
        if (h.last - h.first == 3 && w.last - w.first == 3) {
            add_taps(3, 3, rounds, task, run, x + (h.position * from.w + w.position) * pixel, dy,
                     sums + (h.first * kernel + w.first) * CPU_BLOCK);
            continue;
        }
        for (int64_t k = h.first; k < h.last; k++)
            add_row(w.last - w.first, rounds, task, run, x + ((h.position + k - h.first) * from.w + w.position) * pixel,
                    dy, sums + (k * kernel + w.first) * CPU_BLOCK);
    }
}

/* Items are [part][block]. */
static void sum_parts(void *argument, int64_t first, int64_t last)
{
    const struct filter_task *task = argument;
    struct shape from = task->x.shape, to = task->dy.shape;
    int64_t blocks = cpu_blocks(to.c), count = task->window.kernel * task->window.kernel * CPU_BLOCK;
    for (int64_t item = first; item < last; item++) {
        int64_t block = item % blocks, start = item / blocks * task->part_rows;
        const real *x = (const real *)task->x.data + block * cpu_block_stride(from);
        const real *dy = (const real *)task->dy.data + block * cpu_block_stride(to);
        real *sums = task->sums + item * count;
        memset(sums, 0, (size_t)count * sizeof *sums);
        for (int64_t p = start; p < min_of(start + task->part_rows, to.h); p++) {
            if (task->rounds)
                add_line(true, task, x, dy, p, sums);
            else
                add_line(false, task, x, dy, p, sums);
        }
    }
}

/* Adds up the parts of some blocks of dweight, whose rows i > 0 are padding. */
static void add_parts(void *argument, int64_t first, int64_t last)
{
    const struct filter_task *task = argument;
    int64_t taps = task->window.kernel * task->window.kernel, blocks = cpu_blocks(task->dy.shape.c);
    for (int64_t block = first; block < last; block++) {
        real *dweight = (real *)task->dweight.data + block * taps * CPU_FILTER_BLOCK;
        memset(dweight, 0, (size_t)(taps * CPU_FILTER_BLOCK) * sizeof *dweight);
        for (int64_t part = 0; part < task->parts; part++)
            for (int64_t tap = 0; tap < taps; tap++)
                for (int v = 0; v < CPU_BLOCK_VECS; v++) {
                    real *to = dweight + tap * CPU_FILTER_BLOCK + v * CPU_LANES;
                    const real *from = task->sums + ((part * blocks + block) * taps + tap) * CPU_BLOCK + v * CPU_LANES;
                    vec_store(to, vec_load(to) + vec_load(from));
                }
        cpu_update_piece(task->update, dweight, taps * CPU_FILTER_BLOCK);
    }
}

void CPU_EXPORT(cpu_depthwise_plan)(struct backend *backend, struct conv2d_plan *plan)
{
    struct shape dy = {plan->input.n, plan->input.c, window_output_size(plan->input.h, plan->window),
                       window_output_size(plan->input.w, plan->window)};
    int64_t rows = part_rows(dy), parts = (dy.h + rows - 1) / rows, taps = plan->window.kernel * plan->window.kernel;
    plan->parts = backend->table->alloc(backend, (size_t)(parts * cpu_blocks(dy.c) * taps) * CPU_BLOCK_BYTES);
}

void CPU_EXPORT(cpu_depthwise_filter)(struct backend *backend, const struct conv2d_plan *plan, const struct tensor *x,
                                      const struct tensor *dy, const struct tensor *dweight,
                                      const struct cpu_update *update)
{
    struct filter_task task = {.window = plan->window,
                               .x = *x,
                               .dy = *dy,
                               .dweight = *dweight,
                               .rounds = rounds_factors(backend),
                               .part_rows = part_rows(dy->shape),
                               .sums = plan->parts,
                               .update = update};
    int64_t blocks = cpu_blocks(dy->shape.c), taps = plan->window.kernel * plan->window.kernel;
    task.parts = (dy->shape.h + task.part_rows - 1) / task.part_rows;
    cpu_for(backend, task.parts * blocks, task.part_rows * dy->shape.w * dy->shape.n * taps, sum_parts, &task);
    cpu_for(backend, blocks, task.parts * taps * CPU_BLOCK, add_parts, &task);
}
