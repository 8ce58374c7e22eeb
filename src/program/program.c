/* Builds and changes programs (program.h). */
#include "program/program.h"

#include <stdlib.h>
#include <string.h>

#include "util/check.h"
#include "util/memory.h"

struct program *program_create(struct backend *backend, int64_t max_n)
{
    CHECK(max_n > 0);
    struct program *program = memory_alloc(1, sizeof *program);
    program->backend = backend;
    program->max_n = max_n;
    return program;
}

void program_free(struct program *program)
{
    if (!program) return;
    free(program->tensors);
    free(program->ops);
    free(program);
}

/* --- tensors --- */

int program_tensor_add(struct program *program, struct program_tensor tensor)
{
    if (program->tensor_count == program->tensor_capacity) {
        program->tensor_capacity = program->tensor_capacity ? 2 * program->tensor_capacity : 64;
        program->tensors = memory_resize(program->tensors, (size_t)program->tensor_capacity, sizeof *program->tensors);
    }
    if (tensor.bytes == 0) tensor.bytes = tensor_bytes(program->backend, tensor.kind, tensor.shape);
    program->tensors[program->tensor_count] = tensor;
    return program->tensor_count++;
}

int program_activation(struct program *program, const char *name, int64_t c, int64_t h, int64_t w)
{
    return program_tensor_add(program, (struct program_tensor){.name = name,
                                                               .name_index = program->tensor_count,
                                                               .kind = TENSOR_ACTIVATION,
                                                               .shape = {program->max_n, c, h, w},
                                                               .batch = true,
                                                               .space = SPACE_WORK,
                                                               .gradient = -1});
}

int program_vector(struct program *program, const char *name, int64_t c)
{
    return program_tensor_add(program, (struct program_tensor){.name = name,
                                                               .name_index = program->tensor_count,
                                                               .kind = TENSOR_VECTOR,
                                                               .shape = shape_vector(c),
                                                               .space = SPACE_WORK,
                                                               .gradient = -1});
}

int program_like(struct program *program, const char *name, int tensor)
{
    const struct program_tensor *like = &program->tensors[tensor];
    return program_tensor_add(program, (struct program_tensor){.name = name,
                                                               .name_index = program->tensor_count,
                                                               .kind = like->kind,
                                                               .shape = like->shape,
                                                               .batch = like->batch,
                                                               .space = SPACE_WORK,
                                                               .bytes = like->bytes,
                                                               .gradient = -1});
}

size_t program_element_size(const struct program *program, enum space space)
{
    bool rounded = space == SPACE_ROUNDED || space == SPACE_ROUNDED_GRADIENTS;
    return rounded ? program->backend->activation_size : program->backend->scalar_size;
}

struct shape program_shape(const struct program *program, const struct op *op, int slot)
{
    const struct shape none = {0};
    int tensor = op->tensor[slot];
    return tensor < 0 ? none : program->tensors[tensor].shape;
}

/* --- ops --- */

/* Makes the main output of an op that has none yet: a vector, or a tensor of the first operand's kind where it has its
 * shape, or an activation. */
static void add_output(struct program *program, struct op *op)
{
    const struct op_row *row = op_row(op->kind);
    if (row->output < 0 || op->tensor[row->output] >= 0) return;
    struct shape shape = row->shape(program, op);
    const struct program_tensor *first = &program->tensors[op->tensor[0]];
    CHECK(shape_count(shape) > 0);
    if (op->kind == OP_CHANNEL_SUM)
        op->tensor[row->output] = program_vector(program, "v", shape.c);
    else if (shape_equal(shape, first->shape) && first->kind != TENSOR_PIXELS)
        op->tensor[row->output] = program_like(program, row->operand[row->output].name, op->tensor[0]);
    else
        op->tensor[row->output] = program_activation(program, "x", shape.c, shape.h, shape.w);
}

static void make_room(struct program *program)
{
    if (program->op_count < program->op_capacity) return;
    program->op_capacity = program->op_capacity ? 2 * program->op_capacity : 64;
    program->ops = memory_resize(program->ops, (size_t)program->op_capacity, sizeof *program->ops);
}

int program_add(struct program *program, struct op op)
{
    add_output(program, &op);
    make_room(program);
    program->ops[program->op_count] = op;
    return program->op_count++;
}

int program_output(struct program *program, struct op op)
{
    int place = program_add(program, op);
    return program->ops[place].tensor[op_row(op.kind)->output];
}

void program_insert(struct program *program, int place, struct op op)
{
    CHECK(place >= 0 && place <= program->op_count);
    make_room(program);
    memmove(&program->ops[place + 1], &program->ops[place], (size_t)(program->op_count - place) * sizeof *program->ops);
    program->ops[place] = op;
    program->op_count++;
}

void program_remove(struct program *program, int place)
{
    CHECK(place >= 0 && place < program->op_count);
    program->op_count--;
    memmove(&program->ops[place], &program->ops[place + 1], (size_t)(program->op_count - place) * sizeof *program->ops);
}

void program_replace(struct program *program, int from, int to)
{
    for (int i = 0; i < program->op_count; i++)
        for (int slot = 0; slot < OP_OPERANDS; slot++)
            if (program->ops[i].tensor[slot] == from) program->ops[i].tensor[slot] = to;
}

int program_readers(const struct program *program, int tensor)
{
    int readers = 0;
    for (int i = 0; i < program->op_count; i++) readers += op_reads(&program->ops[i], tensor);
    return readers;
}

int program_writer(const struct program *program, int tensor)
{
    for (int i = 0; i < program->op_count; i++)
        if (op_writes(&program->ops[i], tensor)) return i;
    return -1;
}

static bool lies_in(const struct program_tensor *tensor, enum space space, int64_t first, int64_t last)
{
    return tensor->space == space && tensor->offset < last && tensor->offset + (int64_t)tensor->bytes > first;
}

int program_last_touch(const struct program *program, enum space space, int64_t first, int64_t last)
{
    for (int i = program->op_count - 1; i >= 0; i--)
        for (int slot = 0; slot < OP_OPERANDS; slot++) {
            int tensor = program->ops[i].tensor[slot];
            if (tensor >= 0 && lies_in(&program->tensors[tensor], space, first, last)) return i;
        }
    return -1;
}

/* --- costs --- */

double program_flops(const struct program *program, const struct op *op)
{
    const struct op_row *row = op_row(op->kind);
    return row->flops ? row->flops(program, op) : 0;
}

int64_t program_bytes(const struct program *program, const struct op *op)
{
    int64_t bytes = 0;
    for (int slot = 0; slot < OP_OPERANDS; slot++)
        if (op->tensor[slot] >= 0) bytes += (int64_t)program->tensors[op->tensor[slot]].bytes;
    return bytes;
}
