/* The sum over a channel, for other operations too. */
#ifndef CPU_PRIMITIVE_H
#define CPU_PRIMITIVE_H

#include "backend/cpu/cpu_variant.h"

/* x (N,C,H,W) -> y (C): scale times the sum over N, H, W. */
void CPU_EXPORT(cpu_channel_sum)(struct backend *backend, double scale, const struct tensor *x, const struct tensor *y);

#endif
