/* Joins updates of neighbours in the arenas (passes.h). */
#include "program/passes.h"

#include <string.h>

#include "util/check.h"

/* Bytes from the start of this tensor to the next one's in its arena (network.c lays them out). */
static int64_t arena_share(const struct program *program, const struct program_tensor *tensor)
{
    enum { LINE = 64 }; /* bytes of an arena of scalars */
    int64_t element = (int64_t)program_element_size(program, tensor->space);
    int64_t line = LINE / (int64_t)program->backend->scalar_size * element;
    return ((int64_t)tensor->bytes + line - 1) / line * line;
}

/* True where every operand of `next` lies right behind that of `op`, in the same space, and the step of both is taken
 * element by element. */
static bool is_neighbour(const struct program *program, const struct op *op, const struct op *next)
{
    if (optimizer_row(op->update.kind)->matrix) return false;
    if (next->kind != OP_UPDATE || memcmp(&op->update, &next->update, sizeof op->update) != 0) return false;
    for (int slot = UPDATE_W; slot <= UPDATE_DW_ROUNDED; slot++) {
        if ((op->tensor[slot] < 0) != (next->tensor[slot] < 0)) return false;
        if (op->tensor[slot] < 0) continue;
        const struct program_tensor *a = &program->tensors[op->tensor[slot]];
        const struct program_tensor *b = &program->tensors[next->tensor[slot]];
        if (a->space != b->space || a->offset + arena_share(program, a) != b->offset) return false;
    }
    return true;
}

/* The range that begins with tensor `first` and ends with the padding of `last`, as a tensor of its own. */
static int join(struct program *program, int first, int last)
{
    if (first < 0) return -1;
    struct program_tensor range = program->tensors[first], end = program->tensors[last];
    range.kind = TENSOR_FLAT;
    range.bytes = (size_t)(end.offset + arena_share(program, &end) - range.offset);
    range.shape = shape_vector((int64_t)(range.bytes / program_element_size(program, range.space)));
    range.gradient = -1;
    return program_tensor_add(program, range);
}

void program_coalesce(struct program *program)
{
    struct program_versions *before = program_versions_take(program);
    for (int i = 0; i + 1 < program->op_count; i++) {
        struct op joined = program->ops[i], last = joined;
        if (joined.kind != OP_UPDATE || joined.attached) continue;
        int count = 1;
        while (i + count < program->op_count && !program->ops[i + count].attached &&
               is_neighbour(program, &last, &program->ops[i + count])) {
            last = program->ops[i + count++];
            joined.join |= last.join;
        }
        if (count == 1) continue;
        for (int slot = UPDATE_W; slot <= UPDATE_DW_ROUNDED; slot++)
            joined.tensor[slot] = join(program, joined.tensor[slot], last.tensor[slot]);
        joined.layer_count = last.layer + last.layer_count - joined.layer;
        program->ops[i] = joined;
        for (int k = 1; k < count; k++) program_remove(program, i + 1);
    }
    program_check(program, before);
}
