/* Writes the backward pass of a program (gradient.h). */
#include "program/gradient.h"

#include <stdlib.h>

#include "program/passes.h"
#include "util/check.h"
#include "util/memory.h"

/* The gradient of a tensor of the forward pass while it is collected. */
struct entry {
    bool wanted;
    int *shares; /* tensors that the sum is made of, in descending order of their ops; owned */
    int share_count;
    int sum; /* the complete gradient once it has been asked for; -1: not yet */
};

struct gradient {
    struct program *program;
    struct entry *entries; /* one for each tensor that was there before the backward pass */
    int entry_count;
    struct op *visited; /* copy of the forward op at hand */
};

struct program *gradient_program(struct gradient *gradient)
{
    return gradient->program;
}

static struct entry *entry_of(const struct gradient *gradient, int tensor)
{
    CHECK(tensor >= 0 && tensor < gradient->entry_count);
    return &gradient->entries[tensor];
}

bool gradient_wanted(const struct gradient *gradient, int tensor)
{
    return tensor >= 0 && entry_of(gradient, tensor)->wanted;
}

/* A parameter's gradient has a tensor of its own; the others get one of SPACE_WORK. */
static bool has_place(const struct gradient *gradient, int tensor)
{
    return gradient->program->tensors[tensor].gradient >= 0;
}

void gradient_pass(struct gradient *gradient, int tensor, int share)
{
    if (!gradient_wanted(gradient, tensor)) return;
    struct entry *entry = entry_of(gradient, tensor);
    CHECK(entry->sum < 0);
    entry->shares = memory_resize(entry->shares, (size_t)entry->share_count + 1, sizeof *entry->shares);
    entry->shares[entry->share_count++] = share;
}

static const char *name_of_gradient(enum tensor_kind kind)
{
    return kind == TENSOR_ACTIVATION ? "dx" : "dv";
}

int gradient_share(struct gradient *gradient, int tensor)
{
    if (!gradient_wanted(gradient, tensor)) return -1;
    int share = program_like(gradient->program, name_of_gradient(gradient->program->tensors[tensor].kind), tensor);
    gradient->program->tensors[share].name_index = gradient->program->tensors[tensor].name_index;
    gradient_pass(gradient, tensor, share);
    return share;
}

void gradient_write(struct gradient *gradient, struct op op)
{
    op.layer = gradient->visited->layer;
    op.layer_count = gradient->visited->layer_count;
    op.phase = PHASE_BACKWARD;
    program_add(gradient->program, op);
}

/* Writes ((s0 + s1) + s2) + ... to `to`, or to a new tensor where it is -1. */
static int write_sum(struct gradient *gradient, const struct entry *entry, int to)
{
    int sum = entry->shares[0];
    for (int next = 1; next < entry->share_count;) {
        struct op add = op_make(OP_ADD);
        add.tensor[ADD_A] = sum;
        for (int slot = ADD_B; slot <= ADD_D && next < entry->share_count; slot++)
            add.tensor[slot] = entry->shares[next++];
        bool last = next == entry->share_count;
        add.tensor[ADD_Y] = last && to >= 0 ? to : program_like(gradient->program, "sum", sum);
        gradient_write(gradient, add);
        sum = add.tensor[ADD_Y];
    }
    return sum;
}

int gradient_of(struct gradient *gradient, int tensor)
{
    struct entry *entry = entry_of(gradient, tensor);
    if (entry->share_count == 0) return -1;
    if (entry->sum < 0) entry->sum = write_sum(gradient, entry, -1);
    return entry->sum;
}

/* Leads the gradient of a parameter to its place: a share that stands alone is written there by its own op. */
static void finish_parameter(struct gradient *gradient, int tensor)
{
    struct program *program = gradient->program;
    struct entry *entry = entry_of(gradient, tensor);
    int place = program->tensors[tensor].gradient;
    if (entry->share_count > 1) {
        write_sum(gradient, entry, place);
    } else if (entry->share_count == 1) {
        CHECK(program_readers(program, entry->shares[0]) == 0);
        program_replace(program, entry->shares[0], place);
    }
}

/* A tensor is wanted where it is a parameter with a gradient, is asked for, or is computed from one that is. */
static void find_wanted(struct gradient *gradient, const struct gradient_ends *ends)
{
    const struct program *program = gradient->program;
    for (int t = 0; t < gradient->entry_count; t++) gradient->entries[t].wanted = has_place(gradient, t);
    for (int k = 0; k < ends->input_count; k++) entry_of(gradient, ends->inputs[k])->wanted = true;
    for (int i = 0; i < program->op_count; i++) {
        const struct op *op = &program->ops[i];
        const struct op_row *row = op_row(op->kind);
        bool any = false;
        for (int slot = 0; slot < OP_OPERANDS && row->gradient; slot++)
            any |= row->operand[slot].role == OPERAND_READ && gradient_wanted(gradient, op->tensor[slot]);
        for (int slot = 0; slot < OP_OPERANDS && any; slot++)
            if (row->operand[slot].role == OPERAND_WRITE && op->tensor[slot] >= 0)
                entry_of(gradient, op->tensor[slot])->wanted = true;
    }
}

static struct gradient gradient_open(struct program *program)
{
    struct gradient gradient = {.program = program, .entry_count = program->tensor_count};
    gradient.entries = memory_alloc((size_t)program->tensor_count, sizeof *gradient.entries);
    for (int t = 0; t < gradient.entry_count; t++) gradient.entries[t].sum = -1;
    return gradient;
}

static void gradient_close(struct gradient *gradient)
{
    for (int t = 0; t < gradient->entry_count; t++) free(gradient->entries[t].shares);
    free(gradient->entries);
}

void program_gradient(struct program *program, const struct gradient_ends *ends)
{
    const struct gradient_ends none = {.output = -1, .doutput = -1};
    struct gradient gradient = gradient_open(program);
    if (!ends) ends = &none;
    find_wanted(&gradient, ends);
    if (ends->output >= 0) gradient_pass(&gradient, ends->output, ends->doutput);
    struct op visited;
    gradient.visited = &visited;
    for (int i = program->op_count - 1; i >= program->once_count; i--) {
        visited = program->ops[i];
        const struct op_row *row = op_row(visited.kind);
        if (row->gradient) row->gradient(&gradient, i);
    }
    for (int k = 0; k < ends->input_count; k++) ends->dinputs[k] = gradient_of(&gradient, ends->inputs[k]);
    for (int t = 0; t < gradient.entry_count; t++)
        if (has_place(&gradient, t)) finish_parameter(&gradient, t);
    gradient_close(&gradient);
}
