/* Batch normalization, with the backward pass derived by hand (definition: struct batchnorm_params in backend.h).
 *
 * Per channel, over the B = N*H*W values x_r, with r = 1/sqrt(var + eps), xhat_s = (x_s - mu) r and
 * y_s = gamma xhat_s + beta:
 *   dbeta  = sum_s dy_s,   dgamma = sum_s dy_s xhat_s
 *   dmu/dx_r = 1/B  and  dvar/dx_r = 2 (x_r - mu) / B      (the term from mu inside var vanishes: sum (x_s - mu) = 0)
 *   dxhat_s/dx_r = r (delta_rs - 1/B) - (x_s - mu) r^3 (x_r - mu) / B = r (delta_rs - 1/B - xhat_s xhat_r / B)
 *   dx_r = sum_s dy_s gamma dxhat_s/dx_r = gamma r / B * (B dy_r - dbeta - xhat_r dgamma).
 *
 * A block of 16 channels is one contiguous matrix of B rows. Forward reads it twice (statistics: cpu_batchnorm.h;
 * output), backward reads x and dy twice; both write once.
 *
 * This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/cpu_batchnorm.h"

#include "backend/cpu/cpu_batchnorm_fused.h"
#include "backend/cpu/cpu_install.h"
#include "backend/cpu/cpu_pool.h"

struct batchnorm_task {
    struct cpu_statistics statistics; /* B rows; the backward pass uses only their number and cut */
    const real *x, *dy;               /* [blocks][B][16] */
    const real *gamma, *beta;         /* (C), as all that follow but y and dx */
    const real *mean, *rstd;          /* for the backward pass */
    real *y, *dx, *dgamma, *dbeta;
};

/* y = gamma (x - mean) rstd + beta */
static void normalize(const real *x, real *y, int64_t count, vec mean, vec rstd, vec gamma, vec beta)
{
    vec scale = gamma * rstd;
    for (int64_t i = 0; i < count; i += CPU_BLOCK) vec_store(y + i, (vec_load(x + i) - mean) * scale + beta);
}

static void forward_blocks(void *argument, int64_t first, int64_t last)
{
    const struct batchnorm_task *task = argument;
    const struct cpu_statistics *statistics = &task->statistics;
    int64_t count = statistics->rows * CPU_BLOCK;
    for (int64_t block = first; block < last; block++) {
        cpu_block_statistics(statistics, block);
        for (int64_t c = block * CPU_BLOCK; c < (block + 1) * CPU_BLOCK; c += CPU_LANES) {
            int64_t at = block * count + c % CPU_BLOCK;
            normalize(task->x + at, task->y + at, count, vec_load(statistics->mean + c), vec_load(statistics->rstd + c),
                      vec_load(task->gamma + c), vec_load(task->beta + c));
        }
    }
}

static void evaluate_blocks(void *argument, int64_t first, int64_t last)
{
    const struct batchnorm_task *task = argument;
    const struct cpu_statistics *statistics = &task->statistics;
    int64_t count = statistics->rows * CPU_BLOCK;
    for (int64_t c = first * CPU_BLOCK; c < last * CPU_BLOCK; c += CPU_LANES) {
        int64_t at = c / CPU_BLOCK * count + c % CPU_BLOCK;
        vec rstd = cpu_inverse_deviation(statistics->params.epsilon, statistics->channels, c,
                                         vec_load(statistics->running_var + c));
        normalize(task->x + at, task->y + at, count, vec_load(statistics->running_mean + c), rstd,
                  vec_load(task->gamma + c), vec_load(task->beta + c));
    }
}

/* dbeta = sum dy, dgamma = sum dy xhat, over the rows of one segment */
static void sum_segment(const real *x, const real *dy, int64_t count, vec mean, vec rstd, vec *dgamma, vec *dbeta)
{
    *dgamma = *dbeta = (vec){0};
    for (int64_t start = 0; start < count; start += CPU_SUM_CHUNK) {
        vec gamma_part = {0}, beta_part = {0};
        int64_t end = min_of(start + CPU_SUM_CHUNK, count);
        for (int64_t i = start; i < end; i += CPU_BLOCK) {
            vec gradient = vec_load(dy + i);
            beta_part += gradient;
            gamma_part += gradient * ((vec_load(x + i) - mean) * rstd);
        }
        *dgamma += gamma_part, *dbeta += beta_part;
    }
}

static void sum_gradients(const real *x, const real *dy, int64_t count, int64_t segment, vec mean, vec rstd,
                          vec *dgamma, vec *dbeta)
{
    *dgamma = *dbeta = (vec){0};
    for (int64_t start = 0; start < count; start += segment) {
        vec gamma_part, beta_part;
        sum_segment(x + start, dy + start, min_of(segment, count - start), mean, rstd, &gamma_part, &beta_part);
        *dgamma += gamma_part, *dbeta += beta_part;
    }
}

static void backward_blocks(void *argument, int64_t first, int64_t last)
{
    const struct batchnorm_task *task = argument;
    int64_t count = task->statistics.rows * CPU_BLOCK, segment = task->statistics.segment_rows * CPU_BLOCK;
    real values = (real)task->statistics.rows;
    for (int64_t c = first * CPU_BLOCK; c < last * CPU_BLOCK; c += CPU_LANES) {
        int64_t at = c / CPU_BLOCK * count + c % CPU_BLOCK;
        const real *x = task->x + at, *dy = task->dy + at;
        vec mean = vec_load(task->mean + c), rstd = vec_load(task->rstd + c), dgamma, dbeta;
        sum_gradients(x, dy, count, segment, mean, rstd, &dgamma, &dbeta);
        vec_store(task->dgamma + c, dgamma);
        vec_store(task->dbeta + c, dbeta);
        if (!task->dx) continue;
        vec scale = vec_load(task->gamma + c) * rstd;
        dgamma /= values, dbeta /= values;
        real *dx = task->dx + at;
        for (int64_t i = 0; i < count; i += CPU_BLOCK) {
            vec xhat = (vec_load(x + i) - mean) * rstd;
            vec_store(dx + i, scale * (vec_load(dy + i) - dbeta - xhat * dgamma));
        }
    }
}

static void run_blocks(struct backend *backend, struct shape shape, struct batchnorm_task *task,
                       void (*body)(void *, int64_t, int64_t))
{
    int64_t blocks = cpu_blocks(shape.c), rows = shape.n * shape.h * shape.w;
    task->statistics.channels = shape.c;
    task->statistics.rows = rows;
    task->statistics.segment_rows = cpu_segment_rows(blocks, rows);
    task->statistics.x = task->x;
    cpu_for(backend, blocks, rows * CPU_BLOCK, body, task);
}

/* An addend comes with an activation. */
static bool is_plain(const struct batchnorm_fused_params *params)
{
    return params->activation.kind == ACTIVATION_NONE && !params->pooled;
}

static void run_norm(struct backend *backend, const struct op_call *call)
{
    const struct tensor *t = call->tensor, *x = &t[NORM_X];
    if (!is_plain(&call->op->norm)) {
        CPU_EXPORT(cpu_batchnorm_fused_forward)(backend, call);
        return;
    }
    CHECK(shape_equal(x->shape, t[NORM_Y].shape) && t[NORM_GAMMA].shape.c == x->shape.c);
    CHECK(t[NORM_BETA].shape.c == x->shape.c);
    struct batchnorm_task task = {
        .statistics = {.params = call->op->norm.batchnorm,
                       .mean = t[NORM_MEAN].data,
                       .rstd = t[NORM_RSTD].data,
                       .running_mean = t[NORM_RUNNING_MEAN].data,
                       .running_var = t[NORM_RUNNING_VAR].data},
        .x = x->data,
        .gamma = t[NORM_GAMMA].data,
        .beta = t[NORM_BETA].data,
        .y = t[NORM_Y].data,
    };
    run_blocks(backend, x->shape, &task, forward_blocks);
}

static void run_norm_evaluate(struct backend *backend, const struct op_call *call)
{
    const struct tensor *t = call->tensor, *x = &t[NORM_EVALUATE_X];
    if (!is_plain(&call->op->norm)) {
        CPU_EXPORT(cpu_batchnorm_fused_evaluate)(backend, call);
        return;
    }
    CHECK(shape_equal(x->shape, t[NORM_EVALUATE_Y].shape) && t[NORM_EVALUATE_GAMMA].shape.c == x->shape.c);
    struct batchnorm_task task = {
        .statistics = {.params = call->op->norm.batchnorm,
                       .running_mean = t[NORM_EVALUATE_MEAN].data,
                       .running_var = t[NORM_EVALUATE_VAR].data},
        .x = x->data,
        .gamma = t[NORM_EVALUATE_GAMMA].data,
        .beta = t[NORM_EVALUATE_BETA].data,
        .y = t[NORM_EVALUATE_Y].data,
    };
    run_blocks(backend, x->shape, &task, evaluate_blocks);
}

static void run_norm_backward(struct backend *backend, const struct op_call *call)
{
    const struct tensor *t = call->tensor, *x = &t[NORM_BACKWARD_X], *dx = cpu_operand(call, NORM_BACKWARD_DX);
    if (!is_plain(&call->op->norm)) {
        CPU_EXPORT(cpu_batchnorm_fused_backward)(backend, call);
        return;
    }
    CHECK(shape_equal(x->shape, t[NORM_BACKWARD_DY].shape) && (!dx || shape_equal(x->shape, dx->shape)));
    CHECK(t[NORM_BACKWARD_GAMMA].shape.c == x->shape.c);
    struct batchnorm_task task = {
        .x = x->data,
        .dy = t[NORM_BACKWARD_DY].data,
        .gamma = t[NORM_BACKWARD_GAMMA].data,
        .mean = t[NORM_BACKWARD_MEAN].data,
        .rstd = t[NORM_BACKWARD_RSTD].data,
        .dx = dx ? dx->data : NULL,
        .dgamma = t[NORM_BACKWARD_DGAMMA].data,
        .dbeta = t[NORM_BACKWARD_DBETA].data,
    };
    run_blocks(backend, x->shape, &task, backward_blocks);
}

/* An addend and a pool come with an activation only, and not together. */
static bool supports_parts(const struct batchnorm_fused_params *params, int addend)
{
    int64_t kernel = params->pool.window.kernel;
    if (params->rectified || params->dropout.rate > 0) return false;
    if (!params->pooled && addend < 0) return true;
    if (params->pooled && (addend >= 0 || kernel * kernel > CPU_FUSED_MAX_TAPS)) return false;
    return params->activation.kind != ACTIVATION_NONE;
}

static bool supports_norm(const struct backend *backend, const struct op *op)
{
    (void)backend;
    return op->tensor[NORM_BIAS] < 0 && supports_parts(&op->norm, op->tensor[NORM_ADDEND]);
}

/* An x that is normalised already takes at least an activation. */
static bool supports_norm_evaluate(const struct backend *backend, const struct op *op)
{
    (void)backend;
    return supports_parts(&op->norm, op->tensor[NORM_EVALUATE_ADDEND]) &&
           (op->tensor[NORM_EVALUATE_GAMMA] >= 0 || !is_plain(&op->norm));
}

static bool supports_norm_backward(const struct backend *backend, const struct op *op)
{
    (void)backend;
    return op->tensor[NORM_BACKWARD_DGAMMA] >= 0 && op->tensor[NORM_BACKWARD_DBETA] >= 0 &&
           op->tensor[NORM_BACKWARD_DBIAS] < 0 && supports_parts(&op->norm, op->tensor[NORM_BACKWARD_ADDEND]);
}

static size_t norm_saved_bytes(const struct backend *backend, const struct op *op, struct shape y)
{
    return op->norm.pooled ? cpu_pool_saved_bytes(backend, op->norm.pool, y) : 0;
}

void CPU_EXPORT(cpu_batchnorm_install)(struct op_function *functions)
{
    functions[OP_NORM] =
        (struct op_function){.run = run_norm, .supports = supports_norm, .saved_bytes = norm_saved_bytes};
    functions[OP_NORM_EVALUATE] = (struct op_function){.run = run_norm_evaluate, .supports = supports_norm_evaluate};
    functions[OP_NORM_BACKWARD] = (struct op_function){.run = run_norm_backward, .supports = supports_norm_backward};
}
