/* The declarations that the files of the convolution share: cpu_conv2d.c has the operations, cpu_conv2d_sum.c y and dx,
 * cpu_conv2d_filter.c dw and db, cpu_conv2d_bf16.c the sums with bf16 operands, cpu_conv2d_groups.c and cpu_depthwise.c
 * convolutions of several groups. */
#ifndef CPU_CONV2D_H
#define CPU_CONV2D_H

#include "backend/cpu/cpu_update.h"
#include "tensor/window.h"

enum { CPU_FILTER_BLOCK = CPU_BLOCK * CPU_BLOCK };

struct conv2d_ranges;

struct conv2d_plan {
    struct window window;
    struct shape input;
    int64_t output_channels, groups;
    struct conv2d_ranges *ranges; /* of several groups that are not depthwise; else NULL */
    real *transposed;             /* [threads] a chunk of the filter, transposed for dx */
    size_t scratch_count;         /* scalars of such a chunk */
    struct {
        bool winograd, direct;       /* how operands are multiplied in bf16; neither: in fp32 */
        uint32_t *filters;           /* [threads] a chunk of the filter, packed; of direct sums */
        struct cpu_bf16_step *steps; /* [threads] the steps of a pixel, or of a chunk of pixels */
    } bf16;
    real *parts, *bias_parts; /* the parts of dw and db, added up at the end; NULL: there is one part */
};

/* One of the two sums over taps: destination = bias + sum of source * filter. */
struct conv2d_sum {
    struct window window;
    bool transposed; /* dx: the source is dy, the destination dx */
    struct tensor source, destination;
    const real *filter; /* [O/16][I/16][K][K][16 i][16 o] */
    const real *bias;   /* (destination channels) or NULL */
};

/* The tensors of CONV2D, or of CONV2D_BACKWARD, where dy is y. `data` is NULL where an optional one is left out; it is in
 * dx of CONV2D and so on. */
struct conv2d_operands {
    struct tensor x, weight, bias, y, dx, dweight, dbias;
};

/* The plan and the passes of a convolution with one group. The update (or NULL) by dweight is taken with it. */
struct conv2d_plan *CPU_EXPORT(cpu_conv2d_dense_plan)(struct backend *backend, struct window window, struct shape input,
                                                      int64_t output_channels);
void CPU_EXPORT(cpu_conv2d_dense)(struct backend *backend, const struct conv2d_plan *plan,
                                  const struct conv2d_operands *operands);
void CPU_EXPORT(cpu_conv2d_dense_backward)(struct backend *backend, const struct conv2d_plan *plan,
                                           const struct conv2d_operands *operands, const struct cpu_update *update);

void CPU_EXPORT(cpu_conv2d_plan_free)(struct backend *backend, struct conv2d_plan *plan); /* NULL is allowed */

void CPU_EXPORT(cpu_conv2d_sum_plan)(struct backend *backend, struct conv2d_plan *plan);
void CPU_EXPORT(cpu_conv2d_sum)(struct backend *backend, const struct conv2d_plan *plan, const struct conv2d_sum *sum);

void CPU_EXPORT(cpu_conv2d_filter_plan)(struct backend *backend, struct conv2d_plan *plan);
/* Computes dweight and, if it is not NULL, dbias. The update (or NULL) by dweight is taken with it. */
void CPU_EXPORT(cpu_conv2d_filter)(struct backend *backend, const struct conv2d_plan *plan, const struct tensor *x,
                                   const struct tensor *dy, const struct tensor *dweight, const struct tensor *dbias,
                                   const struct cpu_update *update);

/* dbias alone, to the bit as cpu_conv2d_filter computes it beside a dweight of the shape `filter`. */
void CPU_EXPORT(cpu_conv2d_filter_bias)(struct backend *backend, const struct conv2d_plan *plan,
                                        const struct tensor *dy, struct shape filter, const struct tensor *dbias);

#if defined(CPU_SCALAR_f32)
/* The same sums with operands rounded to bf16, on a backend that has an engine for it. */
void CPU_EXPORT(cpu_conv2d_bf16_plan)(struct backend *backend, struct conv2d_plan *plan);
void CPU_EXPORT(cpu_conv2d_bf16_sum)(struct backend *backend, const struct conv2d_plan *plan,
                                     const struct conv2d_sum *sum);
/* Computes dweight, and before it dx unless dx->destination.data is NULL. The update (or NULL) by dweight is taken with
 * it. */
void CPU_EXPORT(cpu_conv2d_bf16_backward)(struct backend *backend, const struct conv2d_plan *plan,
                                          const struct tensor *x, const struct conv2d_sum *dx,
                                          const struct tensor *dweight, const struct cpu_update *update);
#endif

/* The taps that meet the image along one axis for one output position: tap first, first + step, ... below last; the
 * first meets source position `position`, each next one `position_step` further. */
struct tap_range {
    int64_t first, last, step, position, position_step;
};

static inline struct tap_range tap_range_of(struct window window, bool transposed, int64_t at, int64_t size)
{
    if (!transposed) {
        struct window_range taps = window_taps(window, at, size);
        return (struct tap_range){taps.first, taps.last, 1, window_input(window, at, taps.first), 1};
    }
    struct window_range outputs = window_outputs(window, at, size);
    return (struct tap_range){window_tap(window, outputs.last - 1, at), window_tap(window, outputs.first, at) + 1,
                              window.stride, outputs.last - 1, -1};
}

#endif
