/* The moving average of a network's parameters and running statistics (ema.h). */
#include "optim/ema.h"

#include "backend/prepared.h"

void ema_create(struct ema *ema, double decay, struct network *network)
{
    *ema = (struct ema){.network = network, .decay = decay};
    if (decay == 0) return;
    struct backend *backend = network->backend;
    ema->parameters = backend->table->alloc(backend, network->arena_count * backend->scalar_size);
    ema->buffers = backend->table->alloc(backend, network->buffer_count * backend->scalar_size);
}

/* From zero, the average with decay 0 is w to the bit. */
static void restart(struct backend *backend, size_t count, void *average, void *w)
{
    struct shape shape = shape_vector((int64_t)count);
    const struct tensor to = {average, shape, TENSOR_FLAT}, from = {w, shape, TENSOR_FLAT};
    if (count == 0) return;
    backend->table->zero(backend, average, count * backend->scalar_size);
    backend_run_op(backend, op_make(OP_AVERAGE), (struct run_input){.n = 1},
                   OPERANDS([AVERAGE_AVERAGE] = &to, [AVERAGE_W] = &from));
}

void ema_restart(struct ema *ema)
{
    const struct network *network = ema->network;
    if (ema->decay == 0) return;
    restart(network->backend, network->arena_count, ema->parameters, network->parameters);
    restart(network->backend, network->buffer_count, ema->buffers, network->buffers);
}

void ema_destroy(struct ema *ema)
{
    if (ema->decay > 0) {
        struct backend *backend = ema->network->backend;
        backend->table->free(backend, ema->parameters);
        backend->table->free(backend, ema->buffers);
    }
    *ema = (struct ema){0};
}

/* Appends an AVERAGE of a whole arena. */
static void write_average(const struct ema *ema, struct program *program, size_t count, enum space average,
                          enum space value)
{
    struct program_tensor arena = {.name = "arena",
                                   .name_index = -1,
                                   .kind = TENSOR_FLAT,
                                   .shape = shape_vector((int64_t)count),
                                   .space = value,
                                   .bytes = count * ema->network->backend->scalar_size,
                                   .gradient = -1};
    struct op op = op_make(OP_AVERAGE);
    op.phase = PHASE_OPTIMIZER;
    op.average = ema->decay;
    if (count == 0) return;
    op.tensor[AVERAGE_W] = program_tensor_add(program, arena);
    arena.name = "average", arena.space = average;
    op.tensor[AVERAGE_AVERAGE] = program_tensor_add(program, arena);
    program_add(program, op);
}

void ema_write(const struct ema *ema, struct program *program)
{
    const struct network *network = ema->network;
    if (ema->decay == 0) return;
    write_average(ema, program, network->arena_count, SPACE_AVERAGE, SPACE_PARAMETERS);
    write_average(ema, program, network->buffer_count, SPACE_AVERAGE_STATISTICS, SPACE_STATISTICS);
}

void ema_bases(const struct ema *ema, void *base[])
{
    base[SPACE_AVERAGE] = ema->parameters;
    base[SPACE_AVERAGE_STATISTICS] = ema->buffers;
}

void ema_evaluation_bases(const struct ema *ema, void *base[])
{
    if (ema->decay == 0) return;
    base[SPACE_PARAMETERS] = ema->parameters;
    base[SPACE_STATISTICS] = ema->buffers;
}
