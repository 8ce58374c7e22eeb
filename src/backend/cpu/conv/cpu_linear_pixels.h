/* A linear layer straight from pixels (GATHER in op.h), where the processor multiplies bytes (cpu_bytes.h). */
#ifndef CPU_LINEAR_PIXELS_H
#define CPU_LINEAR_PIXELS_H

#include "backend/cpu/cpu_update.h"

enum { CPU_PIXELS_STEP = 64 }; /* features side by side */

/* A TENSOR_PIXELS begins with this head; its bytes follow:
 *   [D/64][N up to a multiple of 64][64]   features d..d+63 of sample n; 0 past D
 * The bytes past the batch are undefined. */
struct cpu_pixels {
    const real *offset, *scale; /* (D up to a multiple of 64): the data set's; both 0 past D */
    uint8_t values[] __attribute__((aligned(64)));
};

/* The steps of 64 that hold so many features or samples. */
static inline int64_t cpu_pixels_steps(int64_t count)
{
    return (count + CPU_PIXELS_STEP - 1) / CPU_PIXELS_STEP;
}

static inline int64_t cpu_pixels_rows(int64_t samples)
{
    return cpu_pixels_steps(samples) * CPU_PIXELS_STEP;
}

/* CONV2D and CONV2D_BACKWARD for such an x, on a backend whose processor multiplies bytes. The update (or NULL) by
 * dweight is taken with it; dbias may be NULL. */
void CPU_EXPORT(cpu_linear_pixels_forward)(struct backend *backend, const struct tensor *x, const struct tensor *weight,
                                           const struct tensor *bias, const struct tensor *y);
void CPU_EXPORT(cpu_linear_pixels_backward)(struct backend *backend, const struct tensor *x, const struct tensor *dy,
                                            const struct tensor *dweight, const struct tensor *dbias,
                                            const struct cpu_update *update);

#endif
