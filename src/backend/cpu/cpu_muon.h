/* The optimizer that updates whole filters (cpu_muon.c). */
#ifndef CPU_MUON_H
#define CPU_MUON_H

#include "backend/cpu/cpu_update.h"

struct muon_plan;

struct muon_plan *CPU_EXPORT(cpu_muon_plan)(struct backend *backend, struct shape filter);
void CPU_EXPORT(cpu_muon_plan_free)(struct backend *backend, struct muon_plan *plan); /* NULL is allowed */

/* Takes the step of an UPDATE: OP_UPDATE of a whole filter. */
void CPU_EXPORT(cpu_muon_update)(struct backend *backend, const struct op_call *call, const struct cpu_update *update);

#endif
