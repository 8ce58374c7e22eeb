/* Makes one op of a batch normalization and what follows it (passes.h). */
#include "program/passes.h"

#include "backend/prepared.h"

/* The op right behind place i, if it is of this kind and the only reader of the tensor; else NULL. */
static const struct op *only_reader(const struct program *program, int i, int tensor, enum op_kind kind)
{
    if (i + 1 >= program->op_count || program->tensors[tensor].keep) return NULL;
    const struct op *next = &program->ops[i + 1];
    return next->kind == kind && op_reads(next, tensor) && program_readers(program, tensor) == 1 ? next : NULL;
}

/* Both kinds of normalization end with y; only the one of training saves anything. */
static int y_slot(const struct op *op)
{
    return op->kind == OP_NORM ? NORM_Y : NORM_EVALUATE_Y;
}

/* Puts the activation behind op i into `fused`. Returns the number of ops that it has taken. */
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

/* An activation by itself begins a fused op too: a fold has left nothing of the normalization before it. */
static struct op start_of(const struct op *op)
{
    if (op->kind != OP_ACTIVATION) return *op;
    struct op fused = op_make(OP_NORM_EVALUATE);
    fused.norm = (struct batchnorm_fused_params){.activation = op->activation};
    fused.layer = op->layer, fused.layer_count = op->layer_count, fused.phase = op->phase;
    fused.tensor[NORM_EVALUATE_X] = op->tensor[ACTIVATION_X];
    fused.tensor[NORM_EVALUATE_Y] = op->tensor[ACTIVATION_Y];
    return fused;
}

/* Puts one op in the place of ops i, i + 1, ... where the backend supports that. */
static void fuse_at(struct program *program, int i, bool folded)
{
    const struct op *op = &program->ops[i];
    bool alone = op->kind == OP_ACTIVATION && folded;
    if (op->kind != OP_NORM && op->kind != OP_NORM_EVALUATE && !alone) return;
    struct op pair = start_of(op);
    int taken = alone ? 0 : take_activation(program, i, &pair);
    if (!alone && taken == 0) return;
    struct op triple = pair;
    int pooled = take_pool(program, i + taken, &triple);
    if (pooled == 1 && backend_supports(program->backend, &triple)) {
        pair = triple;
        taken++;
    } else if (alone || !backend_supports(program->backend, &pair)) {
        return;
    }
    for (int k = 0; k < taken; k++) program_remove(program, i + 1);
    program->ops[i] = pair;
}

void program_fuse(struct program *program)
{
    if (!program->backend->fuse) return;
    struct program_versions *before = program_versions_take(program);
    for (int i = program->once_count; i < program->op_count; i++) fuse_at(program, i, program->once_count > 0);
    program_check(program, before);
}
