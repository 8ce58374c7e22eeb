/* The optimizer that updates whole filters (cuda_muon.c). */
#ifndef CUDA_MUON_H
#define CUDA_MUON_H

#include "cuda_backend.h"

/* The matrices and products of a filter (O,I,K,K). */
struct cuda_muon_plan;

struct cuda_muon_plan *cuda_muon_plan_create(struct cuda_backend *cuda, struct shape filter);
void cuda_muon_plan_free(struct cuda_backend *cuda, struct cuda_muon_plan *plan); /* NULL is allowed */

/* One step; update->w is the filter of the plan. */
void cuda_muon_update(struct cuda_backend *cuda, struct cuda_muon_plan *plan, const struct cuda_update *update);

/* The launches of a step for such a filter with these parameters. */
struct op_launches cuda_muon_launches(struct shape filter, const struct optimizer_params *params);

#endif
