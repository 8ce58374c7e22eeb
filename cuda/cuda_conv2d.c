/* Convolution through cuDNN (formulas: cpu_conv2d.c). A 1x1 window that moves pixel by pixel, as for a linear layer,
 * goes through cuBLAS. Each of the three passes has a choice of algorithms. It is made once per pass and batch size.
 * Normally all that run are timed and the fastest is taken. Where runs are to be reproducible, only those that cuDNN
 * calls deterministic count, and the first that runs is taken, in the order of speed that cuDNN expects. None may take
 * more than the workspace. Where cuDNN has no algorithm, simple kernels of our own are used (cuda_conv2d.cu).
 *
 * In bf16 the forward pass rounds the filter into scratch memory, and the backward pass uses that. cuDNN's filter
 * gradient comes in bf16 too and is widened. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cublas_linear.h"
#include "util/memory.h"

enum pass_kind { PASS_FORWARD, PASS_DX, PASS_DWEIGHT, PASS_COUNT };
enum { CANDIDATES = 16 };
static const char *const pass_names[] = {"forward", "input gradient", "filter gradient"};

/* The algorithm of a pass for one batch size. */
struct pass {
    bool chosen;
    bool own; /* taken by our kernels: cuDNN has none */
    int algorithm;
    cudnnConvolutionDescriptor_t convolution; /* carries the algorithm's kind of arithmetic */
};

struct batch {
    int64_t n;
    cudnnTensorDescriptor_t x, y;
    struct pass pass[PASS_COUNT];
};

struct conv2d_plan {
    struct window window;
    struct shape input; /* n is the largest batch */
    int64_t output_channels;
    struct cublas_linear *linear; /* for a 1x1 window; else NULL */
    void *filter16, *dfilter16;   /* bf16 only */
    cudnnFilterDescriptor_t filter;
    int batch_count;
    struct batch *batches;
};

/* Addresses of a pass: forward x, filter -> y; dx dy, filter -> dx; dweight x, dy -> dfilter. */
struct operands {
    const void *x, *y, *filter;
    void *result;
};

/* cuDNN's proposal for a pass. */
struct candidate {
    int algorithm;
    bool usable;
    cudnnMathType_t math;
};

/* --- plans --- */

static cudnnDataType_t data_type(const struct cuda_backend *cuda)
{
    return cuda->type == CUDA_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

/* Makes a plan for inputs (n,I,H,W) with n <= input.n. */
static struct conv2d_plan *plan_create(struct cuda_backend *cuda, struct window window, struct shape input,
                                       int64_t output_channels)
{
    struct conv2d_plan *plan = memory_alloc(1, sizeof *plan);
    size_t filter_count = (size_t)(output_channels * window.kernel * window.kernel * input.c);
    plan->window = window;
    plan->input = input;
    plan->output_channels = output_channels;
    cuda_need_workspace(cuda);
    if (window.kernel == 1 && window.stride == 1 && window.padding == 0)
        plan->linear = cublas_linear_create(cuda, cuda->type, input.c, output_channels);
    if (cuda->type == CUDA_BF16) {
        plan->filter16 = cuda_alloc(cuda, filter_count * 2);
        if (!plan->linear) plan->dfilter16 = cuda_alloc(cuda, filter_count * 2);
    }
    CUDNN_CHECK(cudnnCreateFilterDescriptor(&plan->filter));
    CUDNN_CHECK(cudnnSetFilter4dDescriptor(plan->filter, data_type(cuda), CUDNN_TENSOR_NHWC, (int)output_channels,
                                           (int)input.c, (int)window.kernel, (int)window.kernel));
    return plan;
}

static void *prepare_conv2d(const struct prepared *prepared, const struct op_call *call)
{
    return plan_create(cuda_backend_of(prepared->backend), call->op->conv2d, call->tensor[CONV2D_X].shape,
                       call->tensor[CONV2D_WEIGHT].shape.n);
}

/* Backward uses the filter that forward has rounded. */
static void *prepare_conv2d_backward(const struct prepared *prepared, const struct op_call *call)
{
    return prepared_forward_call(prepared, call)->plan;
}

static void release_conv2d(struct backend *backend, void *released)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    struct conv2d_plan *plan = released;
    for (int i = 0; i < plan->batch_count; i++) {
        struct batch *batch = &plan->batches[i];
        CUDNN_CHECK(cudnnDestroyTensorDescriptor(batch->x));
        CUDNN_CHECK(cudnnDestroyTensorDescriptor(batch->y));
        for (int kind = 0; kind < PASS_COUNT; kind++)
            if (batch->pass[kind].convolution)
                CUDNN_CHECK(cudnnDestroyConvolutionDescriptor(batch->pass[kind].convolution));
    }
    cublas_linear_destroy(plan->linear);
    cuda_free(cuda, plan->filter16);
    cuda_free(cuda, plan->dfilter16);
    CUDNN_CHECK(cudnnDestroyFilterDescriptor(plan->filter));
    free(plan->batches);
    free(plan);
}

static struct shape output_of(const struct conv2d_plan *plan, int64_t n)
{
    return (struct shape){n, plan->output_channels, window_output_size(plan->input.h, plan->window),
                          window_output_size(plan->input.w, plan->window)};
}

static cudnnTensorDescriptor_t make_descriptor(const struct cuda_backend *cuda, struct shape s)
{
    cudnnTensorDescriptor_t descriptor;
    CUDNN_CHECK(cudnnCreateTensorDescriptor(&descriptor));
    CUDNN_CHECK(cudnnSetTensor4dDescriptor(descriptor, CUDNN_TENSOR_NHWC, data_type(cuda), (int)s.n, (int)s.c, (int)s.h,
                                           (int)s.w));
    return descriptor;
}

static struct batch *find_batch(const struct cuda_backend *cuda, struct conv2d_plan *plan, int64_t n)
{
    for (int i = 0; i < plan->batch_count; i++)
        if (plan->batches[i].n == n) return &plan->batches[i];
    CHECK(!cuda->recording); /* a body runs once before it is recorded */
    plan->batches = memory_resize(plan->batches, (size_t)plan->batch_count + 1, sizeof *plan->batches);
    struct batch *batch = &plan->batches[plan->batch_count++];
    struct shape input = plan->input;
    input.n = n;
    *batch = (struct batch){.n = n, .x = make_descriptor(cuda, input), .y = make_descriptor(cuda, output_of(plan, n))};
    return batch;
}

/* --- the choice of an algorithm --- */

/* fp32 means fp32: without this, cuDNN would use the tensor cores' 19-bit TF32. */
static cudnnMathType_t default_math(const struct cuda_backend *cuda)
{
    return cuda->options.precision == PRECISION_FP32 ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH;
}

static cudnnConvolutionDescriptor_t make_convolution(const struct cuda_backend *cuda, const struct conv2d_plan *plan)
{
    cudnnConvolutionDescriptor_t descriptor;
    int padding = (int)plan->window.padding, stride = (int)plan->window.stride;
    CUDNN_CHECK(cudnnCreateConvolutionDescriptor(&descriptor));
    CUDNN_CHECK(cudnnSetConvolution2dDescriptor(descriptor, padding, padding, stride, stride, 1, 1,
                                                CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
    CUDNN_CHECK(cudnnSetConvolutionMathType(descriptor, default_math(cuda)));
    return descriptor;
}

/* The perf structures of the three passes differ in the type of `algo` alone. */
/* clang-format off */
#define TAKE_CANDIDATES(found, count, list)                                                                            \
    for (int i = 0; i < (count); i++)                                                                                  \
        (list)[i] = (struct candidate){                                                                                \
            (int)(found)[i].algo,                                                                                      \
            (found)[i].status == CUDNN_STATUS_SUCCESS &&                                                               \
                (!cuda->options.deterministic || (found)[i].determinism == CUDNN_DETERMINISTIC),                       \
            (found)[i].mathType}
/* clang-format on */

static cudnnStatus_t find_forward(struct cuda_backend *cuda, struct conv2d_plan *plan, struct batch *batch,
                                  const struct operands *operands, struct candidate *list, int *count)
{
    cudnnConvolutionFwdAlgoPerf_t found[CANDIDATES];
    cudnnConvolutionDescriptor_t convolution = batch->pass[PASS_FORWARD].convolution;
    cudnnStatus_t status =
        cuda->options.deterministic
            ? cudnnGetConvolutionForwardAlgorithm_v7(cuda->cudnn, batch->x, plan->filter, convolution, batch->y,
                                                     CANDIDATES, count, found)
            : cudnnFindConvolutionForwardAlgorithmEx(cuda->cudnn, batch->x, operands->x, plan->filter, operands->filter,
                                                     convolution, batch->y, operands->result, CANDIDATES, count, found,
                                                     cuda->workspace, cuda->workspace_bytes);
    if (status == CUDNN_STATUS_SUCCESS) TAKE_CANDIDATES(found, *count, list);
    return status;
}

static cudnnStatus_t find_dx(struct cuda_backend *cuda, struct conv2d_plan *plan, struct batch *batch,
                             const struct operands *operands, struct candidate *list, int *count)
{
    cudnnConvolutionBwdDataAlgoPerf_t found[CANDIDATES];
    cudnnConvolutionDescriptor_t convolution = batch->pass[PASS_DX].convolution;
    cudnnStatus_t status =
        cuda->options.deterministic
            ? cudnnGetConvolutionBackwardDataAlgorithm_v7(cuda->cudnn, plan->filter, batch->y, convolution, batch->x,
                                                          CANDIDATES, count, found)
            : cudnnFindConvolutionBackwardDataAlgorithmEx(
                  cuda->cudnn, plan->filter, operands->filter, batch->y, operands->y, convolution, batch->x,
                  operands->result, CANDIDATES, count, found, cuda->workspace, cuda->workspace_bytes);
    if (status == CUDNN_STATUS_SUCCESS) TAKE_CANDIDATES(found, *count, list);
    return status;
}

static cudnnStatus_t find_dweight(struct cuda_backend *cuda, struct conv2d_plan *plan, struct batch *batch,
                                  const struct operands *operands, struct candidate *list, int *count)
{
    cudnnConvolutionBwdFilterAlgoPerf_t found[CANDIDATES];
    cudnnConvolutionDescriptor_t convolution = batch->pass[PASS_DWEIGHT].convolution;
    cudnnStatus_t status =
        cuda->options.deterministic
            ? cudnnGetConvolutionBackwardFilterAlgorithm_v7(cuda->cudnn, batch->x, batch->y, convolution, plan->filter,
                                                            CANDIDATES, count, found)
            : cudnnFindConvolutionBackwardFilterAlgorithmEx(cuda->cudnn, batch->x, operands->x, batch->y, operands->y,
                                                            convolution, plan->filter, operands->result, CANDIDATES,
                                                            count, found, cuda->workspace, cuda->workspace_bytes);
    if (status == CUDNN_STATUS_SUCCESS) TAKE_CANDIDATES(found, *count, list);
    return status;
}

static cudnnStatus_t workspace_size(struct cuda_backend *cuda, struct conv2d_plan *plan, struct batch *batch,
                                    enum pass_kind kind, int algorithm, size_t *bytes)
{
    cudnnConvolutionDescriptor_t convolution = batch->pass[kind].convolution;
    switch (kind) {
    case PASS_FORWARD:
        return cudnnGetConvolutionForwardWorkspaceSize(cuda->cudnn, batch->x, plan->filter, convolution, batch->y,
                                                       (cudnnConvolutionFwdAlgo_t)algorithm, bytes);
    case PASS_DX:
        return cudnnGetConvolutionBackwardDataWorkspaceSize(cuda->cudnn, plan->filter, batch->y, convolution, batch->x,
                                                            (cudnnConvolutionBwdDataAlgo_t)algorithm, bytes);
    default:
        return cudnnGetConvolutionBackwardFilterWorkspaceSize(cuda->cudnn, batch->x, batch->y, convolution,
                                                              plan->filter, (cudnnConvolutionBwdFilterAlgo_t)algorithm,
                                                              bytes);
    }
}

static void note_own_kernels(const struct conv2d_plan *plan, int64_t n, enum pass_kind kind)
{
    struct shape s = plan->input;
    fprintf(stderr,
            "trainer: note: cuDNN offers no algorithm for the %s of a %" PRId64 "x%" PRId64 " convolution of %" PRId64
            "x%" PRId64 "x%" PRId64 "x%" PRId64 " to %" PRId64 " channels; a slow one of our own is used\n",
            pass_names[kind], plan->window.kernel, plan->window.kernel, n, s.c, s.h, s.w, plan->output_channels);
}

static cudnnStatus_t run_cudnn(struct cuda_backend *cuda, struct conv2d_plan *plan, struct batch *batch,
                               enum pass_kind kind, const struct operands *operands)
{
    const struct pass *pass = &batch->pass[kind];
    const float one = 1, zero = 0;
    switch (kind) {
    case PASS_FORWARD:
        return cudnnConvolutionForward(cuda->cudnn, &one, batch->x, operands->x, plan->filter, operands->filter,
                                       pass->convolution, (cudnnConvolutionFwdAlgo_t)pass->algorithm, cuda->workspace,
                                       cuda->workspace_bytes, &zero, batch->y, operands->result);
    case PASS_DX:
        return cudnnConvolutionBackwardData(cuda->cudnn, &one, plan->filter, operands->filter, batch->y, operands->y,
                                            pass->convolution, (cudnnConvolutionBwdDataAlgo_t)pass->algorithm,
                                            cuda->workspace, cuda->workspace_bytes, &zero, batch->x, operands->result);
    default:
        return cudnnConvolutionBackwardFilter(cuda->cudnn, &one, batch->x, operands->x, batch->y, operands->y,
                                              pass->convolution, (cudnnConvolutionBwdFilterAlgo_t)pass->algorithm,
                                              cuda->workspace, cuda->workspace_bytes, &zero, plan->filter,
                                              operands->result);
    }
}

/* False where there is only no such algorithm. */
static bool is_failure(cudnnStatus_t status)
{
    return status >= CUDNN_STATUS_INTERNAL_ERROR;
}

struct trial {
    struct cuda_backend *cuda;
    struct conv2d_plan *plan;
    struct batch *batch;
    enum pass_kind kind;
    const struct operands *operands;
};

static bool start_trial(void *argument)
{
    const struct trial *trial = argument;
    cudnnStatus_t status = run_cudnn(trial->cuda, trial->plan, trial->batch, trial->kind, trial->operands);
    if (is_failure(status)) CUDNN_CHECK(status);
    return status == CUDNN_STATUS_SUCCESS;
}

/* Puts the candidate into the pass and returns its time. Returns infinity where the candidate does not fit or is
 * refused, as happens to some that the heuristic proposes. */
static float try_candidate(struct trial *trial, const struct candidate *candidate)
{
    struct cuda_backend *cuda = trial->cuda;
    struct pass *pass = &trial->batch->pass[trial->kind];
    size_t bytes = 0;
    if (!candidate->usable) return __builtin_inff();
    if (cuda->options.precision != PRECISION_FP32)
        CUDNN_CHECK(cudnnSetConvolutionMathType(pass->convolution, candidate->math));
    pass->algorithm = candidate->algorithm;
    cudnnStatus_t status = workspace_size(cuda, trial->plan, trial->batch, trial->kind, candidate->algorithm, &bytes);
    if (status != CUDNN_STATUS_SUCCESS || bytes > cuda->workspace_bytes) return __builtin_inff();
    if (cuda->options.deterministic) return start_trial(trial) ? 0 : __builtin_inff();
    return cuda_time(cuda, start_trial, trial);
}

/* Chooses the fastest of the candidates, or the first that runs where every run must choose the same. Returns false
 * where none runs. */
static bool choose_candidate(struct trial *trial, const struct candidate *list, int count)
{
    struct pass *pass = &trial->batch->pass[trial->kind];
    const struct candidate *best = NULL;
    float fastest = __builtin_inff();
    for (int i = 0; i < count && !(best && trial->cuda->options.deterministic); i++) {
        float milliseconds = try_candidate(trial, &list[i]);
        if (milliseconds < fastest) fastest = milliseconds, best = &list[i];
    }
    if (!best) return false;
    pass->algorithm = best->algorithm;
    if (trial->cuda->options.precision != PRECISION_FP32)
        CUDNN_CHECK(cudnnSetConvolutionMathType(pass->convolution, best->math));
    return true;
}

static void choose(struct cuda_backend *cuda, struct conv2d_plan *plan, struct batch *batch, enum pass_kind kind,
                   const struct operands *operands)
{
    struct candidate list[CANDIDATES];
    struct pass *pass = &batch->pass[kind];
    struct trial trial = {cuda, plan, batch, kind, operands};
    int count = 0;
    CHECK(!cuda->recording);
    pass->convolution = make_convolution(cuda, plan);
    cudnnStatus_t status = (kind == PASS_FORWARD ? find_forward
                            : kind == PASS_DX    ? find_dx
                                                 : find_dweight)(cuda, plan, batch, operands, list, &count);
    if (is_failure(status)) CUDNN_CHECK(status);
    if (status != CUDNN_STATUS_SUCCESS) count = 0;
    pass->chosen = true;
    pass->own = !choose_candidate(&trial, list, count);
    if (pass->own) note_own_kernels(plan, batch->n, kind);
}

/* --- passes --- */

/* Computes a pass with our own kernels, also those of a linear layer that neither library computes. */
static void run_own(struct cuda_backend *cuda, const struct conv2d_plan *plan, int64_t n, enum pass_kind kind,
                    const struct operands *operands)
{
    struct cuda_convolution task = {plan->window, plan->input, output_of(plan, n)};
    task.x.n = n;
    if (kind == PASS_FORWARD)
        CUDA_CHECK(cuda_conv2d_forward_launch(cuda->stream, cuda->type, &task, operands->x, operands->filter,
                                              operands->result));
    else if (kind == PASS_DX)
        CUDA_CHECK(
            cuda_conv2d_dx_launch(cuda->stream, cuda->type, &task, operands->filter, operands->y, operands->result));
    else
        CUDA_CHECK(
            cuda_conv2d_dweight_launch(cuda->stream, cuda->type, &task, operands->x, operands->y, operands->result));
}

/* Runs forward or dx, whose result has the activations' type. */
static void run_pass(struct cuda_backend *cuda, struct conv2d_plan *plan, int64_t n, enum pass_kind kind,
                     const struct operands *operands)
{
    struct batch *batch = find_batch(cuda, plan, n);
    if (!batch->pass[kind].chosen) choose(cuda, plan, batch, kind, operands);
    if (batch->pass[kind].own)
        run_own(cuda, plan, n, kind, operands);
    else
        CUDNN_CHECK(run_cudnn(cuda, plan, batch, kind, operands));
}

static void run_dweight(struct cuda_backend *cuda, struct conv2d_plan *plan, int64_t n, const struct operands *operands)
{
    struct batch *batch = find_batch(cuda, plan, n);
    struct operands narrow = *operands;
    bool widen = plan->dfilter16 != NULL;
    if (widen) narrow.result = plan->dfilter16;
    if (!batch->pass[PASS_DWEIGHT].chosen) choose(cuda, plan, batch, PASS_DWEIGHT, &narrow);
    if (batch->pass[PASS_DWEIGHT].own) {
        run_own(cuda, plan, n, PASS_DWEIGHT, operands);
        return;
    }
    CUDNN_CHECK(run_cudnn(cuda, plan, batch, PASS_DWEIGHT, &narrow));
    int64_t count = plan->output_channels * plan->input.c * plan->window.kernel * plan->window.kernel;
    if (widen) CUDA_CHECK(cuda_from_bf16_launch(cuda->stream, count, plan->dfilter16, operands->result));
}

/* --- operations --- */

static void check_shapes(const struct conv2d_plan *plan, struct shape x, struct shape weight, struct shape y)
{
    CHECK(x.n <= plan->input.n && x.c == plan->input.c && x.h == plan->input.h && x.w == plan->input.w);
    CHECK(weight.n == plan->output_channels && weight.c == x.c);
    CHECK(weight.h == plan->window.kernel && weight.w == plan->window.kernel);
    CHECK(shape_equal(y, output_of(plan, x.n)));
}

/* Returns the filter in the activations' type. */
static const void *round_filter(struct cuda_backend *cuda, struct conv2d_plan *plan, const struct tensor *weight)
{
    if (!plan->filter16) return weight->data;
    CUDA_CHECK(cuda_to_bf16_launch(cuda->stream, shape_count(weight->shape), weight->data, plan->filter16));
    return plan->filter16;
}

static void run_conv2d(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    struct conv2d_plan *plan = call->plan;
    const struct tensor *x = &call->tensor[CONV2D_X], *weight = &call->tensor[CONV2D_WEIGHT];
    const struct tensor *bias = &call->tensor[CONV2D_BIAS], *y = &call->tensor[CONV2D_Y];
    check_shapes(plan, x->shape, weight->shape, y->shape);
    struct operands operands = {.x = x->data, .filter = round_filter(cuda, plan, weight), .result = y->data};
    bool added = false;
    if (!plan->linear) {
        run_pass(cuda, plan, x->shape.n, PASS_FORWARD, &operands);
    } else if (!cublas_linear_forward(plan->linear, cuda_matrix_of(x).m, x->data, operands.filter, bias->data, y->data,
                                      &added)) {
        run_own(cuda, plan, x->shape.n, PASS_FORWARD, &operands);
    }
    if (!bias->data || added) return;
    CUDA_CHECK(
        cuda_bias_launch(cuda->stream, cuda->type, cuda_matrix_of(y), cuda->multiprocessors, bias->data, y->data));
}

static void backward_dx(struct cuda_backend *cuda, struct conv2d_plan *plan, const void *filter,
                        const struct tensor *dy, const struct tensor *dx)
{
    struct operands operands = {.y = dy->data, .filter = filter, .result = dx->data};
    if (!plan->linear)
        run_pass(cuda, plan, dy->shape.n, PASS_DX, &operands);
    else if (!cublas_linear_dx(plan->linear, cuda_matrix_of(dy).m, filter, dy->data, dx->data))
        run_own(cuda, plan, dy->shape.n, PASS_DX, &operands);
}

/* Returns true where the same kernel computed dbias, which may be NULL. */
static bool backward_dweight(struct cuda_backend *cuda, struct conv2d_plan *plan, const struct tensor *x,
                             const struct tensor *dy, void *dweight, void *dbias)
{
    struct operands operands = {.x = x->data, .y = dy->data, .result = dweight};
    bool added = false;
    if (!plan->linear) {
        run_dweight(cuda, plan, x->shape.n, &operands);
    } else if (!cublas_linear_dweight(plan->linear, cuda_matrix_of(x).m, x->data, dy->data, dweight, dbias, &added)) {
        run_own(cuda, plan, x->shape.n, PASS_DWEIGHT, &operands);
    }
    return added;
}

static void run_conv2d_backward(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    struct conv2d_plan *plan = call->plan;
    const struct tensor *x = &call->tensor[CONV2D_BACKWARD_X], *weight = &call->tensor[CONV2D_BACKWARD_WEIGHT];
    const struct tensor *dy = &call->tensor[CONV2D_BACKWARD_DY], *dx = &call->tensor[CONV2D_BACKWARD_DX];
    void *dweight = call->tensor[CONV2D_BACKWARD_DWEIGHT].data, *dbias = call->tensor[CONV2D_BACKWARD_DBIAS].data;
    CHECK(!call->attached);
    check_shapes(plan, x->shape, weight->shape, dy->shape);
    bool added = dweight && backward_dweight(cuda, plan, x, dy, dweight, dbias);
    if (dbias && !added)
        CUDA_CHECK(cuda_column_sum_launch(cuda->stream, cuda->type, cuda_matrix_of(dy), cuda->multiprocessors,
                                          cuda->scratch, 1, dy->data, dbias));
    if (dx->data) backward_dx(cuda, plan, plan->filter16 ? plan->filter16 : weight->data, dy, dx);
}

void cuda_conv2d_install(struct op_function *functions)
{
    functions[OP_CONV2D] =
        (struct op_function){.run = run_conv2d, .prepare = prepare_conv2d, .release = release_conv2d};
    functions[OP_CONV2D_BACKWARD] =
        (struct op_function){.run = run_conv2d_backward, .prepare = prepare_conv2d_backward};
}
