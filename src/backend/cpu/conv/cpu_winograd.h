/* Winograd's convolution: 3x3 windows at stride 1 with padding 1, instead of the sum over taps of cpu_conv2d.c. */
#ifndef CPU_WINOGRAD_H
#define CPU_WINOGRAD_H

#include "backend/cpu/cpu_update.h"

/* True where an input x (N,C,H,W) is convolved this way, with backend.winograd as it is set; it depends on shapes
 * alone. `auto` takes this way in fp32, with 16 channels or more on both sides, 8 rows (tiles * N) or more, and half
 * the multiplications or fewer. */
bool CPU_EXPORT(cpu_winograd_wanted)(struct backend *backend, struct window window, struct shape x,
                                     int64_t output_channels);

/* Reserves scratch memory for layers up to this one. Called once per layer, before the first step. */
void CPU_EXPORT(cpu_winograd_reserve)(struct backend *backend, struct shape input, int64_t output_channels);
void CPU_EXPORT(cpu_winograd_release)(struct backend *backend); /* frees all of it, with the backend */

/* x (N,I,H,W), weight (O,I,3,3), bias (O) or NULL -> y (N,O,H,W). */
void CPU_EXPORT(cpu_winograd_forward)(struct backend *backend, const struct tensor *x, const struct tensor *weight,
                                      const struct tensor *bias, const struct tensor *y);

/* dy (N,O,H,W), weight (O,I,3,3) -> dx (N,I,H,W). */
void CPU_EXPORT(cpu_winograd_input_gradient)(struct backend *backend, const struct tensor *dy,
                                             const struct tensor *weight, const struct tensor *dx);

/* x (N,I,H,W), dy (N,O,H,W) -> dweight (O,I,3,3). The update (or NULL) by dweight is taken with it. */
void CPU_EXPORT(cpu_winograd_filter_gradient)(struct backend *backend, const struct tensor *x, const struct tensor *dy,
                                              const struct tensor *dweight, const struct cpu_update *update);

#endif
