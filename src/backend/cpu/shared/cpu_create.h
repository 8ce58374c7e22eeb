/* The CPU backend as backend.c sees it: one of the compiled variants, chosen by precision and instruction set. */
#ifndef CPU_CREATE_H
#define CPU_CREATE_H

#include "backend/backend.h"

/* The name of an instruction set in the config. */
const char *cpu_isa_name(enum cpu_isa isa);

/* True where this build has kernels of the instruction set and the machine has it; not for CPU_ISA_AUTO. */
bool cpu_isa_usable(enum cpu_isa isa);

bool cpu_backend_create(struct backend **backend, const struct backend_options *options, struct status *status);

#endif
