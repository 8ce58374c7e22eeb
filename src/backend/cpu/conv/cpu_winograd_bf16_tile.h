/* Tiles, points and kernels of Winograd's convolution in bf16. cpu_winograd_bf16.c has the method. */
#ifndef CPU_WINOGRAD_BF16_TILE_H
#define CPU_WINOGRAD_BF16_TILE_H

#include "backend/cpu/cpu_variant.h"
#include "tensor/shape.h"

#if defined(CPU_SCALAR_f32)

/* Register tiles: rows x (blocks of channels). ROWS divides CPU_BLOCK. */
#if defined(CPU_ISA_avx512)
enum { WINOGRAD_ROWS = 8, WINOGRAD_BLOCKS = 2 };
#elif defined(CPU_ISA_avx2)
enum { WINOGRAD_ROWS = 4, WINOGRAD_BLOCKS = 1 };
#else
enum { WINOGRAD_ROWS = 2, WINOGRAD_BLOCKS = 1 };
#endif

enum {
    OUTPUTS = 3,                 /* outputs of a tile, along a side */
    SIDE = 5,                    /* points, and inputs, along a side */
    SHORT_SIDE = 3,              /* along a short side */
    POINTS = SIDE * SIDE,        /* points of a transformed tile or filter */
    TAPS = 9,                    /* of a filter */
    BLOCK_WORDS = CPU_BLOCK / 2, /* words of two channels in a block */
    FILTER_BLOCK = CPU_BLOCK * CPU_BLOCK,
    RUN = 32,   /* the samples of a tile that are transformed at a time */
    SPACE = 16, /* words between points, so that the values of a place do not all fall into the same set of a cache */
};

/* The tiles of one kind: full ones, or those whose last row or column has one output left for them. Such a short side
 * has 1 output, 3 inputs and 3 points. */
struct winograd_tiling {
    bool short_rows, short_columns;
    int64_t top, left;    /* the first tile's first output pixel */
    int64_t down, across; /* number of tiles */
};

enum { TILINGS = 4 };

/* The kernels of a set of instructions. A pixel's address is that of 16 channels of the first sample; `pixels` are those
 * of a square, row by row. */
struct winograd_bf16_kernels {
    /* V = B^T d B of `count` samples, to [point][count][16] in bf16, `stride` words between the points. The pixels
     * `ahead` scalars behind these, which may be no pixels, are brought into L2. */
    void (*transform_inputs)(const struct winograd_tiling *tiling, const real *const *pixels, int64_t count,
                             int64_t ahead, uint32_t *to, int64_t stride);

    /* The same, or E = A e A^T of a tile's own gradients e, to [point][pairs][16] words of two samples. There are
     * zeros for samples from `count` on. */
    void (*transform_input_pairs)(const struct winograd_tiling *tiling, const real *const *pixels, int64_t count,
                                  int64_t ahead, int64_t pairs, uint32_t *to, int64_t stride);
    void (*transform_gradient_pairs)(const struct winograd_tiling *tiling, const real *const *pixels, int64_t count,
                                     int64_t ahead, int64_t pairs, uint32_t *to, int64_t stride);

    /* sums [blocks][rows][16] = inputs [..][rows][8 words] * filter [words][blocks][16 words]; whole register tiles of
     * rows. */
    void (*multiply)(const uint32_t *inputs, int64_t input_stride, const uint32_t *filter, int64_t words, int blocks,
                     int64_t rows, float *sums, int64_t sum_stride);

    /* sums [16 input channels][blocks][16] += inputs [pairs][16] * gradients [blocks][pairs][16], words of two
     * samples. */
    void (*multiply_pairs)(const uint32_t *inputs, const uint32_t *gradients, int64_t gradient_stride, int64_t pairs,
                           int blocks, float *sums);
};

const struct winograd_bf16_kernels *CPU_EXPORT(cpu_winograd_bf16_kernels)(void);

static inline int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t tiling_side(bool is_short)
{
    return is_short ? SHORT_SIDE : SIDE; /* inputs of a tile along a side, and points */
}

static inline int64_t tiling_outputs(bool is_short)
{
    return is_short ? 1 : OUTPUTS;
}

/* Full tiles along a side. Two outputs that are left over are a full tile too. */
static inline int64_t full_tiles(int64_t size)
{
    return size / OUTPUTS + (size % OUTPUTS == 2);
}

/* The tilings of an image that have tiles; returns their number. */
static inline int winograd_tilings(struct shape image, struct winograd_tiling tilings[TILINGS])
{
    int64_t down = full_tiles(image.h), across = full_tiles(image.w);
    int count = 0;
    for (int kind = 0; kind < TILINGS; kind++) {
        struct winograd_tiling t = {.short_rows = kind / 2, .short_columns = kind % 2};
        t.down = t.short_rows ? image.h % OUTPUTS == 1 : down;
        t.across = t.short_columns ? image.w % OUTPUTS == 1 : across;
        t.top = t.short_rows ? image.h - 1 : 0, t.left = t.short_columns ? image.w - 1 : 0;
        if (t.down * t.across > 0) tilings[count++] = t;
    }
    return count;
}

/* Points of a tile: a full one has all. */
static inline int64_t tiling_points(const struct winograd_tiling *tiling)
{
    return tiling_side(tiling->short_rows) * tiling_side(tiling->short_columns);
}

/* The number among all points of the tiling's point. */
static inline int64_t tiling_point(const struct winograd_tiling *tiling, int64_t point)
{
    int64_t across = tiling_side(tiling->short_columns);
    return point / across * SIDE + point % across;
}

/* The pixels of the inputs around a tile, or of its own gradients, for 16 channels from a sample on. Those outside of the
 * image are `zeros`. */
static inline void winograd_bf16_pixels(const struct tensor *images, int64_t top, int64_t left, int64_t height,
                                        int64_t width, int64_t block, int64_t sample, const real *zeros,
                                        const real **pixels)
{
    struct shape s = images->shape;
    const real *data = (const real *)images->data + block * cpu_block_stride(s) + sample * CPU_BLOCK;
    for (int64_t h = top; h < top + height; h++)
        for (int64_t w = left; w < left + width; w++) {
            bool inside = h >= 0 && h < s.h && w >= 0 && w < s.w;
            *pixels++ = inside ? data + (h * s.w + w) * s.n * CPU_BLOCK : zeros;
        }
}

static inline void winograd_bf16_inputs(const struct tensor *images, const struct winograd_tiling *tiling, int64_t tile,
                                        int64_t block, int64_t sample, const real *zeros, const real **pixels)
{
    int64_t top = tiling->top + tile / tiling->across * OUTPUTS, left = tiling->left + tile % tiling->across * OUTPUTS;
    winograd_bf16_pixels(images, top - 1, left - 1, tiling_side(tiling->short_rows), tiling_side(tiling->short_columns),
                         block, sample, zeros, pixels);
}

static inline void winograd_bf16_gradients(const struct tensor *images, const struct winograd_tiling *tiling,
                                           int64_t tile, int64_t block, int64_t sample, const real *zeros,
                                           const real **pixels)
{
    int64_t top = tiling->top + tile / tiling->across * OUTPUTS, left = tiling->left + tile % tiling->across * OUTPUTS;
    winograd_bf16_pixels(images, top, left, tiling_outputs(tiling->short_rows), tiling_outputs(tiling->short_columns),
                         block, sample, zeros, pixels);
}

/* Scalars from the pixels of a tile's block to those that are transformed next: of the next block, or of the tile to the
 * right. */
static inline int64_t winograd_bf16_ahead(struct shape images, int64_t block)
{
    if (block + 1 < cpu_blocks(images.c)) return cpu_block_stride(images);
    return OUTPUTS * images.n * CPU_BLOCK - block * cpu_block_stride(images);
}

/* Calls the function that has the tiling's sides as constants. */
#define WINOGRAD_WITH_SIDES(tiling, function, ...)                                                                     \
    do {                                                                                                               \
        if (!(tiling)->short_rows && !(tiling)->short_columns)                                                         \
            function(false, false, __VA_ARGS__);                                                                       \
        else if (!(tiling)->short_rows)                                                                                \
            function(false, true, __VA_ARGS__);                                                                        \
        else if (!(tiling)->short_columns)                                                                             \
            function(true, false, __VA_ARGS__);                                                                        \
        else                                                                                                           \
            function(true, true, __VA_ARGS__);                                                                         \
    } while (0)

/* --- the transforms along one side --- */

/* The points are a, -a, infinity, b, -b with a = 3/8 and b = 5/4. */
#define POINT_A 0.375f
#define POINT_B 1.25f
#define SQUARE_A (POINT_A * POINT_A)
#define SQUARE_B (POINT_B * POINT_B)
#define SCALE_A (0.5f / (SQUARE_A - SQUARE_B))

typedef void winograd_transform(const vec *from, int step, vec *to);

#define WINOGRAD_TRANSFORM static inline __attribute__((always_inline)) void

/* B^T d */
WINOGRAD_TRANSFORM transform_input(const vec *d, int step, vec *t)
{
    vec even_a = d[2 * step] - SQUARE_B * d[0], odd_a = d[3 * step] - SQUARE_B * d[step];
    vec even_b = d[2 * step] - SQUARE_A * d[0], odd_b = d[3 * step] - SQUARE_A * d[step];
    t[0] = even_a + 1 / POINT_A * odd_a, t[1] = even_a - 1 / POINT_A * odd_a;
    t[2] = d[4 * step] - (SQUARE_A + SQUARE_B) * d[2 * step] + SQUARE_A * SQUARE_B * d[0];
    t[3] = even_b + 1 / POINT_B * odd_b, t[4] = even_b - 1 / POINT_B * odd_b;
}

WINOGRAD_TRANSFORM transform_short_input(const vec *d, int step, vec *t)
{
    vec even = (SQUARE_A - SQUARE_B) * d[0], odd = (SQUARE_A - SQUARE_B) / POINT_A * d[step];
    t[0] = even + odd, t[1] = even - odd;
    t[2] = d[2 * step] - SQUARE_A * d[0];
}

/* A e */
WINOGRAD_TRANSFORM transform_gradient(const vec *e, int step, vec *t)
{
    vec even_a = e[0] + SQUARE_A * e[2 * step], even_b = e[0] + SQUARE_B * e[2 * step];
    t[0] = even_a + POINT_A * e[step], t[1] = even_a - POINT_A * e[step];
    t[2] = e[2 * step];
    t[3] = even_b + POINT_B * e[step], t[4] = even_b - POINT_B * e[step];
}

WINOGRAD_TRANSFORM transform_short_gradient(const vec *e, int step, vec *t)
{
    (void)step;
    t[0] = t[1] = t[2] = e[0];
}

/* A^T m */
WINOGRAD_TRANSFORM transform_output(const vec *m, int step, vec *y)
{
    vec sum_a = m[0] + m[step], difference_a = m[0] - m[step];
    vec sum_b = m[3 * step] + m[4 * step], difference_b = m[3 * step] - m[4 * step];
    y[0] = sum_a + sum_b;
    y[1] = POINT_A * difference_a + POINT_B * difference_b;
    y[2] = SQUARE_A * sum_a + SQUARE_B * sum_b + m[2 * step];
}

WINOGRAD_TRANSFORM transform_short_output(const vec *m, int step, vec *y)
{
    y[0] = m[0] + m[step] + m[2 * step];
}

/* G g */
WINOGRAD_TRANSFORM transform_filter(const vec *g, int step, vec *u)
{
    vec even_a = SCALE_A * (g[0] + SQUARE_A * g[2 * step]), odd_a = SCALE_A * POINT_A * g[step];
    vec even_b = -SCALE_A * (g[0] + SQUARE_B * g[2 * step]), odd_b = -SCALE_A * POINT_B * g[step];
    u[0] = even_a + odd_a, u[1] = even_a - odd_a;
    u[2] = g[2 * step];
    u[3] = even_b + odd_b, u[4] = even_b - odd_b;
}

/* G^T u */
WINOGRAD_TRANSFORM transform_filter_gradient(const vec *u, int step, vec *g)
{
    vec sum_a = SCALE_A * (u[0] + u[step]), difference_a = SCALE_A * (u[0] - u[step]);
    vec sum_b = -SCALE_A * (u[3 * step] + u[4 * step]), difference_b = -SCALE_A * (u[3 * step] - u[4 * step]);
    g[0] = sum_a + sum_b;
    g[1] = POINT_A * difference_a + POINT_B * difference_b;
    g[2] = SQUARE_A * sum_a + SQUARE_B * sum_b + u[2 * step];
}

/* Transforms a square down its columns and along its rows: `from` at row * columns + column, `to` likewise. Always
 * inlined with constants. */
WINOGRAD_TRANSFORM transform_square(const int columns, const int rows_out, const int columns_out,
                                    winograd_transform *const down, winograd_transform *const across, const vec *from,
                                    vec *to)
{
    vec half[SIDE * SIDE];
    CPU_UNROLL
    for (int column = 0; column < columns; column++) down(from + column, columns, half + column * SIDE);
    CPU_UNROLL
    for (int row = 0; row < rows_out; row++) across(half + row, SIDE, to + row * columns_out);
}

#endif
#endif
