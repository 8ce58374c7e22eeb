/* The shapes of an op's tensors, held against one another (check_private.h). The shape of a forward op's main output is
 * its row's; the tables here have all others. */
#include "program/check_private.h"

enum fit {
    SAME,     /* one shape */
    CHANNELS, /* a vector with a value per channel of the other */
    OUTPUTS,  /* a vector with a value per output channel of the other, a filter */
    BATCH,    /* (N,1,1,1) for the other's N */
    GATES,    /* (N,C,1,1) for the other's N and C */
    BYTES,    /* as many bytes: a tensor of an arena, or a range */
};

struct relation {
    enum op_kind kind;
    int slot;
    enum fit fit;
    int other;
};

static const struct relation relations[] = {
    {OP_GATHER, GATHER_LABELS, BATCH, GATHER_X},
    {OP_CONV2D, CONV2D_BIAS, OUTPUTS, CONV2D_WEIGHT},
    {OP_CONV2D_BACKWARD, CONV2D_BACKWARD_DX, SAME, CONV2D_BACKWARD_X},
    {OP_CONV2D_BACKWARD, CONV2D_BACKWARD_DWEIGHT, SAME, CONV2D_BACKWARD_WEIGHT},
    {OP_CONV2D_BACKWARD, CONV2D_BACKWARD_DBIAS, OUTPUTS, CONV2D_BACKWARD_WEIGHT},
    {OP_NORM, NORM_GAMMA, CHANNELS, NORM_X},
    {OP_NORM, NORM_BETA, CHANNELS, NORM_X},
    {OP_NORM, NORM_ADDEND, SAME, NORM_X},
    {OP_NORM, NORM_RUNNING_MEAN, CHANNELS, NORM_X},
    {OP_NORM, NORM_RUNNING_VAR, CHANNELS, NORM_X},
    {OP_NORM, NORM_MEAN, CHANNELS, NORM_X},
    {OP_NORM, NORM_RSTD, CHANNELS, NORM_X},
    {OP_NORM, NORM_BIAS, CHANNELS, NORM_X},
    {OP_NORM_EVALUATE, NORM_EVALUATE_GAMMA, CHANNELS, NORM_EVALUATE_X},
    {OP_NORM_EVALUATE, NORM_EVALUATE_BETA, CHANNELS, NORM_EVALUATE_X},
    {OP_NORM_EVALUATE, NORM_EVALUATE_MEAN, CHANNELS, NORM_EVALUATE_X},
    {OP_NORM_EVALUATE, NORM_EVALUATE_VAR, CHANNELS, NORM_EVALUATE_X},
    {OP_NORM_EVALUATE, NORM_EVALUATE_ADDEND, SAME, NORM_EVALUATE_X},
    {OP_NORM_BACKWARD, NORM_BACKWARD_GAMMA, CHANNELS, NORM_BACKWARD_X},
    {OP_NORM_BACKWARD, NORM_BACKWARD_BETA, CHANNELS, NORM_BACKWARD_X},
    {OP_NORM_BACKWARD, NORM_BACKWARD_MEAN, CHANNELS, NORM_BACKWARD_X},
    {OP_NORM_BACKWARD, NORM_BACKWARD_RSTD, CHANNELS, NORM_BACKWARD_X},
    {OP_NORM_BACKWARD, NORM_BACKWARD_ADDEND, SAME, NORM_BACKWARD_X},
    {OP_NORM_BACKWARD, NORM_BACKWARD_DX, SAME, NORM_BACKWARD_X},
    {OP_NORM_BACKWARD, NORM_BACKWARD_DADDEND, SAME, NORM_BACKWARD_X},
    {OP_NORM_BACKWARD, NORM_BACKWARD_DGAMMA, CHANNELS, NORM_BACKWARD_X},
    {OP_NORM_BACKWARD, NORM_BACKWARD_DBETA, CHANNELS, NORM_BACKWARD_X},
    {OP_NORM_BACKWARD, NORM_BACKWARD_DBIAS, CHANNELS, NORM_BACKWARD_X},
    {OP_GATE, GATE_Z, GATES, GATE_X},
    {OP_GATE_BACKWARD, GATE_BACKWARD_Z, GATES, GATE_BACKWARD_X},
    {OP_GATE_BACKWARD, GATE_BACKWARD_DY, SAME, GATE_BACKWARD_X},
    {OP_GATE_BACKWARD, GATE_BACKWARD_DZ, SAME, GATE_BACKWARD_Z},
    {OP_ACTIVATION_BACKWARD, ACTIVATION_BACKWARD_DY, SAME, ACTIVATION_BACKWARD_X},
    {OP_SOFTMAX_BACKWARD, SOFTMAX_BACKWARD_DY, SAME, SOFTMAX_BACKWARD_Y},
    {OP_CROSS_ENTROPY, CROSS_ENTROPY_LABELS, BATCH, CROSS_ENTROPY_PROBABILITIES},
    {OP_CROSS_ENTROPY, CROSS_ENTROPY_WEIGHTS, CHANNELS, CROSS_ENTROPY_PROBABILITIES},
    {OP_CROSS_ENTROPY, CROSS_ENTROPY_LOGITS, SAME, CROSS_ENTROPY_PROBABILITIES},
    {OP_CROSS_ENTROPY, CROSS_ENTROPY_DPROBABILITIES, SAME, CROSS_ENTROPY_PROBABILITIES},
    {OP_SOFTMAX_CROSS_ENTROPY, SOFTMAX_CROSS_ENTROPY_LABELS, BATCH, SOFTMAX_CROSS_ENTROPY_LOGITS},
    {OP_SOFTMAX_CROSS_ENTROPY, SOFTMAX_CROSS_ENTROPY_WEIGHTS, CHANNELS, SOFTMAX_CROSS_ENTROPY_LOGITS},
    {OP_SOFTMAX_CROSS_ENTROPY, SOFTMAX_CROSS_ENTROPY_DLOGITS, SAME, SOFTMAX_CROSS_ENTROPY_LOGITS},
    {OP_ADD, ADD_B, SAME, ADD_A},
    {OP_ADD, ADD_C, SAME, ADD_A},
    {OP_ADD, ADD_D, SAME, ADD_A},
    {OP_ELEMENTWISE, ELEMENTWISE_B, SAME, ELEMENTWISE_A},
    {OP_CHANNEL_BROADCAST, CHANNEL_BROADCAST_Y, CHANNELS, CHANNEL_BROADCAST_X},
    {OP_FOLD, FOLD_BIAS, OUTPUTS, FOLD_WEIGHT},
    {OP_FOLD, FOLD_GAMMA, OUTPUTS, FOLD_WEIGHT},
    {OP_FOLD, FOLD_BETA, OUTPUTS, FOLD_WEIGHT},
    {OP_FOLD, FOLD_MEAN, OUTPUTS, FOLD_WEIGHT},
    {OP_FOLD, FOLD_VAR, OUTPUTS, FOLD_WEIGHT},
    {OP_FOLD, FOLD_TO_BIAS, OUTPUTS, FOLD_WEIGHT},
    {OP_UPDATE, UPDATE_DW, BYTES, UPDATE_W},
    {OP_UPDATE, UPDATE_STATE_0, BYTES, UPDATE_W},
    {OP_UPDATE, UPDATE_STATE_1, BYTES, UPDATE_W},
    {OP_UPDATE, UPDATE_ROUNDED, SAME, UPDATE_W},
    {OP_UPDATE, UPDATE_DW_ROUNDED, SAME, UPDATE_W},
    {OP_AVERAGE, AVERAGE_W, BYTES, AVERAGE_AVERAGE},
    {OP_ACCUMULATE, ACCUMULATE_FROM, BYTES, ACCUMULATE_TO},
};

/* A backward op's dy has the shape of the forward op's output, whose first operands are in these slots; -1: no second
 * one. */
static const struct {
    enum op_kind kind;
    int dy;
    enum op_kind forward;
    int first, second;
} backwards[] = {
    {OP_CONV2D_BACKWARD, CONV2D_BACKWARD_DY, OP_CONV2D, CONV2D_BACKWARD_X, CONV2D_BACKWARD_WEIGHT},
    {OP_NORM_BACKWARD, NORM_BACKWARD_DY, OP_NORM, NORM_BACKWARD_X, -1},
    {OP_POOL_BACKWARD, POOL_BACKWARD_DY, OP_POOL, POOL_BACKWARD_DX, -1},
    {OP_GLOBAL_POOL_BACKWARD, GLOBAL_POOL_BACKWARD_DY, OP_GLOBAL_POOL, GLOBAL_POOL_BACKWARD_DX, -1},
    {OP_FLATTEN_BACKWARD, FLATTEN_BACKWARD_DY, OP_FLATTEN, FLATTEN_BACKWARD_DX, -1},
};

static bool fits(enum fit fit, const struct program_tensor *tensor, const struct program_tensor *other)
{
    switch (fit) {
    case SAME:
        return shape_equal(tensor->shape, other->shape);
    case CHANNELS:
        return shape_equal(tensor->shape, shape_vector(other->shape.c));
    case OUTPUTS:
        return shape_equal(tensor->shape, shape_vector(other->shape.n));
    case BATCH:
        return shape_equal(tensor->shape, (struct shape){other->shape.n, 1, 1, 1});
    case GATES:
        return shape_equal(tensor->shape, (struct shape){other->shape.n, other->shape.c, 1, 1});
    case BYTES:
        return tensor->bytes == other->bytes;
    }
    return false;
}

static bool relation_broken(const struct program *program, int op, const struct relation *relation,
                            const struct fault_text *fault)
{
    const struct op *at = &program->ops[op];
    int tensor = at->tensor[relation->slot], other = at->tensor[relation->other];
    if (at->kind != relation->kind || tensor < 0 || other < 0) return false;
    if (fits(relation->fit, &program->tensors[tensor], &program->tensors[other])) return false;
    const struct operand_row *rows = op_row(at->kind)->operand;
    return program_fault_at(program, op, fault, "the shape of %s does not fit that of %s", rows[relation->slot].name,
                            rows[relation->other].name);
}

/* True where the tensor in a slot has not the shape that an op's row gives. */
static bool output_differs(const struct program *program, int op, const struct op *from, int slot,
                           const struct fault_text *fault)
{
    struct shape shape = op_row(from->kind)->shape(program, from);
    const char *name = op_row(program->ops[op].kind)->operand[slot].name;
    if (shape_count(shape) <= 0) return program_fault_at(program, op, fault, "its operands do not fit together");
    return !shape_equal(shape, program_shape(program, &program->ops[op], slot)) &&
           program_fault_at(program, op, fault, "the shape of %s is not that of the other operands' result", name);
}

/* The forward op of a backward one, as far as its shape goes. */
static struct op forward_of(const struct op *backward, enum op_kind kind, int first, int second)
{
    struct op forward = *backward;
    forward.kind = kind;
    for (int slot = 0; slot < OP_OPERANDS; slot++) forward.tensor[slot] = -1;
    forward.tensor[0] = backward->tensor[first];
    if (second >= 0) forward.tensor[1] = backward->tensor[second];
    return forward;
}

bool program_shapes_misfit(const struct program *program, int op, const struct fault_text *fault)
{
    const struct op *at = &program->ops[op];
    const struct op_row *row = op_row(at->kind);
    for (size_t i = 0; i < sizeof relations / sizeof relations[0]; i++)
        if (relation_broken(program, op, &relations[i], fault)) return true;
    for (size_t i = 0; i < sizeof backwards / sizeof backwards[0]; i++) {
        if (backwards[i].kind != at->kind) continue;
        struct op forward = forward_of(at, backwards[i].forward, backwards[i].first, backwards[i].second);
        if (output_differs(program, op, &forward, backwards[i].dy, fault)) return true;
    }
    return row->shape && row->output >= 0 && at->tensor[row->output] >= 0 &&
           output_differs(program, op, at, row->output, fault);
}
