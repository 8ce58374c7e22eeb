/* Where a window meets an image, along one side; height and width are alike. The window of output position `output` has
 * taps 0..kernel-1. Tap k of it lies on input position  output*stride + k - padding,  which may be in the padding.
 *
 * This is a header only, because the CPU's kernels inline it and the CUDA kernels compile it for the device. */
#ifndef TENSOR_WINDOW_H
#define TENSOR_WINDOW_H

#include "tensor/shape.h"

#ifdef __CUDACC__
#define WINDOW_FUNCTION static __host__ __device__ inline
#else
#define WINDOW_FUNCTION static inline
#endif

/* A position or a tap. A GPU divides 32-bit numbers much faster than 64-bit ones, so the kernels, which are C++, have
 * those. Their host files check that sizes fit. */
#ifdef __cplusplus
typedef int window_int;
#else
typedef int64_t window_int;
#endif

/* The numbers first..last-1: none where last <= first. */
struct window_range {
    window_int first, last;
};

/* The input position on which tap `tap` of the window at `output` lies. */
WINDOW_FUNCTION window_int window_input(struct window window, window_int output, window_int tap)
{
    return output * (window_int)window.stride + tap - (window_int)window.padding;
}

/* The tap of the window at `output` that lies on `input`. */
WINDOW_FUNCTION window_int window_tap(struct window window, window_int output, window_int input)
{
    return input + (window_int)window.padding - output * (window_int)window.stride;
}

/* The taps of the window at `output` that lie on an image of `size` positions. */
WINDOW_FUNCTION struct window_range window_taps(struct window window, window_int output, window_int size)
{
    window_int kernel = (window_int)window.kernel, start = window_input(window, output, 0);
    struct window_range taps;
    taps.first = start < 0 ? -start : 0;
    taps.last = size - start < kernel ? size - start : kernel;
    return taps;
}

/* The outputs, of 0..outputs-1, whose windows have a tap on `input`. */
WINDOW_FUNCTION struct window_range window_outputs(struct window window, window_int input, window_int outputs)
{
    window_int stride = (window_int)window.stride, end = input + (window_int)window.padding;
    window_int before = end - (window_int)window.kernel; /* before < output*stride <= end */
    struct window_range range;
    range.first = before < 0 ? 0 : before / stride + 1;
    range.last = end / stride + 1 < outputs ? end / stride + 1 : outputs;
    return range;
}

/* The outputs, of those in `among`, whose tap `tap` lies on an image of `size` positions. */
WINDOW_FUNCTION struct window_range window_outputs_of_tap(struct window window, window_int tap, window_int size,
                                                          struct window_range among)
{
    window_int stride = (window_int)window.stride, start = (window_int)window.padding - tap;
    window_int end = size - 1 + start; /* start <= output*stride <= end */
    window_int first = start > 0 ? (start + stride - 1) / stride : 0, last = end < 0 ? 0 : end / stride + 1;
    struct window_range range;
    range.first = first > among.first ? first : among.first;
    range.last = last < among.last ? last : among.last;
    return range;
}

#endif
