/* Depthwise convolutions: as many groups as input channels and as output channels. */
#ifndef CPU_DEPTHWISE_H
#define CPU_DEPTHWISE_H

#include "backend/cpu/conv/cpu_conv2d.h"

/* True for C groups of C input and C output channels. */
static inline bool cpu_depthwise_takes(const struct conv2d_plan *plan)
{
    return plan->groups > 1 && plan->groups == plan->input.c && plan->groups == plan->output_channels;
}

/* Reserves the parts of dweight (C,1,K,K). */
void CPU_EXPORT(cpu_depthwise_plan)(struct backend *backend, struct conv2d_plan *plan);

/* y, or dx where sum->transposed. */
void CPU_EXPORT(cpu_depthwise_sum)(struct backend *backend, const struct conv2d_sum *sum);

/* x (N,C,H,W), dy (N,C,P,Q) -> dweight (C,1,K,K). The update (or NULL) by dweight is taken with it. */
void CPU_EXPORT(cpu_depthwise_filter)(struct backend *backend, const struct conv2d_plan *plan, const struct tensor *x,
                                      const struct tensor *dy, const struct tensor *dweight,
                                      const struct cpu_update *update);

#endif
