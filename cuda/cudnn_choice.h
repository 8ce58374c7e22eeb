/* Which of the plans that cuDNN has for a pass is taken. */
#ifndef CUDNN_CHOICE_H
#define CUDNN_CHOICE_H

#include "cuda_backend.h"
#include "cudnn_plan.h"

/* Returns the plan that an earlier run chose for the same task (cudnn_cache.h). Without one, returns the fastest of all
 * plans for the graph that run, timed on these operands; a line on stderr says so. Where runs are to be reproducible, it
 * is the first that runs, in the order of speed that cuDNN expects, since a measured order changes. Returns NULL where
 * none runs. A plan that fails, be it only while a step is recorded, is passed over. The result's memory is
 * overwritten. Do not call while a step is recorded. */
struct cudnn_plan *cudnn_plan_choose(struct cuda_backend *cuda, const struct cudnn_graph *graph,
                                     const struct cudnn_operands *operands);

#endif
