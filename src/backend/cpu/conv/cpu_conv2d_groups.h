/* Convolutions of several groups of channels, as convolutions of one group. */
#ifndef CPU_CONV2D_GROUPS_H
#define CPU_CONV2D_GROUPS_H

#include "backend/cpu/conv/cpu_conv2d.h"

/* Makes the plans of the ranges of channels. */
void CPU_EXPORT(cpu_conv2d_groups_plan)(struct backend *backend, struct conv2d_plan *plan);
void CPU_EXPORT(cpu_conv2d_groups_plan_free)(struct backend *backend, struct conv2d_ranges *ranges); /* or NULL */

/* As CONV2D and CONV2D_BACKWARD say. bias, dx, dweight and dbias may be NULL; the update (or NULL) by dweight is taken
 * with it. */
void CPU_EXPORT(cpu_conv2d_groups)(struct backend *backend, const struct conv2d_plan *plan,
                                   const struct conv2d_operands *operands);
void CPU_EXPORT(cpu_conv2d_groups_backward)(struct backend *backend, const struct conv2d_plan *plan,
                                            const struct conv2d_operands *operands, const struct cpu_update *update);

#endif
