/* The optimizer that updates whole filters (cuda_muon.c). */
#ifndef CUDA_MUON_H
#define CUDA_MUON_H

#include "cuda_backend.h"

struct update_plan *cuda_muon_plan(struct cuda_backend *cuda, struct shape filter);
void cuda_muon_plan_free(struct cuda_backend *cuda, struct update_plan *plan); /* NULL is allowed */
void cuda_muon_update(struct cuda_backend *cuda, const struct update *update);

#endif
