/* Max and average pooling.
 *
 *   max:      y[n,c,p,q] = max over the window's valid taps of x; `saved` keeps which tap won (its row-major number).
 *             dx[n,c,h,w] = sum of dy[n,c,p,q] over the windows in which the tap that lies on (h,w) won.
 *   average:  y[n,c,p,q] = (1/K^2) sum of the valid taps; dx[n,c,h,w] = (1/K^2) sum of dy over the windows on (h,w).
 *
 * Both directions gather: an output of the pass is written once, by one thread, so overlapping windows need no atomics
 * and no clearing. Bytes: the input is read K^2/s^2 times, from cache; the output written once.
 *
 * This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/cpu_install.h"
#include "backend/cpu/cpu_pool.h"
#include "tensor/window.h"

struct pool_task {
    struct pool_params params;
    struct tensor from, to; /* x -> y forward, dy -> dx backward */
    saved_tap *saved;       /* shaped as y: [C/16][P][Q][N][16] */
};

/* Writes one register's worth of lanes of one output pixel. `x` is the channel block's image at those lanes of sample
 * n. */
static void max_lanes(const struct pool_task *task, const real *x, int64_t p, int64_t q, real *y, saved_tap *saved)
{
    struct window window = task->params.window;
    struct shape s = task->from.shape;
    struct window_range rows = window_taps(window, p, s.h), columns = window_taps(window, q, s.w);
    vec best = vec_set(-(real)__builtin_inf());
    vec_int winner = {0};
    for (int64_t k = rows.first; k < rows.last; k++) {
        for (int64_t l = columns.first; l < columns.last; l++) {
            int64_t pixel = window_input(window, p, k) * s.w + window_input(window, q, l);
            vec value = vec_load(x + pixel * s.n * CPU_BLOCK);
            cpu_take_larger(value, k * window.kernel + l, &best, &winner);
        }
    }
    vec_store(y, best);
    *(saved_taps *)saved = __builtin_convertvector(winner, saved_taps);
}

static void average_lanes(const struct pool_task *task, const real *x, int64_t p, int64_t q, real *y)
{
    struct window window = task->params.window;
    struct shape s = task->from.shape;
    struct window_range rows = window_taps(window, p, s.h), columns = window_taps(window, q, s.w);
    vec total = {0};
    for (int64_t k = rows.first; k < rows.last; k++) {
        for (int64_t l = columns.first; l < columns.last; l++) {
            int64_t pixel = window_input(window, p, k) * s.w + window_input(window, q, l);
            total += vec_load(x + pixel * s.n * CPU_BLOCK);
        }
    }
    vec_store(y, total * ((real)1 / (real)(window.kernel * window.kernel)));
}

/* Iterations are the output's rows [block][p][q]. */
static void pool_rows(void *argument, int64_t first, int64_t last)
{
    const struct pool_task *task = argument;
    struct shape y = task->to.shape;
    for (int64_t row = first; row < last; row++) {
        int64_t q = row % y.w, p = row / y.w % y.h, block = row / y.w / y.h;
        const real *x = (const real *)task->from.data + block * cpu_block_stride(task->from.shape);
        int64_t at = row * y.n * CPU_BLOCK;
        real *to = (real *)task->to.data + at;
        for (int64_t i = 0; i < y.n * CPU_BLOCK; i += CPU_LANES) {
            if (task->params.kind == POOL_MAX) {
                max_lanes(task, x + i, p, q, to + i, task->saved + at + i);
            } else {
                average_lanes(task, x + i, p, q, to + i);
            }
        }
    }
}

static void gradient_lanes(const struct pool_task *task, int64_t block, int64_t h, int64_t w, int64_t lane, real *dx)
{
    struct window window = task->params.window;
    struct shape s = task->from.shape;
    struct window_range rows = window_outputs(window, h, s.h), columns = window_outputs(window, w, s.w);
    const real *dy = task->from.data;
    bool max = task->params.kind == POOL_MAX;
    vec total = {0};
    for (int64_t p = rows.first; p < rows.last; p++) {
        for (int64_t q = columns.first; q < columns.last; q++) {
            int64_t at = ((block * s.h + p) * s.w + q) * s.n * CPU_BLOCK + lane;
            vec value = vec_load(dy + at);
            if (max) {
                int64_t tap = window_tap(window, p, h) * window.kernel + window_tap(window, q, w);
                value = cpu_gradient_of_winner(value, task->saved + at, tap);
            }
            total += value;
        }
    }
    if (!max) total *= (real)1 / (real)(window.kernel * window.kernel);
    vec_store(dx, total);
}

/* Iterations are the rows [block][h][w] of dx. */
static void gradient_rows(void *argument, int64_t first, int64_t last)
{
    const struct pool_task *task = argument;
    struct shape x = task->to.shape;
    for (int64_t row = first; row < last; row++) {
        real *dx = (real *)task->to.data + row * x.n * CPU_BLOCK;
        for (int64_t i = 0; i < x.n * CPU_BLOCK; i += CPU_LANES)
            gradient_lanes(task, row / x.w / x.h, row / x.w % x.h, row % x.w, i, dx + i);
    }
}

static size_t pool_saved_bytes(const struct backend *backend, const struct op *op, struct shape y)
{
    return cpu_pool_saved_bytes(backend, op->pool, y);
}

static void check_shapes(struct pool_params params, struct shape x, struct shape y)
{
    CHECK(x.n == y.n && x.c == y.c);
    CHECK(y.h == window_output_size(x.h, params.window) && y.w == window_output_size(x.w, params.window));
    CHECK(params.window.kernel * params.window.kernel <= CPU_POOL_MAX_TAPS);
    CHECK(params.window.padding <= params.window.kernel / 2);
}

static void run_pool(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[POOL_X], *y = &call->tensor[POOL_Y];
    struct shape s = y->shape;
    check_shapes(call->op->pool, x->shape, s);
    struct pool_task task = {call->op->pool, *x, *y, call->tensor[POOL_SAVED].data};
    cpu_for(backend, cpu_blocks(s.c) * s.h * s.w, s.n * CPU_BLOCK, pool_rows, &task);
}

static void run_pool_backward(struct backend *backend, const struct op_call *call)
{
    const struct tensor *dy = &call->tensor[POOL_BACKWARD_DY], *dx = &call->tensor[POOL_BACKWARD_DX];
    struct shape s = dx->shape;
    check_shapes(call->op->pool, s, dy->shape);
    struct pool_task task = {call->op->pool, *dy, *dx, call->tensor[POOL_BACKWARD_SAVED].data};
    cpu_for(backend, cpu_blocks(s.c) * s.h * s.w, s.n * CPU_BLOCK, gradient_rows, &task);
}

void CPU_EXPORT(cpu_pool_install)(struct op_function *functions)
{
    functions[OP_POOL] = (struct op_function){.run = run_pool, .saved_bytes = pool_saved_bytes};
    functions[OP_POOL_BACKWARD] = (struct op_function){.run = run_pool_backward};
}
