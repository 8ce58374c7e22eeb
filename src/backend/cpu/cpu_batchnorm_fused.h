/* Batch normalization with an activation, and with an addend before it or a pool after it, as one operation: OP_NORM,
 * OP_NORM_EVALUATE and OP_NORM_BACKWARD where cpu_batchnorm.c leaves them to cpu_batchnorm_fused.c and cpu_batchnorm_fused_backward.c. */
#ifndef CPU_BATCHNORM_FUSED_H
#define CPU_BATCHNORM_FUSED_H

#include "backend/cpu/cpu_variant.h"
#include "backend/prepared.h"

void CPU_EXPORT(cpu_batchnorm_fused_forward)(struct backend *backend, const struct op_call *call);
void CPU_EXPORT(cpu_batchnorm_fused_evaluate)(struct backend *backend, const struct op_call *call);
void CPU_EXPORT(cpu_batchnorm_fused_backward)(struct backend *backend, const struct op_call *call);

#endif
