/* Muon (formula: optimizer_row.h): one step for the filter of a layer, as a matrix with a row per output channel.
 *
 * The products are those of a 1x1 convolution, without a copy. A filter (O,I,K,K) lies as [O/16][J][16 o] with J = 16 *
 * I/16 * K*K, and so does an activation of J samples with O channels. Let X be that activation, A and S matrices (O,O):
 *   X X^T  is the gradient of a 1x1 filter for the input X and the output's gradient X  (cpu_conv2d_filter),
 *   S X    is the output for the input X and the filter S                               (cpu_conv2d_sum),
 *   A A    is the output for the input A and the filter A, where A is symmetric.
 * X has as many rows as columns at most: where O > J, the filter's transpose takes its place. The zeros of the padding
 * stay zeros. A polynomial of X X^T is applied as one matrix, S = a I + b A + c A^2. Products are fp32 or fp64, with
 * precision = bf16 too.
 *
 * The sums are those of the convolution, so that the bits do not depend on the number of threads. This file is compiled
 * once per variant (cpu_variant.h). */
#include "backend/cpu/cpu_muon.h"

#include <math.h>
#include <stdlib.h>

#include "backend/cpu/conv/cpu_conv2d.h"
#include "backend/cpu/cpu_norm.h"
#include "util/memory.h"

struct muon_plan {
    struct shape filter;
    int64_t rows, columns; /* of X, padded: multiples of 16 */
    bool transposed;       /* X is the transpose of the filter */
    struct conv2d_plan *products;
};

/* The matrices of a step, in the backend's scratch memory. */
struct muon {
    struct backend *backend;
    const struct muon_plan *plan;
    const struct cpu_update *update;
    real rate, keep, scale; /* w <- keep*w - rate*X */
    real *x, *next;         /* (rows, columns) */
    real *gram, *square;    /* (rows, rows) */
};

struct muon_plan *CPU_EXPORT(cpu_muon_plan)(struct backend *backend, struct shape filter)
{
    int64_t outputs = cpu_blocks(filter.n) * CPU_BLOCK;
    int64_t inputs = cpu_blocks(filter.c) * CPU_BLOCK * filter.h * filter.w;
    struct muon_plan *plan = memory_alloc(1, sizeof *plan);
    *plan = (struct muon_plan){.filter = filter, .transposed = outputs > inputs};
    plan->rows = min_of(outputs, inputs), plan->columns = max_of(outputs, inputs);
    plan->products = memory_alloc(1, sizeof *plan->products);
    *plan->products = (struct conv2d_plan){
        .window = {1, 1, 0}, .input = {plan->columns, plan->rows, 1, 1}, .output_channels = plan->rows};
    CPU_EXPORT(cpu_conv2d_sum_plan)(backend, plan->products);
    CPU_EXPORT(cpu_conv2d_filter_plan)(backend, plan->products);
    size_t count = (size_t)(2 * plan->rows * (plan->columns + plan->rows));
    CPU_EXPORT(cpu_scratch_reserve)(backend, count * sizeof(real));
    return plan;
}

void CPU_EXPORT(cpu_muon_plan_free)(struct backend *backend, struct muon_plan *plan)
{
    if (!plan) return;
    CPU_EXPORT(cpu_conv2d_plan_free)(backend, plan->products);
    free(plan);
}

/* --- element by element --- */

/* The average of the gradients, and in `next` what is to be orthogonalized. */
static void average_range(void *argument, int64_t first, int64_t last)
{
    const struct muon *muon = argument;
    const struct optimizer_params *params = &muon->update->params;
    real *restrict m = muon->update->state[0], *restrict to = muon->next;
    const real *restrict dw = muon->update->dw;
    real momentum = (real)params->momentum, rest = (real)(1 - params->momentum);
    bool nesterov = params->nesterov;
    for (int64_t i = first; i < last; i++) {
        m[i] = momentum * m[i] + rest * dw[i];
        to[i] = nesterov ? momentum * m[i] + rest * dw[i] : m[i];
    }
}

static void scale_range(void *argument, int64_t first, int64_t last)
{
    const struct muon *muon = argument;
    for (int64_t i = first; i < last; i++) muon->x[i] *= muon->scale;
}

/* square <- a I + b gram + c square, by blocks of 16 rows. */
static void polynomial_blocks(void *argument, int64_t first, int64_t last)
{
    const struct muon *muon = argument;
    int64_t rows = muon->plan->rows;
    for (int64_t block = first; block < last; block++) { /* [I][16 o] */
        real *restrict square = muon->square + block * CPU_BLOCK * rows;
        const real *restrict gram = muon->gram + block * CPU_BLOCK * rows;
        for (int64_t i = 0; i < CPU_BLOCK * rows; i++) square[i] = (real)MUON_B * gram[i] + (real)MUON_C * square[i];
        for (int64_t o = 0; o < CPU_BLOCK; o++) square[(block * CPU_BLOCK + o) * CPU_BLOCK + o] += (real)MUON_A;
    }
}

static void step_range(void *argument, int64_t first, int64_t last)
{
    const struct muon *muon = argument;
    real *restrict w = muon->update->w;
    const real *restrict x = muon->x;
    for (int64_t i = first; i < last; i++) w[i] = muon->keep * w[i] - muon->rate * x[i];
}

/* --- the transpose --- */

struct transpose_task {
    const real *from; /* [blocks][others][16][16] */
    real *to;         /* [others][blocks][16][16] */
    int64_t blocks, others;
};

static void transpose_blocks(void *argument, int64_t first, int64_t last)
{
    const struct transpose_task *task = argument;
    for (int64_t i = first; i < last; i++) {
        int64_t block = i % task->blocks, other = i / task->blocks;
        const real *from = task->from + (block * task->others + other) * CPU_FILTER_BLOCK;
        real *to = task->to + i * CPU_FILTER_BLOCK;
        for (int a = 0; a < CPU_BLOCK; a++)
            for (int b = 0; b < CPU_BLOCK; b++) to[a * CPU_BLOCK + b] = from[b * CPU_BLOCK + a];
    }
}

static void swap(struct muon *muon)
{
    real *x = muon->next;
    muon->next = muon->x, muon->x = x;
}

/* Moves `next` into x, from the filter's order into that of X, or back. */
static void turn(struct muon *muon, bool back)
{
    const struct muon_plan *plan = muon->plan;
    if (!plan->transposed) {
        if (!back) swap(muon);
        return;
    }
    if (back) swap(muon);
    int64_t rows = plan->rows / CPU_BLOCK, columns = plan->columns / CPU_BLOCK;
    struct transpose_task task = {muon->next, muon->x, back ? rows : columns, back ? columns : rows};
    cpu_for(muon->backend, rows * columns, CPU_FILTER_BLOCK, transpose_blocks, &task);
}

/* --- products --- */

/* X, and the matrices of its rows, as an activation of `samples` samples. */
static struct tensor activation_of(const struct muon *muon, real *data, int64_t samples)
{
    return (struct tensor){data, {samples, muon->plan->rows, 1, 1}, TENSOR_ACTIVATION};
}

/* to <- matrix * from. */
static void multiply(const struct muon *muon, const real *matrix, real *from, real *to, int64_t columns)
{
    struct conv2d_sum sum = {.window = muon->plan->products->window,
                             .source = activation_of(muon, from, columns),
                             .destination = activation_of(muon, to, columns),
                             .filter = matrix};
    CPU_EXPORT(cpu_conv2d_sum)(muon->backend, muon->plan->products, &sum);
}

/* X <- (a I + b A + c A^2) X with A = X X^T. */
static void iterate(struct muon *muon)
{
    int64_t rows = muon->plan->rows, columns = muon->plan->columns;
    struct tensor x = activation_of(muon, muon->x, columns);
    struct tensor gram = {muon->gram, {rows, rows, 1, 1}, TENSOR_FILTER};
    CPU_EXPORT(cpu_conv2d_filter)(muon->backend, muon->plan->products, &x, &x, &gram, NULL, NULL);
    multiply(muon, muon->gram, muon->gram, muon->square, rows);
    cpu_for(muon->backend, rows / CPU_BLOCK, CPU_BLOCK * rows, polynomial_blocks, muon);
    multiply(muon, muon->square, muon->x, muon->next, columns);
    swap(muon);
}

void CPU_EXPORT(cpu_muon_update)(struct backend *backend, const struct op_call *call, const struct cpu_update *update)
{
    const struct muon_plan *plan = call->plan;
    double rate = call->input->state.learning_rate * call->op->update.rate;
    double n = (double)(plan->filter.c * plan->filter.h * plan->filter.w);
    int64_t count = plan->rows * plan->columns;
    CHECK(update->count == count && update->state[0]);
    struct muon muon = {.backend = backend, .plan = plan, .update = update};
    muon.x = cpu_backend_of(backend)->scratch, muon.next = muon.x + count;
    muon.gram = muon.next + count, muon.square = muon.gram + plan->rows * plan->rows;
    muon.rate = (real)(rate * muon_scale(&update->params, (double)plan->filter.n, n));
    muon.keep = 1 - (real)rate * (real)update->params.weight_decay;
    cpu_for(backend, count, 3, average_range, &muon);
    turn(&muon, false);
    double norm = CPU_EXPORT(cpu_norm)(backend, count, muon.x);
    muon.scale = (real)(1 / (norm < MUON_EPSILON ? MUON_EPSILON : norm));
    cpu_for(backend, count, 1, scale_range, &muon);
    for (int64_t i = 0; i < update->params.ns_steps; i++) iterate(&muon);
    turn(&muon, true);
    if (update->params.normalize_weights) {
        double magnitude = CPU_EXPORT(cpu_norm)(backend, count, update->w);
        if (magnitude != 0) muon.keep *= (real)(sqrt((double)plan->filter.n) / magnitude);
    }
    cpu_for(backend, count, 2, step_range, &muon);
}
