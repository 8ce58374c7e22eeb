/* Batch normalization, then the optional parts of one operation: an addend, an activation f, a pool. Per channel, over
 * its B = N*H*W values x_s:
 *
 *   mu = 1/B sum_s x_s,   var = 1/B sum_s (x_s - mu)^2,   rstd = 1 / sqrt(var + eps)
 *   xhat_s = (x_s - mu) rstd,   u_s = gamma xhat_s + beta + addend_s,   y = pool(f(u))
 *   running_mean <- (1 - momentum) running_mean + momentum (mu + bias)          (bias: where the convolution before has
 *                                                                               left one out, else 0; dbias = 0)
 *   running_var  <- (1 - momentum) running_var  + momentum var B / (B - 1)      (var where B = 1)
 *
 * Backward, from dz, the gradient of f(u), which the pool brings:
 *
 *   du_s = f'(u_s) dz_s,   daddend_s = du_s,   dbeta = sum_s du_s,   dgamma = sum_s du_s xhat_s
 *   dmu/dx_r = 1/B,   dvar/dx_r = 2/B (x_r - mu),   drstd/dx_r = -rstd^2/B xhat_r
 *   dxhat_s/dx_r = rstd/B (B delta_rs - 1 - xhat_s xhat_r)
 *   dx_r = sum_s du_s gamma dxhat_s/dx_r = gamma rstd/B (B du_r - dbeta - xhat_r dgamma)
 *
 * In evaluation the statistics are given, so each value is by itself. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/reference/reference.h"
#include "util/check.h"
#include "util/memory.h"

/* Computes mu and var of channel c. */
static void take_statistics(const struct tensor *x, int64_t c, double *mu, double *var)
{
    const double *values = x->data;
    int64_t b = x->shape.n * x->shape.h * x->shape.w;
    long double sum = 0, squares = 0;
    for (int64_t s = 0; s < b; s++) sum += values[reference_element(x->shape, c, s)];
    *mu = (double)(sum / b);
    for (int64_t s = 0; s < b; s++) {
        double centred = values[reference_element(x->shape, c, s)] - *mu;
        squares += centred * centred;
    }
    *var = (double)(squares / b);
}

/* The parts of the operation after the sums: what each element needs. Where gamma is NULL, u = x + addend. */
struct norm {
    struct shape shape;
    const double *x, *addend, *gamma, *beta, *mu, *rstd;
};

static double normalized(const struct norm *norm, int64_t i)
{
    int64_t c = reference_channel_of(norm->shape, i);
    return (norm->x[i] - norm->mu[c]) * norm->rstd[c];
}

static double activation_input(const struct norm *norm, int64_t i)
{
    int64_t c = reference_channel_of(norm->shape, i);
    double u = norm->gamma ? norm->gamma[c] * normalized(norm, i) + norm->beta[c] : norm->x[i];
    return norm->addend ? u + norm->addend[i] : u;
}

/* Writes y = pool(f(u)). */
static void write_output(const struct op_call *call, const struct norm *norm, const struct tensor *y, int64_t *saved)
{
    const struct batchnorm_fused_params *params = &call->op->norm;
    int64_t count = shape_count(norm->shape);
    CHECK(!params->rectified && params->dropout.rate == 0); /* no rewrite adds them */
    double *z = params->pooled ? memory_alloc((size_t)count, sizeof *z) : y->data;
    for (int64_t i = 0; i < count; i++) z[i] = reference_activate(params->activation, activation_input(norm, i));
    if (!params->pooled) return;
    reference_pool_values(params->pool, &(struct tensor){z, norm->shape, TENSOR_ACTIVATION}, y, saved);
    free(z);
}

void reference_norm(struct backend *backend, const struct op_call *call)
{
    struct batchnorm_params params = call->op->norm.batchnorm;
    const struct tensor *x = &call->tensor[NORM_X];
    double *mu = call->tensor[NORM_MEAN].data, *rstd = call->tensor[NORM_RSTD].data;
    double *running_mean = call->tensor[NORM_RUNNING_MEAN].data, *running_var = call->tensor[NORM_RUNNING_VAR].data;
    const double *bias = call->tensor[NORM_BIAS].data;
    double b = (double)(x->shape.n * x->shape.h * x->shape.w);
    (void)backend;
    for (int64_t c = 0; c < x->shape.c; c++) {
        double var, unbiased;
        take_statistics(x, c, &mu[c], &var);
        unbiased = b > 1 ? var * b / (b - 1) : var;
        rstd[c] = 1 / sqrt(var + params.epsilon);
        double mean = bias ? mu[c] + bias[c] : mu[c];
        if (running_mean) running_mean[c] = (1 - params.momentum) * running_mean[c] + params.momentum * mean;
        if (running_var) running_var[c] = (1 - params.momentum) * running_var[c] + params.momentum * unbiased;
    }
    struct norm norm = {.shape = x->shape,
                        .x = x->data,
                        .addend = call->tensor[NORM_ADDEND].data,
                        .gamma = call->tensor[NORM_GAMMA].data,
                        .beta = call->tensor[NORM_BETA].data,
                        .mu = mu,
                        .rstd = rstd};
    write_output(call, &norm, &call->tensor[NORM_Y], call->tensor[NORM_SAVED].data);
}

void reference_norm_evaluate(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[NORM_EVALUATE_X];
    const double *var = call->tensor[NORM_EVALUATE_VAR].data;
    double *rstd = memory_alloc((size_t)x->shape.c, sizeof *rstd);
    (void)backend;
    for (int64_t c = 0; var && c < x->shape.c; c++) rstd[c] = 1 / sqrt(var[c] + call->op->norm.batchnorm.epsilon);
    struct norm norm = {.shape = x->shape,
                        .x = x->data,
                        .addend = call->tensor[NORM_EVALUATE_ADDEND].data,
                        .gamma = call->tensor[NORM_EVALUATE_GAMMA].data,
                        .beta = call->tensor[NORM_EVALUATE_BETA].data,
                        .mu = call->tensor[NORM_EVALUATE_MEAN].data,
                        .rstd = rstd};
    write_output(call, &norm, &call->tensor[NORM_EVALUATE_Y], NULL);
    free(rstd);
}

/* Returns du, of x's shape. */
static double *find_activation_gradient(const struct op_call *call, const struct norm *norm)
{
    const struct batchnorm_fused_params *params = &call->op->norm;
    const struct tensor *dy = &call->tensor[NORM_BACKWARD_DY];
    int64_t count = shape_count(norm->shape);
    double *du = memory_alloc((size_t)count, sizeof *du);
    struct tensor dz = {du, norm->shape, TENSOR_ACTIVATION};
    if (params->pooled)
        reference_pool_gradients(params->pool, dy, call->tensor[NORM_BACKWARD_SAVED].data, &dz);
    else
        memcpy(du, dy->data, (size_t)count * sizeof *du);
    for (int64_t i = 0; i < count; i++)
        du[i] = reference_activation_slope(params->activation, activation_input(norm, i), du[i]);
    return du;
}

/* Writes the outputs of channel c that are wanted. */
static void write_gradients(const struct op_call *call, const struct norm *norm, int64_t c, const double *du)
{
    double *dx = call->tensor[NORM_BACKWARD_DX].data, *daddend = call->tensor[NORM_BACKWARD_DADDEND].data;
    double *to_dgamma = call->tensor[NORM_BACKWARD_DGAMMA].data, *to_dbeta = call->tensor[NORM_BACKWARD_DBETA].data;
    int64_t b = norm->shape.n * norm->shape.h * norm->shape.w;
    long double dgamma = 0, dbeta = 0;
    for (int64_t s = 0; s < b; s++) {
        int64_t i = reference_element(norm->shape, c, s);
        dbeta += du[i];
        dgamma += du[i] * normalized(norm, i);
    }
    for (int64_t r = 0; r < b; r++) {
        int64_t i = reference_element(norm->shape, c, r);
        double sums = (double)(dbeta + normalized(norm, i) * dgamma), count = (double)b;
        if (dx) dx[i] = norm->gamma[c] * norm->rstd[c] / count * (count * du[i] - sums);
        if (daddend) daddend[i] = du[i];
    }
    if (to_dgamma) to_dgamma[c] = (double)dgamma;
    if (to_dbeta) to_dbeta[c] = (double)dbeta;
}

void reference_norm_backward(struct backend *backend, const struct op_call *call)
{
    const struct norm norm = {.shape = call->tensor[NORM_BACKWARD_X].shape,
                              .x = call->tensor[NORM_BACKWARD_X].data,
                              .addend = call->tensor[NORM_BACKWARD_ADDEND].data,
                              .gamma = call->tensor[NORM_BACKWARD_GAMMA].data,
                              .beta = call->tensor[NORM_BACKWARD_BETA].data,
                              .mu = call->tensor[NORM_BACKWARD_MEAN].data,
                              .rstd = call->tensor[NORM_BACKWARD_RSTD].data};
    double *du = find_activation_gradient(call, &norm), *dbias = call->tensor[NORM_BACKWARD_DBIAS].data;
    (void)backend;
    for (int64_t c = 0; c < norm.shape.c; c++) write_gradients(call, &norm, c, du);
    for (int64_t c = 0; dbias && c < norm.shape.c; c++) dbias[c] = 0;
    free(du);
}
