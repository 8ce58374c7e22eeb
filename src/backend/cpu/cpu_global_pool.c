/* The mean of each image of each channel, and its gradient:
 *
 *   y[n,c] = 1/(H W) sum_{h,w} x[n,c,h,w],   dx[n,c,h,w] = 1/(H W) dy[n,c].
 *
 * For a block of 16 channels, x is a matrix with a row per pixel, [H W][N][16], whose rows are added up. An item of work
 * is a few registers of such rows, which stay registers while the pixels pass by. Pixels are summed in chunks, and the
 * sums of the chunks are added: the rounding error of fp32 stays small. Each pass reads or writes x once. Every mean is
 * summed by one thread in an order that the number of threads does not change.
 *
 * This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/cpu_install.h"

enum {
    GROUP = 8,                                /* registers of an item: additions enough to hide the latency of one */
    AHEAD = 4,                                /* pixels: lines fetched from memory while others are added */
    CHUNK_PIXELS = CPU_SUM_CHUNK / CPU_BLOCK, /* pixels whose sum is made before it is added to that of all */
};

struct global_pool_task {
    int64_t pixels, row; /* H*W, and scalars of a row: N*16 */
    const real *from;    /* x, or dy: [C/16][N][16] */
    real *to;            /* y, or dx */
};

/* Writes the means of `count` registers of a row of y. x points to them in the first pixel. Always inlined with a
 * constant count, so that the sums are registers. */
static inline __attribute__((always_inline)) void
average_registers(const int count, const struct global_pool_task *task, const real *x, real *y)
{
    vec total[GROUP], part[GROUP];
    CPU_UNROLL
    for (int i = 0; i < count; i++) total[i] = (vec){0};
    for (int64_t start = 0; start < task->pixels; start += CHUNK_PIXELS) {
        int64_t end = min_of(start + CHUNK_PIXELS, task->pixels);
        CPU_UNROLL
        for (int i = 0; i < count; i++) part[i] = (vec){0};
        for (int64_t pixel = start; pixel < end; pixel++) {
            CPU_UNROLL
            for (int i = 0; i < count; i++) {
                const real *at = x + pixel * task->row + i * CPU_LANES;
                __builtin_prefetch(at + AHEAD * task->row);
                part[i] += vec_load(at);
            }
        }
        CPU_UNROLL
        for (int i = 0; i < count; i++) total[i] += part[i];
    }
    CPU_UNROLL
    for (int i = 0; i < count; i++) vec_store(y + i * CPU_LANES, total[i] * ((real)1 / (real)task->pixels));
}

static int64_t groups_of_row(const struct global_pool_task *task)
{
    return (task->row + GROUP * CPU_LANES - 1) / (GROUP * CPU_LANES);
}

/* Iterations are [block][group of registers]. */
static void average_groups(void *argument, int64_t first, int64_t last)
{
    const struct global_pool_task *task = argument;
    int64_t groups = groups_of_row(task);
    for (int64_t item = first; item < last; item++) {
        int64_t block = item / groups, at = item % groups * GROUP * CPU_LANES;
        const real *x = task->from + block * task->pixels * task->row;
        real *y = task->to + block * task->row;
        if (at + GROUP * CPU_LANES <= task->row) {
            average_registers(GROUP, task, x + at, y + at);
            continue;
        }
        for (; at < task->row; at += CPU_LANES) average_registers(1, task, x + at, y + at);
    }
}

/* Iterations are the rows [block][pixel] of dx. */
static void spread_rows(void *argument, int64_t first, int64_t last)
{
    const struct global_pool_task *task = argument;
    const real share = (real)1 / (real)task->pixels;
    for (int64_t row = first; row < last; row++) {
        const real *dy = task->from + row / task->pixels * task->row;
        real *dx = task->to + row * task->row;
        for (int64_t i = 0; i < task->row; i += CPU_LANES) vec_store(dx + i, vec_load(dy + i) * share);
    }
}

static struct global_pool_task make_task(const struct tensor *images, const struct tensor *means)
{
    struct shape x = images->shape, y = means->shape;
    CHECK(x.n == y.n && x.c == y.c && y.h == 1 && y.w == 1);
    return (struct global_pool_task){.pixels = x.h * x.w, .row = x.n * CPU_BLOCK};
}

static void run_global_pool(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[GLOBAL_POOL_X], *y = &call->tensor[GLOBAL_POOL_Y];
    struct global_pool_task task = make_task(x, y);
    task.from = x->data, task.to = y->data;
    cpu_for(backend, cpu_blocks(x->shape.c) * groups_of_row(&task), task.pixels * GROUP * CPU_LANES, average_groups,
            &task);
}

static void run_global_pool_backward(struct backend *backend, const struct op_call *call)
{
    const struct tensor *dy = &call->tensor[GLOBAL_POOL_BACKWARD_DY], *dx = &call->tensor[GLOBAL_POOL_BACKWARD_DX];
    struct global_pool_task task = make_task(dx, dy);
    task.from = dy->data, task.to = dx->data;
    cpu_for(backend, cpu_blocks(dx->shape.c) * task.pixels, task.row, spread_rows, &task);
}

void CPU_EXPORT(cpu_global_pool_install)(struct op_function *functions)
{
    functions[OP_GLOBAL_POOL] = (struct op_function){.run = run_global_pool};
    functions[OP_GLOBAL_POOL_BACKWARD] = (struct op_function){.run = run_global_pool_backward};
}
