/* Rewrites a finished program for CUDA. What follows is not done with `backend.fuse = false`; cuda_rewrite_streams is.
 *
 * A convolution's bias before a batch normalization is in vain: the batch's mean takes it out again. Only running_mean
 * sees it, by which evaluations normalise what has the bias. So it moves to the NORM, which adds it there. In exact
 * arithmetic its gradient is 0, and that is what the optimizer gets: a sum of dy would give it rounding errors, and the
 * step would cost a pass over y and one over dy.
 *
 * A softmax, the cross-entropy of its probabilities and their backward passes are three launches over a few numbers each.
 * They become one SOFTMAX_CROSS_ENTROPY, which is the same function of the logits (op.h).
 *
 * A ReLU before a batch normalization, and a dropout behind it, are done where the normalization loads and stores its
 * elements, in both directions. The numbers are rounded where they were, so the results are the same. */
#include "cuda_rewrite.h"

#include "cuda_backend.h"
#include "program/passes.h"

/* The op by which a bias leaves the program: the only NORM that reads y as its x, and its backward pass. */
struct norm_pair {
    struct op *norm, *backward; /* backward is NULL in a program without gradients */
};

/* Finds the pair. False where anything else reads y. */
static bool find_pair(struct program *program, int y, struct norm_pair *pair)
{
    *pair = (struct norm_pair){0};
    if (program->tensors[y].keep) return false;
    for (int i = 0; i < program->op_count; i++) {
        struct op *op = &program->ops[i];
        bool forward = op->kind == OP_NORM && op->tensor[NORM_X] == y && op->tensor[NORM_ADDEND] != y;
        bool backward = op->kind == OP_NORM_BACKWARD && op->tensor[NORM_BACKWARD_X] == y;
        if (forward && !pair->norm)
            pair->norm = op;
        else if (backward)
            pair->backward = op;
        else if (op_reads(op, y))
            return false;
    }
    return pair->norm;
}

static struct op *find_backward(struct program *program, int weight)
{
    for (int i = 0; i < program->op_count; i++)
        if (program->ops[i].kind == OP_CONV2D_BACKWARD && program->ops[i].tensor[CONV2D_BACKWARD_WEIGHT] == weight)
            return &program->ops[i];
    return NULL;
}

/* Moves the bias of op i to the NORM behind it, where there is one that takes it. */
static void move_bias(struct program *program, int i)
{
    struct op *conv2d = &program->ops[i];
    struct norm_pair pair;
    if (conv2d->kind != OP_CONV2D || conv2d->tensor[CONV2D_BIAS] < 0) return;
    if (!find_pair(program, conv2d->tensor[CONV2D_Y], &pair)) return;
    struct op *back = find_backward(program, conv2d->tensor[CONV2D_WEIGHT]);
    int dbias = back ? back->tensor[CONV2D_BACKWARD_DBIAS] : -1;
    if (dbias >= 0 && !pair.backward) return;
    struct op norm = *pair.norm;
    if (norm.tensor[NORM_RUNNING_MEAN] >= 0) norm.tensor[NORM_BIAS] = conv2d->tensor[CONV2D_BIAS];
    if (!backend_supports(program->backend, &norm)) return;
    if (dbias >= 0) {
        struct op gradient = *pair.backward;
        gradient.tensor[NORM_BACKWARD_DBIAS] = dbias;
        if (!backend_supports(program->backend, &gradient)) return;
        *pair.backward = gradient;
        back->tensor[CONV2D_BACKWARD_DBIAS] = -1;
    }
    *pair.norm = norm;
    conv2d->tensor[CONV2D_BIAS] = -1;
}

/* The place of the only op of that kind which reads the tensor, where nothing else does but the op at `other`; -1: none. */
static int find_reader(const struct program *program, int tensor, enum op_kind kind, int other)
{
    int found = -1;
    if (tensor < 0 || program->tensors[tensor].keep) return -1;
    for (int i = 0; i < program->op_count; i++) {
        if (i == other || !op_reads(&program->ops[i], tensor)) continue;
        if (program->ops[i].kind != kind || found >= 0) return -1;
        found = i;
    }
    return found;
}

/* The CROSS_ENTROPY at a place as one with the softmax before it. */
static struct op join_loss(const struct op *loss, int logits, int dlogits)
{
    struct op joined = op_make(OP_SOFTMAX_CROSS_ENTROPY);
    joined.phase = loss->phase, joined.layer = loss->layer, joined.layer_count = loss->layer_count;
    joined.loss = loss->loss;
    joined.tensor[SOFTMAX_CROSS_ENTROPY_LOGITS] = logits;
    joined.tensor[SOFTMAX_CROSS_ENTROPY_LABELS] = loss->tensor[CROSS_ENTROPY_LABELS];
    joined.tensor[SOFTMAX_CROSS_ENTROPY_WEIGHTS] = loss->tensor[CROSS_ENTROPY_WEIGHTS];
    joined.tensor[SOFTMAX_CROSS_ENTROPY_METRICS] = loss->tensor[CROSS_ENTROPY_METRICS];
    joined.tensor[SOFTMAX_CROSS_ENTROPY_DLOGITS] = dlogits;
    return joined;
}

/* Makes one op of the SOFTMAX at a place and what follows it, where nothing else reads what is between them. */
static void fuse_softmax(struct program *program, int softmax)
{
    const struct op *ops = program->ops;
    if (ops[softmax].kind != OP_SOFTMAX) return;
    int y = ops[softmax].tensor[SOFTMAX_Y], back = -1, dlogits = -1;
    for (int i = 0; i < program->op_count; i++)
        if (ops[i].kind == OP_SOFTMAX_BACKWARD && ops[i].tensor[SOFTMAX_BACKWARD_Y] == y) back = i;
    int loss = find_reader(program, y, OP_CROSS_ENTROPY, back);
    if (loss < 0) return;
    int dy = ops[loss].tensor[CROSS_ENTROPY_DPROBABILITIES];
    if ((dy >= 0) != (back >= 0)) return;
    if (dy >= 0 &&
        (ops[back].tensor[SOFTMAX_BACKWARD_DY] != dy || find_reader(program, dy, OP_SOFTMAX_BACKWARD, -1) < 0))
        return;
    if (back >= 0) dlogits = ops[back].tensor[SOFTMAX_BACKWARD_DX];
    program->ops[loss] = join_loss(&ops[loss], ops[softmax].tensor[SOFTMAX_X], dlogits);
    if (back >= 0) program_remove(program, back); /* the last of the three first */
    program_remove(program, softmax);
}

/* --- what is around a batch normalization --- */

static bool may_have_around(const struct program *program, const struct op *op)
{
    return op->kind == OP_NORM && op->norm.activation.kind == ACTIVATION_NONE &&
           program_shape(program, op, NORM_X).c % CUDA_AROUND_CHANNELS == 0;
}

/* The place of the op that writes the tensor, if it is of that kind; -1: it is not. */
static int find_writer(const struct program *program, int tensor, enum op_kind kind)
{
    int writer = tensor < 0 ? -1 : program_writer(program, tensor);
    return writer >= 0 && program->ops[writer].kind == kind ? writer : -1;
}

static int find_norm_backward(const struct program *program, int norm)
{
    int rstd = program->ops[norm].tensor[NORM_RSTD];
    for (int i = norm; i < program->op_count; i++)
        if (program->ops[i].kind == OP_NORM_BACKWARD && program->ops[i].tensor[NORM_BACKWARD_RSTD] == rstd) return i;
    return -1;
}

/* Takes the ReLU whose output the NORM at a place reads, where nothing else does. Returns the place of the NORM. */
static int take_relu(struct program *program, int norm)
{
    struct op *op = &program->ops[norm];
    int relu = find_writer(program, op->tensor[NORM_X], OP_ACTIVATION), last = -1;
    struct norm_pair pair;
    if (relu < 0 || program->ops[relu].activation.kind != ACTIVATION_RELU) return norm;
    if (!find_pair(program, op->tensor[NORM_X], &pair)) return norm;
    struct op fused = *op;
    fused.norm.rectified = true;
    if (!backend_supports(program->backend, &fused)) return norm;
    int x = program->ops[relu].tensor[ACTIVATION_X];
    if (pair.backward) {
        int dx = pair.backward->tensor[NORM_BACKWARD_DX];
        last = find_reader(program, dx, OP_ACTIVATION_BACKWARD, -1);
        if (last < 0 || program->ops[last].tensor[ACTIVATION_BACKWARD_X] != x) return norm;
        pair.backward->norm.rectified = true;
        pair.backward->tensor[NORM_BACKWARD_X] = x;
        pair.backward->tensor[NORM_BACKWARD_DX] = program->ops[last].tensor[ACTIVATION_BACKWARD_DX];
    }
    op->norm.rectified = true;
    op->tensor[NORM_X] = x;
    if (last >= 0) program_remove(program, last);
    program_remove(program, relu);
    return norm - 1;
}

static bool same_dropout(const struct dropout_params *a, const struct dropout_params *b)
{
    return a->rate == b->rate && a->seed == b->seed && a->stream == b->stream;
}

/* Takes the dropout that alone reads the output of the NORM at a place. */
static void take_dropout(struct program *program, int norm)
{
    struct op *ops = program->ops;
    int dropout = find_reader(program, ops[norm].tensor[NORM_Y], OP_DROPOUT, -1), last = -1;
    int backward = find_norm_backward(program, norm);
    if (dropout < 0) return;
    struct op fused = ops[norm];
    fused.norm.dropout = ops[dropout].dropout;
    if (!backend_supports(program->backend, &fused)) return;
    if (backward >= 0) {
        int dy = ops[backward].tensor[NORM_BACKWARD_DY];
        last = find_writer(program, dy, OP_DROPOUT);
        if (last < 0 || !same_dropout(&ops[last].dropout, &fused.norm.dropout)) return;
        if (find_reader(program, dy, OP_NORM_BACKWARD, -1) != backward) return;
        ops[backward].norm.dropout = fused.norm.dropout;
        ops[backward].tensor[NORM_BACKWARD_DY] = ops[last].tensor[DROPOUT_FROM];
    }
    fused.tensor[NORM_Y] = ops[dropout].tensor[DROPOUT_TO];
    ops[norm] = fused;
    if (last >= 0) program_remove(program, last);
    program_remove(program, dropout);
}

static void take_around(struct program *program)
{
    for (int i = 0; i < program->op_count; i++) {
        if (!may_have_around(program, &program->ops[i])) continue;
        i = take_relu(program, i);
        take_dropout(program, i);
    }
}

static void fuse(struct program *program)
{
    struct program_versions *before = program_versions_take(program);
    for (int i = 0; i < program->op_count; i++) move_bias(program, i);
    program_check(program, before);
    for (int i = program->op_count - 1; i >= 0; i--) fuse_softmax(program, i);
    take_around(program);
    program_check(program, NULL);
    if (cuda_backend_of(program->backend)->type == CUDA_BF16) cuda_rewrite_bf16(program);
}

static void cuda_rewrite(struct backend *backend, struct program *program)
{
    if (backend->fuse) fuse(program);
    cuda_rewrite_streams(program);
}

void cuda_rewrite_install(struct backend_table *table)
{
    table->rewrite = cuda_rewrite;
}
