/* The backward pass of batch normalization, addend, activation and pool in one (definitions: backend.h,
 * cpu_batchnorm_fused.c).
 *
 *   g = sum of dy over the windows in which the pixel won
 *       (average: over the windows that it is in, divided by K*K;  no pool: dy itself)
 *   h = act'(b) g, or act'(b + addend) g                           with b = (x - mu) gamma rstd + beta, computed again
 *   dbeta = sum h,  dgamma = sum h xhat,  dx = gamma rstd (h - dbeta / B - xhat dgamma / B)       (cpu_batchnorm.c)
 *   daddend = h
 *
 * The order is that of the operations one by one, so the results are theirs to the bit. There are two passes: the sums, then
 * dx. Each reads x and dy, and for a max-pool the taps that won; g and h are computed in registers, twice, rather than
 * kept. With a pool of stride 2, in fp32, that is 2.75 reads of the size of x and one write, where the three operations
 * read 5.4 times and write three times. With an addend the pass of the sums writes daddend, and the pass of dx reads it.
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
    struct shape x_shape, y_shape;
    int64_t rows, segment_rows; /* B; as in cpu_batchnorm.h */
    const real *x, *dy;
    const real *addend; /* shaped as x, or NULL */
    real *daddend;      /* NULL: not wanted */
    const saved_tap *saved;
    const real *gamma, *beta, *mean, *rstd;
    real *dx, *dgamma, *dbeta;
    struct cpu_row_sums *sums; /* [blocks][segments]: dgamma, dbeta */
};

/* The constants of one register's channels. */
struct lanes {
    vec mean, rstd, scale, beta; /* scale = gamma rstd */
    vec mean_dgamma, mean_dbeta; /* dgamma / B, dbeta / B; for dx only */
};

/* A window that the pixel at hand is in. */
struct cover {
    const real *dy;
    const saved_tap *saved;
    int64_t number; /* number of the tap that lies on the pixel */
};

/* Lists the windows that cover pixel h*W + w; without a pool, the pixel itself. */
static int64_t list_covers(const struct fused_task *task, int64_t block, int64_t pixel, struct cover *covers)
{
    struct shape y = task->y_shape;
    int64_t start = block * cpu_block_stride(y), h = pixel / task->x_shape.w, w = pixel % task->x_shape.w, count = 0;
    if (!task->params.pooled) {
        covers[0] = (struct cover){task->dy + start + pixel * y.n * CPU_BLOCK, NULL, 0};
        return 1;
    }
    struct window window = task->params.pool.window;
    struct window_range rows = window_outputs(window, h, y.h), columns = window_outputs(window, w, y.w);
    for (int64_t p = rows.first; p < rows.last; p++) {
        for (int64_t q = columns.first; q < columns.last; q++) {
            int64_t at = start + (p * y.w + q) * y.n * CPU_BLOCK;
            int64_t tap = window_tap(window, p, h) * window.kernel + window_tap(window, q, w);
            covers[count++] = (struct cover){task->dy + at, task->saved ? task->saved + at : NULL, tap};
        }
    }
    return count;
}

/* The ways to make g of dy. */
enum gather { GATHER_SAME, GATHER_MAX, GATHER_AVERAGE };

static inline __attribute__((always_inline)) vec gather_gradient(const enum gather gather, const int64_t count,
                                                                 const struct cover *covers, int64_t i, real share)
{
    if (gather == GATHER_SAME) return vec_load(covers[0].dy + i);
    vec total = {0};
    for (int64_t t = 0; t < count; t++) {
        vec value = vec_load(covers[t].dy + i);
        total += gather == GATHER_MAX ? cpu_gradient_of_winner(value, covers[t].saved + i, covers[t].number) : value;
    }
    if (gather == GATHER_AVERAGE) total *= share;
    return total;
}

/* Some samples of one pixel: elements first, first + 16, ... below last of its rows of x, dx and dy. */
struct run {
    const struct cover *covers;
    int64_t cover_count, first, last;
    const real *x, *addend;
    real *daddend;
    real *dx; /* NULL: the sums are wanted */
};

/* Adds to the sums of h xhat and h, or writes dx. */
static inline __attribute__((always_inline)) void run_lanes(const enum gather gather, const int64_t count,
                                                            const struct activation_params activation,
                                                            const struct run *run, const struct lanes *lanes,
                                                            real share, vec *dgamma, vec *dbeta)
{
    vec gamma_part = *dgamma, beta_part = *dbeta;
    for (int64_t i = run->first; i < run->last; i += CPU_BLOCK) {
        vec gradient = gather_gradient(gather, count, run->covers, i, share);
        vec centred = vec_load(run->x + i) - lanes->mean, xhat = centred * lanes->rstd;
        gradient = cpu_activation_gradient(activation, centred * lanes->scale + lanes->beta, gradient);
        if (run->dx) {
            vec_store(run->dx + i, lanes->scale * (gradient - lanes->mean_dbeta - xhat * lanes->mean_dgamma));
        } else {
            beta_part += gradient;
            gamma_part += gradient * xhat;
        }
    }
    *dgamma = gamma_part, *dbeta = beta_part;
}

/* The same without a pool. */
static inline __attribute__((always_inline)) void plain_lanes(const struct activation_params activation,
                                                              const struct run *run, const struct lanes *lanes,
                                                              vec *dgamma, vec *dbeta)
{
    run_lanes(GATHER_SAME, 1, activation, run, lanes, 1, dgamma, dbeta);
}

/* The same with an addend and no pool. The pass of the sums writes daddend, where it is wanted, for the pass of dx. */
static inline __attribute__((always_inline)) void sum_lanes(const struct activation_params activation,
                                                            const bool wanted, const struct run *run,
                                                            const struct lanes *lanes, vec *dgamma, vec *dbeta)
{
    vec gamma_part = *dgamma, beta_part = *dbeta;
    const real *dy = run->covers[0].dy;
    for (int64_t i = run->first; i < run->last; i += CPU_BLOCK) {
        vec centred = vec_load(run->x + i) - lanes->mean, xhat = centred * lanes->rstd, gradient;
        if (run->dx && wanted) {
            gradient = vec_load(run->daddend + i);
        } else {
            vec b = centred * lanes->scale + lanes->beta;
            gradient = cpu_activation_gradient(activation, b + vec_load(run->addend + i), vec_load(dy + i));
        }
        if (run->dx) {
            vec_store(run->dx + i, lanes->scale * (gradient - lanes->mean_dbeta - xhat * lanes->mean_dgamma));
        } else {
            if (wanted) vec_store(run->daddend + i, gradient);
            beta_part += gradient;
            gamma_part += gradient * xhat;
        }
    }
    *dgamma = gamma_part, *dbeta = beta_part;
}

static void sum_any(const struct fused_task *task, const struct run *run, const struct lanes *lanes, vec *dgamma,
                    vec *dbeta)
{
    const struct activation_params activation = task->params.activation, relu = {.kind = ACTIVATION_RELU};
    if (activation.kind == ACTIVATION_RELU && task->daddend)
        sum_lanes(relu, true, run, lanes, dgamma, dbeta);
    else
        sum_lanes(activation, task->daddend != NULL, run, lanes, dgamma, dbeta);
}

/* The cases with constants are fast: the usual activations without a pool, or ReLU with a max-pool of which 1, 2 or 4 windows cover the
 * pixel. */
static void run_any(const struct fused_task *task, const struct run *run, const struct lanes *lanes, vec *dgamma,
                    vec *dbeta)
{
    const struct activation_params activation = task->params.activation, relu = {.kind = ACTIVATION_RELU};
    int64_t count = run->cover_count, kernel = task->params.pool.window.kernel;
    bool fast = activation.kind == ACTIVATION_RELU;
    if (task->addend) {
        sum_any(task, run, lanes, dgamma, dbeta);
    } else if (!task->params.pooled) {
        CPU_WITH_ACTIVATION(plain_lanes, activation, run, lanes, dgamma, dbeta);
    } else if (task->params.pool.kind == POOL_AVERAGE) {
        run_lanes(GATHER_AVERAGE, count, activation, run, lanes, (real)1 / (real)(kernel * kernel), dgamma, dbeta);
    } else if (fast && count == 1) {
        run_lanes(GATHER_MAX, 1, relu, run, lanes, 1, dgamma, dbeta);
    } else if (fast && count == 2) {
        run_lanes(GATHER_MAX, 2, relu, run, lanes, 1, dgamma, dbeta);
    } else if (fast && count == 4) {
        run_lanes(GATHER_MAX, 4, relu, run, lanes, 1, dgamma, dbeta);
    } else {
        run_lanes(GATHER_MAX, count, activation, run, lanes, 1, dgamma, dbeta);
    }
}

/* Takes rows first..last-1 of a block, pixel by pixel. Adds to the sums, one register of lanes each; with `dx` it
 * writes dx instead. */
static void run_rows(const struct fused_task *task, int64_t block, int64_t first, int64_t last,
                     const struct lanes *lanes, bool dx, vec *dgamma, vec *dbeta)
{
    int64_t batch = task->x_shape.n;
    struct cover covers[CPU_FUSED_MAX_TAPS];
    for (int64_t row = first; row < last;) {
        int64_t pixel = row / batch, n = row % batch, samples = min_of(batch - n, last - row);
        struct run run = {.covers = covers, .cover_count = list_covers(task, block, pixel, covers)};
        int64_t at = (block * task->rows + pixel * batch) * CPU_BLOCK;
        run.x = task->x + at;
        run.addend = task->addend ? task->addend + at : NULL;
        run.daddend = task->daddend ? task->daddend + at : NULL;
        run.dx = dx ? task->dx + at : NULL;
        for (int v = 0; v < CPU_BLOCK_VECS; v++) {
            run.first = n * CPU_BLOCK + v * CPU_LANES, run.last = (n + samples) * CPU_BLOCK;
            run_any(task, &run, &lanes[v], &dgamma[v], &dbeta[v]);
        }
        row += samples;
    }
}

static void load_lanes(const struct fused_task *task, int64_t block, bool dx, struct lanes *lanes)
{
    real rows = (real)task->rows;
    for (int v = 0; v < CPU_BLOCK_VECS; v++) {
        int64_t c = block * CPU_BLOCK + v * CPU_LANES;
        vec rstd = vec_load(task->rstd + c);
        lanes[v] = (struct lanes){.mean = vec_load(task->mean + c),
                                  .rstd = rstd,
                                  .scale = vec_load(task->gamma + c) * rstd,
                                  .beta = vec_load(task->beta + c)};
        if (!dx) continue;
        lanes[v].mean_dgamma = vec_load(task->dgamma + c) / rows;
        lanes[v].mean_dbeta = vec_load(task->dbeta + c) / rows;
    }
}

static struct cpu_row_sums segment_sums(const struct fused_task *task, int64_t block, int64_t segment)
{
    struct cpu_row_sums total = {{0}, {0}};
    struct lanes lanes[CPU_BLOCK_VECS];
    load_lanes(task, block, false, lanes);
    int64_t first = segment * task->segment_rows, last = min_of(first + task->segment_rows, task->rows);
    for (int64_t row = first; row < last; row += CPU_CHUNK_OF_ROWS) {
        vec dgamma[CPU_BLOCK_VECS] = {{0}}, dbeta[CPU_BLOCK_VECS] = {{0}};
        run_rows(task, block, row, min_of(row + CPU_CHUNK_OF_ROWS, last), lanes, false, dgamma, dbeta);
        for (int64_t v = 0; v < CPU_BLOCK_VECS; v++) {
            real *first_lane = total.first + v * CPU_LANES, *second_lane = total.second + v * CPU_LANES;
            vec_store(first_lane, vec_load(first_lane) + dgamma[v]);
            vec_store(second_lane, vec_load(second_lane) + dbeta[v]);
        }
    }
    return total;
}

static int64_t segment_count(const struct fused_task *task)
{
    return (task->rows + task->segment_rows - 1) / task->segment_rows;
}

/* Adds up dgamma and dbeta of a block from its segments. */
static void finish_sums(const struct fused_task *task, int64_t block, const struct cpu_row_sums *segments)
{
    for (int64_t lane = 0; lane < CPU_BLOCK; lane += CPU_LANES) {
        vec dgamma = {0}, dbeta = {0};
        for (int64_t s = 0; s < segment_count(task); s++)
            dgamma += vec_load(segments[s].first + lane), dbeta += vec_load(segments[s].second + lane);
        vec_store(task->dgamma + block * CPU_BLOCK + lane, dgamma);
        vec_store(task->dbeta + block * CPU_BLOCK + lane, dbeta);
    }
}

static void write_gradient(const struct fused_task *task, int64_t block, int64_t first, int64_t last)
{
    struct lanes lanes[CPU_BLOCK_VECS];
    vec unused[2][CPU_BLOCK_VECS] = {{{0}}};
    load_lanes(task, block, true, lanes);
    run_rows(task, block, first, last, lanes, true, unused[0], unused[1]);
}

/* --- the loops --- */

static void backward_blocks(void *argument, int64_t first, int64_t last)
{
    const struct fused_task *task = argument;
    for (int64_t block = first; block < last; block++) {
        struct cpu_row_sums sums = segment_sums(task, block, 0);
        finish_sums(task, block, &sums);
        if (task->dx) write_gradient(task, block, 0, task->rows);
    }
}

/* Iterations are [block][segment]. */
static void sum_segments(void *argument, int64_t first, int64_t last)
{
    const struct fused_task *task = argument;
    int64_t segments = segment_count(task);
    for (int64_t i = first; i < last; i++) task->sums[i] = segment_sums(task, i / segments, i % segments);
}

static void finish_blocks(void *argument, int64_t first, int64_t last)
{
    const struct fused_task *task = argument;
    for (int64_t block = first; block < last; block++)
        finish_sums(task, block, task->sums + block * segment_count(task));
}

/* Iterations are the rows [block][h] of dx. */
static void gradient_rows(void *argument, int64_t first, int64_t last)
{
    const struct fused_task *task = argument;
    int64_t height = task->x_shape.h, image_row = task->rows / height;
    for (int64_t row = first; row < last;) {
        int64_t block = row / height, end = min_of(last, (block + 1) * height), start = block * height;
        write_gradient(task, block, (row - start) * image_row, (end - start) * image_row);
        row = end;
    }
}

static void run_task(struct backend *backend, struct fused_task *task)
{
    int64_t blocks = cpu_blocks(task->x_shape.c), segments = segment_count(task), height = task->x_shape.h;
    int64_t cost = CPU_BLOCK * max_of(cpu_activation_cost(task->params.activation), task->params.pooled ? 3 : 2);
    struct cpu_row_sums sums[CPU_MAX_SEGMENTS];
    if (segments == 1) {
        cpu_for(backend, blocks, 2 * task->rows * cost, backward_blocks, task);
        return;
    }
    CHECK(blocks * segments <= CPU_MAX_SEGMENTS);
    task->sums = sums;
    cpu_for(backend, blocks * segments, task->segment_rows * cost, sum_segments, task);
    cpu_for(backend, blocks, CPU_BLOCK, finish_blocks, task);
    if (task->dx) cpu_for(backend, blocks * height, task->rows / height * cost, gradient_rows, task);
}

void CPU_EXPORT(cpu_batchnorm_fused_backward)(struct backend *backend, const struct op_call *call)
{
    const struct batchnorm_fused_params *params = &call->op->norm;
    const struct tensor *t = call->tensor, *x = &t[NORM_BACKWARD_X], *dy = &t[NORM_BACKWARD_DY];
    const struct tensor *dx = cpu_operand(call, NORM_BACKWARD_DX);
    int64_t rows = x->shape.n * x->shape.h * x->shape.w;
    CHECK((!dx || shape_equal(x->shape, dx->shape)) && x->shape.n == dy->shape.n && x->shape.c == dy->shape.c);
    CHECK(t[NORM_BACKWARD_GAMMA].shape.c == x->shape.c);
    const struct tensor *addend = cpu_operand(call, NORM_BACKWARD_ADDEND);
    const struct tensor *daddend = cpu_operand(call, NORM_BACKWARD_DADDEND);
    CHECK(!addend || (shape_equal(addend->shape, x->shape) && !params->pooled));
    CHECK(!daddend || (addend && shape_equal(daddend->shape, x->shape)));
    struct fused_task task = {
        .params = *params,
        .x_shape = x->shape,
        .y_shape = dy->shape,
        .rows = rows,
        .segment_rows = cpu_segment_rows(cpu_blocks(x->shape.c), rows),
        .x = x->data,
        .dy = dy->data,
        .addend = addend ? addend->data : NULL,
        .daddend = daddend ? daddend->data : NULL,
        .saved = params->pooled && params->pool.kind == POOL_MAX ? t[NORM_BACKWARD_SAVED].data : NULL,
        .gamma = t[NORM_BACKWARD_GAMMA].data,
        .beta = t[NORM_BACKWARD_BETA].data,
        .mean = t[NORM_BACKWARD_MEAN].data,
        .rstd = t[NORM_BACKWARD_RSTD].data,
        .dx = dx ? dx->data : NULL,
        .dgamma = t[NORM_BACKWARD_DGAMMA].data,
        .dbeta = t[NORM_BACKWARD_DBETA].data,
    };
    run_task(backend, &task);
}
