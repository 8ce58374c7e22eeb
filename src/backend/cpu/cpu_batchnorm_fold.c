/* Batch normalization folded into the weights before it (OP_FOLD). A filter lies as
 * [O/16][I/16][K][K][16 i][16 o]: every row of 16 is scaled by the factors of its block of output channels. This
 * file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/cpu_batchnorm.h"

#include "backend/cpu/cpu_install.h"

struct fold_task {
    struct batchnorm_params params;
    int64_t channels, block_count; /* O; scalars in an output block of the filter */
    const real *weight, *bias /* NULL: none */, *gamma, *beta, *running_mean, *running_var;
    real *to_weight, *to_bias;
};

/* Iterations are blocks of output channels. */
static void fold_blocks(void *argument, int64_t first, int64_t last)
{
    const struct fold_task *task = argument;
    for (int64_t c = first * CPU_BLOCK; c < last * CPU_BLOCK; c += CPU_LANES) {
        vec rstd = cpu_inverse_deviation(task->params.epsilon, task->channels, c, vec_load(task->running_var + c));
        vec scale = vec_load(task->gamma + c) * rstd;
        vec bias = task->bias ? vec_load(task->bias + c) : (vec){0}, mean = vec_load(task->running_mean + c);
        vec_store(task->to_bias + c, scale * (bias - mean) + vec_load(task->beta + c));
        int64_t at = c / CPU_BLOCK * task->block_count + c % CPU_BLOCK;
        for (int64_t i = at; i < at - c % CPU_BLOCK + task->block_count; i += CPU_BLOCK)
            vec_store(task->to_weight + i, vec_load(task->weight + i) * scale);
    }
}

static void run_fold(struct backend *backend, const struct op_call *call)
{
    const struct tensor *t = call->tensor;
    struct shape s = t[FOLD_WEIGHT].shape; /* (O,I,K,K) */
    CHECK(shape_equal(s, t[FOLD_TO_WEIGHT].shape) && t[FOLD_TO_BIAS].shape.c == s.n);
    CHECK(t[FOLD_GAMMA].shape.c == s.n && (!t[FOLD_BIAS].data || t[FOLD_BIAS].shape.c == s.n));
    struct fold_task task = {
        .params = call->op->fold,
        .channels = s.n,
        .block_count = cpu_blocks(s.c) * s.h * s.w * CPU_BLOCK * CPU_BLOCK,
        .weight = t[FOLD_WEIGHT].data,
        .bias = t[FOLD_BIAS].data,
        .gamma = t[FOLD_GAMMA].data,
        .beta = t[FOLD_BETA].data,
        .running_mean = t[FOLD_MEAN].data,
        .running_var = t[FOLD_VAR].data,
        .to_weight = t[FOLD_TO_WEIGHT].data,
        .to_bias = t[FOLD_TO_BIAS].data,
    };
    cpu_for(backend, cpu_blocks(s.n), task.block_count, fold_blocks, &task);
}

void CPU_EXPORT(cpu_batchnorm_fold_install)(struct op_function *functions)
{
    functions[OP_FOLD] = (struct op_function){.run = run_fold};
}
