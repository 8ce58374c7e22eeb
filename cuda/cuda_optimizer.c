/* The host side of the optimizers, of the moving average and of sums; cuda_optimizer.cu has the kernels. */
#include <stdlib.h>

#include "cuda_muon.h"
#include "util/memory.h"

/* What an update keeps: the matrices of Muon, or the lines of the range whose gradients are in bf16 (struct cuda_update);
 * NULL: none. */
struct update_plan {
    struct cuda_muon_plan *muon;
    uint32_t *narrow;
};

/* Calls with the elements first .. first + count - 1 of the range w of each parameter whose gradient is in bf16. Returns
 * the sum of the counts. */
static int64_t each_narrow(const struct program *program, int w, void (*with)(void *to, int64_t first, int64_t count),
                           void *to)
{
    const struct program_tensor *range = &program->tensors[w];
    int64_t sum = 0;
    for (int t = 0; t < program->tensor_count; t++) {
        const struct program_tensor *at = &program->tensors[t];
        if (at->gradient < 0 || program->tensors[at->gradient].space != SPACE_ROUNDED_GRADIENTS) continue;
        int64_t first = (at->offset - range->offset) / (int64_t)sizeof(float), count = shape_count(at->shape);
        if (first < 0 || first >= shape_count(range->shape)) continue;
        if (with) with(to, first, count);
        sum += count;
    }
    return sum;
}

static void mark_lines(void *to, int64_t first, int64_t count)
{
    uint32_t *narrow = to;
    CHECK(first % CUDA_LINE == 0);
    for (int64_t line = first / CUDA_LINE; line * CUDA_LINE < first + count; line++)
        narrow[line / 32] |= UINT32_C(1) << (line % 32);
}

static uint32_t *upload_lines(struct cuda_backend *cuda, const struct program *program, const struct op *op)
{
    int w = op->tensor[UPDATE_W];
    size_t words = (size_t)(shape_count(program->tensors[w].shape) / (CUDA_LINE * 32) + 1);
    uint32_t *lines = memory_alloc(words, sizeof *lines), *narrow = cuda_alloc(cuda, words * sizeof *lines);
    each_narrow(program, w, mark_lines, lines);
    CUDA_CHECK(cudaMemcpyAsync(narrow, lines, words * sizeof *lines, cudaMemcpyHostToDevice, cuda->lane->stream));
    free(lines); /* a copy from memory that is not page-locked has read it */
    return narrow;
}

static void *prepare_update(const struct prepared *prepared, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(prepared->backend);
    struct update_plan *plan = memory_alloc(1, sizeof *plan);
    if (optimizer_row(call->op->update.kind)->matrix) {
        CHECK(call->op->update.kind == OPTIMIZER_MUON);
        plan->muon = cuda_muon_plan_create(cuda, call->tensor[UPDATE_W].shape);
    } else if (call->tensor[UPDATE_DW_ROUNDED].data) {
        plan->narrow = upload_lines(cuda, prepared->program, call->op);
    }
    return plan;
}

static void release_update(struct backend *backend, void *released)
{
    struct update_plan *plan = released;
    cuda_muon_plan_free(cuda_backend_of(backend), plan->muon);
    cuda_free(cuda_backend_of(backend), plan->narrow);
    free(plan);
}

static struct cuda_update update_of(const struct op_call *call)
{
    const struct tensor *t = call->tensor;
    const struct update_plan *plan = call->plan;
    return (struct cuda_update){.rule = call->op->update,
                                .count = shape_count(t[UPDATE_W].shape),
                                .w = t[UPDATE_W].data,
                                .dw = t[UPDATE_DW].data,
                                .rounded = t[UPDATE_ROUNDED].data,
                                .dw_rounded = t[UPDATE_DW_ROUNDED].data,
                                .narrow = plan->narrow,
                                .state = {t[UPDATE_STATE_0].data, t[UPDATE_STATE_1].data}};
}

static void run_update(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    struct cuda_update update = update_of(call);
    const struct update_plan *plan = call->plan;
    if (update.count == 0) return;
    if (plan->muon)
        cuda_muon_update(cuda, plan->muon, &update);
    else
        CUDA_CHECK(cuda_update_launch(cuda->lane->stream, &update, cuda_state(cuda), cuda->multiprocessors));
}

/* Each gradient is read in one of its two places. */
static struct op_launches launches_update(const struct program *program, const struct op *op)
{
    if (optimizer_row(op->update.kind)->matrix)
        return cuda_muon_launches(program_shape(program, op, UPDATE_W), &op->update.params);
    if (op->tensor[UPDATE_DW_ROUNDED] < 0) return (struct op_launches){.count = 1};
    int64_t count = shape_count(program_shape(program, op, UPDATE_W));
    int64_t narrow = each_narrow(program, op->tensor[UPDATE_W], NULL, NULL);
    return (struct op_launches){1, -(narrow * (int64_t)sizeof(float) + (count - narrow) * 2)};
}

static void run_average(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *average = &call->tensor[AVERAGE_AVERAGE], *w = &call->tensor[AVERAGE_W];
    int64_t count = shape_count(average->shape);
    if (count == 0) return;
    CUDA_CHECK(
        cuda_average_launch(cuda->lane->stream, call->op->average, cuda_state(cuda), count, average->data, w->data));
}

static void run_accumulate(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *to = &call->tensor[ACCUMULATE_TO], *from = &call->tensor[ACCUMULATE_FROM];
    cudaStream_t stream = cuda->lane->stream;
    if (to->kind == TENSOR_METRICS) {
        CHECK(call->op->accumulate == 1);
        CUDA_CHECK(cuda_accumulate_metrics_launch(stream, to->data, from->data));
        return;
    }
    int64_t count = shape_count(to->shape);
    if (count > 0) CUDA_CHECK(cuda_accumulate_launch(stream, call->op->accumulate, count, to->data, from->data));
}

void cuda_optimizer_install(struct op_function *functions)
{
    functions[OP_UPDATE] = (struct op_function){
        .run = run_update, .prepare = prepare_update, .release = release_update, .launches = launches_update};
    functions[OP_AVERAGE] = (struct op_function){.run = run_average};
    functions[OP_ACCUMULATE] = (struct op_function){.run = run_accumulate};
}
