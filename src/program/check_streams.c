/* Finds faults in the order of ops on several streams (passes.h). */
#include "program/check_private.h"

static bool same_bytes(const struct program *program, int a, int b)
{
    const struct program_tensor *x = &program->tensors[a], *y = &program->tensors[b];
    bool placed = program->work_bytes > 0 && x->space == SPACE_WORK && y->space == SPACE_WORK;
    return program_overlap(program, a, b) || (placed && program_share_bytes(x, y));
}

static bool writes(const struct op *op, int slot)
{
    return op_row(op->kind)->operand[slot].role != OPERAND_READ;
}

bool program_ops_collide(const struct program *program, int a, int b)
{
    const struct op *x = &program->ops[a], *y = &program->ops[b];
    for (int i = 0; i < OP_OPERANDS; i++)
        for (int k = 0; k < OP_OPERANDS; k++)
            if (x->tensor[i] >= 0 && y->tensor[k] >= 0 && (writes(x, i) || writes(y, k)) &&
                same_bytes(program, x->tensor[i], y->tensor[k]))
                return true;
    return false;
}

/* True where the op is none that may have its stream, or its join. */
static bool misplaced(const struct program *program, int op, const struct fault_text *fault)
{
    const struct op *at = &program->ops[op];
    if (at->stream < 0 || at->stream >= OP_STREAMS)
        return program_fault_at(program, op, fault, "there is no stream %d", at->stream + 1);
    if (at->stream == 0) return false;
    if (at->join) return program_fault_at(program, op, fault, "an op of stream 1 alone may wait for the others");
    return (op < program->once_count || at->kind == OP_GATHER || at->attached) &&
           program_fault_at(program, op, fault, "an op of the once part, a gather or an attached one is on stream 1");
}

/* An op of another stream may run until the next one that waits for it. */
bool program_streams_wrong(const struct program *program, int op, const struct fault_text *fault)
{
    if (misplaced(program, op, fault)) return true;
    if (program->ops[op].stream == 0) return false;
    int end = program_joined_at(program, op);
    for (int other = op + 1; other < end; other++)
        if (program->ops[other].stream != program->ops[op].stream && program_ops_collide(program, op, other))
            return program_fault_at(program, other, fault, "it may run beside op %d (%s), with which it shares bytes",
                                    op + 1, op_row(program->ops[op].kind)->name);
    return false;
}
