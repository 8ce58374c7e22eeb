/* Lives of a program's working tensors, and their places in one block of memory (passes.h).
 *
 * The placement is "greedy by size" (Pisarchyk and Lee 2020, "Efficient Memory Management for Deep Neural Net
 * Inference"): tensors in a fixed order, each at the lowest offset at which it is clear of those placed before it that
 * are alive at the same time. No order is best for every program, so a few are tried and the shortest block wins. */
#include <stdlib.h>

#include "program/passes.h"
#include "util/check.h"
#include "util/memory.h"

/* A tensor starts at a cache line, and one that fills a huge page starts at such a page, as in memory.c. */
static const int64_t align = 64, large = 2 << 20;

/* --- lives --- */

/* Ops first .. last touch the tensor. */
static void extend(struct program_life *life, int first, int last)
{
    if (life->first > life->last) life->first = first;
    if (life->last < last) life->last = last;
}

/* The last op beside which this one may run. */
static int last_beside(const struct program *program, int op)
{
    return program->ops[op].stream == 0 ? op : program_joined_at(program, op) - 1;
}

static bool written_once(const struct program *program, int tensor)
{
    for (int i = 0; i < program->once_count; i++)
        if (op_writes(&program->ops[i], tensor)) return true;
    return false;
}

struct program_life *program_lives(const struct program *program)
{
    struct program_life *lives = memory_alloc((size_t)program->tensor_count, sizeof *lives);
    for (int t = 0; t < program->tensor_count; t++) lives[t] = (struct program_life){0, -1};
    for (int i = 0; i < program->op_count; i++) {
        int last = last_beside(program, i);
        for (int slot = 0; slot < OP_OPERANDS; slot++)
            if (program->ops[i].tensor[slot] >= 0) extend(&lives[program->ops[i].tensor[slot]], i, last);
    }
    for (int t = 0; t < program->tensor_count; t++)
        if (program->tensors[t].keep || written_once(program, t))
            lives[t] = (struct program_life){0, program->op_count > 0 ? program->op_count - 1 : 0};
    return lives;
}

struct program_life program_life(const struct program *program, int tensor)
{
    struct program_life *lives = program_lives(program);
    struct program_life life = lives[tensor];
    free(lives);
    return life;
}

int program_dead_after(const struct program *program, int op, int *tensors, int max)
{
    struct program_life *lives = program_lives(program);
    int count = 0;
    for (int t = 0; t < program->tensor_count; t++) {
        const struct program_tensor *tensor = &program->tensors[t];
        bool stays = tensor->space != SPACE_WORK || tensor->keep || written_once(program, t);
        if (stays || lives[t].last != op) continue;
        CHECK(count < max);
        tensors[count++] = t;
    }
    free(lives);
    return count;
}

/* --- places --- */

/* A tensor of SPACE_WORK that is alive at all. */
struct item {
    int tensor;
    int64_t bytes; /* rounded up to `align` */
    struct program_life life;
    int64_t offset;
};

static int64_t round_up(int64_t value, int64_t to)
{
    return (value + to - 1) / to * to;
}

/* Lists the tensors that need a place, in a new array. */
static struct item *list_items(const struct program *program, int *count)
{
    struct program_life *lives = program_lives(program);
    struct item *items = memory_alloc((size_t)program->tensor_count, sizeof *items);
    *count = 0;
    for (int t = 0; t < program->tensor_count; t++) {
        const struct program_tensor *tensor = &program->tensors[t];
        if (tensor->space != SPACE_WORK || lives[t].first > lives[t].last) continue;
        items[(*count)++] = (struct item){t, round_up((int64_t)tensor->bytes, align), lives[t], 0};
    }
    free(lives);
    return items;
}

static int64_t duration(const struct item *item)
{
    return item->life.last - item->life.first + 1;
}

/* The orders end with the tensors' numbers, so that the plan does not depend on qsort. */
static int compare(int64_t a, int64_t b, const struct item *x, const struct item *y)
{
    return a != b ? (a > b) - (a < b) : x->tensor - y->tensor;
}

static int by_bytes(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    return compare(y->bytes, x->bytes, x, y);
}

static int by_duration(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    return compare(duration(y), duration(x), x, y);
}

static int by_area(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    return compare(duration(y) * y->bytes, duration(x) * x->bytes, x, y);
}

static int by_offset(const void *a, const void *b)
{
    const struct item *x = *(const struct item *const *)a, *y = *(const struct item *const *)b;
    return compare(x->offset, y->offset, x, y);
}

/* The lowest offset at which the item is clear of the neighbours, which are in the order of their offsets. */
static int64_t first_fit(const struct item *item, struct item *const *neighbours, int count)
{
    int64_t step = item->bytes >= large ? large : align, offset = 0;
    for (int i = 0; i < count; i++) {
        if (offset + item->bytes <= neighbours[i]->offset) break;
        int64_t end = round_up(neighbours[i]->offset + neighbours[i]->bytes, step);
        if (end > offset) offset = end;
    }
    return offset;
}

/* Places the items in the order of the list. Returns the bytes of the block. */
static int64_t place_in_order(struct item *items, int count, bool shared)
{
    struct item **neighbours = memory_alloc((size_t)count, sizeof(struct item *));
    int64_t bytes = 0;
    for (int i = 0; i < count; i++) {
        int found = 0;
        for (int j = 0; j < i; j++) {
            bool apart = items[j].life.last < items[i].life.first || items[i].life.last < items[j].life.first;
            if (!shared || !apart) neighbours[found++] = &items[j];
        }
        qsort(neighbours, (size_t)found, sizeof(struct item *), by_offset);
        items[i].offset = first_fit(&items[i], neighbours, found);
        if (items[i].offset + items[i].bytes > bytes) bytes = items[i].offset + items[i].bytes;
    }
    free(neighbours);
    return bytes;
}

void program_place(struct program *program, bool shared)
{
    static int (*const orders[])(const void *, const void *) = {by_bytes, by_area, by_duration};
    int count;
    struct item *items = list_items(program, &count);
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        qsort(items, (size_t)count, sizeof *items, orders[i]);
        int64_t bytes = place_in_order(items, count, shared);
        if (i > 0 && bytes >= program->work_bytes) continue;
        program->work_bytes = bytes;
        for (int k = 0; k < count; k++) program->tensors[items[k].tensor].offset = items[k].offset;
    }
    free(items);
    program_check(program, NULL);
}

int64_t program_work_bound(const struct program *program)
{
    int count;
    struct item *items = list_items(program, &count);
    int64_t most = 0;
    for (int i = 0; i < count; i++) { /* the sum is largest where some life begins */
        int64_t sum = 0;
        for (int j = 0; j < count; j++)
            if (items[j].life.first <= items[i].life.first && items[i].life.first <= items[j].life.last)
                sum += items[j].bytes;
        if (sum > most) most = sum;
    }
    free(items);
    return most;
}
