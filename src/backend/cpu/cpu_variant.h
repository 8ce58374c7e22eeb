/* Every cpu_<op>.c includes this header. These files are compiled once per variant, a scalar type and an instruction
 * set. The build defines CPU_VARIANT_NAME (f32_avx512, ...), CPU_SCALAR_<scalar> and CPU_ISA_<isa>, and for a file that is
 * compiled without contraction into FMAs CPU_WITHOUT_CONTRACTION. A function that other files call is wrapped in
 * CPU_EXPORT, which appends the name of the variant; every other function is static. The file of an operation exports
 * cpu_<op>_install (cpu_install.h), which puts the operation into the table. The other files export the functions of
 * their own header.
 *
 * Layout. Channels come in blocks of 16. An activation (N,C,H,W) lies in memory as [C/16][H][W][N][16]: for one block
 * of channels and one pixel the whole batch is contiguous. So
 *   - a convolution is, per output pixel, a sum of small matrix products over the taps that touch the image (zero
 *     padding costs nothing), with the batch as rows: the same kernel does the linear layers, whose images are 1x1;
 *   - everything per channel (bias, batch norm) works on 16 lanes at a time, everything per pixel (pooling) on whole
 *     rows.
 * A filter (O,I,K,K) lies as [O/16][I/16][K][K][16 i][16 o]; a vector (C) as [C/16][16]. Lanes past the last channel
 * are zero. A vector per sample (N,D,1,1) is the special case [D/16][N][16]. */
#ifndef CPU_VARIANT_H
#define CPU_VARIANT_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "backend/backend.h"
#include "backend/cpu/shared/cpu_threads.h"
#include "util/check.h"
#include "util/min_max.h"

#define CPU_PASTE_(a, b) a##_##b
#define CPU_PASTE(a, b) CPU_PASTE_(a, b)
#define CPU_EXPORT(name) CPU_PASTE(name, CPU_VARIANT_NAME)

#if defined(CPU_SCALAR_f32)
typedef float real;
typedef int32_t real_int;
#define CPU_SCALAR_BYTES 4
#elif defined(CPU_SCALAR_f64)
typedef double real;
typedef int64_t real_int;
#define CPU_SCALAR_BYTES 8
#else
#error "the build must name a scalar type"
#endif

#if defined(CPU_ISA_avx512)
#define CPU_VEC_BYTES 64
#elif defined(CPU_ISA_avx2)
#define CPU_VEC_BYTES 32
#else
#define CPU_VEC_BYTES 16
#endif

#define CPU_LANES (CPU_VEC_BYTES / CPU_SCALAR_BYTES) /* scalars in a register */

enum {
    CPU_BLOCK = 16,                         /* channels in a block */
    CPU_BLOCK_VECS = CPU_BLOCK / CPU_LANES, /* registers that hold one scalar per channel of a block */
    CPU_BLOCK_BYTES = CPU_BLOCK * sizeof(real),
};

/* Stands before a loop whose bounds are constants once its function is inlined. Without full unrolling an array of
 * vectors does not become registers. */
#if defined(__clang__)
#define CPU_UNROLL _Pragma("clang loop unroll(full)")
#else
#define CPU_UNROLL _Pragma("GCC unroll 64")
#endif

typedef real vec __attribute__((vector_size(CPU_VEC_BYTES), may_alias));
typedef real_int vec_int __attribute__((vector_size(CPU_VEC_BYTES), may_alias));

static inline vec vec_load(const real *from)
{
    return *(const vec *)from;
}

static inline void vec_store(real *to, vec value)
{
    *(vec *)to = value;
}

static inline vec vec_set(real value)
{
    return value - (vec){0};
}

/* a where mask is all ones, b where it is zero. */
static inline vec vec_select(vec_int mask, vec a, vec b)
{
    return (vec)((mask & (vec_int)a) | (~mask & (vec_int)b));
}

/* a0 b0 a1 b1 ..., from the lower or the upper halves of a and b. */
#if defined(__clang__)
#define VEC_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define VEC_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (vec_int){__VA_ARGS__})
#endif

static inline vec vec_interleave_low(vec a, vec b)
{
#if CPU_LANES == 16
    return VEC_SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
#elif CPU_LANES == 8
    return VEC_SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
#elif CPU_LANES == 4
    return VEC_SHUFFLE(a, b, 0, 4, 1, 5);
#else
    return VEC_SHUFFLE(a, b, 0, 2);
#endif
}

static inline vec vec_interleave_high(vec a, vec b)
{
#if CPU_LANES == 16
    return VEC_SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#elif CPU_LANES == 8
    return VEC_SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#elif CPU_LANES == 4
    return VEC_SHUFFLE(a, b, 2, 6, 3, 7);
#else
    return VEC_SHUFFLE(a, b, 1, 3);
#endif
}

struct cpu_winograd;
struct augment_move;
struct augment_box;

struct cpu_backend {
    struct backend base; /* first: a struct backend * of this variant is a struct cpu_backend * */
    struct cpu_threads *threads;
    enum winograd winograd_choice;
    struct cpu_winograd *winograd; /* scratch memory of Winograd's convolution, once a layer needs it */
    struct augment_move *moves;    /* [move_count], for gather: grows with the batch */
    int64_t move_count;
    uint8_t *staged, *mixed; /* [staged_bytes], [mixed_bytes], the batch that cpu_augment.c changes: grow with it */
    int64_t staged_bytes, mixed_bytes;
    struct augment_box *holes; /* [hole_count], of that batch */
    int64_t hole_count;
    const struct cpu_bf16_engine *bf16;   /* computes products of matrices with precision = bf16; else NULL */
    const struct cpu_bytes_engine *bytes; /* computes linear layers whose input is pixels; NULL where none is offered */
    void *scratch;                        /* memory of one operation while it runs; see cpu_scratch_reserve */
    size_t scratch_bytes;
};

static inline struct cpu_backend *cpu_backend_of(struct backend *backend)
{
    return (struct cpu_backend *)backend;
}

/* Makes `scratch` at least that large; its contents are lost. A plan calls it, or an operation at its first use. A
 * network rehearses that use, so that a repeated step asks for no memory. */
void CPU_EXPORT(cpu_scratch_reserve)(struct backend *backend, size_t bytes);

static inline real cpu_sqrt(real x)
{
    return sizeof(real) == sizeof(float) ? (real)sqrtf((float)x) : (real)sqrt((double)x);
}

static inline int64_t cpu_blocks(int64_t channels)
{
    return (channels + CPU_BLOCK - 1) / CPU_BLOCK;
}

/* Scalars between a block of channels and the next. */
static inline int64_t cpu_block_stride(struct shape shape)
{
    return shape.h * shape.w * shape.n * CPU_BLOCK;
}

/* Sums over many rows go in chunks, and the sums of the chunks are added: the rounding error of fp32 stays small. */
enum { CPU_SUM_CHUNK = 256 * CPU_BLOCK };

/* The sum of the registers at x, x + 16, x + 32, ... below x + count. */
static inline vec cpu_sum_rows(const real *x, int64_t count)
{
    vec total = {0};
    for (int64_t start = 0; start < count; start += CPU_SUM_CHUNK) {
        vec part = {0}, other = {0}; /* two parts, since an addition waits for the one before it */
        int64_t i = start, end = min_of(start + CPU_SUM_CHUNK, count);
        for (; i + CPU_BLOCK < end; i += 2 * CPU_BLOCK) {
            part += vec_load(x + i);
            other += vec_load(x + i + CPU_BLOCK);
        }
        if (i < end) part += vec_load(x + i);
        total += part + other;
    }
    return total;
}

/* Shares out `count` iterations of about `cost` scalar operations each, in ranges that are large enough for a
 * thread. */
static inline void cpu_for(struct backend *backend, int64_t count, int64_t cost, void (*body)(void *, int64_t, int64_t),
                           void *argument)
{
    enum { WORTHWHILE = 16384, RANGES_PER_THREAD = 4 };
    struct cpu_threads *threads = cpu_backend_of(backend)->threads;
    int64_t share = count / ((int64_t)cpu_threads_width(threads) * RANGES_PER_THREAD);
    cpu_threads_for(threads, count, max_of(max_of(share, WORTHWHILE / max_of(cost, 1)), 1), body, argument);
}

#endif
