/* Holds an optimizer's state and writes its steps into a program (optimizer.h). */
#include "optim/optimizer.h"

#include <stdlib.h>
#include <string.h>

#include "util/check.h"
#include "util/memory.h"
#include "util/min_max.h"

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

/* What a rank has of a parameter's share of the arenas, which lies in one bucket. cut is NULL where one rank has all. */
static struct optimizer_part own_part(struct optimizer_part share, const struct optimizer_cut *cut, int rank)
{
    int bucket = 0;
    if (!cut) return share;
    while (bucket < cut->buckets - 1 && cut->at[(bucket + 1) * cut->ranks] <= share.first) bucket++;
    const int64_t *piece = cut->at + bucket * cut->ranks + rank;
    return (struct optimizer_part){max_of(share.first, piece[0]), min_of(share.last, piece[1])};
}

/* Adds the parameter, whose share of the arenas ends there. */
static void add_slot(struct optimizer *optimizer, const struct parameter *parameter, int64_t end,
                     const struct optimizer_cut *cut, int rank)
{
    const struct optimizer_settings *settings = &optimizer->settings;
    const struct optimizer_rest *rest = is_of_rest(optimizer, parameter) ? &settings->rest : NULL;
    struct optimizer_slot slot = {.of = parameter,
                                  .parameter = parameter->offset,
                                  .own = own_part((struct optimizer_part){parameter->offset, end}, cut, rank),
                                  .kind = rest ? rest->kind : settings->kind,
                                  .params = rest ? rest->params : settings->params,
                                  .rate = (rest ? rest->rate : 1) * parameter->rate};
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
                 const struct optimizer_cut *cut, int rank)
{
    *optimizer = (struct optimizer){.settings = *settings, .network = network};
    size_t count = 0;
    for (int i = 0; i < network->layer_count; i++) count += (size_t)network->layers[i].parameter_count;
    optimizer->slots = memory_alloc(count, sizeof *optimizer->slots);
    const struct parameter *before = NULL;
    for (int i = 0; i < network->layer_count; i++)
        for (int p = 0; p < network->layers[i].parameter_count; p++) {
            const struct parameter *parameter = &network->layers[i].parameter[p];
            if (before) add_slot(optimizer, before, parameter->offset, cut, rank);
            before = parameter;
        }
    if (before) add_slot(optimizer, before, arena_bytes(network), cut, rank);
}

void optimizer_create_part(struct optimizer *optimizer, const struct optimizer_settings *settings,
                           struct network *network, const struct optimizer_cut *cut, int rank)
{
    struct backend *backend = network->backend;
    plan(optimizer, settings, network, cut, rank);
    for (int s = 0; s < OPTIMIZER_STATES; s++)
        if (optimizer->state_bytes[s] > 0)
            optimizer->state[s] = backend->table->alloc(backend, optimizer->state_bytes[s]);
}

void optimizer_create(struct optimizer *optimizer, const struct optimizer_settings *settings, struct network *network)
{
    optimizer_create_part(optimizer, settings, network, NULL, 0);
}

/* --- cuts --- */

enum { LINE = 64 }; /* bytes; every parameter begins at such a line */

static bool has_matrix(const struct optimizer *optimizer)
{
    for (int i = 0; i < optimizer->slot_count; i++)
        if (optimizer_row(optimizer->slots[i].kind)->matrix) return true;
    return false;
}

/* Writes the ends of buckets, which are filled from the end of the arena on, to ends[0] .., the last one first. Returns how
 * many there are: one where bucket_bytes is 0. */
static int fill_buckets(const struct optimizer *optimizer, int64_t bucket_bytes, int64_t *ends)
{
    int64_t end = arena_bytes(optimizer->network);
    int count = 0;
    ends[count++] = end;
    for (int i = optimizer->slot_count - 1; i > 0 && bucket_bytes > 0; i--)
        if (ends[count - 1] - optimizer->slots[i].parameter >= bucket_bytes)
            ends[count++] = optimizer->slots[i].parameter;
    return count;
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

/* Writes where the pieces of a bucket begin. */
static void cut_bucket(const struct optimizer *optimizer, int64_t first, int64_t last, int ranks, int64_t *at)
{
    int64_t piece = ((last - first + LINE - 1) / LINE + ranks - 1) / ranks * LINE;
    for (int r = 0; r < ranks; r++) at[r] = spare_matrix(optimizer, min_of(first + r * piece, last));
}

struct optimizer_cut optimizer_cut(const struct optimizer_settings *settings, struct network *network, int ranks,
                                   int64_t bucket_bytes)
{
    struct optimizer optimizer;
    plan(&optimizer, settings, network, NULL, 0);
    int64_t *ends = memory_alloc((size_t)optimizer.slot_count + 1, sizeof *ends);
    int buckets = fill_buckets(&optimizer, has_matrix(&optimizer) ? 0 : bucket_bytes, ends);
    struct optimizer_cut cut = {ranks, buckets, memory_alloc((size_t)(buckets * ranks + 1), sizeof *cut.at)};
    for (int b = 0; b < buckets; b++) {
        int64_t first = b == 0 ? 0 : ends[buckets - b];
        cut_bucket(&optimizer, first, ends[buckets - 1 - b], ranks, cut.at + b * ranks);
    }
    cut.at[buckets * ranks] = ends[0];
    free(ends);
    free(optimizer.slots);
    return cut;
}

static void add_piece_bytes(const struct optimizer *optimizer, const struct optimizer_cut *cut, size_t *bytes)
{
    int pieces = cut->buckets * cut->ranks;
    for (int i = 0; i < optimizer->slot_count; i++) {
        const struct optimizer_slot *slot = &optimizer->slots[i];
        int piece = pieces - 1;
        if (slot->own.first >= slot->own.last) continue;
        while (cut->at[piece] > slot->own.first) piece--;
        for (int s = 0; s < slot->state_count; s++)
            bytes[s * pieces + piece] += (size_t)(slot->own.last - slot->own.first);
    }
}

void optimizer_piece_bytes(const struct optimizer_settings *settings, struct network *network,
                           const struct optimizer_cut *cut, size_t *bytes)
{
    memset(bytes, 0, (size_t)(OPTIMIZER_STATES * cut->buckets * cut->ranks) * sizeof *bytes);
    for (int r = 0; r < cut->ranks; r++) {
        struct optimizer optimizer;
        plan(&optimizer, settings, network, cut, r);
        add_piece_bytes(&optimizer, cut, bytes);
        free(optimizer.slots);
    }
}

/* --- memory and programs --- */

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
