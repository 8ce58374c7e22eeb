/* The host side of batch normalization by our own kernels, alone or fused with an addend, an activation and a max-pool;
 * cuda_batchnorm.cu has the derivation and names the files of the kernels. */
#include "cuda_backend.h"

/* Every window of a fused pool computes its pixels anew. So a pool whose windows overlap much is not fused. */
static bool supports_pool(struct pool_params pool)
{
    const int64_t most_visits = 4; /* windows per pixel */
    struct window window = pool.window;
    return pool.kind == POOL_MAX && cuda_pool_tap_bytes(window) == 1 &&
           window.kernel * window.kernel <= most_visits * window.stride * window.stride;
}

/* The slot of the addend. */
static int addend_slot(const struct op *op)
{
    static const int slots[] = {
        [OP_NORM] = NORM_ADDEND, [OP_NORM_EVALUATE] = NORM_EVALUATE_ADDEND, [OP_NORM_BACKWARD] = NORM_BACKWARD_ADDEND};
    return slots[op->kind];
}

/* An addend comes with a ReLU, as in residual networks, and without a pool. */
static bool supports(const struct backend *backend, const struct op *op)
{
    bool sum = op->tensor[addend_slot(op)] >= 0;
    bool moved = (op->kind == OP_NORM && op->tensor[NORM_BIAS] >= 0) ||
                 (op->kind == OP_NORM_BACKWARD && op->tensor[NORM_BACKWARD_DBIAS] >= 0);
    bool cudnn = ((const struct cuda_backend *)backend)->options.cudnn_batchnorm;
    if (moved && cudnn) return false;
    if (sum && (cudnn || op->norm.pooled || op->norm.activation.kind != ACTIVATION_RELU)) return false;
    bool around = op->norm.rectified || op->norm.dropout.rate > 0;
    if (around && (cudnn || op->norm.activation.kind != ACTIVATION_NONE)) return false;
    if (op->norm.activation.kind == ACTIVATION_NONE) return !op->norm.pooled;
    if (cudnn) return false;
    return !op->norm.pooled || supports_pool(op->norm.pool);
}

static size_t saved_bytes(const struct backend *backend, const struct op *op, struct shape y)
{
    (void)backend;
    return op->norm.pooled ? cuda_pool_saved_bytes(op->norm.pool, y) : 0;
}

static void set_fused(struct cuda_batchnorm *task, const struct batchnorm_fused_params *params, struct shape x,
                      struct shape y)
{
    task->activated = true;
    task->activation = params->activation.kind, task->slope = (float)params->activation.slope;
    task->pooled = params->pooled;
    task->output_rows = y.n * y.h * y.w;
    if (!params->pooled) return;
    CHECK(y.n == x.n && y.c == x.c && y.h == window_output_size(x.h, params->pool.window) &&
          y.w == window_output_size(x.w, params->pool.window));
    task->pooling = cuda_pooling_of(params->pool.window, x, y);
}

/* The fields that forward, evaluation and backward have in common; gamma->data and beta->data may be NULL. */
static struct cuda_batchnorm make_task(struct backend *backend, const struct op_call *call, const struct tensor *x,
                                       const struct tensor *gamma, const struct tensor *beta, struct shape y)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct op *op = call->op;
    const struct tensor *addend = &call->tensor[addend_slot(op)];
    bool around = op->norm.rectified || op->norm.dropout.rate > 0;
    CHECK(!around || x->shape.c % CUDA_AROUND_CHANNELS == 0);
    CHECK(supports(backend, op));
    CHECK(!gamma->data || (gamma->shape.c == x->shape.c && beta->shape.c == x->shape.c));
    CHECK(op->norm.pooled || shape_equal(x->shape, y));
    CHECK(!addend->data || shape_equal(addend->shape, x->shape));
    struct cuda_batchnorm task = {
        .shape = cuda_matrix_of(x),
        .multiprocessors = cuda->multiprocessors,
        .most_cluster = cuda->most_cluster,
        .scratch = cuda->lane->scratch,
        .epsilon = (float)op->norm.batchnorm.epsilon,
        .momentum = (float)op->norm.batchnorm.momentum,
        .x = x->data,
        .gamma = gamma->data,
        .beta = beta->data,
        .addend = addend->data,
        .rectified = op->norm.rectified,
        .dropout = op->norm.dropout,
        .state = op->norm.dropout.rate > 0 ? cuda_state(cuda) : NULL,
        .sample_rows = x->shape.h * x->shape.w,
    };
    if (op->norm.activation.kind != ACTIVATION_NONE) set_fused(&task, &op->norm, x->shape, y);
    return task;
}

void cuda_batchnorm_forward(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *t = call->tensor;
    struct cuda_batchnorm task = make_task(backend, call, &t[NORM_X], &t[NORM_GAMMA], &t[NORM_BETA], t[NORM_Y].shape);
    task.y = t[NORM_Y].data;
    task.mean = t[NORM_MEAN].data, task.rstd = t[NORM_RSTD].data;
    task.running_mean = t[NORM_RUNNING_MEAN].data, task.running_var = t[NORM_RUNNING_VAR].data;
    task.saved = t[NORM_SAVED].data;
    task.bias = t[NORM_BIAS].data;
    CUDA_CHECK(cuda_batchnorm_forward_launch(cuda->lane->stream, cuda->type, &task));
}

static void run_norm_evaluate(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *t = call->tensor;
    struct cuda_batchnorm task = make_task(backend, call, &t[NORM_EVALUATE_X], &t[NORM_EVALUATE_GAMMA],
                                           &t[NORM_EVALUATE_BETA], t[NORM_EVALUATE_Y].shape);
    task.y = t[NORM_EVALUATE_Y].data;
    task.running_mean = t[NORM_EVALUATE_MEAN].data, task.running_var = t[NORM_EVALUATE_VAR].data;
    CUDA_CHECK(cuda_batchnorm_evaluate_launch(cuda->lane->stream, cuda->type, &task));
}

void cuda_batchnorm_backward(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *t = call->tensor, *x = &t[NORM_BACKWARD_X], *dx = &t[NORM_BACKWARD_DX];
    struct cuda_batchnorm task =
        make_task(backend, call, x, &t[NORM_BACKWARD_GAMMA], &t[NORM_BACKWARD_BETA], t[NORM_BACKWARD_DY].shape);
    CHECK(!dx->data || shape_equal(x->shape, dx->shape));
    task.mean = t[NORM_BACKWARD_MEAN].data, task.rstd = t[NORM_BACKWARD_RSTD].data;
    task.dy = t[NORM_BACKWARD_DY].data;
    task.saved = t[NORM_BACKWARD_SAVED].data;
    task.dx = dx->data;
    task.daddend = t[NORM_BACKWARD_DADDEND].data;
    task.dgamma = t[NORM_BACKWARD_DGAMMA].data, task.dbeta = t[NORM_BACKWARD_DBETA].data;
    task.dbias = t[NORM_BACKWARD_DBIAS].data;
    CHECK(task.dgamma && task.dbeta);
    CUDA_CHECK(cuda_batchnorm_backward_launch(cuda->lane->stream, cuda->type, &task));
}

/* True where one kernel does it. */
static bool is_resident(const struct program *program, const struct op *op)
{
    const struct cuda_backend *cuda = (const struct cuda_backend *)program->backend;
    const struct tensor x = {.shape = program_shape(program, op, 0)}; /* x is in slot 0 of both kinds */
    struct cuda_batchnorm task = {
        .shape = cuda_matrix_of(&x), .multiprocessors = cuda->multiprocessors, .most_cluster = cuda->most_cluster};
    return cuda->options.cudnn_batchnorm || cuda_batchnorm_is_resident(cuda->type, &task);
}

/* Where two kernels do it, each reads x, and backward dy too; or the gradient of an addend that the first has written in its
 * place, or the addend too. */
static struct op_launches launches_norm(const struct program *program, const struct op *op)
{
    if (is_resident(program, op)) return (struct op_launches){.count = 1};
    return (struct op_launches){2, (int64_t)program->tensors[op->tensor[NORM_X]].bytes};
}

static struct op_launches launches_norm_backward(const struct program *program, const struct op *op)
{
    const struct program_tensor *tensors = program->tensors;
    if (is_resident(program, op) || op->tensor[NORM_BACKWARD_DX] < 0) return (struct op_launches){.count = 1};
    int64_t x = (int64_t)tensors[op->tensor[NORM_BACKWARD_X]].bytes;
    bool again = op->tensor[NORM_BACKWARD_ADDEND] >= 0 && op->tensor[NORM_BACKWARD_DADDEND] < 0;
    return (struct op_launches){2, x + (int64_t)tensors[op->tensor[NORM_BACKWARD_DY]].bytes + (again ? x : 0)};
}

void cuda_batchnorm_install(struct op_function *functions)
{
    functions[OP_NORM] = (struct op_function){
        .run = cuda_batchnorm_forward, .supports = supports, .saved_bytes = saved_bytes, .launches = launches_norm};
    functions[OP_NORM_EVALUATE] = (struct op_function){.run = run_norm_evaluate, .supports = supports};
    functions[OP_NORM_BACKWARD] =
        (struct op_function){.run = cuda_batchnorm_backward, .supports = supports, .launches = launches_norm_backward};
}
