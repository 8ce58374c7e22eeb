/* What the ops of a program start on a device (program.h). */
#include "backend/prepared.h"

/* The bytes of the operands: one that is updated in place is read and written. */
static int64_t operand_bytes(const struct program *program, const struct op *op)
{
    int64_t bytes = 0;
    for (int slot = 0; slot < OP_OPERANDS; slot++) {
        if (op->tensor[slot] < 0) continue;
        int64_t own = (int64_t)program->tensors[op->tensor[slot]].bytes;
        bytes += op_row(op->kind)->operand[slot].role == OPERAND_UPDATE ? 2 * own : own;
    }
    return bytes;
}

struct program_launches program_launches(const struct program *program, const struct op *op)
{
    const struct op_function *function = &program->backend->functions[op->kind];
    struct op_launches launches = {.count = 1};
    if (!program->backend->counts_launches) return (struct program_launches){0};
    if (function->launches) launches = function->launches(program, op);
    return (struct program_launches){launches.count, operand_bytes(program, op) + launches.more_bytes};
}

struct program_launches program_launches_sum(const struct program *program)
{
    struct program_launches sum = {0};
    for (int i = program->once_count; i < program->op_count; i++) {
        struct program_launches own = program_launches(program, &program->ops[i]);
        sum.count += own.count, sum.bytes += own.bytes;
    }
    return sum;
}
