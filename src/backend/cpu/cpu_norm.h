/* The norm of an arena, for other operations too. */
#ifndef CPU_NORM_H
#define CPU_NORM_H

#include "backend/cpu/cpu_variant.h"

/* Returns sqrt(sum x^2) of `count` elements, summed in double in an order that the count alone decides; not finite where
 * an x is not. */
double CPU_EXPORT(cpu_norm)(struct backend *backend, int64_t count, const real *x);

#endif
