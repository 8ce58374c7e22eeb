/* Each cpu_<op>_install puts the operations of its file into a table. */
#ifndef CPU_INSTALL_H
#define CPU_INSTALL_H

#include "backend/cpu/cpu_variant.h"
#include "backend/prepared.h"

/* A tensor of the call; NULL for an empty slot. */
static inline const struct tensor *cpu_operand(const struct op_call *call, int slot)
{
    return call->op->tensor[slot] >= 0 ? &call->tensor[slot] : NULL;
}

void CPU_EXPORT(cpu_data_install)(struct op_function *functions);
void CPU_EXPORT(cpu_conv2d_install)(struct op_function *functions);
void CPU_EXPORT(cpu_pool_install)(struct op_function *functions);
void CPU_EXPORT(cpu_global_pool_install)(struct op_function *functions);
void CPU_EXPORT(cpu_gate_install)(struct op_function *functions);
void CPU_EXPORT(cpu_batchnorm_install)(struct op_function *functions);
void CPU_EXPORT(cpu_batchnorm_fold_install)(struct op_function *functions);
void CPU_EXPORT(cpu_activation_install)(struct op_function *functions);
void CPU_EXPORT(cpu_dropout_install)(struct op_function *functions);
void CPU_EXPORT(cpu_flatten_install)(struct op_function *functions);
void CPU_EXPORT(cpu_softmax_install)(struct op_function *functions);
void CPU_EXPORT(cpu_primitive_install)(struct op_function *functions);
void CPU_EXPORT(cpu_norm_install)(struct op_function *functions);
void CPU_EXPORT(cpu_optimizer_install)(struct op_function *functions);

/* Entries of struct backend_table. */
struct device_dataset *CPU_EXPORT(cpu_dataset_upload)(struct backend *backend, const struct dataset_view *view);
void CPU_EXPORT(cpu_dataset_free)(struct backend *backend, struct device_dataset *dataset);
void CPU_EXPORT(cpu_dataset_set_order)(struct backend *backend, struct device_dataset *dataset, const int32_t *order);
double CPU_EXPORT(cpu_measure_peak)(struct backend *backend);

/* Creates the backend of this variant, which takes ownership of the threads. options->threads and options->cpu_isa are
 * chosen already: neither is 0 or CPU_ISA_AUTO. */
struct backend *CPU_EXPORT(cpu_backend_create)(struct cpu_threads *threads, const struct backend_options *options);

#endif
