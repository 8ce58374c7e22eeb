/* Rewrites a program for the CPU (cpu_rewrite.h). */
#include "cpu_rewrite.h"

#include "program/passes.h"

/* True where the op may read x as pixels: it is a linear layer, or its backward pass without dx. With fewer outputs than
 * a block of channels has, most of the work would be for the padding. */
static bool takes_pixels(const struct program *program, const struct op *op, int x)
{
    enum { FEWEST_OUTPUTS = 16 };
    bool forward = op->kind == OP_CONV2D && op->tensor[CONV2D_X] == x;
    bool backward =
        op->kind == OP_CONV2D_BACKWARD && op->tensor[CONV2D_BACKWARD_X] == x && op->tensor[CONV2D_BACKWARD_DX] < 0;
    if (!forward && !backward) return false;
    struct shape filter = program_shape(program, op, forward ? CONV2D_WEIGHT : CONV2D_BACKWARD_WEIGHT);
    return op->conv2d.groups == 1 && filter.h == 1 && filter.w == 1 && filter.n >= FEWEST_OUTPUTS;
}

/* Makes x, the batch of a GATHER, a batch of pixels where all of its readers take that. */
static void leave_pixels(struct program *program, int x)
{
    struct program_tensor *batch = &program->tensors[x];
    if (batch->shape.h != 1 || batch->shape.w != 1 || batch->keep) return;
    for (int i = 0; i < program->op_count; i++)
        if (op_reads(&program->ops[i], x) && !takes_pixels(program, &program->ops[i], x)) return;
    batch->kind = TENSOR_PIXELS;
    batch->bytes = tensor_bytes(program->backend, TENSOR_PIXELS, batch->shape);
}

void cpu_rewrite(struct program *program, bool multiplies_bytes)
{
    for (int i = 0; multiplies_bytes && i < program->op_count; i++) {
        const struct op *op = &program->ops[i];
        if (op->kind == OP_GATHER && op->gather.pixels && !op->gather.augmented)
            leave_pixels(program, op->tensor[GATHER_X]);
    }
    program_check(program, NULL);
    program_attach(program);
}
