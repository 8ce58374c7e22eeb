/* Folds batch normalization into the weights before it, for evaluation (passes.h). */
#include "program/passes.h"

#include "backend/prepared.h"

/* True where op i is a batch normalization by running statistics, and the weights of the op before it can contain
 * it. */
static bool is_foldable(const struct program *program, int i)
{
    if (i == 0) return false;
    const struct op *before = &program->ops[i - 1], *norm = &program->ops[i];
    if (before->kind != OP_CONV2D || norm->kind != OP_NORM_EVALUATE) return false;
    int between = before->tensor[CONV2D_Y];
    return norm->tensor[NORM_EVALUATE_X] == between && norm->tensor[NORM_EVALUATE_MEAN] >= 0 &&
           norm->tensor[NORM_EVALUATE_ADDEND] < 0 && program_readers(program, between) == 1 &&
           !program->tensors[between].keep;
}

/* The FOLD of op i into the convolution before it. */
static struct op make_fold(struct program *program, int i)
{
    struct op conv2d = program->ops[i - 1], norm = program->ops[i], fold = op_make(OP_FOLD);
    fold.fold = norm.norm.batchnorm;
    fold.layer = conv2d.layer, fold.layer_count = conv2d.layer_count + norm.layer_count, fold.phase = PHASE_FORWARD;
    fold.tensor[FOLD_WEIGHT] = conv2d.tensor[CONV2D_WEIGHT];
    fold.tensor[FOLD_BIAS] = conv2d.tensor[CONV2D_BIAS];
    fold.tensor[FOLD_GAMMA] = norm.tensor[NORM_EVALUATE_GAMMA];
    fold.tensor[FOLD_BETA] = norm.tensor[NORM_EVALUATE_BETA];
    fold.tensor[FOLD_MEAN] = norm.tensor[NORM_EVALUATE_MEAN];
    fold.tensor[FOLD_VAR] = norm.tensor[NORM_EVALUATE_VAR];
    fold.tensor[FOLD_TO_WEIGHT] = program_like(program, "folded", fold.tensor[FOLD_WEIGHT]);
    fold.tensor[FOLD_TO_BIAS] = program_like(program, "folded", fold.tensor[FOLD_BETA]);
    return fold;
}

void program_fold(struct program *program)
{
    const struct op any = op_make(OP_FOLD);
    if (!program->backend->fuse || !backend_supports(program->backend, &any)) return;
    for (int i = 1; i < program->op_count; i++) {
        if (!is_foldable(program, i)) continue;
        struct op fold = make_fold(program, i);
        struct op *conv2d = &program->ops[i - 1];
        conv2d->tensor[CONV2D_WEIGHT] = fold.tensor[FOLD_TO_WEIGHT];
        conv2d->tensor[CONV2D_BIAS] = fold.tensor[FOLD_TO_BIAS];
        conv2d->tensor[CONV2D_Y] = program->ops[i].tensor[NORM_EVALUATE_Y];
        conv2d->layer_count += program->ops[i].layer_count;
        program_remove(program, i);
        program_insert(program, program->once_count++, fold);
    }
    program_check(program, NULL);
}
