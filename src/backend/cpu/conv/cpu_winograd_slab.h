/* Sizes, scratch memory and transforms of images, which the files of Winograd's convolution share. cpu_winograd.c has
 * the method and its matrices A, B and G. */
#ifndef CPU_WINOGRAD_SLAB_H
#define CPU_WINOGRAD_SLAB_H

#include "backend/cpu/cpu_variant.h"

/* Register tiles: rows x (blocks of channels), as in cpu_tile.h. */
#if defined(CPU_ISA_avx512) && defined(CPU_SCALAR_f32)
enum { WINOGRAD_ROWS = 8, WINOGRAD_BLOCKS = 2 };
#elif defined(CPU_ISA_avx512)
enum { WINOGRAD_ROWS = 8, WINOGRAD_BLOCKS = 1 };
#elif defined(CPU_ISA_avx2) && defined(CPU_SCALAR_f32)
enum { WINOGRAD_ROWS = 6, WINOGRAD_BLOCKS = 1 };
#elif defined(CPU_SCALAR_f32)
enum { WINOGRAD_ROWS = 2, WINOGRAD_BLOCKS = 1 };
#else
enum { WINOGRAD_ROWS = 1, WINOGRAD_BLOCKS = 1 };
#endif

enum {
    OUTPUTS = 4,              /* outputs of a tile, along a side */
    INPUTS = 6,               /* inputs that they need, along a side */
    POINTS = INPUTS * INPUTS, /* points of a transformed tile or filter */
    TAPS = 9,
    FILTER_BLOCK = CPU_BLOCK * CPU_BLOCK,
    COLUMN = WINOGRAD_BLOCKS * CPU_BLOCK, /* channels of an item of work */
    CHUNK_BLOCKS = 4,                     /* blocks of input channels in a chunk of a transformed filter */
    GROUP_TILES = 128 / WINOGRAD_ROWS,    /* register tiles of rows in an item at most */
    FEW_TILES = 32 / WINOGRAD_ROWS,       /* and at least, where there are so many */
    SLAB_BYTES = 3 << 20,                 /* bytes of transformed images */
    OWN_COUNT = 2048,                     /* scalars of a point that a thread transforms for itself, at most */
    /* Between the points of anything transformed lies a line more than it needs, so that the 36 values of a place do
     * not all fall into the same set of a cache. */
    SPACE = CPU_BLOCK,
    SUMS_STRIDE = GROUP_TILES * WINOGRAD_ROWS * COLUMN + SPACE,
    SCRATCH_FILTER = POINTS * (CHUNK_BLOCKS * CPU_BLOCK * COLUMN + SPACE),
    SCRATCH_TURNED = TAPS * FILTER_BLOCK,
    SCRATCH_PRODUCTS = SCRATCH_FILTER + SCRATCH_TURNED + POINTS * SUMS_STRIDE,
    OWN_SCALARS = POINTS * (OWN_COUNT + SPACE),
    /* Where a thread transforms the inputs of its products for itself: blocks of input channels, pairs of an input and an
     * output block, and rows at a time, all at most. */
    OWN_BLOCKS = 4,
    OWN_FILTERS = 16,
    OWN_ROWS = 64 / WINOGRAD_ROWS * WINOGRAD_ROWS,
    PART_BLOCKS = 4, /* blocks of channels up to which a filter's gradient is summed in parts */
    SCRATCH_PART = POINTS * PART_BLOCKS * (PART_BLOCKS * FILTER_BLOCK + SPACE), /* dU of such a filter */
    SCRATCH = SCRATCH_PRODUCTS > SCRATCH_PART ? SCRATCH_PRODUCTS : SCRATCH_PART,
};

/* Scratch memory, shared by all layers of a backend: their operations run one after the other. */
struct cpu_winograd {
    int64_t slab_count;       /* scalars of a slab at most */
    real *inputs, *gradients; /* slabs of x, or of dy for dx; and of dy for dw */
    real *scratch;            /* [threads][SCRATCH]: U, filter blocks turned for dx, M; or dU */
    real *own;                /* [threads][2][OWN_SCALARS]: V and E of a thread's own rows */
    int64_t own_filter_count; /* scalars of own_filters */
    real *own_filters;        /* [O/column][36][I][column]: U of a filter that is transformed as a whole */
    int64_t parts_count;      /* scalars of parts */
    real *parts;              /* [part][O/16][I/16][3][3][16][16]: a filter's gradient, part by part */
};

/* Rows of a batch of images, transformed: [36][blocks][rows][16]. A row is a tile of 4x4 outputs of a sample. */
struct winograd_slab {
    struct tensor images;
    int64_t first, last;                /* rows: tile * N + sample */
    int64_t block_stride, point_stride; /* scalars */
    real *points;
};

static inline int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t winograd_tiles(struct shape image)
{
    return divide_up(image.h, OUTPUTS) * divide_up(image.w, OUTPUTS);
}

/* The rows that a slab holds at most, in whole register tiles, out of `rows` rows of so many blocks of channels. */
static inline int64_t winograd_slab_rows(int64_t blocks, int64_t rows)
{
    int64_t tiles = SLAB_BYTES / (POINTS * blocks * CPU_BLOCK_BYTES * WINOGRAD_ROWS);
    return min_of(max_of(tiles, FEW_TILES), divide_up(rows, WINOGRAD_ROWS)) * WINOGRAD_ROWS;
}

/* Scalars of a point: whole register tiles. The last tile may reach past the rows. */
static inline int64_t winograd_point_count(int64_t blocks, int64_t rows)
{
    return blocks * divide_up(rows, WINOGRAD_ROWS) * WINOGRAD_ROWS * CPU_BLOCK + SPACE;
}

/* The rows of so many blocks of channels that a thread transforms for itself at most, in whole register tiles. */
static inline int64_t winograd_own_rows(int64_t blocks)
{
    return OWN_COUNT / (blocks * CPU_BLOCK) / WINOGRAD_ROWS * WINOGRAD_ROWS;
}

/* Scalars of U, of a filter that is transformed as a whole, or 0 where it is not: for so many blocks of channels. */
static inline int64_t winograd_own_filter_count(int64_t inputs, int64_t outputs)
{
    if (inputs > OWN_BLOCKS || inputs * outputs > OWN_FILTERS) return 0;
    return divide_up(outputs, WINOGRAD_BLOCKS) * POINTS * (inputs * CPU_BLOCK * COLUMN + SPACE);
}

/* The rows of a part of a filter's gradient, by shapes alone, or 0 where it is summed slab by slab. A thread sums a
 * part from rows that it transforms for itself; then the parts are added in their order. */
static inline int64_t winograd_part_rows(int64_t inputs, int64_t outputs, int64_t rows)
{
    enum { FEWEST_ROWS = 128, FEWEST_WIDE = 64, ENOUGH_ROWS = 256, WANTED_PARTS = 8, MOST_PARTS = 64 };
    int64_t widest = max_of(inputs, outputs);
    if (widest > PART_BLOCKS) return 0;
    bool wide = widest > 2;
    int64_t whole = winograd_own_rows(wide ? PART_BLOCKS : 1), fewest = wide ? FEWEST_WIDE : FEWEST_ROWS;
    int64_t part = min_of(max_of(rows / WANTED_PARTS, fewest), ENOUGH_ROWS);
    return divide_up(max_of(part, divide_up(rows, MOST_PARTS)), whole) * whole;
}

/* Fills the slab, and its strides, for rows first..last-1 of its images: V = B^T d B of the 6x6 inputs d around each
 * tile, or E = A e A^T of the tile's own 4x4 gradients e. Pixels outside the image are zero. */
void CPU_EXPORT(cpu_winograd_transform_inputs)(struct backend *backend, struct winograd_slab *slab);
void CPU_EXPORT(cpu_winograd_transform_gradients)(struct backend *backend, struct winograd_slab *slab);

/* The same on the calling thread alone. */
void CPU_EXPORT(cpu_winograd_transform_own_inputs)(struct winograd_slab *slab);
void CPU_EXPORT(cpu_winograd_transform_own_gradients)(struct winograd_slab *slab);

#endif
