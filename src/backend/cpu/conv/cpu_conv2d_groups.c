/* Convolutions of several groups of channels. Channels lie in blocks of 16, so the channels of a few neighbouring groups
 * are tensors of their own, within x and y, where the ranges of them begin and end with a block. The fewest groups that
 * do make a range, and a range is a convolution of one group:
 *
 *   - where a group has whole blocks of inputs and outputs, a range is one group. Its filter is a part of the filter.
 *   - else a range has several. Its filter is the block-diagonal matrix of theirs, which is written into scratch memory
 *     for each pass; of its gradient the blocks on the diagonal are taken. For 4 channels in a group this multiplies four
 *     times as much as has to be, but no more than would be multiplied by the padding of blocks.
 *
 * The last range may have fewer groups than the others. Every output is summed in an order that the shape alone decides.
 *
 * This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/conv/cpu_conv2d_groups.h"

#include <stdlib.h>

#include "util/memory.h"

/* Groups in a range, the plans of the ranges, and their filter. */
struct conv2d_ranges {
    int64_t count, groups;      /* ranges in all; groups in each but the last */
    int64_t inputs, outputs;    /* channels of a group */
    struct conv2d_plan *plan;   /* of every range but the last */
    struct conv2d_plan *latest; /* of the last one, where that has fewer groups; else the same */
    real *filter;               /* of a range with several groups, one after the other; NULL: there are none */
};

static int64_t greatest_divisor(int64_t a, int64_t b)
{
    return b == 0 ? a : greatest_divisor(b, a % b);
}

/* Returns how many groups of so many channels fill whole blocks. */
static int64_t groups_in_blocks(int64_t channels)
{
    return CPU_BLOCK / greatest_divisor(CPU_BLOCK, channels);
}

static struct conv2d_plan *make_range(struct backend *backend, const struct conv2d_plan *plan, int64_t groups)
{
    struct shape input = plan->input;
    input.c = plan->input.c / plan->groups * groups;
    return CPU_EXPORT(cpu_conv2d_dense_plan)(backend, plan->window, input,
                                             plan->output_channels / plan->groups * groups);
}

void CPU_EXPORT(cpu_conv2d_groups_plan)(struct backend *backend, struct conv2d_plan *plan)
{
    struct conv2d_ranges *ranges = plan->ranges = memory_alloc(1, sizeof *ranges);
    int64_t inputs = plan->input.c / plan->groups, outputs = plan->output_channels / plan->groups;
    int64_t in = groups_in_blocks(inputs), out = groups_in_blocks(outputs);
    int64_t groups = min_of(in > out ? in : out, plan->groups); /* both are powers of 2 */
    *ranges = (struct conv2d_ranges){.groups = groups, .inputs = inputs, .outputs = outputs};
    ranges->count = (plan->groups + groups - 1) / groups;
    ranges->plan = ranges->latest = make_range(backend, plan, groups);
    int64_t rest = plan->groups % groups;
    if (rest > 0) ranges->latest = make_range(backend, plan, rest);
    struct shape filter = {outputs * groups, inputs * groups, plan->window.kernel, plan->window.kernel};
    if (groups > 1) ranges->filter = backend->table->alloc(backend, tensor_bytes(backend, TENSOR_FILTER, filter));
}

void CPU_EXPORT(cpu_conv2d_groups_plan_free)(struct backend *backend, struct conv2d_ranges *ranges)
{
    if (!ranges) return;
    if (ranges->latest != ranges->plan) CPU_EXPORT(cpu_conv2d_plan_free)(backend, ranges->latest);
    CPU_EXPORT(cpu_conv2d_plan_free)(backend, ranges->plan);
    backend->table->free(backend, ranges->filter);
    free(ranges);
}

/* --- the filter of a range --- */

struct diagonal_task {
    real *filter; /* of the groups: [outputs/16][J/16][taps][16][16] */
    real *range;  /* of the range: [outputs/16][inputs/16][taps][16][16] */
    int64_t taps;
    int64_t inputs, outputs;             /* J input and L output channels of a group */
    int64_t range_inputs, range_outputs; /* those of the range */
    const struct cpu_update *update;
};

static real *filter_at(real *filter, int64_t inputs, int64_t taps, int64_t o, int64_t i)
{
    int64_t block = o / CPU_BLOCK * cpu_blocks(inputs) + i / CPU_BLOCK;
    return filter + block * taps * CPU_FILTER_BLOCK + i % CPU_BLOCK * CPU_BLOCK + o % CPU_BLOCK;
}

/* Calls move for the weights of each pair of channels of the output blocks first..last-1, with their places in the two
 * filters; weights of further taps lie CPU_FILTER_BLOCK further. */
static inline __attribute__((always_inline)) void walk_diagonal(const struct diagonal_task *task, int64_t first,
                                                                int64_t last,
                                                                void (*move)(real *own, real *range, int64_t taps))
{
    for (int64_t o = first * CPU_BLOCK; o < min_of(last * CPU_BLOCK, task->range_outputs); o++)
        for (int64_t i = 0; i < task->inputs; i++) {
            int64_t channel = o / task->outputs * task->inputs + i;
            move(filter_at(task->filter, task->inputs, task->taps, o, i),
                 filter_at(task->range, task->range_inputs, task->taps, o, channel), task->taps);
        }
}

static inline void put_in(real *own, real *range, int64_t taps)
{
    for (int64_t tap = 0; tap < taps; tap++) range[tap * CPU_FILTER_BLOCK] = own[tap * CPU_FILTER_BLOCK];
}

static inline void take_out(real *own, real *range, int64_t taps)
{
    for (int64_t tap = 0; tap < taps; tap++) own[tap * CPU_FILTER_BLOCK] = range[tap * CPU_FILTER_BLOCK];
}

/* Writes some blocks of outputs of the range's filter. */
static void expand(void *argument, int64_t first, int64_t last)
{
    const struct diagonal_task *task = argument;
    int64_t stride = cpu_blocks(task->range_inputs) * task->taps * CPU_FILTER_BLOCK;
    memset(task->range + first * stride, 0, (size_t)((last - first) * stride) * sizeof(real));
    walk_diagonal(task, first, last, put_in);
}

/* Writes some blocks of outputs of the groups' filter. */
static void extract(void *argument, int64_t first, int64_t last)
{
    const struct diagonal_task *task = argument;
    int64_t stride = cpu_blocks(task->inputs) * task->taps * CPU_FILTER_BLOCK;
    memset(task->filter + first * stride, 0, (size_t)((last - first) * stride) * sizeof(real));
    walk_diagonal(task, first, last, take_out);
    cpu_update_piece(task->update, task->filter + first * stride, (last - first) * stride);
}

/* Goes over the blocks of outputs of `filter`, the part of a filter or of its gradient that belongs to the range. */
static void run_diagonal(struct backend *backend, const struct conv2d_ranges *ranges, const struct conv2d_plan *range,
                         const struct tensor *filter, void (*body)(void *, int64_t, int64_t),
                         const struct cpu_update *update)
{
    struct diagonal_task task = {.filter = filter->data,
                                 .range = ranges->filter,
                                 .taps = range->window.kernel * range->window.kernel,
                                 .inputs = ranges->inputs,
                                 .outputs = ranges->outputs,
                                 .range_inputs = range->input.c,
                                 .range_outputs = range->output_channels,
                                 .update = update};
    cpu_for(backend, cpu_blocks(task.range_outputs), task.taps * cpu_blocks(task.range_inputs) * CPU_FILTER_BLOCK, body,
            &task);
}

/* --- passes --- */

/* Makes the part of a tensor of channels, in blocks, from channel `first` on; an empty tensor stays so. */
static struct tensor channels_of(const struct tensor *tensor, int64_t first, int64_t count)
{
    struct tensor part = *tensor;
    part.shape.c = count;
    if (part.data) part.data = (real *)tensor->data + first / CPU_BLOCK * cpu_block_stride(tensor->shape);
    return part;
}

static struct tensor filters_of(const struct tensor *filter, int64_t first, int64_t count)
{
    struct tensor part = *filter;
    int64_t stride = cpu_blocks(filter->shape.c) * filter->shape.h * filter->shape.w * CPU_FILTER_BLOCK;
    part.shape.n = count;
    if (part.data) part.data = (real *)filter->data + first / CPU_BLOCK * stride;
    return part;
}

static const struct conv2d_plan *plan_of(const struct conv2d_ranges *ranges, int64_t range)
{
    return range + 1 < ranges->count ? ranges->plan : ranges->latest;
}

/* Returns the operands of a range. */
static struct conv2d_operands operands_of(const struct conv2d_ranges *ranges, int64_t range,
                                          const struct conv2d_operands *all)
{
    const struct conv2d_plan *plan = plan_of(ranges, range);
    int64_t input = range * ranges->groups * ranges->inputs, output = range * ranges->groups * ranges->outputs;
    return (struct conv2d_operands){
        .x = channels_of(&all->x, input, plan->input.c),
        .dx = channels_of(&all->dx, input, plan->input.c),
        .y = channels_of(&all->y, output, plan->output_channels),
        .bias = channels_of(&all->bias, output, plan->output_channels),
        .dbias = channels_of(&all->dbias, output, plan->output_channels),
        .weight = filters_of(&all->weight, output, plan->output_channels),
        .dweight = filters_of(&all->dweight, output, plan->output_channels),
    };
}

static struct tensor range_filter(const struct conv2d_ranges *ranges, const struct conv2d_plan *range)
{
    struct shape shape = {range->output_channels, range->input.c, range->window.kernel, range->window.kernel};
    return (struct tensor){ranges->filter, shape, TENSOR_FILTER};
}

void CPU_EXPORT(cpu_conv2d_groups)(struct backend *backend, const struct conv2d_plan *plan,
                                   const struct conv2d_operands *operands)
{
    const struct conv2d_ranges *ranges = plan->ranges;
    for (int64_t range = 0; range < ranges->count; range++) {
        const struct conv2d_plan *own = plan_of(ranges, range);
        struct conv2d_operands part = operands_of(ranges, range, operands);
        if (ranges->filter) {
            run_diagonal(backend, ranges, own, &part.weight, expand, NULL);
            part.weight = range_filter(ranges, own);
        }
        CPU_EXPORT(cpu_conv2d_dense)(backend, own, &part);
    }
}

/* dx comes first, because the filter's gradient is written where the filter was. */
static void backward_diagonal(struct backend *backend, const struct conv2d_ranges *ranges,
                              const struct conv2d_plan *range, struct conv2d_operands part,
                              const struct cpu_update *update)
{
    struct tensor filter = range_filter(ranges, range), dweight = part.dweight;
    if (part.dx.data) run_diagonal(backend, ranges, range, &part.weight, expand, NULL);
    part.weight = filter;
    if (dweight.data) part.dweight = filter;
    CPU_EXPORT(cpu_conv2d_dense_backward)(backend, range, &part, NULL);
    if (dweight.data) run_diagonal(backend, ranges, range, &dweight, extract, update);
}

void CPU_EXPORT(cpu_conv2d_groups_backward)(struct backend *backend, const struct conv2d_plan *plan,
                                            const struct conv2d_operands *operands, const struct cpu_update *update)
{
    const struct conv2d_ranges *ranges = plan->ranges;
    for (int64_t range = 0; range < ranges->count; range++) {
        struct conv2d_operands part = operands_of(ranges, range, operands);
        if (ranges->filter)
            backward_diagonal(backend, ranges, plan_of(ranges, range), part, update);
        else
            CPU_EXPORT(cpu_conv2d_dense_backward)(backend, plan_of(ranges, range), &part, update);
    }
}
