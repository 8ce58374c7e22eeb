/* The host side of the optimizers and of the moving average; cuda_optimizer.cu has the kernels. */
#include "cuda_muon.h"

static void *prepare_update(const struct prepared *prepared, const struct op_call *call)
{
    if (!optimizer_row(call->op->update.kind)->matrix) return NULL;
    CHECK(call->op->update.kind == OPTIMIZER_MUON);
    return cuda_muon_plan_create(cuda_backend_of(prepared->backend), call->tensor[UPDATE_W].shape);
}

static void release_update(struct backend *backend, void *plan)
{
    cuda_muon_plan_free(cuda_backend_of(backend), plan);
}

static struct cuda_update update_of(const struct op_call *call)
{
    const struct tensor *t = call->tensor;
    return (struct cuda_update){.rule = call->op->update,
                                .count = shape_count(t[UPDATE_W].shape),
                                .w = t[UPDATE_W].data,
                                .dw = t[UPDATE_DW].data,
                                .state = {t[UPDATE_STATE_0].data, t[UPDATE_STATE_1].data}};
}

static void run_update(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    struct cuda_update update = update_of(call);
    if (update.count == 0) return;
    if (call->plan)
        cuda_muon_update(cuda, call->plan, &update);
    else
        CUDA_CHECK(cuda_update_launch(cuda->stream, &update, cuda_state(cuda), cuda->multiprocessors));
}

static struct op_launches launches_update(const struct program *program, const struct op *op)
{
    if (optimizer_row(op->update.kind)->matrix) return cuda_muon_launches(program_shape(program, op, UPDATE_W));
    return (struct op_launches){.count = 1};
}

static void run_average(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *average = &call->tensor[AVERAGE_AVERAGE], *w = &call->tensor[AVERAGE_W];
    int64_t count = shape_count(average->shape);
    if (count == 0) return;
    CUDA_CHECK(cuda_average_launch(cuda->stream, call->op->average, cuda_state(cuda), count, average->data, w->data));
}

void cuda_optimizer_install(struct op_function *functions)
{
    functions[OP_UPDATE] = (struct op_function){
        .run = run_update, .prepare = prepare_update, .release = release_update, .launches = launches_update};
    functions[OP_AVERAGE] = (struct op_function){.run = run_average};
}
