/* Winograd's convolution with precision = bf16: 3x3 windows at stride 1 with padding 1, operands rounded to bf16 after
 * their transforms, sums in fp32. */
#ifndef CPU_WINOGRAD_BF16_H
#define CPU_WINOGRAD_BF16_H

#include "backend/cpu/conv/cpu_conv2d.h"

#if defined(CPU_SCALAR_f32)

/* True where an input x (N,C,H,W) is convolved this way on a backend with bf16, with backend.winograd as it is set. It
 * depends on shapes and on the backend's instructions alone. `auto` takes this way except with AMX, with 16 channels or
 * more on both sides, 8 samples or more, and four sevenths of the multiplications or fewer. */
bool CPU_EXPORT(cpu_winograd_bf16_wanted)(struct backend *backend, struct window window, struct shape x,
                                          int64_t output_channels);

/* Reserves scratch memory for a layer, before its first step. */
void CPU_EXPORT(cpu_winograd_bf16_reserve)(struct backend *backend, struct shape input, int64_t output_channels);

/* y or dx */
void CPU_EXPORT(cpu_winograd_bf16_sum)(struct backend *backend, const struct conv2d_sum *sum);

/* x (N,I,H,W), dy (N,O,H,W) -> dweight (O,I,3,3). The update (or NULL) by dweight is taken with it. */
void CPU_EXPORT(cpu_winograd_bf16_filter)(struct backend *backend, const struct tensor *x, const struct tensor *dy,
                                          const struct tensor *dweight, const struct cpu_update *update);

/* The bytes of scratch memory of cpu_winograd_bf16_filter, for a batch of any size. */
size_t CPU_EXPORT(cpu_winograd_bf16_filter_bytes)(int64_t input_channels, int64_t output_channels);

#endif
#endif
