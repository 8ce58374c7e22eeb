/* The choice of a plan (cudnn_choice.h): every proposal of cuDNN is made into a plan and tried, on the memory that it
 * will work on. */
#include "cudnn_choice.h"

#include <stdlib.h>

struct trial {
    const struct cuda_backend *cuda;
    const struct cudnn_plan *plan;
    const struct cudnn_operands *operands;
};

static bool start_trial(void *argument)
{
    const struct trial *trial = argument;
    return cudnn_plan_run(trial->plan, trial->operands, trial->cuda->workspace) == CUDNN_STATUS_SUCCESS;
}

/* Returns the milliseconds that the plan takes, infinity where it does not run. Where a plan need only run, the time is
 * 0. */
static float try_plan(struct cuda_backend *cuda, const struct cudnn_plan *plan, const struct cudnn_operands *operands)
{
    struct trial trial = {cuda, plan, operands};
    if (cuda->options.deterministic) return cuda_runs(cuda, start_trial, &trial) ? 0 : __builtin_inff();
    return cuda_time(cuda, start_trial, &trial);
}

struct cudnn_plan *cudnn_plan_choose(struct cuda_backend *cuda, const struct cudnn_graph *graph,
                                     const struct cudnn_operands *operands)
{
    struct cudnn_configuration *list;
    struct cudnn_plan *best = NULL;
    float fastest = __builtin_inff();
    int count = cudnn_graph_propose(graph, &list);
    for (int i = 0; i < count && !(best && cuda->options.deterministic); i++) {
        struct cudnn_plan *plan = cudnn_plan_create(graph, &list[i]);
        float milliseconds = plan ? try_plan(cuda, plan, operands) : __builtin_inff();
        bool better = milliseconds < fastest;
        cudnn_plan_destroy(better ? best : plan);
        if (better) fastest = milliseconds, best = plan;
    }
    free(list);
    return best;
}
