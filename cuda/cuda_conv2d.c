/* Convolution through cuDNN (formulas: cpu_conv2d.c; cuDNN's part: cudnn_plan.h). A 1x1 window that moves pixel by
 * pixel, as for a linear layer, goes through cuBLAS. Each of the three passes has a plan of its own per batch size, which
 * is chosen before the first run of the pass (cudnn_choice.h). Where cuDNN has none that runs, simple kernels of our own
 * are used (cuda_conv2d.cu).
 *
 * In bf16 a filter is one of TENSOR_ROUNDED, or the forward pass rounds it into scratch memory, which the backward pass
 * uses. cuDNN's filter gradient comes in bf16 too, as from bf16 operands it has no engine that writes fp32. Where dweight
 * is fp32 it is widened. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cublas_linear.h"
#include "cudnn_choice.h"
#include "util/memory.h"

static const char *const pass_names[] = {"forward", "input gradient", "filter gradient"};

/* How a pass is computed for one batch size. */
struct pass {
    bool chosen;
    struct cudnn_graph *graph;
    struct cudnn_plan *plan; /* NULL: by our kernels */
};

struct batch {
    int64_t n;
    struct pass pass[CUDNN_PASSES];
};

struct conv2d_plan {
    struct conv2d_params params;
    struct shape input; /* n is the largest batch */
    int64_t output_channels;
    struct cublas_linear *linear; /* for a 1x1 window; else NULL */
    void *filter16, *dfilter16;   /* in bf16, where the operands are fp32 */
    int batch_count;
    struct batch *batches;
};

/* --- plans --- */

/* True where a filter or its gradient is not of the type that cuDNN and cuBLAS take. */
static bool is_wide(const struct cuda_backend *cuda, const struct tensor *filter)
{
    return filter->data && cuda_type_of(cuda, filter) != cuda->type;
}

/* Makes a plan for inputs (n,I,H,W) with n <= input.n. */
static void *prepare_conv2d(const struct prepared *prepared, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(prepared->backend);
    const struct tensor *x = &call->tensor[CONV2D_X], *weight = &call->tensor[CONV2D_WEIGHT];
    struct conv2d_plan *plan = memory_alloc(1, sizeof *plan);
    plan->params = call->op->conv2d;
    plan->input = x->shape;
    plan->output_channels = weight->shape.n;
    cuda_need_workspace(cuda);
    if (cublas_linear_takes(plan->params))
        plan->linear = cublas_linear_create(cuda, cuda->type, x->shape.c, plan->output_channels);
    if (is_wide(cuda, weight)) plan->filter16 = cuda_alloc(cuda, (size_t)shape_count(weight->shape) * 2);
    return plan;
}

/* Backward uses the filter that forward has rounded. It may be two ops of one plan, one of them on another lane. */
static void *prepare_conv2d_backward(const struct prepared *prepared, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(prepared->backend);
    struct conv2d_plan *plan = prepared_forward_call(prepared, call)->plan;
    const struct tensor *dweight = &call->tensor[CONV2D_BACKWARD_DWEIGHT];
    cuda_need_workspace(cuda);
    if (!plan->linear && is_wide(cuda, dweight))
        plan->dfilter16 = cuda_alloc(cuda, (size_t)shape_count(dweight->shape) * 2);
    return plan;
}

static void release_conv2d(struct backend *backend, void *released)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    struct conv2d_plan *plan = released;
    for (int i = 0; i < plan->batch_count; i++) {
        for (int kind = 0; kind < CUDNN_PASSES; kind++) {
            cudnn_plan_destroy(plan->batches[i].pass[kind].plan);
            cudnn_graph_destroy(plan->batches[i].pass[kind].graph);
        }
    }
    cublas_linear_destroy(plan->linear);
    cuda_free(cuda, plan->filter16);
    cuda_free(cuda, plan->dfilter16);
    free(plan->batches);
    free(plan);
}

static struct shape output_of(const struct conv2d_plan *plan, int64_t n)
{
    return (struct shape){n, plan->output_channels, window_output_size(plan->input.h, plan->params.window),
                          window_output_size(plan->input.w, plan->params.window)};
}

static struct batch *find_batch(const struct cuda_backend *cuda, struct conv2d_plan *plan, int64_t n)
{
    for (int i = 0; i < plan->batch_count; i++)
        if (plan->batches[i].n == n) return &plan->batches[i];
    CHECK(!cuda->recording); /* a body runs once before it is recorded */
    plan->batches = memory_resize(plan->batches, (size_t)plan->batch_count + 1, sizeof *plan->batches);
    struct batch *batch = &plan->batches[plan->batch_count++];
    *batch = (struct batch){.n = n};
    return batch;
}

static void note_own_kernels(const struct conv2d_plan *plan, int64_t n, enum cudnn_pass kind)
{
    struct shape s = plan->input;
    fprintf(stderr,
            "trainer: note: cuDNN offers no algorithm for the %s of a %" PRId64 "x%" PRId64 " convolution of %" PRId64
            "x%" PRId64 "x%" PRId64 "x%" PRId64 " to %" PRId64 " channels; a slow one of our own is used\n",
            pass_names[kind], plan->params.window.kernel, plan->params.window.kernel, n, s.c, s.h, s.w,
            plan->output_channels);
}

/* Returns the pass for a batch of n, whose plan is chosen if it was not yet. The trials compute the pass on the way. */
static struct pass *find_pass(struct cuda_backend *cuda, struct conv2d_plan *plan, int64_t n, enum cudnn_pass kind,
                              const struct cudnn_operands *operands)
{
    struct pass *pass = &find_batch(cuda, plan, n)->pass[kind];
    if (pass->chosen) return pass;
    struct cudnn_task task = {.pass = kind,
                              .precision = cuda->options.precision,
                              .deterministic = cuda->options.deterministic,
                              .workspace_bytes = (int64_t)cuda->workspace_bytes,
                              .params = plan->params,
                              .x = plan->input,
                              .output_channels = plan->output_channels};
    task.x.n = n;
    pass->chosen = true;
    pass->graph = cudnn_graph_create((struct cudnn_device){.handle = cuda->lane->cudnn}, &task);
    if (pass->graph) pass->plan = cudnn_plan_choose(cuda, pass->graph, operands);
    if (!pass->plan && !cuda->base.in_self_test) note_own_kernels(plan, n, kind);
    return pass;
}

/* --- passes --- */

/* Computes a pass with our own kernels, also those of a linear layer that neither library computes. The type is that of
 * a filter gradient. */
static void run_own(struct cuda_backend *cuda, const struct conv2d_plan *plan, int64_t n, enum cudnn_pass kind,
                    const struct cudnn_operands *operands, enum cuda_type dweight)
{
    struct cuda_convolution task = {plan->params, plan->input, output_of(plan, n)};
    task.x.n = n;
    if (kind == CUDNN_PASS_FORWARD)
        CUDA_CHECK(cuda_conv2d_forward_launch(cuda->lane->stream, cuda->type, &task, operands->x, operands->filter,
                                              operands->result));
    else if (kind == CUDNN_PASS_DX)
        CUDA_CHECK(cuda_conv2d_dx_launch(cuda->lane->stream, cuda->type, &task, operands->filter, operands->y,
                                         operands->result));
    else
        CUDA_CHECK(cuda_conv2d_dweight_launch(cuda->lane->stream, cuda->type, &task, operands->x, operands->y, dweight,
                                              operands->result));
}

/* Runs forward or dx, whose result has the activations' type. */
static void run_pass(struct cuda_backend *cuda, struct conv2d_plan *plan, int64_t n, enum cudnn_pass kind,
                     const struct cudnn_operands *operands)
{
    const struct pass *pass = find_pass(cuda, plan, n, kind, operands);
    if (pass->plan)
        CUDNN_CHECK(cudnn_plan_run(pass->plan, operands, cuda->lane->workspace));
    else
        run_own(cuda, plan, n, kind, operands, cuda->type);
}

static void run_dweight(struct cuda_backend *cuda, struct conv2d_plan *plan, int64_t n,
                        const struct cudnn_operands *operands, enum cuda_type type)
{
    struct cudnn_operands narrow = *operands;
    bool widen = plan->dfilter16 != NULL;
    if (widen) narrow.result = plan->dfilter16;
    const struct pass *pass = find_pass(cuda, plan, n, CUDNN_PASS_DWEIGHT, &narrow);
    if (!pass->plan) {
        run_own(cuda, plan, n, CUDNN_PASS_DWEIGHT, operands, type);
        return;
    }
    CUDNN_CHECK(cudnn_plan_run(pass->plan, &narrow, cuda->lane->workspace));
    int64_t count = plan->output_channels * plan->input.c / plan->params.groups * plan->params.window.kernel *
                    plan->params.window.kernel;
    if (widen) CUDA_CHECK(cuda_from_bf16_launch(cuda->lane->stream, count, plan->dfilter16, operands->result));
}

/* --- operations --- */

static void check_shapes(const struct conv2d_plan *plan, struct shape x, struct shape weight, struct shape y)
{
    CHECK(x.n <= plan->input.n && x.c == plan->input.c && x.h == plan->input.h && x.w == plan->input.w);
    CHECK(weight.n == plan->output_channels && weight.c * plan->params.groups == x.c);
    CHECK(weight.h == plan->params.window.kernel && weight.w == plan->params.window.kernel);
    CHECK(shape_equal(y, output_of(plan, x.n)));
}

/* Returns the filter in the activations' type. */
static const void *round_filter(struct cuda_backend *cuda, struct conv2d_plan *plan, const struct tensor *weight)
{
    if (!plan->filter16) return weight->data;
    CUDA_CHECK(cuda_to_bf16_launch(cuda->lane->stream, shape_count(weight->shape), weight->data, plan->filter16));
    return plan->filter16;
}

static void run_conv2d(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    struct conv2d_plan *plan = call->plan;
    const struct tensor *x = &call->tensor[CONV2D_X], *weight = &call->tensor[CONV2D_WEIGHT];
    const struct tensor *bias = &call->tensor[CONV2D_BIAS], *y = &call->tensor[CONV2D_Y];
    check_shapes(plan, x->shape, weight->shape, y->shape);
    struct cudnn_operands operands = {.x = x->data, .filter = round_filter(cuda, plan, weight), .result = y->data};
    bool added = false;
    if (!plan->linear) {
        run_pass(cuda, plan, x->shape.n, CUDNN_PASS_FORWARD, &operands);
    } else if (!cublas_linear_forward(plan->linear, cuda_matrix_of(x).m, x->data, operands.filter, bias->data,
                                      cuda_type_of(cuda, bias), y->data, &added)) {
        run_own(cuda, plan, x->shape.n, CUDNN_PASS_FORWARD, &operands, cuda->type);
    }
    if (!bias->data || added) return;
    CUDA_CHECK(cuda_bias_launch(cuda->lane->stream, cuda->type, cuda_matrix_of(y), cuda->multiprocessors, bias->data,
                                cuda_type_of(cuda, bias), y->data));
}

static void backward_dx(struct cuda_backend *cuda, struct conv2d_plan *plan, const void *filter,
                        const struct tensor *dy, const struct tensor *dx)
{
    struct cudnn_operands operands = {.y = dy->data, .filter = filter, .result = dx->data};
    if (!plan->linear)
        run_pass(cuda, plan, dy->shape.n, CUDNN_PASS_DX, &operands);
    else if (!cublas_linear_dx(plan->linear, cuda_matrix_of(dy).m, filter, dy->data, dx->data))
        run_own(cuda, plan, dy->shape.n, CUDNN_PASS_DX, &operands, cuda->type);
}

/* Returns true where the same kernel computed dbias, which may be NULL. */
static bool backward_dweight(struct cuda_backend *cuda, struct conv2d_plan *plan, const struct tensor *x,
                             const struct tensor *dy, const struct tensor *dweight, void *dbias)
{
    struct cudnn_operands operands = {.x = x->data, .y = dy->data, .result = dweight->data};
    enum cuda_type type = cuda_type_of(cuda, dweight);
    bool added = false;
    if (!plan->linear) {
        run_dweight(cuda, plan, x->shape.n, &operands, type);
    } else if (!cublas_linear_dweight(plan->linear, cuda_matrix_of(x).m, x->data, dy->data, dweight->data, dbias,
                                      &added)) {
        run_own(cuda, plan, x->shape.n, CUDNN_PASS_DWEIGHT, &operands, type);
    }
    return added;
}

static void run_conv2d_backward(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    struct conv2d_plan *plan = call->plan;
    const struct tensor *x = &call->tensor[CONV2D_BACKWARD_X], *weight = &call->tensor[CONV2D_BACKWARD_WEIGHT];
    const struct tensor *dy = &call->tensor[CONV2D_BACKWARD_DY], *dx = &call->tensor[CONV2D_BACKWARD_DX];
    const struct tensor *dweight = &call->tensor[CONV2D_BACKWARD_DWEIGHT];
    void *dbias = call->tensor[CONV2D_BACKWARD_DBIAS].data;
    CHECK(!call->attached);
    check_shapes(plan, x->shape, weight->shape, dy->shape);
    bool added = dweight->data && backward_dweight(cuda, plan, x, dy, dweight, dbias);
    if (dbias && !added)
        CUDA_CHECK(cuda_column_sum_launch(cuda->lane->stream, cuda->type, cuda_matrix_of(dy), cuda->multiprocessors,
                                          cuda->lane->scratch, 1, dy->data, dbias));
    if (dx->data) backward_dx(cuda, plan, plan->filter16 ? plan->filter16 : weight->data, dy, dx);
}

/* --- launches --- */

static int64_t bytes_of(const struct program *program, const struct op *op, int slot)
{
    return (int64_t)program->tensors[op->tensor[slot]].bytes;
}

static struct op_launches launches_conv2d(const struct program *program, const struct op *op)
{
    const struct cuda_backend *cuda = (const struct cuda_backend *)program->backend;
    struct op_launches launches = {.count = 1};
    bool narrow = cuda->type == CUDA_BF16;
    bool rounds = narrow && program->tensors[op->tensor[CONV2D_WEIGHT]].kind != TENSOR_ROUNDED;
    if (rounds) launches.count++, launches.more_bytes += bytes_of(program, op, CONV2D_WEIGHT);
    int bias = op->tensor[CONV2D_BIAS];
    /* A product takes a bias of y's type along. */
    bool along =
        cublas_linear_takes(op->conv2d) && bias >= 0 && (program->tensors[bias].kind == TENSOR_ROUNDED) == narrow;
    if (bias >= 0 && !along) launches.count++, launches.more_bytes += 2 * bytes_of(program, op, CONV2D_Y);
    return launches;
}

static struct op_launches launches_conv2d_backward(const struct program *program, const struct op *op)
{
    const struct cuda_backend *cuda = (const struct cuda_backend *)program->backend;
    bool dx = op->tensor[CONV2D_BACKWARD_DX] >= 0, dweight = op->tensor[CONV2D_BACKWARD_DWEIGHT] >= 0;
    bool dbias = op->tensor[CONV2D_BACKWARD_DBIAS] >= 0 && !(dweight && cublas_linear_takes(op->conv2d));
    bool widened = dweight && cuda->type == CUDA_BF16 && !cublas_linear_takes(op->conv2d) &&
                   program->tensors[op->tensor[CONV2D_BACKWARD_DWEIGHT]].kind != TENSOR_ROUNDED;
    struct op_launches launches = {.count = dx + dweight + dbias + widened};
    launches.more_bytes = (dx + dweight + dbias - 1) * bytes_of(program, op, CONV2D_BACKWARD_DY);
    if (!dweight) launches.more_bytes -= bytes_of(program, op, CONV2D_BACKWARD_X);
    if (!dx) launches.more_bytes -= bytes_of(program, op, CONV2D_BACKWARD_WEIGHT);
    if (widened) launches.more_bytes += bytes_of(program, op, CONV2D_BACKWARD_DWEIGHT);
    return launches;
}

void cuda_conv2d_install(struct op_function *functions)
{
    functions[OP_CONV2D] = (struct op_function){
        .run = run_conv2d, .prepare = prepare_conv2d, .release = release_conv2d, .launches = launches_conv2d};
    functions[OP_CONV2D_BACKWARD] = (struct op_function){
        .run = run_conv2d_backward, .prepare = prepare_conv2d_backward, .launches = launches_conv2d_backward};
}
