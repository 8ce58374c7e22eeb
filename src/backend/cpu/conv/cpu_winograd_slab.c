/* Transforms images to the points of Winograd's convolution: V = B^T d B and E = A e A^T (cpu_winograd.c), along one
 * side after the other.
 *
 * Blocking. An item is a block of channels of a tile. A register holds channels, so that a transform is additions of
 * whole registers: 36 or 16 loads, 36 stores and some 100 additions per row and block, against 36 multiply-adds for
 * every other channel in the products to come.
 *
 * This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/conv/cpu_winograd_slab.h"

/* B^T d */
static inline __attribute__((always_inline)) void transform_input(const vec *d, int step, vec *t)
{
    vec even = d[4 * step] - 4 * d[2 * step], odd = d[3 * step] - 4 * d[step];
    vec near = d[4 * step] - d[2 * step], far = 2 * (d[3 * step] - d[step]);
    t[0] = 4 * d[0] - 5 * d[2 * step] + d[4 * step];
    t[1] = even + odd, t[2] = even - odd;
    t[3] = near + far, t[4] = near - far;
    t[5] = 4 * d[step] - 5 * d[3 * step] + d[5 * step];
}

/* A e */
static inline __attribute__((always_inline)) void transform_gradient(const vec *e, int step, vec *t)
{
    vec even = e[0] + e[2 * step], odd = e[step] + e[3 * step];
    vec far_even = e[0] + 4 * e[2 * step], far_odd = 2 * e[step] + 8 * e[3 * step];
    t[0] = e[0];
    t[1] = even + odd, t[2] = even - odd;
    t[3] = far_even + far_odd, t[4] = far_even - far_odd;
    t[5] = e[3 * step];
}

/* The samples of a square that are transformed at a time. */
enum { RUN = 32 };

static const real zeros[RUN * CPU_BLOCK] __attribute__((aligned(64)));

/* The pixels of a square of the image, for a block of channels from a sample on: [16] of each sample. Those outside of the
 * image are `zeros`. */
static void find_pixels(const struct tensor *images, int64_t top, int64_t left, int side, int64_t block, int64_t sample,
                        const real **square)
{
    struct shape s = images->shape;
    const real *data = (const real *)images->data + block * cpu_block_stride(s) + sample * CPU_BLOCK;
    for (int pixel = 0; pixel < side * side; pixel++) {
        int64_t h = top + pixel / side, w = left + pixel % side;
        bool inside = h >= 0 && h < s.h && w >= 0 && w < s.w;
        square[pixel] = inside ? data + (h * s.w + w) * s.n * CPU_BLOCK : zeros;
    }
}

/* Transforms `count` samples of a square. Always inlined with constant side and transform. */
static inline __attribute__((always_inline)) void transform_square(const int side,
                                                                   void (*const transform)(const vec *, int, vec *),
                                                                   const real *const *square, int64_t count, real *to,
                                                                   int64_t point_stride)
{
    for (int64_t at = 0; at < count * CPU_BLOCK; at += CPU_LANES) {
        vec pixels[INPUTS], half[POINTS], t[INPUTS];
        CPU_UNROLL
        for (int column = 0; column < side; column++) {
            CPU_UNROLL
            for (int row = 0; row < side; row++) pixels[row] = vec_load(square[row * side + column] + at);
            transform(pixels, 1, half + column * INPUTS);
        }
        real *point = to + at;
        CPU_UNROLL
        for (int row = 0; row < INPUTS; row++) {
            transform(half + row, INPUTS, t);
            CPU_UNROLL
            for (int column = 0; column < INPUTS; column++, point += point_stride) vec_store(point, t[column]);
        }
    }
}

/* An item is a block of channels and a tile, or the part of the tile that is in the slab. */
static inline __attribute__((always_inline)) void transform_items(const int side,
                                                                  void (*const transform)(const vec *, int, vec *),
                                                                  const struct winograd_slab *slab, int64_t first,
                                                                  int64_t last)
{
    struct shape s = slab->images.shape;
    int64_t blocks = cpu_blocks(s.c), across = divide_up(s.w, OUTPUTS), rim = (side - OUTPUTS) / 2;
    for (int64_t item = first; item < last; item++) {
        int64_t tile = slab->first / s.n + item / blocks, block = item % blocks;
        int64_t from = max_of(slab->first, tile * s.n), to = min_of(slab->last, (tile + 1) * s.n);
        real *points = slab->points + block * slab->block_stride - slab->first * CPU_BLOCK;
        for (int64_t row = from, count; row < to; row += count) {
            const real *square[POINTS];
            count = min_of(RUN, to - row);
            find_pixels(&slab->images, tile / across * OUTPUTS - rim, tile % across * OUTPUTS - rim, side, block,
                        row - tile * s.n, square);
            transform_square(side, transform, square, count, points + row * CPU_BLOCK, slab->point_stride);
        }
    }
}

static void transform_input_items(void *argument, int64_t first, int64_t last)
{
    transform_items(INPUTS, transform_input, argument, first, last);
}

static void transform_gradient_items(void *argument, int64_t first, int64_t last)
{
    transform_items(OUTPUTS, transform_gradient, argument, first, last);
}

/* Sets the strides; returns the number of items. */
static int64_t cut_slab(struct winograd_slab *slab)
{
    int64_t rows = slab->last - slab->first, batch = slab->images.shape.n, blocks = cpu_blocks(slab->images.shape.c);
    int64_t tiles = (slab->last - 1) / batch - slab->first / batch + 1;
    slab->block_stride = divide_up(rows, WINOGRAD_ROWS) * WINOGRAD_ROWS * CPU_BLOCK;
    slab->point_stride = winograd_point_count(blocks, rows);
    return tiles * blocks;
}

static void transform_slab(struct backend *backend, struct winograd_slab *slab, void (*body)(void *, int64_t, int64_t))
{
    int64_t items = cut_slab(slab), rows = min_of(slab->images.shape.n, slab->last - slab->first);
    cpu_for(backend, items, rows * POINTS * CPU_BLOCK * 4, body, slab);
}

void CPU_EXPORT(cpu_winograd_transform_own_inputs)(struct winograd_slab *slab)
{
    transform_input_items(slab, 0, cut_slab(slab));
}

void CPU_EXPORT(cpu_winograd_transform_own_gradients)(struct winograd_slab *slab)
{
    transform_gradient_items(slab, 0, cut_slab(slab));
}

void CPU_EXPORT(cpu_winograd_transform_inputs)(struct backend *backend, struct winograd_slab *slab)
{
    transform_slab(backend, slab, transform_input_items);
}

void CPU_EXPORT(cpu_winograd_transform_gradients)(struct backend *backend, struct winograd_slab *slab)
{
    transform_slab(backend, slab, transform_gradient_items);
}
