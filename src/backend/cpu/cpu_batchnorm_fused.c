/* Batch normalization, addend, activation and pool in one operation: forward and evaluation. The backward pass is in
 * cpu_batchnorm_fused_backward.c.
 *
 *   b = (x - mu) gamma rstd + beta,  a = act(b) or act(b + addend),
 *   y = a, or y[p,q] = max or average of a over the window's valid taps
 *
 * with the arithmetic of cpu_batchnorm.c, cpu_primitive.c, cpu_activation.c and cpu_pool.c in their order, so the results
 * are theirs to the bit. x is read twice, for the statistics and for y; a and b are computed in registers, again for
 * every window that a pixel is in. With a pool of stride 2 that is 2 reads of x and a quarter of a write, where the three
 * operations read five times and write two and a quarter. With an addend and no pool it is 3 reads and one write, where
 * they read five times and write three times.
 *
 * Where there are many blocks of 16 channels, one thread takes a block from statistics to output, while it mostly lies
 * in the second-level cache. Few blocks are cut into segments (cpu_batchnorm.h), and their output into rows.
 *
 * This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/cpu_batchnorm_fused.h"

#include "backend/cpu/cpu_activation.h"
#include "backend/cpu/cpu_batchnorm.h"
#include "backend/cpu/cpu_install.h"
#include "backend/cpu/cpu_pool.h"
#include "tensor/window.h"

struct fused_task {
    struct batchnorm_fused_params params;
    struct cpu_statistics statistics;
    struct tensor x, y;
    const real *addend;           /* shaped as x, or NULL; with a pool there is none */
    const real *gamma, *beta;     /* (C); NULL in an evaluation whose x is normalised already */
    saved_tap *saved;             /* shaped as y; NULL: nothing is saved */
    struct cpu_row_sums *moments; /* [blocks][segments] */
};

/* b = (x - mean) * scale + beta, for the lanes of one register. */
struct affine {
    vec mean, scale, beta;
};

static inline vec apply(const struct affine *affine, const real *x)
{
    return (vec_load(x) - affine->mean) * affine->scale + affine->beta;
}

/* A tap of the window at hand: its pixel, and its row-major number. */
struct tap {
    const real *x;
    int64_t number;
};

/* Lists the valid taps of output pixel (p,q). */
static int64_t list_taps(const struct fused_task *task, const real *x, int64_t p, int64_t q, struct tap *taps)
{
    struct window window = task->params.pool.window;
    struct shape s = task->x.shape;
    struct window_range rows = window_taps(window, p, s.h), columns = window_taps(window, q, s.w);
    int64_t count = 0;
    for (int64_t k = rows.first; k < rows.last; k++) {
        for (int64_t l = columns.first; l < columns.last; l++) {
            int64_t pixel = window_input(window, p, k) * s.w + window_input(window, q, l);
            taps[count++] = (struct tap){x + pixel * s.n * CPU_BLOCK, k * window.kernel + l};
        }
    }
    return count;
}

static inline void save_winner(vec_int winner, saved_tap *saved, int64_t i)
{
    if (saved) *(saved_taps *)(saved + i) = __builtin_convertvector(winner, saved_taps);
}

/* ReLU is monotonic, so it may follow the maximum. Where that makes another tap the winner, both values are 0 after it,
 * and so is the gradient of either. */
static inline __attribute__((always_inline)) void relu_max_row(const struct fused_task *task,
                                                               const struct affine *affine, const int count,
                                                               const struct tap *taps, int64_t lane, real *y,
                                                               saved_tap *saved)
{
    for (int64_t i = lane; i < task->x.shape.n * CPU_BLOCK; i += CPU_BLOCK) {
        vec best = vec_set(-(real)__builtin_inf());
        vec_int winner = {0};
        CPU_UNROLL
        for (int t = 0; t < count; t++) cpu_take_larger(apply(affine, taps[t].x + i), taps[t].number, &best, &winner);
        vec_store(y + i, cpu_activate((struct activation_params){.kind = ACTIVATION_RELU}, best));
        save_winner(winner, saved, i);
    }
}

static void max_row(const struct fused_task *task, const struct affine *affine, int64_t count, const struct tap *taps,
                    int64_t lane, real *y, saved_tap *saved)
{
    for (int64_t i = lane; i < task->x.shape.n * CPU_BLOCK; i += CPU_BLOCK) {
        vec best = vec_set(-(real)__builtin_inf());
        vec_int winner = {0};
        for (int64_t t = 0; t < count; t++) {
            vec value = cpu_activate(task->params.activation, apply(affine, taps[t].x + i));
            cpu_take_larger(value, taps[t].number, &best, &winner);
        }
        vec_store(y + i, best);
        save_winner(winner, saved, i);
    }
}

static void average_row(const struct fused_task *task, const struct affine *affine, int64_t count,
                        const struct tap *taps, int64_t lane, real *y)
{
    int64_t kernel = task->params.pool.window.kernel;
    real share = (real)1 / (real)(kernel * kernel);
    for (int64_t i = lane; i < task->x.shape.n * CPU_BLOCK; i += CPU_BLOCK) {
        vec total = {0};
        for (int64_t t = 0; t < count; t++)
            total += cpu_activate(task->params.activation, apply(affine, taps[t].x + i));
        vec_store(y + i, total * share);
    }
}

/* Writes the lanes of one register of output pixel (p,q). The windows that most pixels have are unrolled. */
static void pool_pixel(const struct fused_task *task, const struct affine *affine, int64_t count,
                       const struct tap *taps, int64_t lane, real *y, saved_tap *saved)
{
    bool relu = task->params.activation.kind == ACTIVATION_RELU;
    if (task->params.pool.kind == POOL_AVERAGE) {
        average_row(task, affine, count, taps, lane, y);
    } else if (relu && count == 9) {
        relu_max_row(task, affine, 9, taps, lane, y, saved);
    } else if (relu && count == 6) {
        relu_max_row(task, affine, 6, taps, lane, y, saved);
    } else if (relu && count == 4) {
        relu_max_row(task, affine, 4, taps, lane, y, saved);
    } else {
        max_row(task, affine, count, taps, lane, y, saved);
    }
}

static void pool_rows(const struct fused_task *task, const struct affine *affines, int64_t block, int64_t first,
                      int64_t last)
{
    struct shape y = task->y.shape;
    const real *x = (const real *)task->x.data + block * cpu_block_stride(task->x.shape);
    struct tap taps[CPU_FUSED_MAX_TAPS];
    for (int64_t pixel = first * y.w; pixel < last * y.w; pixel++) {
        int64_t count = list_taps(task, x, pixel / y.w, pixel % y.w, taps);
        int64_t at = block * cpu_block_stride(y) + pixel * y.n * CPU_BLOCK;
        for (int64_t v = 0; v < CPU_BLOCK_VECS; v++)
            pool_pixel(task, &affines[v], count, taps, v * CPU_LANES, (real *)task->y.data + at,
                       task->saved ? task->saved + at : NULL);
    }
}

static inline __attribute__((always_inline)) void activate_rows(const struct activation_params activation,
                                                                const struct fused_task *task,
                                                                const struct affine *affines, int64_t block,
                                                                int64_t first, int64_t last)
{
    int64_t row = task->y.shape.w * task->y.shape.n * CPU_BLOCK, start = block * cpu_block_stride(task->y.shape);
    const real *x = (const real *)task->x.data + start;
    real *y = (real *)task->y.data + start;
    for (int64_t i = first * row; i < last * row; i += CPU_BLOCK) {
        CPU_UNROLL
        for (int v = 0; v < CPU_BLOCK_VECS; v++)
            vec_store(y + i + v * CPU_LANES, cpu_activate(activation, apply(&affines[v], x + i + v * CPU_LANES)));
    }
}

/* y = act(b + addend), for elements first..last-1 of a block. */
static void sum_range(const struct fused_task *task, const struct affine *affines, int64_t block, int64_t first,
                      int64_t last)
{
    int64_t start = block * cpu_block_stride(task->y.shape);
    const real *x = (const real *)task->x.data + start, *addend = task->addend + start;
    real *y = (real *)task->y.data + start;
    struct activation_params activation = task->params.activation;
    bool normalized = !task->gamma;
    for (int64_t i = first; i < last; i += CPU_BLOCK) {
        CPU_UNROLL
        for (int v = 0; v < CPU_BLOCK_VECS; v++) {
            int64_t at = i + v * CPU_LANES;
            vec b = normalized ? vec_load(x + at) : apply(&affines[v], x + at);
            vec_store(y + at, cpu_activate(activation, b + vec_load(addend + at)));
        }
    }
}

/* The map from x to b: by the batch's statistics, by the running ones, or the identity. */
static struct affine find_affine(const struct fused_task *task, int64_t c)
{
    const struct cpu_statistics *statistics = &task->statistics;
    if (!task->gamma) return (struct affine){(vec){0}, vec_set(1), (vec){0}};
    vec gamma = vec_load(task->gamma + c), beta = vec_load(task->beta + c);
    if (statistics->mean)
        return (struct affine){vec_load(statistics->mean + c), gamma * vec_load(statistics->rstd + c), beta};
    vec rstd = cpu_inverse_deviation(statistics->params.epsilon, statistics->channels, c,
                                     vec_load(statistics->running_var + c));
    return (struct affine){vec_load(statistics->running_mean + c), gamma * rstd, beta};
}

/* Writes rows first..last-1 of a block's output. */
static void write_rows(const struct fused_task *task, int64_t block, int64_t first, int64_t last)
{
    struct affine affines[CPU_BLOCK_VECS];
    for (int64_t v = 0; v < CPU_BLOCK_VECS; v++) affines[v] = find_affine(task, block * CPU_BLOCK + v * CPU_LANES);
    int64_t row = task->y.shape.w * task->y.shape.n * CPU_BLOCK;
    if (task->params.pooled) {
        pool_rows(task, affines, block, first, last);
    } else if (task->addend) {
        sum_range(task, affines, block, first * row, last * row);
    } else {
        CPU_WITH_ACTIVATION(activate_rows, task->params.activation, task, affines, block, first, last);
    }
}

/* --- the loops --- */

static void forward_blocks(void *argument, int64_t first, int64_t last)
{
    const struct fused_task *task = argument;
    for (int64_t block = first; block < last; block++) {
        cpu_block_statistics(&task->statistics, block);
        write_rows(task, block, 0, task->y.shape.h);
    }
}

/* Iterations are [block][segment]. */
static void moment_segments(void *argument, int64_t first, int64_t last)
{
    const struct fused_task *task = argument;
    int64_t segments = cpu_segment_count(&task->statistics);
    for (int64_t i = first; i < last; i++)
        task->moments[i] = cpu_segment_moments(&task->statistics, i / segments, i % segments);
}

static void finish_blocks(void *argument, int64_t first, int64_t last)
{
    const struct fused_task *task = argument;
    for (int64_t block = first; block < last; block++)
        cpu_finish_statistics(&task->statistics, block, task->moments + block * cpu_segment_count(&task->statistics));
}

/* Iterations are the output's rows [block][p]. */
static void output_rows(void *argument, int64_t first, int64_t last)
{
    const struct fused_task *task = argument;
    int64_t height = task->y.shape.h;
    for (int64_t row = first; row < last;) {
        int64_t block = row / height, end = min_of(last, (block + 1) * height);
        write_rows(task, block, row - block * height, end - block * height);
        row = end;
    }
}

/* The approximate number of scalar operations per value of x. */
static int64_t value_cost(const struct fused_task *task)
{
    return max_of(cpu_activation_cost(task->params.activation), task->params.pooled ? 3 : 1);
}

static void write_output(struct backend *backend, struct fused_task *task)
{
    struct shape x = task->x.shape, y = task->y.shape;
    int64_t cost = x.n * x.h * x.w * CPU_BLOCK * value_cost(task) / y.h;
    cpu_for(backend, cpu_blocks(y.c) * y.h, cost, output_rows, task);
}

static void check_shapes(const struct batchnorm_fused_params *params, struct shape x, struct shape y)
{
    CHECK(x.n == y.n && x.c == y.c);
    if (!params->pooled) {
        CHECK(x.h == y.h && x.w == y.w);
        return;
    }
    struct window window = params->pool.window;
    CHECK(y.h == window_output_size(x.h, window) && y.w == window_output_size(x.w, window));
    CHECK(window.kernel * window.kernel <= CPU_FUSED_MAX_TAPS && window.padding <= window.kernel / 2);
}

/* The addend, which is shaped as the tensor in slot 0, x; NULL: there is none. */
static const real *addend_of(const struct op_call *call, int slot)
{
    const struct tensor *addend = cpu_operand(call, slot);
    if (!addend) return NULL;
    CHECK(shape_equal(addend->shape, call->tensor[0].shape) && !call->op->norm.pooled);
    return addend->data;
}

void CPU_EXPORT(cpu_batchnorm_fused_forward)(struct backend *backend, const struct op_call *call)
{
    const struct batchnorm_fused_params *params = &call->op->norm;
    const struct tensor *t = call->tensor, *x = &t[NORM_X];
    check_shapes(params, x->shape, t[NORM_Y].shape);
    CHECK(t[NORM_GAMMA].shape.c == x->shape.c && t[NORM_BETA].shape.c == x->shape.c);
    int64_t blocks = cpu_blocks(x->shape.c), rows = x->shape.n * x->shape.h * x->shape.w;
    struct cpu_row_sums moments[CPU_MAX_SEGMENTS];
    struct fused_task task = {
        .params = *params,
        .statistics = {.params = params->batchnorm,
                       .channels = x->shape.c,
                       .rows = rows,
                       .segment_rows = cpu_segment_rows(blocks, rows),
                       .x = x->data,
                       .mean = t[NORM_MEAN].data,
                       .rstd = t[NORM_RSTD].data,
                       .running_mean = t[NORM_RUNNING_MEAN].data,
                       .running_var = t[NORM_RUNNING_VAR].data},
        .x = *x,
        .y = t[NORM_Y],
        .addend = addend_of(call, NORM_ADDEND),
        .gamma = t[NORM_GAMMA].data,
        .beta = t[NORM_BETA].data,
        .saved = params->pooled && params->pool.kind == POOL_MAX ? t[NORM_SAVED].data : NULL,
        .moments = moments,
    };
    if (cpu_segment_count(&task.statistics) == 1) {
        cpu_for(backend, blocks, rows * CPU_BLOCK * (1 + value_cost(&task)), forward_blocks, &task);
        return;
    }
    CHECK(blocks * cpu_segment_count(&task.statistics) <= CPU_MAX_SEGMENTS);
    cpu_for(backend, blocks * cpu_segment_count(&task.statistics), task.statistics.segment_rows * CPU_BLOCK,
            moment_segments, &task);
    cpu_for(backend, blocks, CPU_BLOCK, finish_blocks, &task);
    write_output(backend, &task);
}

void CPU_EXPORT(cpu_batchnorm_fused_evaluate)(struct backend *backend, const struct op_call *call)
{
    const struct batchnorm_fused_params *params = &call->op->norm;
    const struct tensor *t = call->tensor, *x = &t[NORM_EVALUATE_X];
    check_shapes(params, x->shape, t[NORM_EVALUATE_Y].shape);
    struct fused_task task = {
        .params = *params,
        .statistics = {.params = params->batchnorm,
                       .channels = x->shape.c,
                       .running_mean = t[NORM_EVALUATE_MEAN].data,
                       .running_var = t[NORM_EVALUATE_VAR].data},
        .x = *x,
        .y = t[NORM_EVALUATE_Y],
        .addend = addend_of(call, NORM_EVALUATE_ADDEND),
        .gamma = t[NORM_EVALUATE_GAMMA].data,
        .beta = t[NORM_EVALUATE_BETA].data,
    };
    write_output(backend, &task);
}
