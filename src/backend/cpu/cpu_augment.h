/* The images of a training batch, changed as whole images before gather reads them. */
#ifndef CPU_AUGMENT_H
#define CPU_AUGMENT_H

#include "backend/cpu/cpu_variant.h"

/* A batch as it lies in the data set: sample n is image order[n], or first + n where order is NULL. */
struct cpu_stage {
    const struct augment_params *augment;
    const struct dataset_view *view;
    const int32_t *order;
    int64_t first, count;
    uint32_t step; /* names the draws */
    const struct batch_mix *mix;
};

/* Returns the changed images, (N,C,H,W), which the backend owns until the next call. It takes memory at the first use
 * and where the batch grows. */
const uint8_t *CPU_EXPORT(cpu_augment_stage)(struct backend *backend, const struct cpu_stage *stage);

/* Makes the holes of the staged batch in x, (N,C,H,W) or (N,C*H*W,1,1): zeros. */
void CPU_EXPORT(cpu_augment_holes)(struct backend *backend, const struct cpu_stage *stage, const struct tensor *x);

#endif
