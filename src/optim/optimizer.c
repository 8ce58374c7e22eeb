/* Holds an optimizer's state and writes its steps into a program (optimizer.h). */
#include "trainer/optimizer.h"

void optimizer_create(struct optimizer *optimizer, enum optimizer_kind kind, const struct optimizer_params *params,
                      struct network *network)
{
    struct backend *backend = network->backend;
    *optimizer = (struct optimizer){.kind = kind, .params = *params, .network = network};
    optimizer->state_count = optimizer_state_count(optimizer->kind, &optimizer->params);
    for (int i = 0; i < optimizer->state_count; i++)
        optimizer->state[i] = backend->ops->alloc(backend, network->arena_count * backend->scalar_size);
}

void optimizer_destroy(struct optimizer *optimizer)
{
    for (int i = 0; i < optimizer->state_count; i++) {
        struct backend *backend = optimizer->network->backend;
        backend->ops->free(backend, optimizer->state[i]);
    }
    *optimizer = (struct optimizer){0};
}

void optimizer_write(const struct optimizer *optimizer, struct program *program)
{
    struct op op = op_make(OP_UPDATE);
    op.phase = PHASE_OPTIMIZER;
    op.update = (struct update){.kind = optimizer->kind, .params = optimizer->params};
    int count = program->tensor_count;
    for (int t = 0; t < count; t++) {
        struct program_tensor tensor = program->tensors[t];
        if (tensor.gradient < 0) continue;
        op.layer = tensor.name_index;
        op.tensor[UPDATE_W] = t;
        op.tensor[UPDATE_DW] = tensor.gradient;
        tensor.gradient = -1;
        for (int s = 0; s < optimizer->state_count; s++) {
            tensor.space = s == 0 ? SPACE_MOMENT_0 : SPACE_MOMENT_1;
            tensor.name = s == 0 ? "m" : "v";
            op.tensor[UPDATE_STATE_0 + s] = program_tensor_add(program, tensor);
        }
        program_add(program, op);
    }
}

void optimizer_bases(const struct optimizer *optimizer, void *base[SPACES])
{
    base[SPACE_MOMENT_0] = optimizer->state[0];
    base[SPACE_MOMENT_1] = optimizer->state[1];
}
