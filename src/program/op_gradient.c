/* The gradients of the rows. `dy` is the gradient of the op's main output; it is complete when it is asked for. The
 * primitives, with y the result:
 *
 *   y = a + b            da = dy              db = dy
 *   y = a - b            da = dy              db = -dy
 *   y = a * b            da = dy * b          db = dy * a
 *   y = a / b            da = dy / b          db = -(dy / b) * y        (dy/db = -a/b^2 = -y/b)
 *   y = a^2              da = 2 * dy * a
 *   y = sqrt(a)          da = dy / (2 y)
 *   y = s*a + t          da = s * dy
 *   y = s*sum(a)         da = s * broadcast(dy)      s counts 1/B where it is a mean
 *   y = s*broadcast(a)   da = s * sum(dy)
 *
 * The other rows name the backward op of their kind, whose derivation stands in the backend's file. */
#include "program/op_gradient.h"

#include "program/gradient.h"
#include "util/check.h"

/* A copy of the forward op: the list may move while backward ops are appended. */
static struct op visited(struct gradient *gradient, int op)
{
    return gradient_program(gradient)->ops[op];
}

void conv2d_gradient(struct gradient *gradient, int op)
{
    struct op forward = visited(gradient, op), backward = op_make(OP_CONV2D_BACKWARD);
    int dy = gradient_of(gradient, forward.tensor[CONV2D_Y]);
    if (dy < 0) return;
    backward.conv2d = forward.conv2d;
    backward.tensor[CONV2D_BACKWARD_X] = forward.tensor[CONV2D_X];
    backward.tensor[CONV2D_BACKWARD_WEIGHT] = forward.tensor[CONV2D_WEIGHT];
    backward.tensor[CONV2D_BACKWARD_DY] = dy;
    backward.tensor[CONV2D_BACKWARD_DX] = gradient_share(gradient, forward.tensor[CONV2D_X]);
    backward.tensor[CONV2D_BACKWARD_DWEIGHT] = gradient_share(gradient, forward.tensor[CONV2D_WEIGHT]);
    backward.tensor[CONV2D_BACKWARD_DBIAS] = gradient_share(gradient, forward.tensor[CONV2D_BIAS]);
    gradient_write(gradient, backward);
}

/* The share in a gradient that the op computes in any case: where it is not wanted, a tensor that is not read again. Of
 * gamma and beta it is one, because dx takes sums of it. */
static int share_or_unread(struct gradient *gradient, const char *name, int tensor)
{
    struct program *program = gradient_program(gradient);
    if (gradient_wanted(gradient, tensor)) return gradient_share(gradient, tensor);
    int share = program_like(program, name, tensor);
    program->tensors[share].name_index = program->tensors[tensor].name_index;
    return share;
}

void norm_gradient(struct gradient *gradient, int op)
{
    struct op forward = visited(gradient, op), backward = op_make(OP_NORM_BACKWARD);
    int dy = gradient_of(gradient, forward.tensor[NORM_Y]);
    if (dy < 0) return;
    backward.norm = forward.norm;
    backward.tensor[NORM_BACKWARD_X] = forward.tensor[NORM_X];
    backward.tensor[NORM_BACKWARD_GAMMA] = forward.tensor[NORM_GAMMA];
    backward.tensor[NORM_BACKWARD_BETA] = forward.tensor[NORM_BETA];
    backward.tensor[NORM_BACKWARD_MEAN] = forward.tensor[NORM_MEAN];
    backward.tensor[NORM_BACKWARD_RSTD] = forward.tensor[NORM_RSTD];
    backward.tensor[NORM_BACKWARD_SAVED] = forward.tensor[NORM_SAVED];
    backward.tensor[NORM_BACKWARD_ADDEND] = forward.tensor[NORM_ADDEND];
    backward.tensor[NORM_BACKWARD_DY] = dy;
    backward.tensor[NORM_BACKWARD_DX] = gradient_share(gradient, forward.tensor[NORM_X]);
    backward.tensor[NORM_BACKWARD_DADDEND] = gradient_share(gradient, forward.tensor[NORM_ADDEND]);
    backward.tensor[NORM_BACKWARD_DGAMMA] = share_or_unread(gradient, "dv", forward.tensor[NORM_GAMMA]);
    backward.tensor[NORM_BACKWARD_DBETA] = share_or_unread(gradient, "dv", forward.tensor[NORM_BETA]);
    gradient_write(gradient, backward);
}

/* Adds the gradient of y and a tensor for that of x to a backward op, and writes it. */
static void write_input_gradient(struct gradient *gradient, struct op backward, int dy_slot, int y, int dx_slot, int x)
{
    if (!gradient_wanted(gradient, x)) return;
    backward.tensor[dy_slot] = gradient_of(gradient, y);
    if (backward.tensor[dy_slot] < 0) return;
    backward.tensor[dx_slot] = gradient_share(gradient, x);
    gradient_write(gradient, backward);
}

void pool_gradient(struct gradient *gradient, int op)
{
    struct op forward = visited(gradient, op), backward = op_make(OP_POOL_BACKWARD);
    backward.pool = forward.pool;
    backward.tensor[POOL_BACKWARD_SAVED] = forward.tensor[POOL_SAVED];
    write_input_gradient(gradient, backward, POOL_BACKWARD_DY, forward.tensor[POOL_Y], POOL_BACKWARD_DX,
                         forward.tensor[POOL_X]);
}

void global_pool_gradient(struct gradient *gradient, int op)
{
    struct op forward = visited(gradient, op), backward = op_make(OP_GLOBAL_POOL_BACKWARD);
    write_input_gradient(gradient, backward, GLOBAL_POOL_BACKWARD_DY, forward.tensor[GLOBAL_POOL_Y],
                         GLOBAL_POOL_BACKWARD_DX, forward.tensor[GLOBAL_POOL_X]);
}

void gate_gradient(struct gradient *gradient, int op)
{
    struct op forward = visited(gradient, op), backward = op_make(OP_GATE_BACKWARD);
    int x = forward.tensor[GATE_X], z = forward.tensor[GATE_Z];
    int dy = gradient_of(gradient, forward.tensor[GATE_Y]);
    if (dy < 0) return;
    backward.tensor[GATE_BACKWARD_X] = x;
    backward.tensor[GATE_BACKWARD_Z] = z;
    backward.tensor[GATE_BACKWARD_DY] = dy;
    backward.tensor[GATE_BACKWARD_DX] = share_or_unread(gradient, "dx", x);
    backward.tensor[GATE_BACKWARD_DZ] = share_or_unread(gradient, "dx", z);
    gradient_write(gradient, backward);
}

void activation_gradient(struct gradient *gradient, int op)
{
    struct op forward = visited(gradient, op), backward = op_make(OP_ACTIVATION_BACKWARD);
    backward.activation = forward.activation;
    backward.tensor[ACTIVATION_BACKWARD_X] = forward.tensor[ACTIVATION_X];
    write_input_gradient(gradient, backward, ACTIVATION_BACKWARD_DY, forward.tensor[ACTIVATION_Y],
                         ACTIVATION_BACKWARD_DX, forward.tensor[ACTIVATION_X]);
}

/* The backward pass drops and scales what the forward pass did, by the same draws. */
void dropout_gradient(struct gradient *gradient, int op)
{
    struct op forward = visited(gradient, op), backward = op_make(OP_DROPOUT);
    backward.dropout = forward.dropout;
    write_input_gradient(gradient, backward, DROPOUT_FROM, forward.tensor[DROPOUT_TO], DROPOUT_TO,
                         forward.tensor[DROPOUT_FROM]);
}

void flatten_gradient(struct gradient *gradient, int op)
{
    struct op forward = visited(gradient, op), backward = op_make(OP_FLATTEN_BACKWARD);
    write_input_gradient(gradient, backward, FLATTEN_BACKWARD_DY, forward.tensor[FLATTEN_Y], FLATTEN_BACKWARD_DX,
                         forward.tensor[FLATTEN_X]);
}

void softmax_gradient(struct gradient *gradient, int op)
{
    struct op forward = visited(gradient, op), backward = op_make(OP_SOFTMAX_BACKWARD);
    backward.tensor[SOFTMAX_BACKWARD_Y] = forward.tensor[SOFTMAX_Y];
    write_input_gradient(gradient, backward, SOFTMAX_BACKWARD_DY, forward.tensor[SOFTMAX_Y], SOFTMAX_BACKWARD_DX,
                         forward.tensor[SOFTMAX_X]);
}

/* A loss writes its gradient itself, in the forward pass. */
void cross_entropy_gradient(struct gradient *gradient, int op)
{
    int share = gradient_share(gradient, visited(gradient, op).tensor[CROSS_ENTROPY_PROBABILITIES]);
    gradient_program(gradient)->ops[op].tensor[CROSS_ENTROPY_DPROBABILITIES] = share;
}

void softmax_cross_entropy_gradient(struct gradient *gradient, int op)
{
    int share = gradient_share(gradient, visited(gradient, op).tensor[SOFTMAX_CROSS_ENTROPY_LOGITS]);
    gradient_program(gradient)->ops[op].tensor[SOFTMAX_CROSS_ENTROPY_DLOGITS] = share;
}

void add_gradient(struct gradient *gradient, int op)
{
    struct op forward = visited(gradient, op);
    int dy = gradient_of(gradient, forward.tensor[ADD_Y]);
    for (int slot = ADD_A; slot <= ADD_D && dy >= 0; slot++) gradient_pass(gradient, forward.tensor[slot], dy);
}

/* --- primitives --- */

static struct op elementwise(enum elementwise kind, int a, int b)
{
    struct op op = op_make(OP_ELEMENTWISE);
    op.elementwise.op = kind;
    op.tensor[ELEMENTWISE_A] = a;
    op.tensor[ELEMENTWISE_B] = b;
    return op;
}

/* Writes y = a op b to a new tensor with the shape of a, and returns it. */
static int compute(struct gradient *gradient, enum elementwise kind, int a, int b)
{
    struct op op = elementwise(kind, a, b);
    op.tensor[ELEMENTWISE_Y] = program_like(gradient_program(gradient), "term", a);
    gradient_write(gradient, op);
    return op.tensor[ELEMENTWISE_Y];
}

/* Writes the share a op b in the gradient of `tensor`, if one is wanted. */
static void share(struct gradient *gradient, int tensor, struct op op)
{
    op.tensor[ELEMENTWISE_Y] = gradient_share(gradient, tensor);
    if (op.tensor[ELEMENTWISE_Y] >= 0) gradient_write(gradient, op);
}

/* Writes the share scale * a. */
static void share_scaled(struct gradient *gradient, int tensor, double scale, int a)
{
    struct op op = elementwise(ELEMENTWISE_AFFINE, a, -1);
    op.elementwise.scale = scale;
    if (gradient_wanted(gradient, tensor)) share(gradient, tensor, op);
}

static void quotient_gradient(struct gradient *gradient, const struct op *forward, int dy)
{
    int a = forward->tensor[ELEMENTWISE_A], b = forward->tensor[ELEMENTWISE_B], y = forward->tensor[ELEMENTWISE_Y];
    int term = compute(gradient, ELEMENTWISE_DIVIDE, dy, b);
    gradient_pass(gradient, a, term);
    if (gradient_wanted(gradient, b)) share_scaled(gradient, b, -1, compute(gradient, ELEMENTWISE_MULTIPLY, term, y));
}

void elementwise_gradient(struct gradient *gradient, int op)
{
    struct op forward = visited(gradient, op);
    int a = forward.tensor[ELEMENTWISE_A], b = forward.tensor[ELEMENTWISE_B], y = forward.tensor[ELEMENTWISE_Y];
    int dy = gradient_of(gradient, y);
    if (dy < 0) return;
    switch (forward.elementwise.op) {
    case ELEMENTWISE_ADD:
        gradient_pass(gradient, a, dy);
        gradient_pass(gradient, b, dy);
        return;
    case ELEMENTWISE_SUBTRACT:
        gradient_pass(gradient, a, dy);
        share_scaled(gradient, b, -1, dy);
        return;
    case ELEMENTWISE_MULTIPLY:
        share(gradient, a, elementwise(ELEMENTWISE_MULTIPLY, dy, b));
        share(gradient, b, elementwise(ELEMENTWISE_MULTIPLY, dy, a));
        return;
    case ELEMENTWISE_DIVIDE:
        quotient_gradient(gradient, &forward, dy);
        return;
    case ELEMENTWISE_SQUARE:
        if (gradient_wanted(gradient, a)) share_scaled(gradient, a, 2, compute(gradient, ELEMENTWISE_MULTIPLY, dy, a));
        return;
    case ELEMENTWISE_SQRT:
        if (gradient_wanted(gradient, a)) share_scaled(gradient, a, 0.5, compute(gradient, ELEMENTWISE_DIVIDE, dy, y));
        return;
    case ELEMENTWISE_ROUND: /* of a program that is finished */
        break;
    case ELEMENTWISE_AFFINE:
        if (forward.elementwise.scale == 1)
            gradient_pass(gradient, a, dy);
        else
            share_scaled(gradient, a, forward.elementwise.scale, dy);
        return;
    }
    CHECK(!"a known operation");
}

void channel_sum_gradient(struct gradient *gradient, int op)
{
    struct op forward = visited(gradient, op), backward = op_make(OP_CHANNEL_BROADCAST);
    backward.channel = forward.channel;
    write_input_gradient(gradient, backward, CHANNEL_BROADCAST_Y, forward.tensor[CHANNEL_SUM_Y], CHANNEL_BROADCAST_X,
                         forward.tensor[CHANNEL_SUM_X]);
}

void channel_broadcast_gradient(struct gradient *gradient, int op)
{
    struct op forward = visited(gradient, op), backward = op_make(OP_CHANNEL_SUM);
    backward.channel = forward.channel;
    write_input_gradient(gradient, backward, CHANNEL_SUM_X, forward.tensor[CHANNEL_BROADCAST_X], CHANNEL_SUM_Y,
                         forward.tensor[CHANNEL_BROADCAST_Y]);
}
