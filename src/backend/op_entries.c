/* Computes the ops of a program by the entries of a backend's table. */
#include "backend/op_entries.h"

#include "util/check.h"

/* A tensor of the call; NULL for an empty slot. */
static const struct tensor *operand(const struct op_call *call, int slot)
{
    return call->op->tensor[slot] >= 0 ? &call->tensor[slot] : NULL;
}

/* --- data --- */

static void run_gather(struct backend *backend, const struct op_call *call)
{
    const struct gather_params *params = &call->op->gather;
    backend->ops->gather(backend, call->input->data, params->augmented ? &params->augment : NULL,
                         &call->tensor[GATHER_X], call->tensor[GATHER_LABELS].data);
}

/* --- convolution --- */

static void *prepare_conv2d(const struct prepared *prepared, const struct op_call *call)
{
    struct backend *backend = prepared->backend;
    return backend->ops->conv2d_plan_create(backend, call->op->conv2d, call->tensor[CONV2D_X].shape,
                                            call->tensor[CONV2D_WEIGHT].shape.n);
}

static void release_conv2d(struct backend *backend, void *plan)
{
    backend->ops->conv2d_plan_destroy(backend, plan);
}

static void *prepare_conv2d_backward(const struct prepared *prepared, const struct op_call *call)
{
    return prepared_forward_call(prepared, call)->plan;
}

static void run_conv2d(struct backend *backend, const struct op_call *call)
{
    backend->ops->conv2d_forward(backend, call->plan, &call->tensor[CONV2D_X], &call->tensor[CONV2D_WEIGHT],
                                 operand(call, CONV2D_BIAS), &call->tensor[CONV2D_Y]);
}

/* --- arenas --- */

static size_t count_of(struct backend *backend, const struct tensor *tensor)
{
    if (tensor->kind == TENSOR_FLAT) return (size_t)tensor->shape.c;
    return backend->ops->tensor_count(backend, tensor->kind, tensor->shape);
}

/* The op's rule and parameters with the tensors of the call. */
static struct update update_of(struct backend *backend, const struct op_call *call)
{
    const struct tensor *t = call->tensor;
    struct update update = call->op->update;
    update.count = count_of(backend, &t[UPDATE_W]);
    update.w = t[UPDATE_W].data;
    update.dw = t[UPDATE_DW].data;
    update.state[0] = t[UPDATE_STATE_0].data;
    update.state[1] = t[UPDATE_STATE_1].data;
    update.plan = call->plan;
    return update;
}

static void run_update(struct backend *backend, const struct op_call *call)
{
    struct update update = update_of(backend, call);
    backend->ops->update(backend, &update);
}

/* --- convolution, backward --- */

static void run_conv2d_backward(struct backend *backend, const struct op_call *call)
{
    if (call->attached) {
        struct update update = update_of(backend, call->attached);
        backend->ops->update_begin(backend, &update);
    }
    backend->ops->conv2d_backward(backend, call->plan, &call->tensor[CONV2D_BACKWARD_X],
                                  &call->tensor[CONV2D_BACKWARD_WEIGHT], &call->tensor[CONV2D_BACKWARD_DY],
                                  operand(call, CONV2D_BACKWARD_DX), operand(call, CONV2D_BACKWARD_DWEIGHT),
                                  operand(call, CONV2D_BACKWARD_DBIAS));
    if (call->attached) backend->ops->update_end(backend);
}

/* --- batch normalization --- */

static bool is_plain(const struct batchnorm_fused_params *params)
{
    return params->activation.kind == ACTIVATION_NONE && !params->pooled;
}

/* Without the optional entries: the normalization alone. */
static bool supports_norm(const struct backend *backend, const struct op *op)
{
    static const int addend[] = {
        [OP_NORM] = NORM_ADDEND, [OP_NORM_EVALUATE] = NORM_EVALUATE_ADDEND, [OP_NORM_BACKWARD] = NORM_BACKWARD_ADDEND};
    if (op->tensor[addend[op->kind]] >= 0) return false;
    if (is_plain(&op->norm)) return true;
    return op->norm.activation.kind != ACTIVATION_NONE && backend->ops->batchnorm_fused_offered &&
           backend->ops->batchnorm_fused_offered(backend, &op->norm);
}

static size_t norm_saved_bytes(const struct backend *backend, const struct op *op, struct shape y)
{
    return op->norm.pooled ? backend->ops->pool_saved_bytes(backend, op->norm.pool, y) : 0;
}

static size_t pool_saved_bytes(const struct backend *backend, const struct op *op, struct shape y)
{
    return backend->ops->pool_saved_bytes(backend, op->pool, y);
}

static void run_norm(struct backend *backend, const struct op_call *call)
{
    const struct tensor *t = call->tensor, *mean = operand(call, NORM_RUNNING_MEAN);
    const struct tensor *var = operand(call, NORM_RUNNING_VAR);
    CHECK(!operand(call, NORM_ADDEND));
    if (is_plain(&call->op->norm))
        backend->ops->batchnorm_forward(backend, call->op->norm.batchnorm, &t[NORM_X], &t[NORM_GAMMA], &t[NORM_BETA],
                                        mean, var, &t[NORM_Y], &t[NORM_MEAN], &t[NORM_RSTD]);
    else
        backend->ops->batchnorm_fused_forward(backend, &call->op->norm, &t[NORM_X], &t[NORM_GAMMA], &t[NORM_BETA], mean,
                                              var, &t[NORM_Y], &t[NORM_MEAN], &t[NORM_RSTD], t[NORM_SAVED].data);
}

static void run_norm_evaluate(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[NORM_EVALUATE_X], *y = &call->tensor[NORM_EVALUATE_Y];
    const struct tensor *gamma = operand(call, NORM_EVALUATE_GAMMA), *beta = operand(call, NORM_EVALUATE_BETA);
    const struct tensor *mean = operand(call, NORM_EVALUATE_MEAN), *var = operand(call, NORM_EVALUATE_VAR);
    CHECK(!operand(call, NORM_EVALUATE_ADDEND));
    if (is_plain(&call->op->norm))
        backend->ops->batchnorm_evaluate(backend, call->op->norm.batchnorm, x, gamma, beta, mean, var, y);
    else
        backend->ops->batchnorm_fused_evaluate(backend, &call->op->norm, x, gamma, beta, mean, var, y);
}

static void run_norm_backward(struct backend *backend, const struct op_call *call)
{
    const struct tensor *t = call->tensor, *dx = operand(call, NORM_BACKWARD_DX);
    const struct tensor *dgamma = operand(call, NORM_BACKWARD_DGAMMA), *dbeta = operand(call, NORM_BACKWARD_DBETA);
    CHECK(!operand(call, NORM_BACKWARD_ADDEND));
    if (is_plain(&call->op->norm))
        backend->ops->batchnorm_backward(backend, &t[NORM_BACKWARD_X], &t[NORM_BACKWARD_GAMMA], &t[NORM_BACKWARD_MEAN],
                                         &t[NORM_BACKWARD_RSTD], &t[NORM_BACKWARD_DY], dx, dgamma, dbeta);
    else
        backend->ops->batchnorm_fused_backward(backend, &call->op->norm, &t[NORM_BACKWARD_X], &t[NORM_BACKWARD_GAMMA],
                                               &t[NORM_BACKWARD_BETA], &t[NORM_BACKWARD_MEAN], &t[NORM_BACKWARD_RSTD],
                                               &t[NORM_BACKWARD_DY], t[NORM_BACKWARD_SAVED].data, dx, dgamma, dbeta);
}

static bool supports_fold(const struct backend *backend, const struct op *op)
{
    (void)op;
    return backend->ops->batchnorm_fold != NULL;
}

static void run_fold(struct backend *backend, const struct op_call *call)
{
    const struct tensor *t = call->tensor;
    backend->ops->batchnorm_fold(backend, call->op->fold, &t[FOLD_WEIGHT], &t[FOLD_BIAS], &t[FOLD_GAMMA], &t[FOLD_BETA],
                                 &t[FOLD_MEAN], &t[FOLD_VAR], &t[FOLD_TO_WEIGHT], &t[FOLD_TO_BIAS]);
}

/* --- the other layers --- */

static void run_pool(struct backend *backend, const struct op_call *call)
{
    backend->ops->pool_forward(backend, call->op->pool, &call->tensor[POOL_X], &call->tensor[POOL_Y],
                               call->tensor[POOL_SAVED].data);
}

static void run_pool_backward(struct backend *backend, const struct op_call *call)
{
    backend->ops->pool_backward(backend, call->op->pool, &call->tensor[POOL_BACKWARD_DY],
                                call->tensor[POOL_BACKWARD_SAVED].data, &call->tensor[POOL_BACKWARD_DX]);
}

static void run_activation(struct backend *backend, const struct op_call *call)
{
    backend->ops->activation_forward(backend, call->op->activation, &call->tensor[ACTIVATION_X],
                                     &call->tensor[ACTIVATION_Y]);
}

static void run_activation_backward(struct backend *backend, const struct op_call *call)
{
    const struct tensor *t = call->tensor;
    backend->ops->activation_backward(backend, call->op->activation, &t[ACTIVATION_BACKWARD_X],
                                      &t[ACTIVATION_BACKWARD_DY], &t[ACTIVATION_BACKWARD_DX]);
}

static void run_dropout(struct backend *backend, const struct op_call *call)
{
    backend->ops->dropout(backend, &call->op->dropout, &call->tensor[DROPOUT_FROM], &call->tensor[DROPOUT_TO]);
}

static void run_flatten(struct backend *backend, const struct op_call *call)
{
    backend->ops->flatten_forward(backend, &call->tensor[FLATTEN_X], &call->tensor[FLATTEN_Y]);
}

static void run_flatten_backward(struct backend *backend, const struct op_call *call)
{
    backend->ops->flatten_backward(backend, &call->tensor[FLATTEN_BACKWARD_DY], &call->tensor[FLATTEN_BACKWARD_DX]);
}

static void run_softmax(struct backend *backend, const struct op_call *call)
{
    backend->ops->softmax_forward(backend, &call->tensor[SOFTMAX_X], &call->tensor[SOFTMAX_Y]);
}

static void run_softmax_backward(struct backend *backend, const struct op_call *call)
{
    backend->ops->softmax_backward(backend, &call->tensor[SOFTMAX_BACKWARD_Y], &call->tensor[SOFTMAX_BACKWARD_DY],
                                   &call->tensor[SOFTMAX_BACKWARD_DX]);
}

/* --- loss --- */

static void run_cross_entropy(struct backend *backend, const struct op_call *call)
{
    struct loss_params params = call->op->loss;
    params.class_weights = operand(call, CROSS_ENTROPY_WEIGHTS);
    params.logits = operand(call, CROSS_ENTROPY_LOGITS);
    params.skipped = call->input->skipped;
    backend->ops->cross_entropy(backend, &params, &call->tensor[CROSS_ENTROPY_PROBABILITIES],
                                call->tensor[CROSS_ENTROPY_LABELS].data, operand(call, CROSS_ENTROPY_DPROBABILITIES));
}

static void run_softmax_cross_entropy(struct backend *backend, const struct op_call *call)
{
    struct loss_params params = call->op->loss;
    params.class_weights = operand(call, SOFTMAX_CROSS_ENTROPY_WEIGHTS);
    params.skipped = call->input->skipped;
    backend->ops->softmax_cross_entropy(backend, &params, &call->tensor[SOFTMAX_CROSS_ENTROPY_LOGITS],
                                        call->tensor[SOFTMAX_CROSS_ENTROPY_LABELS].data,
                                        operand(call, SOFTMAX_CROSS_ENTROPY_DLOGITS));
}

/* --- primitives --- */

static void run_add(struct backend *backend, const struct op_call *call)
{
    struct elementwise_params add = {.op = ELEMENTWISE_ADD};
    const struct tensor *t = call->tensor;
    backend->ops->elementwise(backend, add, &t[ADD_A], &t[ADD_B], &t[ADD_Y]);
    for (int slot = ADD_C; slot <= ADD_D; slot++)
        if (operand(call, slot)) backend->ops->elementwise(backend, add, &t[ADD_Y], &t[slot], &t[ADD_Y]);
}

static void run_elementwise(struct backend *backend, const struct op_call *call)
{
    struct elementwise_params params = call->op->elementwise;
    double values = (double)(params.bessel * call->input->n);
    if (values > 1) params.scale *= values / (values - 1);
    backend->ops->elementwise(backend, params, &call->tensor[ELEMENTWISE_A], operand(call, ELEMENTWISE_B),
                              &call->tensor[ELEMENTWISE_Y]);
}

/* The factor of a sum or a broadcast over the channels of x. */
static double channel_scale(const struct op_call *call, struct shape x)
{
    const struct channel_params *params = &call->op->channel;
    return params->mean ? params->scale / (double)(x.n * x.h * x.w) : params->scale;
}

static void run_channel_sum(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[CHANNEL_SUM_X];
    backend->ops->channel_sum(backend, channel_scale(call, x->shape), x, &call->tensor[CHANNEL_SUM_Y]);
}

static void run_channel_broadcast(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[CHANNEL_BROADCAST_X];
    backend->ops->channel_broadcast(backend, channel_scale(call, x->shape), &call->tensor[CHANNEL_BROADCAST_Y], x);
}

static void run_clip(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[CLIP_X];
    backend->ops->clip_norm(backend, call->op->clip, count_of(backend, x), x->data);
}

static void *prepare_update(const struct prepared *prepared, const struct op_call *call)
{
    struct backend *backend = prepared->backend;
    enum optimizer_kind kind = call->op->update.kind;
    if (!optimizer_row(kind)->matrix) return NULL;
    return backend->ops->update_plan_create(backend, kind, call->tensor[UPDATE_W].shape);
}

static void release_update(struct backend *backend, void *plan)
{
    backend->ops->update_plan_destroy(backend, plan);
}

static void run_average(struct backend *backend, const struct op_call *call)
{
    const struct tensor *average = &call->tensor[AVERAGE_AVERAGE];
    backend->ops->average_step(backend, call->op->average, count_of(backend, average), average->data,
                               call->tensor[AVERAGE_W].data);
}

const struct op_function op_entries[OP_KIND_COUNT] = {
    [OP_GATHER] = {.run = run_gather},
    [OP_CONV2D] = {.run = run_conv2d, .prepare = prepare_conv2d, .release = release_conv2d},
    [OP_CONV2D_BACKWARD] = {.run = run_conv2d_backward, .prepare = prepare_conv2d_backward},
    [OP_NORM] = {.run = run_norm, .supports = supports_norm, .saved_bytes = norm_saved_bytes},
    [OP_NORM_EVALUATE] = {.run = run_norm_evaluate, .supports = supports_norm},
    [OP_NORM_BACKWARD] = {.run = run_norm_backward, .supports = supports_norm},
    [OP_POOL] = {.run = run_pool, .saved_bytes = pool_saved_bytes},
    [OP_POOL_BACKWARD] = {.run = run_pool_backward},
    [OP_ACTIVATION] = {.run = run_activation},
    [OP_ACTIVATION_BACKWARD] = {.run = run_activation_backward},
    [OP_DROPOUT] = {.run = run_dropout},
    [OP_FLATTEN] = {.run = run_flatten},
    [OP_FLATTEN_BACKWARD] = {.run = run_flatten_backward},
    [OP_SOFTMAX] = {.run = run_softmax},
    [OP_SOFTMAX_BACKWARD] = {.run = run_softmax_backward},
    [OP_CROSS_ENTROPY] = {.run = run_cross_entropy},
    [OP_SOFTMAX_CROSS_ENTROPY] = {.run = run_softmax_cross_entropy},
    [OP_ADD] = {.run = run_add},
    [OP_ELEMENTWISE] = {.run = run_elementwise},
    [OP_CHANNEL_SUM] = {.run = run_channel_sum},
    [OP_CHANNEL_BROADCAST] = {.run = run_channel_broadcast},
    [OP_FOLD] = {.run = run_fold, .supports = supports_fold},
    [OP_CLIP] = {.run = run_clip},
    [OP_UPDATE] = {.run = run_update, .prepare = prepare_update, .release = release_update},
    [OP_AVERAGE] = {.run = run_average},
};
