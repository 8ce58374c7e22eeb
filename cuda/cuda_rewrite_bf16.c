/* Keeps parameters in bf16 beside their fp32 values, for products that take bf16 (cuda_rewrite.h).
 *
 * A convolution reads the copy of its filter, and a linear layer that of its bias too, since a product adds a bias of its
 * result's type on its way. The once part makes the copies, and from then on the UPDATE of a parameter writes both, so no
 * step rounds a filter. cuDNN's filter gradient comes in bf16: the UPDATE reads it as it is, so no step widens it.
 *
 * Three parts stay as they were. A rule of whole matrices (Muon) writes no copy: its filters are rounded in each forward
 * pass, and their gradients widened. Where gradients are clipped, their norm is that of one arena: they are widened. A
 * folded filter is no parameter: the once part rounds it by itself. */
#include "cuda_rewrite.h"

#include <stdlib.h>

#include "cublas_linear.h"
#include "program/passes.h"
#include "util/memory.h"

/* The copies by the tensor that they are of, of those that there were before; -1: none. */
struct copies {
    struct program *program;
    int *of, count;
};

/* The UPDATE of the parameter; NULL: none. */
static const struct op *update_of(const struct program *program, int w)
{
    for (int i = 0; i < program->op_count; i++)
        if (program->ops[i].kind == OP_UPDATE && program->ops[i].tensor[UPDATE_W] == w) return &program->ops[i];
    return NULL;
}

static bool is_elementwise(const struct op *update)
{
    return !optimizer_row(update->update.kind)->matrix;
}

/* Adds a tensor like this one in bf16, at the same elements of another space. */
static int add_rounded(struct program *program, int tensor, const char *name, enum space space)
{
    struct program_tensor rounded = program->tensors[tensor];
    size_t element = program_element_size(program, SPACE_ROUNDED);
    rounded.name = name;
    if (rounded.kind != TENSOR_FLAT) rounded.kind = TENSOR_ROUNDED;
    rounded.offset = rounded.offset / (int64_t)program->backend->scalar_size * (int64_t)element;
    rounded.bytes = rounded.bytes / program->backend->scalar_size * element;
    rounded.space = space;
    rounded.gradient = -1;
    return program_tensor_add(program, rounded);
}

/* Puts an op into the once part that rounds `from` to `to`. */
static void add_round(struct program *program, int from, int to)
{
    struct op round = op_make(OP_ELEMENTWISE);
    round.elementwise.op = ELEMENTWISE_ROUND;
    round.phase = PHASE_FORWARD;
    round.tensor[ELEMENTWISE_A] = from;
    round.tensor[ELEMENTWISE_Y] = to;
    program_insert(program, program->once_count++, round);
}

/* Makes the copy of a parameter or of a folded one, where there can be one. */
static int make_copy(struct copies *copies, int tensor)
{
    struct program *program = copies->program;
    enum tensor_kind kind = program->tensors[tensor].kind;
    enum space space = program->tensors[tensor].space;
    const char *name = kind == TENSOR_FILTER ? "weight16_" : "bias16_";
    if (space == SPACE_WORK) {
        int copy = add_rounded(program, tensor, name, SPACE_WORK);
        add_round(program, tensor, copy);
        return copy;
    }
    const struct op *update = update_of(program, tensor);
    bool possible = space == SPACE_PARAMETERS && (!update || is_elementwise(update));
    return possible ? add_rounded(program, tensor, name, SPACE_ROUNDED) : -1;
}

static bool takes_bf16(const struct op *op, int slot)
{
    if (op->kind == OP_CONV2D_BACKWARD) return slot == CONV2D_BACKWARD_WEIGHT;
    return op->kind == OP_CONV2D && (slot == CONV2D_WEIGHT || (slot == CONV2D_BIAS && cublas_linear_takes(op->conv2d)));
}

/* Lets every op that takes bf16 read the copy of a tensor; without a copy (-1) it only tells whether there is one. */
static bool read_copy(struct program *program, int tensor, int copy)
{
    bool found = false;
    for (int i = 0; i < program->op_count; i++)
        for (int slot = 0; slot < OP_OPERANDS; slot++) {
            struct op *op = &program->ops[i];
            if (op->tensor[slot] != tensor || !takes_bf16(op, slot)) continue;
            found = true;
            if (copy >= 0) op->tensor[slot] = copy;
        }
    return found;
}

static void read_copies(struct copies *copies)
{
    for (int t = 0; t < copies->count; t++) {
        if (!read_copy(copies->program, t, -1)) continue;
        copies->of[t] = make_copy(copies, t);
        if (copies->of[t] >= 0) read_copy(copies->program, t, copies->of[t]);
    }
}

/* The tensor of SPACE_PARAMETERS that reaches from the first parameter with a copy to the last; -1: none has one. */
static int add_range(const struct copies *copies)
{
    struct program *program = copies->program;
    int64_t first = INT64_MAX, end = 0;
    for (int t = 0; t < copies->count; t++) {
        const struct program_tensor *tensor = &program->tensors[t];
        if (copies->of[t] < 0 || tensor->space != SPACE_PARAMETERS) continue;
        if (tensor->offset < first) first = tensor->offset;
        if (tensor->offset + (int64_t)tensor->bytes > end) end = tensor->offset + (int64_t)tensor->bytes;
    }
    if (end == 0) return -1;
    return program_tensor_add(
        program, (struct program_tensor){.name = "parameters",
                                         .name_index = -1,
                                         .kind = TENSOR_FLAT,
                                         .shape = shape_vector((end - first) / (int64_t)program->backend->scalar_size),
                                         .space = SPACE_PARAMETERS,
                                         .offset = first,
                                         .bytes = (size_t)(end - first),
                                         .gradient = -1});
}

/* Lets the once part and the updates write the copies. A parameter whose copy nothing reads gets one too, so that the
 * update of its neighbours goes on over it (program_coalesce). */
static void write_copies(struct copies *copies)
{
    struct program *program = copies->program;
    if (add_range(copies) < 0) return;
    for (int i = 0; i < program->op_count; i++) {
        int w = program->ops[i].tensor[UPDATE_W];
        if (program->ops[i].kind != OP_UPDATE || !is_elementwise(&program->ops[i])) continue;
        if (copies->of[w] < 0) copies->of[w] = make_copy(copies, w);
        program->ops[i].tensor[UPDATE_ROUNDED] = copies->of[w];
    }
    int range = add_range(copies);
    add_round(program, range, add_rounded(program, range, "parameters16", SPACE_ROUNDED));
}

/* --- gradients --- */

/* True where an op sums up the gradients as they lie in their arena. */
static bool has_norm(const struct program *program)
{
    for (int i = 0; i < program->op_count; i++)
        if (program->ops[i].kind == OP_CLIP || program->ops[i].kind == OP_MAGNITUDE) return true;
    return false;
}

/* The weight whose gradient the op may write in bf16, as an elementwise UPDATE alone reads it; -1: none. */
static int narrow_gradient(const struct program *program, const struct op *op)
{
    if (op->kind != OP_CONV2D_BACKWARD || cublas_linear_takes(op->conv2d)) return -1;
    int dw = op->tensor[CONV2D_BACKWARD_DWEIGHT];
    if (dw < 0 || program->tensors[dw].space != SPACE_GRADIENTS || program_readers(program, dw) != 1) return -1;
    for (int i = 0; i < program->op_count; i++) {
        const struct op *update = &program->ops[i];
        if (update->kind == OP_UPDATE && update->tensor[UPDATE_DW] == dw)
            return is_elementwise(update) ? update->tensor[UPDATE_W] : -1;
    }
    return -1;
}

static bool write_gradients(struct program *program)
{
    bool any = false;
    for (int i = 0; i < program->op_count; i++) {
        int w = narrow_gradient(program, &program->ops[i]);
        if (w < 0) continue;
        int narrow = add_rounded(program, program->ops[i].tensor[CONV2D_BACKWARD_DWEIGHT], "dweight16_",
                                 SPACE_ROUNDED_GRADIENTS);
        program->ops[i].tensor[CONV2D_BACKWARD_DWEIGHT] = program->tensors[w].gradient = narrow;
        any = true;
    }
    return any;
}

/* Every update may read there, so that those of neighbours are still one. */
static void read_gradients(struct program *program)
{
    for (int i = 0; i < program->op_count; i++) {
        int dw = program->ops[i].tensor[UPDATE_DW];
        if (program->ops[i].kind != OP_UPDATE || !is_elementwise(&program->ops[i])) continue;
        int own = program->tensors[program->ops[i].tensor[UPDATE_W]].gradient;
        bool narrow = own >= 0 && program->tensors[own].space == SPACE_ROUNDED_GRADIENTS;
        program->ops[i].tensor[UPDATE_DW_ROUNDED] =
            narrow ? own : add_rounded(program, dw, "gradient16_", SPACE_ROUNDED_GRADIENTS);
    }
}

void cuda_rewrite_bf16(struct program *program)
{
    struct copies copies = {.program = program, .count = program->tensor_count};
    copies.of = memory_alloc((size_t)copies.count, sizeof *copies.of);
    for (int t = 0; t < copies.count; t++) copies.of[t] = -1;
    read_copies(&copies);
    write_copies(&copies);
    free(copies.of);
    if (!has_norm(program) && write_gradients(program)) read_gradients(program);
    program_check(program, NULL);
}
