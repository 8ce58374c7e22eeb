/* Counts of elements, and the sizes of a window's output (shape.h). */
#include "tensor/shape.h"

#include <inttypes.h>
#include <stdio.h>

#include "tensor/window.h"

int64_t count_product(int64_t a, int64_t b)
{
    int64_t product;
    return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

int64_t shape_count(struct shape shape)
{
    return count_product(shape.n, shape_sample_count(shape));
}

int64_t shape_sample_count(struct shape shape)
{
    return count_product(count_product(shape.c, shape.h), shape.w);
}

struct shape shape_vector(int64_t c)
{
    return (struct shape){1, c, 1, 1};
}

void shape_format(struct shape shape, char *text, size_t size)
{
    if (shape.h == 1 && shape.w == 1)
        snprintf(text, size, "%" PRId64, shape.c);
    else
        snprintf(text, size, "%" PRId64 "x%" PRId64 "x%" PRId64, shape.c, shape.h, shape.w);
}

bool shape_equal(struct shape a, struct shape b)
{
    return a.n == b.n && a.c == b.c && a.h == b.h && a.w == b.w;
}

int64_t window_output_size(int64_t size, struct window window)
{
    int64_t padded = size + 2 * window.padding;
    if (padded < window.kernel) return 0;
    return (padded - window.kernel) / window.stride + 1;
}

int64_t window_useful_taps(int64_t size, struct window window)
{
    int64_t outputs = window_output_size(size, window), taps = 0;
    for (int64_t p = 0; p < outputs; p++) {
        struct window_range range = window_taps(window, p, size);
        if (range.last > range.first) taps += range.last - range.first;
    }
    return taps;
}
