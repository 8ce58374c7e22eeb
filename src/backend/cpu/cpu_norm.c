/* The norm of an arena, and the scaling that limits it. The arena is cut into NORM_PARTS parts, whose size depends on
 * the arena's size alone. The sums of the parts are added in their order, so the bits are the same at any number of
 * threads. A norm is one pass over the memory. This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/cpu_norm.h"

#include <math.h>

#include "backend/cpu/cpu_install.h"

enum {
    NORM_PARTS = 256, /* more than any number of threads can use at once */
    NORM_LANES = 16,  /* sums side by side: an addition waits for the one before it */
};

struct norm_task {
    const real *x;
    int64_t count, part; /* elements in all and in a part */
    double sums[NORM_PARTS];
};

static void norm_range(void *argument, int64_t first, int64_t last)
{
    struct norm_task *task = argument;
    for (int64_t p = first; p < last; p++) {
        double lanes[NORM_LANES] = {0}, sum = 0;
        int64_t i = min_of(p * task->part, task->count), end = min_of(i + task->part, task->count);
        for (; i + NORM_LANES <= end; i += NORM_LANES)
            for (int l = 0; l < NORM_LANES; l++) lanes[l] += (double)task->x[i + l] * (double)task->x[i + l];
        for (; i < end; i++) sum += (double)task->x[i] * (double)task->x[i];
        for (int l = 0; l < NORM_LANES; l++) sum += lanes[l];
        task->sums[p] = sum;
    }
}

double CPU_EXPORT(cpu_norm)(struct backend *backend, int64_t count, const real *x)
{
    struct norm_task task = {.x = x, .count = count};
    double sum = 0;
    task.part = (task.count + NORM_PARTS - 1) / NORM_PARTS;
    cpu_for(backend, NORM_PARTS, task.part, norm_range, &task);
    for (int p = 0; p < NORM_PARTS; p++) sum += task.sums[p];
    return sqrt(sum);
}

struct scale_task {
    real *x;
    real factor;
};

static void scale_range(void *argument, int64_t first, int64_t last)
{
    const struct scale_task *task = argument;
    for (int64_t i = first; i < last; i++) task->x[i] *= task->factor;
}

static int64_t count_of(const struct backend *backend, const struct tensor *x)
{
    return (int64_t)backend->table->tensor_count(backend, x->kind, x->shape);
}

static void run_clip(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[CLIP_X];
    int64_t count = count_of(backend, x);
    double factor = call->op->clip / (CPU_EXPORT(cpu_norm)(backend, count, x->data) + 1e-6);
    struct scale_task task = {x->data, (real)factor};
    CHECK(call->op->clip > 0);
    /* The test is not `factor < 1`, so that a norm that is NaN goes on to the weights, where it is found. */
    if (!(factor >= 1)) cpu_for(backend, count, 1, scale_range, &task);
}

static void run_magnitude(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[MAGNITUDE_X];
    *(double *)call->tensor[MAGNITUDE_Y].data = CPU_EXPORT(cpu_norm)(backend, count_of(backend, x), x->data);
}

void CPU_EXPORT(cpu_norm_install)(struct op_function *functions)
{
    functions[OP_CLIP] = (struct op_function){.run = run_clip};
    functions[OP_MAGNITUDE] = (struct op_function){.run = run_magnitude};
}
