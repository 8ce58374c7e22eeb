/* The optimizer that updates whole filters (cpu_muon.c). */
#ifndef CPU_MUON_H
#define CPU_MUON_H

#include "backend/cpu/cpu_variant.h"

struct update_plan *CPU_EXPORT(cpu_muon_plan)(struct backend *backend, struct shape filter);
void CPU_EXPORT(cpu_muon_plan_free)(struct backend *backend, struct update_plan *plan); /* NULL is allowed */
void CPU_EXPORT(cpu_muon_update)(struct backend *backend, const struct update *update);

#endif
