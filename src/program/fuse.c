/* Makes one op of a batch normalization and what follows it (passes.h): the sum of a residual block, the activation, the
 * pool. */
#include "program/passes.h"

#include "backend/prepared.h"

/* The op right behind place i, if it is of this kind and the only reader of the tensor; else NULL. */
static const struct op *only_reader(const struct program *program, int i, int tensor, enum op_kind kind)
{
    if (i + 1 >= program->op_count || program->tensors[tensor].keep) return NULL;
    const struct op *next = &program->ops[i + 1];
    return next->kind == kind && op_reads(next, tensor) && program_readers(program, tensor) == 1 ? next : NULL;
}

/* The slots that both kinds of normalization have; only the one of training saves anything. */
static int y_slot(const struct op *op)
{
    return op->kind == OP_NORM ? NORM_Y : NORM_EVALUATE_Y;
}

static int addend_slot(const struct op *op)
{
    return op->kind == OP_NORM ? NORM_ADDEND : NORM_EVALUATE_ADDEND;
}

static bool is_sum_of_two(const struct op *op)
{
    return op->kind == OP_ADD && op->tensor[ADD_C] < 0 && op->tensor[ADD_A] != op->tensor[ADD_B];
}

/* Puts the sum behind op i, of its y and another tensor, into `fused`. Returns the number of ops that it has taken. */
static int take_sum(const struct program *program, int i, struct op *fused)
{
    int y = fused->tensor[y_slot(fused)];
    const struct op *add = only_reader(program, i, y, OP_ADD);
    if (!add || !is_sum_of_two(add)) return 0;
    fused->tensor[addend_slot(fused)] = add->tensor[add->tensor[ADD_A] == y ? ADD_B : ADD_A];
    fused->tensor[y_slot(fused)] = add->tensor[ADD_Y];
    fused->layer_count += add->layer_count;
    return 1;
}

static int take_activation(const struct program *program, int i, struct op *fused)
{
    const struct op *activation = only_reader(program, i, fused->tensor[y_slot(fused)], OP_ACTIVATION);
    if (!activation) return 0;
    fused->norm.activation = activation->activation;
    fused->tensor[y_slot(fused)] = activation->tensor[ACTIVATION_Y];
    fused->layer_count += activation->layer_count;
    return 1;
}

static int take_pool(const struct program *program, int i, struct op *fused)
{
    const struct op *pool = only_reader(program, i, fused->tensor[y_slot(fused)], OP_POOL);
    if (!pool) return 0;
    fused->norm.pooled = true;
    fused->norm.pool = pool->pool;
    fused->tensor[y_slot(fused)] = pool->tensor[POOL_Y];
    if (fused->kind == OP_NORM) fused->tensor[NORM_SAVED] = pool->tensor[POOL_SAVED];
    fused->layer_count += pool->layer_count;
    return 1;
}

/* An activation or a sum by itself begins a fused op too, where a fold has left nothing of the normalization before it. */
static bool begins(const struct op *op, bool folded)
{
    if (op->kind == OP_NORM || op->kind == OP_NORM_EVALUATE) return true;
    return folded && (op->kind == OP_ACTIVATION || is_sum_of_two(op));
}

static struct op start_of(const struct op *op)
{
    if (op->kind == OP_NORM || op->kind == OP_NORM_EVALUATE) return *op;
    struct op fused = op_make(OP_NORM_EVALUATE);
    bool sum = op->kind == OP_ADD;
    fused.norm.activation.kind = ACTIVATION_NONE;
    if (!sum) fused.norm.activation = op->activation;
    fused.layer = op->layer, fused.layer_count = op->layer_count, fused.phase = op->phase;
    fused.tensor[NORM_EVALUATE_X] = op->tensor[sum ? ADD_A : ACTIVATION_X];
    if (sum) fused.tensor[NORM_EVALUATE_ADDEND] = op->tensor[ADD_B];
    fused.tensor[NORM_EVALUATE_Y] = op->tensor[sum ? ADD_Y : ACTIVATION_Y];
    return fused;
}

/* Puts one op in the place of ops i, i + 1, ... where the backend supports that: with the pool, or without. Only a NORM may
 * take a sum in a program that learns, because NORM_EVALUATE leads no gradient to the addend. */
static void fuse_at(struct program *program, int i, bool folded)
{
    const struct op *op = &program->ops[i];
    if (!begins(op, folded)) return;
    struct op fused = start_of(op);
    int taken = 0;
    if (op->kind != OP_ACTIVATION) {
        if (op->kind == OP_NORM || (op->kind == OP_NORM_EVALUATE && folded)) taken = take_sum(program, i, &fused);
        int activated = take_activation(program, i + taken, &fused);
        if (activated == 0) return;
        taken += activated;
    }
    struct op pooled = fused;
    if (take_pool(program, i + taken, &pooled) == 1 && backend_supports(program->backend, &pooled)) {
        fused = pooled;
        taken++;
    } else if (taken == 0 || !backend_supports(program->backend, &fused)) {
        return;
    }
    for (int k = 0; k < taken; k++) program_remove(program, i + 1);
    program->ops[i] = fused;
}

void program_fuse(struct program *program)
{
    if (!program->backend->fuse) return;
    struct program_versions *before = program_versions_take(program);
    for (int i = program->once_count; i < program->op_count; i++) fuse_at(program, i, program->once_count > 0);
    program_check(program, before);
}
