/* The rows of the operations: operands, shapes and costs. Their gradients are in op_gradient.c. */
#include "program/op.h"

#include "program/op_gradient.h"
#include "program/program.h"
#include "util/check.h"

#define READ(text)                                                                                                     \
    {                                                                                                                  \
        text, OPERAND_READ, false                                                                                      \
    }
#define WRITE(text)                                                                                                    \
    {                                                                                                                  \
        text, OPERAND_WRITE, false                                                                                     \
    }
#define UPDATE(text)                                                                                                   \
    {                                                                                                                  \
        text, OPERAND_UPDATE, false                                                                                    \
    }
#define OPTIONAL_READ(text)                                                                                            \
    {                                                                                                                  \
        text, OPERAND_READ, true                                                                                       \
    }
#define OPTIONAL_WRITE(text)                                                                                           \
    {                                                                                                                  \
        text, OPERAND_WRITE, true                                                                                      \
    }
#define OPTIONAL_UPDATE(text)                                                                                          \
    {                                                                                                                  \
        text, OPERAND_UPDATE, true                                                                                     \
    }

/* --- shapes --- */

static struct shape first_shape(const struct program *program, const struct op *op)
{
    return program_shape(program, op, 0);
}

static struct shape window_shape(struct shape x, struct window window, int64_t channels)
{
    return (struct shape){x.n, channels, window_output_size(x.h, window), window_output_size(x.w, window)};
}

static struct shape conv2d_shape(const struct program *program, const struct op *op)
{
    struct shape x = program_shape(program, op, CONV2D_X), weight = program_shape(program, op, CONV2D_WEIGHT);
    struct window window = op->conv2d.window;
    int64_t groups = op->conv2d.groups;
    bool fits = groups > 0 && weight.c * groups == x.c && weight.n % groups == 0;
    if (!fits || weight.h != window.kernel || weight.w != window.kernel) return (struct shape){0};
    return window_shape(x, window, weight.n);
}

static struct shape pool_shape(const struct program *program, const struct op *op)
{
    struct shape x = program_shape(program, op, POOL_X);
    return window_shape(x, op->pool.window, x.c);
}

/* NORM and NORM_EVALUATE have x in the same slot. */
static struct shape norm_shape(const struct program *program, const struct op *op)
{
    struct shape x = program_shape(program, op, NORM_X);
    return op->norm.pooled ? window_shape(x, op->norm.pool.window, x.c) : x;
}

static struct shape global_pool_shape(const struct program *program, const struct op *op)
{
    struct shape x = program_shape(program, op, GLOBAL_POOL_X);
    return (struct shape){x.n, x.c, 1, 1};
}

static struct shape flatten_shape(const struct program *program, const struct op *op)
{
    struct shape x = program_shape(program, op, FLATTEN_X);
    return (struct shape){x.n, shape_sample_count(x), 1, 1};
}

static struct shape channel_shape(const struct program *program, const struct op *op)
{
    return shape_vector(program_shape(program, op, CHANNEL_SUM_X).c);
}

/* --- costs --- */

/* Two per multiplication that does not meet padding. */
static double product_flops(struct shape x, struct window window, struct shape weight)
{
    double taps = (double)window_useful_taps(x.h, window) * (double)window_useful_taps(x.w, window);
    return 2.0 * taps * (double)weight.c * (double)weight.n * (double)x.n;
}

static double conv2d_flops(const struct program *program, const struct op *op)
{
    return product_flops(program_shape(program, op, CONV2D_X), op->conv2d.window,
                         program_shape(program, op, CONV2D_WEIGHT));
}

/* dweight and dx take as much work each as y. */
static double conv2d_backward_flops(const struct program *program, const struct op *op)
{
    int products = (op->tensor[CONV2D_BACKWARD_DX] >= 0) + (op->tensor[CONV2D_BACKWARD_DWEIGHT] >= 0);
    return products * product_flops(program_shape(program, op, CONV2D_BACKWARD_X), op->conv2d.window,
                                    program_shape(program, op, CONV2D_BACKWARD_WEIGHT));
}

/* A matrix of o rows and n columns, p the smaller of the two: X X^T, its square, and the two multiplied by X. */
static double update_flops(const struct program *program, const struct op *op)
{
    struct shape w = program_shape(program, op, UPDATE_W);
    if (!optimizer_row(op->update.kind)->matrix) return 0;
    double o = (double)w.n, n = (double)shape_sample_count(w), p = o < n ? o : n;
    return (double)op->update.params.ns_steps * (4 * p * o * n + 2 * p * p * p);
}

/* --- rows --- */

static const struct op_row gather_row = {
    .name = "gather",
    .operand = {[GATHER_X] = WRITE("x"), [GATHER_LABELS] = WRITE("labels")},
    .output = -1,
};

static const struct op_row conv2d_row = {
    .name = "conv2d",
    .operand = {[CONV2D_X] = READ("x"),
                [CONV2D_WEIGHT] = READ("weight"),
                [CONV2D_BIAS] = OPTIONAL_READ("bias"),
                [CONV2D_Y] = WRITE("y")},
    .output = CONV2D_Y,
    .shape = conv2d_shape,
    .gradient = conv2d_gradient,
    .flops = conv2d_flops,
};

static const struct op_row conv2d_backward_row = {
    .name = "conv2d backward",
    .operand = {[CONV2D_BACKWARD_X] = READ("x"),
                [CONV2D_BACKWARD_WEIGHT] = READ("weight"),
                [CONV2D_BACKWARD_DY] = READ("dy"),
                [CONV2D_BACKWARD_DX] = OPTIONAL_WRITE("dx"),
                [CONV2D_BACKWARD_DWEIGHT] = OPTIONAL_WRITE("dweight"),
                [CONV2D_BACKWARD_DBIAS] = OPTIONAL_WRITE("dbias")},
    .output = -1,
    .flops = conv2d_backward_flops,
};

static const struct op_row norm_row = {
    .name = "norm",
    .operand = {[NORM_X] = READ("x"),
                [NORM_GAMMA] = READ("gamma"),
                [NORM_BETA] = READ("beta"),
                [NORM_ADDEND] = OPTIONAL_READ("addend"),
                [NORM_RUNNING_MEAN] = OPTIONAL_UPDATE("running_mean"),
                [NORM_RUNNING_VAR] = OPTIONAL_UPDATE("running_var"),
                [NORM_Y] = WRITE("y"),
                [NORM_MEAN] = WRITE("mean"),
                [NORM_RSTD] = WRITE("rstd"),
                [NORM_SAVED] = OPTIONAL_WRITE("saved"),
                [NORM_BIAS] = OPTIONAL_READ("bias")},
    .output = NORM_Y,
    .shape = norm_shape,
    .gradient = norm_gradient,
};

static const struct op_row norm_evaluate_row = {
    .name = "norm evaluate",
    .operand = {[NORM_EVALUATE_X] = READ("x"),
                [NORM_EVALUATE_GAMMA] = OPTIONAL_READ("gamma"),
                [NORM_EVALUATE_BETA] = OPTIONAL_READ("beta"),
                [NORM_EVALUATE_MEAN] = OPTIONAL_READ("mean"),
                [NORM_EVALUATE_VAR] = OPTIONAL_READ("var"),
                [NORM_EVALUATE_ADDEND] = OPTIONAL_READ("addend"),
                [NORM_EVALUATE_Y] = WRITE("y")},
    .output = NORM_EVALUATE_Y,
    .shape = norm_shape,
};

static const struct op_row norm_backward_row = {
    .name = "norm backward",
    .operand = {[NORM_BACKWARD_X] = READ("x"),
                [NORM_BACKWARD_GAMMA] = READ("gamma"),
                [NORM_BACKWARD_BETA] = READ("beta"),
                [NORM_BACKWARD_MEAN] = READ("mean"),
                [NORM_BACKWARD_RSTD] = READ("rstd"),
                [NORM_BACKWARD_SAVED] = OPTIONAL_READ("saved"),
                [NORM_BACKWARD_ADDEND] = OPTIONAL_READ("addend"),
                [NORM_BACKWARD_DY] = READ("dy"),
                [NORM_BACKWARD_DX] = OPTIONAL_WRITE("dx"),
                [NORM_BACKWARD_DADDEND] = OPTIONAL_WRITE("daddend"),
                [NORM_BACKWARD_DGAMMA] = OPTIONAL_WRITE("dgamma"),
                [NORM_BACKWARD_DBETA] = OPTIONAL_WRITE("dbeta"),
                [NORM_BACKWARD_DBIAS] = OPTIONAL_WRITE("dbias")},
    .output = -1,
};

static const struct op_row pool_row = {
    .name = "pool",
    .operand = {[POOL_X] = READ("x"), [POOL_Y] = WRITE("y"), [POOL_SAVED] = OPTIONAL_WRITE("saved")},
    .output = POOL_Y,
    .shape = pool_shape,
    .gradient = pool_gradient,
};

static const struct op_row pool_backward_row = {
    .name = "pool backward",
    .operand = {[POOL_BACKWARD_DY] = READ("dy"),
                [POOL_BACKWARD_SAVED] = OPTIONAL_READ("saved"),
                [POOL_BACKWARD_DX] = WRITE("dx")},
    .output = -1,
};

static const struct op_row global_pool_row = {
    .name = "global pool",
    .operand = {[GLOBAL_POOL_X] = READ("x"), [GLOBAL_POOL_Y] = WRITE("y")},
    .output = GLOBAL_POOL_Y,
    .shape = global_pool_shape,
    .gradient = global_pool_gradient,
};

static const struct op_row global_pool_backward_row = {
    .name = "global pool backward",
    .operand = {[GLOBAL_POOL_BACKWARD_DY] = READ("dy"), [GLOBAL_POOL_BACKWARD_DX] = WRITE("dx")},
    .output = -1,
};

static const struct op_row gate_row = {
    .name = "gate",
    .operand = {[GATE_X] = READ("x"), [GATE_Z] = READ("z"), [GATE_Y] = WRITE("y")},
    .output = GATE_Y,
    .shape = first_shape,
    .gradient = gate_gradient,
};

static const struct op_row gate_backward_row = {
    .name = "gate backward",
    .operand = {[GATE_BACKWARD_X] = READ("x"),
                [GATE_BACKWARD_Z] = READ("z"),
                [GATE_BACKWARD_DY] = READ("dy"),
                [GATE_BACKWARD_DX] = WRITE("dx"),
                [GATE_BACKWARD_DZ] = WRITE("dz")},
    .output = GATE_BACKWARD_DX,
    .shape = first_shape,
};

static const struct op_row activation_row = {
    .name = "activation",
    .operand = {[ACTIVATION_X] = READ("x"), [ACTIVATION_Y] = WRITE("y")},
    .output = ACTIVATION_Y,
    .shape = first_shape,
    .gradient = activation_gradient,
};

static const struct op_row activation_backward_row = {
    .name = "activation backward",
    .operand = {[ACTIVATION_BACKWARD_X] = READ("x"),
                [ACTIVATION_BACKWARD_DY] = READ("dy"),
                [ACTIVATION_BACKWARD_DX] = WRITE("dx")},
    .output = ACTIVATION_BACKWARD_DX,
    .shape = first_shape,
};

static const struct op_row dropout_row = {
    .name = "dropout",
    .operand = {[DROPOUT_FROM] = READ("from"), [DROPOUT_TO] = WRITE("to")},
    .output = DROPOUT_TO,
    .shape = first_shape,
    .gradient = dropout_gradient,
};

static const struct op_row flatten_row = {
    .name = "flatten",
    .operand = {[FLATTEN_X] = READ("x"), [FLATTEN_Y] = WRITE("y")},
    .output = FLATTEN_Y,
    .shape = flatten_shape,
    .gradient = flatten_gradient,
};

static const struct op_row flatten_backward_row = {
    .name = "flatten backward",
    .operand = {[FLATTEN_BACKWARD_DY] = READ("dy"), [FLATTEN_BACKWARD_DX] = WRITE("dx")},
    .output = -1,
};

static const struct op_row softmax_row = {
    .name = "softmax",
    .operand = {[SOFTMAX_X] = READ("x"), [SOFTMAX_Y] = WRITE("y")},
    .output = SOFTMAX_Y,
    .shape = first_shape,
    .gradient = softmax_gradient,
};

static const struct op_row softmax_backward_row = {
    .name = "softmax backward",
    .operand =
        {[SOFTMAX_BACKWARD_Y] = READ("y"), [SOFTMAX_BACKWARD_DY] = READ("dy"), [SOFTMAX_BACKWARD_DX] = WRITE("dx")},
    .output = SOFTMAX_BACKWARD_DX,
    .shape = first_shape,
};

static const struct op_row cross_entropy_row = {
    .name = "cross-entropy",
    .operand = {[CROSS_ENTROPY_PROBABILITIES] = READ("probabilities"),
                [CROSS_ENTROPY_LABELS] = READ("labels"),
                [CROSS_ENTROPY_WEIGHTS] = OPTIONAL_READ("weights"),
                [CROSS_ENTROPY_LOGITS] = OPTIONAL_READ("logits"),
                [CROSS_ENTROPY_METRICS] = UPDATE("metrics"),
                [CROSS_ENTROPY_DPROBABILITIES] = OPTIONAL_WRITE("dprobabilities")},
    .output = -1,
    .gradient = cross_entropy_gradient,
};

static const struct op_row softmax_cross_entropy_row = {
    .name = "softmax cross-entropy",
    .operand = {[SOFTMAX_CROSS_ENTROPY_LOGITS] = READ("logits"),
                [SOFTMAX_CROSS_ENTROPY_LABELS] = READ("labels"),
                [SOFTMAX_CROSS_ENTROPY_WEIGHTS] = OPTIONAL_READ("weights"),
                [SOFTMAX_CROSS_ENTROPY_METRICS] = UPDATE("metrics"),
                [SOFTMAX_CROSS_ENTROPY_DLOGITS] = OPTIONAL_WRITE("dlogits")},
    .output = -1,
    .gradient = softmax_cross_entropy_gradient,
};

static const struct op_row add_row = {
    .name = "add",
    .operand = {[ADD_A] = READ("a"),
                [ADD_B] = READ("b"),
                [ADD_C] = OPTIONAL_READ("c"),
                [ADD_D] = OPTIONAL_READ("d"),
                [ADD_Y] = WRITE("y")},
    .output = ADD_Y,
    .shape = first_shape,
    .gradient = add_gradient,
};

static const struct op_row elementwise_row = {
    .name = "elementwise",
    .operand = {[ELEMENTWISE_A] = READ("a"), [ELEMENTWISE_B] = OPTIONAL_READ("b"), [ELEMENTWISE_Y] = WRITE("y")},
    .output = ELEMENTWISE_Y,
    .shape = first_shape,
    .gradient = elementwise_gradient,
};

static const struct op_row channel_sum_row = {
    .name = "channel sum",
    .operand = {[CHANNEL_SUM_X] = READ("x"), [CHANNEL_SUM_Y] = WRITE("y")},
    .output = CHANNEL_SUM_Y,
    .shape = channel_shape,
    .gradient = channel_sum_gradient,
};

static const struct op_row channel_broadcast_row = {
    .name = "channel broadcast",
    .operand = {[CHANNEL_BROADCAST_Y] = READ("y"), [CHANNEL_BROADCAST_X] = WRITE("x")},
    .output = -1,
    .gradient = channel_broadcast_gradient,
};

static const struct op_row fold_row = {
    .name = "fold",
    .operand = {[FOLD_WEIGHT] = READ("weight"),
                [FOLD_BIAS] = OPTIONAL_READ("bias"),
                [FOLD_GAMMA] = READ("gamma"),
                [FOLD_BETA] = READ("beta"),
                [FOLD_MEAN] = READ("mean"),
                [FOLD_VAR] = READ("var"),
                [FOLD_TO_WEIGHT] = WRITE("to_weight"),
                [FOLD_TO_BIAS] = WRITE("to_bias")},
    .output = FOLD_TO_WEIGHT,
    .shape = first_shape,
};

static const struct op_row clip_row = {
    .name = "clip",
    .operand = {[CLIP_X] = UPDATE("x")},
    .output = -1,
};

static const struct op_row magnitude_row = {
    .name = "magnitude",
    .operand = {[MAGNITUDE_X] = READ("x"), [MAGNITUDE_Y] = WRITE("y")},
    .output = -1,
};

static const struct op_row update_row = {
    .name = "update",
    .operand = {[UPDATE_W] = UPDATE("w"),
                [UPDATE_DW] = READ("dw"),
                [UPDATE_STATE_0] = OPTIONAL_UPDATE("state_0"),
                [UPDATE_STATE_1] = OPTIONAL_UPDATE("state_1"),
                [UPDATE_ROUNDED] = OPTIONAL_WRITE("rounded"),
                [UPDATE_DW_ROUNDED] = OPTIONAL_READ("dw_rounded")},
    .output = -1,
    .flops = update_flops,
};

static const struct op_row average_row = {
    .name = "average",
    .operand = {[AVERAGE_AVERAGE] = UPDATE("average"), [AVERAGE_W] = READ("w")},
    .output = -1,
};

static const struct op_row accumulate_row = {
    .name = "accumulate",
    .operand = {[ACCUMULATE_TO] = UPDATE("to"), [ACCUMULATE_FROM] = READ("from")},
    .output = -1,
};

static const struct op_row *const rows[OP_KIND_COUNT] = {
#define OP_ROW(suffix, row) [OP_##suffix] = &row##_row,
    OP_KINDS(OP_ROW)
#undef OP_ROW
};

const struct op_row *op_row(enum op_kind kind)
{
    CHECK((int)kind >= 0 && kind < OP_KIND_COUNT);
    return rows[kind];
}

struct op op_make(enum op_kind kind)
{
    struct op op = {.kind = kind, .layer = -1, .layer_count = 1};
    for (int slot = 0; slot < OP_OPERANDS; slot++) op.tensor[slot] = -1;
    return op;
}

static bool touches(const struct op *op, int tensor, enum operand_role role)
{
    const struct op_row *row = op_row(op->kind);
    for (int slot = 0; slot < OP_OPERANDS; slot++) {
        enum operand_role own = row->operand[slot].role;
        if (op->tensor[slot] == tensor && (own == role || own == OPERAND_UPDATE)) return true;
    }
    return false;
}

bool op_reads(const struct op *op, int tensor)
{
    return touches(op, tensor, OPERAND_READ);
}

bool op_writes(const struct op *op, int tensor)
{
    return touches(op, tensor, OPERAND_WRITE);
}
