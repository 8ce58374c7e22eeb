/* Compares what a program reads and writes in the arenas before and after a pass (passes.h).
 *
 * The unit is a "leaf": a tensor of an arena that has no smaller one in it. An operand over a range of an arena reads,
 * or writes, every leaf in the range. So one UPDATE of a whole arena counts as the UPDATEs of its parameters that it
 * took the place of. A reading is named by the kind of op, the slot and the leaf, because a pass may put one op in the
 * place of several. Tensors of SPACE_WORK have no versions: program_check lets each be written once. */
#include <stdlib.h>

#include "program/check_private.h"
#include "util/memory.h"

struct reading {
    enum op_kind kind;
    int slot, leaf;
    int version; /* how many ops had written the leaf */
    int op;
};

struct program_versions {
    int tensor_count;
    bool *leaf;  /* [tensor_count] */
    int *writes; /* [tensor_count]: of a leaf, by the whole program */
    struct reading *readings;
    int count, capacity;
};

/* True where tensor t lies in tensor `within` and is smaller. */
static bool is_part(const struct program *program, int t, int within)
{
    return program->tensors[t].bytes < program->tensors[within].bytes && program_overlap(program, within, t) &&
           program_contains(program, within, t);
}

static bool is_leaf(const struct program *program, int tensor)
{
    if (program->tensors[tensor].space == SPACE_WORK) return false;
    for (int t = 0; t < program->tensor_count; t++)
        if (is_part(program, t, tensor)) return false;
    return true;
}

static void add_reading(struct program_versions *versions, struct reading reading)
{
    if (versions->count == versions->capacity) {
        versions->capacity = versions->capacity ? 2 * versions->capacity : 256;
        versions->readings = memory_resize(versions->readings, (size_t)versions->capacity, sizeof *versions->readings);
    }
    versions->readings[versions->count++] = reading;
}

/* Adds the readings of an operand, or its writes. */
static void walk_operand(const struct program *program, struct program_versions *versions, int op, int slot, bool write)
{
    const struct op *at = &program->ops[op];
    for (int t = 0; t < versions->tensor_count; t++) {
        if (!versions->leaf[t] || !program_overlap(program, at->tensor[slot], t)) continue;
        if (write)
            versions->writes[t]++;
        else
            add_reading(versions, (struct reading){at->kind, slot, t, versions->writes[t], op});
    }
}

/* An op reads all that it reads before it writes. */
static void walk(const struct program *program, struct program_versions *versions)
{
    for (int i = 0; i < program->op_count; i++)
        for (int write = 0; write < 2; write++)
            for (int slot = 0; slot < OP_OPERANDS; slot++) {
                int tensor = program->ops[i].tensor[slot];
                enum operand_role role = op_row(program->ops[i].kind)->operand[slot].role;
                if (tensor < 0 || program->tensors[tensor].space == SPACE_WORK) continue;
                if (role == OPERAND_UPDATE || (role == OPERAND_WRITE) == write)
                    walk_operand(program, versions, i, slot, write);
            }
}

static int compare(const void *a, const void *b)
{
    const struct reading *x = a, *y = b;
    if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
    if (x->slot != y->slot) return x->slot - y->slot;
    if (x->leaf != y->leaf) return x->leaf - y->leaf;
    return x->version - y->version;
}

/* Walks the program by the leaves of `before`, or its own. */
static struct program_versions *take(const struct program *program, const struct program_versions *before)
{
    struct program_versions *versions = memory_alloc(1, sizeof *versions);
    versions->tensor_count = before ? before->tensor_count : program->tensor_count;
    versions->leaf = memory_alloc((size_t)versions->tensor_count, sizeof *versions->leaf);
    versions->writes = memory_alloc((size_t)versions->tensor_count, sizeof *versions->writes);
    for (int t = 0; t < versions->tensor_count; t++) versions->leaf[t] = before ? before->leaf[t] : is_leaf(program, t);
    walk(program, versions);
    if (versions->count > 0) qsort(versions->readings, (size_t)versions->count, sizeof *versions->readings, compare);
    return versions;
}

struct program_versions *program_versions_take(const struct program *program)
{
    return take(program, NULL);
}

void program_versions_free(struct program_versions *versions)
{
    if (!versions) return;
    free(versions->leaf);
    free(versions->writes);
    free(versions->readings);
    free(versions);
}

/* The first reading of `before` that is not below this one in the order; count where there is none. */
static int lower_bound(const struct program_versions *before, const struct reading *reading)
{
    int first = 0, last = before->count;
    while (first < last) {
        int middle = first + (last - first) / 2;
        if (compare(&before->readings[middle], reading) < 0)
            first = middle + 1;
        else
            last = middle;
    }
    return first;
}

/* True where `before` has readings of this kind, slot and leaf, and all are of other versions. */
static bool reads_another(const struct program *program, const struct program_versions *before,
                          const struct reading *reading, const struct fault_text *fault)
{
    struct reading any = *reading;
    any.version = 0;
    int exact = lower_bound(before, reading), first = lower_bound(before, &any);
    if (first == before->count) return false;
    if (exact < before->count && compare(&before->readings[exact], reading) == 0) return false;
    const struct reading *was = &before->readings[first];
    any.version = was->version;
    if (compare(was, &any) != 0) return false;
    return program_fault_at(program, reading->op, fault, "%s reads version %d of tensor %d (%s), and read version %d",
                            op_row(reading->kind)->operand[reading->slot].name, reading->version, reading->leaf,
                            program->tensors[reading->leaf].name, was->version);
}

static bool find_difference(const struct program *program, const struct program_versions *before,
                            const struct program_versions *now, const struct fault_text *fault)
{
    for (int i = 0; i < now->count; i++)
        if (reads_another(program, before, &now->readings[i], fault)) return true;
    for (int t = 0; t < now->tensor_count; t++)
        if (now->leaf[t] && now->writes[t] != before->writes[t])
            return program_fault_at(program, program->op_count - 1, fault,
                                    "in the end tensor %d (%s) is written %d times, and was %d times", t,
                                    program->tensors[t].name, now->writes[t], before->writes[t]);
    return false;
}

bool program_versions_differ(const struct program *program, const struct program_versions *before,
                             const struct fault_text *fault)
{
    struct program_versions *now = take(program, before);
    bool differ = program->op_count > 0 && find_difference(program, before, now, fault);
    program_versions_free(now);
    return differ;
}
