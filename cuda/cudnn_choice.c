/* The choice of a plan (cudnn_choice.h): that of an earlier run, if it was kept. Else every proposal of cuDNN is made
 * into a plan and tried, on the memory that it will work on. */
#include "cudnn_choice.h"

#include <stdlib.h>

#include "cudnn_cache.h"
#include "util/warning.h"

struct trial {
    const struct cuda_backend *cuda;
    const struct cudnn_plan *plan;
    const struct cudnn_operands *operands;
};

static bool start_trial(void *argument)
{
    const struct trial *trial = argument;
    return cudnn_plan_run(trial->plan, trial->operands, trial->cuda->lane->workspace) == CUDNN_STATUS_SUCCESS;
}

static bool runs(struct cuda_backend *cuda, const struct cudnn_plan *plan, const struct cudnn_operands *operands)
{
    struct trial trial = {cuda, plan, operands};
    return cuda_runs(cuda, start_trial, &trial);
}

/* Returns the milliseconds that the plan takes, infinity where it does not run. Where a plan need only run, the time is
 * 0. */
static float try_plan(struct cuda_backend *cuda, const struct cudnn_plan *plan, const struct cudnn_operands *operands)
{
    struct trial trial = {cuda, plan, operands};
    if (cuda->options.deterministic) return runs(cuda, plan, operands) ? 0 : __builtin_inff();
    return cuda_time(cuda, start_trial, &trial);
}

/* Returns the plan that an earlier run chose, or NULL: there is none that runs. */
static struct cudnn_plan *recall(struct cuda_backend *cuda, const struct cudnn_graph *graph,
                                 const struct cudnn_operands *operands)
{
    struct cudnn_configuration kept;
    if (!cudnn_cache_find(cudnn_graph_task(graph), &kept)) return NULL;
    struct cudnn_plan *plan = cudnn_plan_create(graph, &kept);
    if (plan && runs(cuda, plan, operands)) return plan;
    cudnn_plan_destroy(plan);
    return NULL;
}

/* Says once why the start takes so long: some 35 plans are timed for each pass. */
static void note_search(struct cuda_backend *cuda)
{
    if (cuda->search_noted || cuda->options.deterministic || cuda->base.in_self_test) return;
    cuda->search_noted = true;
    char *path = cudnn_cache_path();
    if (path)
        warning_print("note: timing what cuDNN offers for these convolutions on this GPU, once; %s keeps the choices",
                      path);
    else
        warning_print(
            "note: timing what cuDNN offers for these convolutions; there is no cache to keep the choices in");
    free(path);
}

/* Tries all proposals, and keeps the choice for later runs. */
static struct cudnn_plan *search(struct cuda_backend *cuda, const struct cudnn_graph *graph,
                                 const struct cudnn_operands *operands)
{
    struct cudnn_configuration *list;
    const struct cudnn_configuration *taken = NULL;
    struct cudnn_plan *best = NULL;
    float fastest = __builtin_inff();
    note_search(cuda);
    int count = cudnn_graph_propose(graph, &list);
    for (int i = 0; i < count && !(best && cuda->options.deterministic); i++) {
        struct cudnn_plan *plan = cudnn_plan_create(graph, &list[i]);
        float milliseconds = plan ? try_plan(cuda, plan, operands) : __builtin_inff();
        bool better = milliseconds < fastest;
        cudnn_plan_destroy(better ? best : plan);
        if (better) fastest = milliseconds, best = plan, taken = &list[i];
    }
    if (taken) cudnn_cache_keep(cudnn_graph_task(graph), taken);
    free(list);
    return best;
}

struct cudnn_plan *cudnn_plan_choose(struct cuda_backend *cuda, const struct cudnn_graph *graph,
                                     const struct cudnn_operands *operands)
{
    struct cudnn_plan *plan = recall(cuda, graph, operands);
    return plan ? plan : search(cuda, graph, operands);
}
