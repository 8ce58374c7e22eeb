/* Holds an optimizer's state and writes its steps into a program (optimizer.h). */
#include "optim/optimizer.h"

#include <stdlib.h>

#include "util/check.h"
#include "util/memory.h"

/* The weights of the last layer that has any. */
static const struct parameter *last_weight(const struct network *network)
{
    for (int i = network->layer_count - 1; i >= 0; i--)
        for (int p = 0; p < network->layers[i].parameter_count; p++)
            if (network->layers[i].parameter[p].value.kind == TENSOR_FILTER) return &network->layers[i].parameter[p];
    return NULL;
}

/* A `matrix` optimizer leaves vectors, and the weights of the last layer, to another. */
static bool is_of_rest(const struct optimizer *optimizer, const struct parameter *parameter)
{
    if (!optimizer_row(optimizer->settings.kind)->matrix) return false;
    return parameter->value.kind != TENSOR_FILTER || parameter == last_weight(optimizer->network);
}

/* Adds the parameter, whose share of the arenas ends there. */
static void add_slot(struct optimizer *optimizer, const struct parameter *parameter, int64_t end,
                     struct optimizer_part part)
{
    const struct optimizer_settings *settings = &optimizer->settings;
    const struct optimizer_rest *rest = is_of_rest(optimizer, parameter) ? &settings->rest : NULL;
    struct optimizer_slot slot = {.of = parameter,
                                  .parameter = parameter->offset,
                                  .own = {parameter->offset, end},
                                  .kind = rest ? rest->kind : settings->kind,
                                  .params = rest ? rest->params : settings->params,
                                  .rate = (rest ? rest->rate : 1) * parameter->rate};
    if (slot.own.first < part.first) slot.own.first = part.first;
    if (slot.own.last > part.last) slot.own.last = part.last;
    slot.params.weight_decay *= parameter->decay;
    slot.state_count = parameter->frozen ? 0 : optimizer_state_count(slot.kind, &slot.params);
    for (int s = 0; s < slot.state_count; s++) {
        slot.state[s] = (int64_t)optimizer->state_bytes[s];
        if (slot.own.last > slot.own.first) optimizer->state_bytes[s] += (size_t)(slot.own.last - slot.own.first);
    }
    optimizer->slots[optimizer->slot_count++] = slot;
}

static int64_t arena_bytes(const struct network *network)
{
    return (int64_t)(network->arena_count * network->backend->scalar_size);
}

/* Plans everything but the memory of the states. */
static void plan(struct optimizer *optimizer, const struct optimizer_settings *settings, struct network *network,
                 struct optimizer_part part)
{
    *optimizer = (struct optimizer){.settings = *settings, .network = network};
    size_t count = 0;
    for (int i = 0; i < network->layer_count; i++) count += (size_t)network->layers[i].parameter_count;
    optimizer->slots = memory_alloc(count, sizeof *optimizer->slots);
    const struct parameter *before = NULL;
    for (int i = 0; i < network->layer_count; i++)
        for (int p = 0; p < network->layers[i].parameter_count; p++) {
            const struct parameter *parameter = &network->layers[i].parameter[p];
            if (before) add_slot(optimizer, before, parameter->offset, part);
            before = parameter;
        }
    if (before) add_slot(optimizer, before, arena_bytes(network), part);
}

void optimizer_create_part(struct optimizer *optimizer, const struct optimizer_settings *settings,
                           struct network *network, struct optimizer_part part)
{
    struct backend *backend = network->backend;
    plan(optimizer, settings, network, part);
    for (int s = 0; s < OPTIMIZER_STATES; s++)
        if (optimizer->state_bytes[s] > 0)
            optimizer->state[s] = backend->table->alloc(backend, optimizer->state_bytes[s]);
}

void optimizer_create(struct optimizer *optimizer, const struct optimizer_settings *settings, struct network *network)
{
    optimizer_create_part(optimizer, settings, network, (struct optimizer_part){0, arena_bytes(network)});
}

void optimizer_part_bytes(const struct optimizer_settings *settings, struct network *network,
                          struct optimizer_part part, size_t bytes[OPTIMIZER_STATES])
{
    struct optimizer optimizer;
    plan(&optimizer, settings, network, part);
    for (int s = 0; s < OPTIMIZER_STATES; s++) bytes[s] = optimizer.state_bytes[s];
    free(optimizer.slots);
}

/* Moves a cut that falls within a parameter which is updated as a matrix to the nearer end of it. */
static int64_t spare_matrix(const struct optimizer *optimizer, int64_t cut)
{
    for (int i = 0; i < optimizer->slot_count; i++) {
        const struct optimizer_slot *slot = &optimizer->slots[i];
        if (cut <= slot->own.first || cut >= slot->own.last || !optimizer_row(slot->kind)->matrix) continue;
        return cut - slot->own.first < slot->own.last - cut ? slot->own.first : slot->own.last;
    }
    return cut;
}

void optimizer_cut(const struct optimizer_settings *settings, struct network *network, int count, int64_t *cuts)
{
    enum { LINE = 64 }; /* bytes */
    struct optimizer optimizer;
    int64_t bytes = arena_bytes(network), part = ((bytes + LINE - 1) / LINE + count - 1) / count * LINE;
    plan(&optimizer, settings, network, (struct optimizer_part){0, bytes});
    for (int k = 0; k <= count; k++)
        cuts[k] = k == count || k * part > bytes ? bytes : spare_matrix(&optimizer, k * part);
    free(optimizer.slots);
}

void optimizer_destroy(struct optimizer *optimizer)
{
    for (int s = 0; s < OPTIMIZER_STATES; s++)
        if (optimizer->state[s]) {
            struct backend *backend = optimizer->network->backend;
            backend->table->free(backend, optimizer->state[s]);
        }
    free(optimizer->slots);
    *optimizer = (struct optimizer){0};
}

const struct optimizer_slot *optimizer_slot_of(const struct optimizer *optimizer, int64_t parameter)
{
    for (int i = 0; i < optimizer->slot_count; i++)
        if (optimizer->slots[i].parameter == parameter) return &optimizer->slots[i];
    CHECK(!"a parameter of the network");
}

/* Appends the UPDATE of parameter `weight`, a tensor of the program. */
static void write_update(const struct optimizer *optimizer, struct program *program, int weight)
{
    struct program_tensor tensor = program->tensors[weight];
    const struct optimizer_slot *slot = optimizer_slot_of(optimizer, tensor.offset);
    struct op op = op_make(OP_UPDATE);
    op.phase = PHASE_OPTIMIZER;
    op.layer = tensor.name_index;
    op.update = (struct update){.kind = slot->kind, .params = slot->params, .rate = slot->rate};
    op.tensor[UPDATE_W] = weight;
    op.tensor[UPDATE_DW] = tensor.gradient;
    tensor.gradient = -1;
    for (int s = 0; s < slot->state_count; s++) {
        tensor.space = s == 0 ? SPACE_MOMENT_0 : SPACE_MOMENT_1;
        tensor.name = s == 0 ? "m" : "v";
        tensor.offset = slot->state[s];
        op.tensor[UPDATE_STATE_0 + s] = program_tensor_add(program, tensor);
    }
    program_add(program, op);
}

void optimizer_write(const struct optimizer *optimizer, struct program *program)
{
    int count = program->tensor_count;
    for (int t = 0; t < count; t++)
        if (program->tensors[t].gradient >= 0) write_update(optimizer, program, t);
}

/* A range of an arena: the part of the slot, or the whole filter of a matrix. */
static int add_range(const struct optimizer_slot *slot, struct program *program, const char *name, enum space space,
                     int64_t offset)
{
    bool matrix = optimizer_row(slot->kind)->matrix;
    int64_t bytes = slot->own.last - slot->own.first, scalar = (int64_t)program->backend->scalar_size;
    return program_tensor_add(
        program, (struct program_tensor){.name = name,
                                         .name_index = -1,
                                         .kind = matrix ? slot->of->value.kind : TENSOR_FLAT,
                                         .shape = matrix ? slot->of->value.shape : shape_vector(bytes / scalar),
                                         .space = space,
                                         .offset = offset,
                                         .bytes = (size_t)bytes,
                                         .gradient = -1});
}

void optimizer_write_part(const struct optimizer *optimizer, struct program *program)
{
    for (int i = 0; i < optimizer->slot_count; i++) {
        const struct optimizer_slot *slot = &optimizer->slots[i];
        struct op op = op_make(OP_UPDATE);
        if (slot->of->frozen || slot->own.first >= slot->own.last) continue;
        op.phase = PHASE_OPTIMIZER;
        op.update = (struct update){.kind = slot->kind, .params = slot->params, .rate = slot->rate};
        op.tensor[UPDATE_W] = add_range(slot, program, "w", SPACE_PARAMETERS, slot->own.first);
        op.tensor[UPDATE_DW] = add_range(slot, program, "dw", SPACE_GRADIENTS, slot->own.first);
        for (int s = 0; s < slot->state_count; s++)
            op.tensor[UPDATE_STATE_0 + s] =
                add_range(slot, program, s == 0 ? "m" : "v", s == 0 ? SPACE_MOMENT_0 : SPACE_MOMENT_1, slot->state[s]);
        program_add(program, op);
    }
}

void optimizer_bases(const struct optimizer *optimizer, void *base[])
{
    base[SPACE_MOMENT_0] = optimizer->state[0];
    base[SPACE_MOMENT_1] = optimizer->state[1];
}
