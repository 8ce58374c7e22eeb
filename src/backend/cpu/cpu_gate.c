/* A gate for each channel of each sample, and its gradients. With s[n,c] = 1 / (1 + exp(-z[n,c])), ds/dz = s (1 - s):
 *
 *   y[n,c,h,w] = s[n,c] x[n,c,h,w]
 *   dx[n,c,h,w] = s[n,c] dy[n,c,h,w],   dz[n,c] = s[n,c] (1 - s[n,c]) sum_{h,w} dy[n,c,h,w] x[n,c,h,w]
 *
 * For a block of 16 channels, x is a matrix with a row per pixel, [H W][N][16], and z is one such row. An item of work is
 * a few registers of the rows: their gates stay registers while the pixels pass by, and so do the sums of the backward
 * pass. Pixels are summed in chunks, and the sums of the chunks are added: the rounding error of fp32 stays small. Each
 * tensor is read or written once. Every sum is made by one thread in an order that the number of threads does not change.
 * The gate of a lane past the last channel is 1/2, but x and dy are 0 there, and so are y, dx and dz.
 *
 * This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/cpu_install.h"
#include "backend/cpu/cpu_normal.h"

enum {
    GROUP = 4,                                /* registers of an item */
    AHEAD = 4,                                /* pixels: lines fetched from memory while others are computed */
    CHUNK_PIXELS = CPU_SUM_CHUNK / CPU_BLOCK, /* pixels whose sum is made before it is added to that of all */
};

struct gate_task {
    int64_t pixels, row; /* H*W, and scalars of a row: N*16 */
    const real *z;       /* [C/16][N][16] */
    const real *from;    /* x, or dy */
    const real *x;       /* in the backward pass */
    real *to;            /* y, or dx */
    real *dz;            /* in the backward pass */
};

/* Multiplies `count` registers of each pixel by their gates, and in the backward pass writes as many of dz. They begin at
 * these places of the images and of z. Always inlined with constants, so that the sums are registers. */
static inline __attribute__((always_inline)) void gate_registers(const bool backward, const int count,
                                                                 const struct gate_task *task, int64_t image, int64_t z)
{
    vec s[GROUP], total[GROUP], part[GROUP];
    CPU_UNROLL
    for (int i = 0; i < count; i++) s[i] = cpu_sigmoid(vec_load(task->z + z + i * CPU_LANES)), total[i] = (vec){0};
    for (int64_t start = 0; start < task->pixels; start += CHUNK_PIXELS) {
        int64_t end = min_of(start + CHUNK_PIXELS, task->pixels);
        CPU_UNROLL
        for (int i = 0; i < count; i++) part[i] = (vec){0};
        for (int64_t pixel = start; pixel < end; pixel++) {
            CPU_UNROLL
            for (int i = 0; i < count; i++) {
                int64_t at = image + pixel * task->row + i * CPU_LANES;
                __builtin_prefetch(task->from + at + AHEAD * task->row);
                vec from = vec_load(task->from + at);
                vec_store(task->to + at, s[i] * from);
                if (!backward) continue;
                __builtin_prefetch(task->x + at + AHEAD * task->row);
                part[i] += from * vec_load(task->x + at);
            }
        }
        CPU_UNROLL
        for (int i = 0; i < count; i++) total[i] += part[i];
    }
    CPU_UNROLL
    for (int i = 0; backward && i < count; i++)
        vec_store(task->dz + z + i * CPU_LANES, s[i] * ((real)1 - s[i]) * total[i]);
}

static int64_t groups_of_row(const struct gate_task *task)
{
    return (task->row + GROUP * CPU_LANES - 1) / (GROUP * CPU_LANES);
}

/* Iterations are [block][group of registers]. */
static inline __attribute__((always_inline)) void gate_groups(const bool backward, const struct gate_task *task,
                                                              int64_t first, int64_t last)
{
    int64_t groups = groups_of_row(task);
    for (int64_t item = first; item < last; item++) {
        int64_t block = item / groups, at = item % groups * GROUP * CPU_LANES;
        int64_t image = block * task->pixels * task->row, z = block * task->row;
        if (at + GROUP * CPU_LANES <= task->row) {
            gate_registers(backward, GROUP, task, image + at, z + at);
            continue;
        }
        for (; at < task->row; at += CPU_LANES) gate_registers(backward, 1, task, image + at, z + at);
    }
}

static void forward_groups(void *argument, int64_t first, int64_t last)
{
    gate_groups(false, argument, first, last);
}

static void backward_groups(void *argument, int64_t first, int64_t last)
{
    gate_groups(true, argument, first, last);
}

static void run_groups(struct backend *backend, struct gate_task *task, const struct tensor *x, const struct tensor *z,
                       void (*body)(void *, int64_t, int64_t))
{
    struct shape image = x->shape;
    CHECK(z->shape.n == image.n && z->shape.c == image.c && z->shape.h == 1 && z->shape.w == 1);
    task->pixels = image.h * image.w, task->row = image.n * CPU_BLOCK;
    task->z = z->data;
    cpu_for(backend, cpu_blocks(image.c) * groups_of_row(task), task->pixels * GROUP * CPU_LANES, body, task);
}

static void run_gate(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[GATE_X], *y = &call->tensor[GATE_Y];
    struct gate_task task = {.from = x->data, .to = y->data};
    CHECK(shape_equal(x->shape, y->shape));
    run_groups(backend, &task, x, &call->tensor[GATE_Z], forward_groups);
}

static void run_gate_backward(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[GATE_BACKWARD_X], *dy = &call->tensor[GATE_BACKWARD_DY];
    const struct tensor *dx = &call->tensor[GATE_BACKWARD_DX], *dz = &call->tensor[GATE_BACKWARD_DZ];
    struct gate_task task = {.from = dy->data, .x = x->data, .to = dx->data, .dz = dz->data};
    CHECK(shape_equal(x->shape, dy->shape) && shape_equal(x->shape, dx->shape));
    run_groups(backend, &task, x, &call->tensor[GATE_BACKWARD_Z], backward_groups);
}

void CPU_EXPORT(cpu_gate_install)(struct op_function *functions)
{
    functions[OP_GATE] = (struct op_function){.run = run_gate};
    functions[OP_GATE_BACKWARD] = (struct op_function){.run = run_gate_backward};
}
