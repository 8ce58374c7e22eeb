/* Each cpu_<op>_install puts the operations of its file into the table. */
#ifndef CPU_INSTALL_H
#define CPU_INSTALL_H

#include "backend/cpu/cpu_variant.h"

void CPU_EXPORT(cpu_data_install)(struct backend_ops *ops);
void CPU_EXPORT(cpu_conv2d_install)(struct backend_ops *ops);
void CPU_EXPORT(cpu_peak_install)(struct backend_ops *ops);
void CPU_EXPORT(cpu_pool_install)(struct backend_ops *ops);
void CPU_EXPORT(cpu_batchnorm_install)(struct backend_ops *ops);
void CPU_EXPORT(cpu_batchnorm_fused_install)(struct backend_ops *ops);
void CPU_EXPORT(cpu_batchnorm_fused_backward_install)(struct backend_ops *ops);
void CPU_EXPORT(cpu_batchnorm_fold_install)(struct backend_ops *ops);
void CPU_EXPORT(cpu_activation_install)(struct backend_ops *ops);
void CPU_EXPORT(cpu_dropout_install)(struct backend_ops *ops);
void CPU_EXPORT(cpu_flatten_install)(struct backend_ops *ops);
void CPU_EXPORT(cpu_softmax_install)(struct backend_ops *ops);
void CPU_EXPORT(cpu_primitive_install)(struct backend_ops *ops);
void CPU_EXPORT(cpu_norm_install)(struct backend_ops *ops);
void CPU_EXPORT(cpu_optimizer_install)(struct backend_ops *ops);

/* Creates the backend of this variant, which takes ownership of the threads. options->threads and options->cpu_isa are
 * chosen already: neither is 0 or CPU_ISA_AUTO. */
struct backend *CPU_EXPORT(cpu_backend_create)(struct cpu_threads *threads, const struct backend_options *options);

#endif
