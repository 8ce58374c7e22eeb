/* Finds what a pass may break in a program (passes.h). Each function returns true where it has described a fault. */
#include "program/passes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "program/check_private.h"
#include "util/check.h"
#include "util/memory.h"

enum { MESSAGE = 256 };

bool program_fault_at(const struct program *program, int op, const struct fault_text *fault, const char *format, ...)
{
    char what[MESSAGE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    snprintf(fault->text, fault->size, "op %d (%s): %s", op + 1, op_row(program->ops[op].kind)->name, what);
    return true;
}

bool program_share_bytes(const struct program_tensor *x, const struct program_tensor *y)
{
    return x->offset < y->offset + (int64_t)y->bytes && y->offset < x->offset + (int64_t)x->bytes;
}

bool program_overlap(const struct program *program, int a, int b)
{
    const struct program_tensor *x = &program->tensors[a], *y = &program->tensors[b];
    return a == b || (x->space != SPACE_WORK && x->space == y->space && program_share_bytes(x, y));
}

bool program_contains(const struct program *program, int within, int tensor)
{
    const struct program_tensor *x = &program->tensors[within], *y = &program->tensors[tensor];
    return x->offset <= y->offset && y->offset + (int64_t)y->bytes <= x->offset + (int64_t)x->bytes;
}

/* --- the operands of an op --- */

static enum operand_role role_of(const struct op *op, int slot)
{
    return op->tensor[slot] < 0 ? OPERAND_NONE : op_row(op->kind)->operand[slot].role;
}

static bool role_writes(enum operand_role role)
{
    return role == OPERAND_WRITE || role == OPERAND_UPDATE;
}

static bool role_reads(enum operand_role role)
{
    return role == OPERAND_READ || role == OPERAND_UPDATE;
}

static bool operands_wrong(const struct program *program, int op, const struct fault_text *fault)
{
    const struct op *at = &program->ops[op];
    int written = 0;
    for (int slot = 0; slot < OP_OPERANDS; slot++) {
        const struct operand_row *row = &op_row(at->kind)->operand[slot];
        int tensor = at->tensor[slot];
        if (tensor < -1 || tensor >= program->tensor_count)
            return program_fault_at(program, op, fault, "slot %d has no tensor %d", slot, tensor);
        if (tensor >= 0 && !row->name) return program_fault_at(program, op, fault, "there is no slot %d", slot);
        if (tensor < 0 && row->name && !row->optional)
            return program_fault_at(program, op, fault, "%s is missing", row->name);
        written += role_writes(role_of(at, slot));
    }
    return written == 0 && program_fault_at(program, op, fault, "it writes nothing");
}

/* True where an operand is written that shares bytes with another one. */
static bool operands_collide(const struct program *program, int op, const struct fault_text *fault)
{
    const struct op *at = &program->ops[op];
    const struct operand_row *row = op_row(at->kind)->operand;
    for (int a = 0; a < OP_OPERANDS; a++)
        for (int b = 0; b < OP_OPERANDS; b++)
            if (a != b && role_writes(role_of(at, a)) && at->tensor[b] >= 0 &&
                program_overlap(program, at->tensor[a], at->tensor[b]))
                return program_fault_at(program, op, fault, "it writes %s, which shares bytes with its %s", row[a].name,
                                        row[b].name);
    return false;
}

/* True where the op writes a piece of a tensor of an arena. Ranges of an arena may be cut as they come. */
static bool writes_in_part(const struct program *program, int op, const struct fault_text *fault)
{
    const struct op *at = &program->ops[op];
    for (int slot = 0; slot < OP_OPERANDS; slot++) {
        int tensor = at->tensor[slot];
        if (!role_writes(role_of(at, slot)) || program->tensors[tensor].space == SPACE_WORK) continue;
        for (int t = 0; t < program->tensor_count; t++)
            if (program->tensors[t].kind != TENSOR_FLAT && program_overlap(program, tensor, t) &&
                !program_contains(program, tensor, t))
                return program_fault_at(program, op, fault, "%s covers only a part of tensor %d (%s)",
                                        op_row(at->kind)->operand[slot].name, t, program->tensors[t].name);
    }
    return false;
}

/* The place of a tensor in its arena, in elements. */
static int64_t place_of(const struct program *program, int tensor)
{
    const struct program_tensor *at = &program->tensors[tensor];
    return at->offset / (int64_t)program_element_size(program, at->space);
}

/* True where an UPDATE of a range pairs a parameter with the gradient of another, in either of its gradients. */
static bool update_mixes(const struct program *program, int op, const struct fault_text *fault)
{
    static const int slots[] = {UPDATE_DW, UPDATE_DW_ROUNDED};
    const struct op *at = &program->ops[op];
    if (at->kind != OP_UPDATE) return false;
    for (int t = 0; t < program->tensor_count; t++) {
        int w = at->tensor[UPDATE_W], gradient = program->tensors[t].gradient;
        if (gradient < 0 || !program_overlap(program, w, t)) continue;
        int64_t apart = place_of(program, t) - place_of(program, w);
        for (int k = 0; k < 2; k++) {
            int dw = at->tensor[slots[k]];
            if (dw < 0 || program->tensors[dw].space != program->tensors[gradient].space) continue;
            if (place_of(program, gradient) - place_of(program, dw) != apart)
                return program_fault_at(program, op, fault,
                                        "%s has the gradient of tensor %d (%s) at another place than w",
                                        op_row(OP_UPDATE)->operand[slots[k]].name, t, program->tensors[t].name);
        }
    }
    return false;
}

/* True where an attached op is not the UPDATE by the dweight of the CONV2D_BACKWARD right before it. */
static bool attached_wrongly(const struct program *program, int op, const struct fault_text *fault)
{
    const struct op *at = &program->ops[op];
    if (!at->attached) return false;
    const struct op *host = op > 0 ? at - 1 : NULL;
    if (at->kind != OP_UPDATE || !host || host->kind != OP_CONV2D_BACKWARD)
        return program_fault_at(program, op, fault, "only an update behind a convolution's backward pass is attached");
    return host->tensor[CONV2D_BACKWARD_DWEIGHT] != at->tensor[UPDATE_DW] &&
           program_fault_at(program, op, fault, "it is attached to an op that does not write its dw as a dweight");
}

/* --- reading and writing in order --- */

/* Tensors that have no value before a run, and that some op writes as a whole, until one has. */
struct pending {
    bool *tensor;      /* [tensor_count] */
    int space[SPACES]; /* how many there are */
};

/* Parameters, statistics and moments have their values of the step before. */
static bool starts_empty(enum space space)
{
    return space == SPACE_WORK || space == SPACE_GRADIENTS || space == SPACE_ROUNDED ||
           space == SPACE_ROUNDED_GRADIENTS;
}

static void pending_add(const struct program *program, struct pending *pending, const struct op *op)
{
    for (int slot = 0; slot < OP_OPERANDS; slot++) {
        int tensor = op->tensor[slot];
        if (role_of(op, slot) != OPERAND_WRITE || pending->tensor[tensor]) continue;
        if (!starts_empty(program->tensors[tensor].space)) continue;
        pending->tensor[tensor] = true;
        pending->space[program->tensors[tensor].space]++;
    }
}

static void pending_remove(const struct program *program, struct pending *pending, int tensor)
{
    enum space space = program->tensors[tensor].space;
    for (int t = 0; t < program->tensor_count && pending->space[space] > 0; t++) {
        if (!pending->tensor[t] || !program_overlap(program, tensor, t)) continue;
        pending->tensor[t] = false;
        pending->space[space]--;
    }
}

/* Returns a tensor that is still to be written and shares bytes with this one; -1: none. */
static int pending_find(const struct program *program, const struct pending *pending, int tensor)
{
    if (pending->space[program->tensors[tensor].space] == 0) return -1;
    for (int t = 0; t < program->tensor_count; t++)
        if (pending->tensor[t] && program_overlap(program, tensor, t)) return t;
    return -1;
}

static bool reads_too_early(const struct program *program, const struct pending *pending, int op,
                            const struct fault_text *fault)
{
    const struct op *at = &program->ops[op];
    for (int slot = 0; slot < OP_OPERANDS; slot++) {
        if (!role_reads(role_of(at, slot))) continue;
        const struct program_tensor *tensor = &program->tensors[at->tensor[slot]];
        const char *name = op_row(at->kind)->operand[slot].name;
        int late = pending_find(program, pending, at->tensor[slot]);
        if (late >= 0)
            return program_fault_at(program, op, fault, "%s is read before tensor %d (%s) is written", name, late,
                                    program->tensors[late].name);
        if (tensor->space == SPACE_WORK && !tensor->keep && program_writer(program, at->tensor[slot]) < 0)
            return program_fault_at(program, op, fault, "no op writes %s (tensor %d, %s)", name, at->tensor[slot],
                                    tensor->name);
    }
    return false;
}

/* Counts a WRITE of the op. Of SPACE_WORK a tensor is written once: so each has one meaning, and one in the once part
 * keeps its values. */
static bool writes_again(const struct program *program, struct pending *pending, int op, const struct fault_text *fault)
{
    const struct op *at = &program->ops[op];
    for (int slot = 0; slot < OP_OPERANDS; slot++) {
        int tensor = at->tensor[slot];
        if (role_of(at, slot) != OPERAND_WRITE) continue;
        if (program->tensors[tensor].space == SPACE_WORK && !pending->tensor[tensor])
            return program_fault_at(program, op, fault, "%s (tensor %d, %s) is written a second time",
                                    op_row(at->kind)->operand[slot].name, tensor, program->tensors[tensor].name);
        pending_remove(program, pending, tensor);
    }
    return false;
}

static bool order_wrong(const struct program *program, const struct fault_text *fault)
{
    struct pending pending = {.tensor = memory_alloc((size_t)program->tensor_count, sizeof(bool))};
    for (int i = 0; i < program->op_count; i++) pending_add(program, &pending, &program->ops[i]);
    bool found = false;
    for (int i = 0; i < program->op_count && !found; i++)
        found = reads_too_early(program, &pending, i, fault) || writes_again(program, &pending, i, fault);
    free(pending.tensor);
    return found;
}

/* --- places --- */

/* True where the tensor is not in the block, or shares bytes with a later one of the list while both are alive. */
static bool placed_wrongly(const struct program *program, const struct program_life *lives, int tensor,
                           const struct fault_text *fault)
{
    const struct program_tensor *x = &program->tensors[tensor];
    struct program_life life = lives[tensor];
    if (x->space != SPACE_WORK || life.first > life.last) return false;
    if (x->offset < 0 || x->offset + (int64_t)x->bytes > program->work_bytes)
        return program_fault_at(program, life.first, fault, "tensor %d (%s) is not in the block", tensor, x->name);
    for (int t = tensor + 1; t < program->tensor_count; t++) {
        const struct program_tensor *y = &program->tensors[t];
        int first = lives[t].first > life.first ? lives[t].first : life.first;
        int last = lives[t].last < life.last ? lives[t].last : life.last;
        if (y->space == SPACE_WORK && lives[t].first <= lives[t].last && first <= last && program_share_bytes(x, y))
            return program_fault_at(program, first, fault, "tensors %d (%s) and %d (%s) are alive and share bytes",
                                    tensor, x->name, t, y->name);
    }
    return false;
}

static bool places_wrong(const struct program *program, const struct fault_text *fault)
{
    if (program->work_bytes == 0) return false;
    struct program_life *lives = program_lives(program);
    bool found = false;
    for (int t = 0; t < program->tensor_count && !found; t++) found = placed_wrongly(program, lives, t, fault);
    free(lives);
    return found;
}

/* --- all of it --- */

bool program_fault(const struct program *program, const struct program_versions *before, char *text, size_t size)
{
    const struct fault_text fault = {text, size};
    for (int i = 0; i < program->op_count; i++) {
        if (operands_wrong(program, i, &fault) || program_shapes_misfit(program, i, &fault)) return true;
        if (operands_collide(program, i, &fault) || writes_in_part(program, i, &fault)) return true;
        if (update_mixes(program, i, &fault) || attached_wrongly(program, i, &fault)) return true;
        if (program_streams_wrong(program, i, &fault)) return true;
    }
    if (order_wrong(program, &fault) || places_wrong(program, &fault)) return true;
    return before && program_versions_differ(program, before, &fault);
}

void program_check(const struct program *program, struct program_versions *before)
{
    char text[2 * MESSAGE];
    CHECK(program->once_count >= 0 && program->once_count <= program->op_count);
    if (program_fault(program, before, text, sizeof text)) check_failed(text, __FILE__, __LINE__);
    program_versions_free(before);
}
