/* The derivative of each primitive. y is the result. dy = dL/dy is complete when it is used, since the tape is played
 * backwards and everything that uses y stands behind it:
 *
 *   y = a + b        da += dy               db += dy
 *   y = a - b        da += dy               db -= dy
 *   y = a * b        da += dy * b           db += dy * a
 *   y = a / b        da += dy / b           db -= dy * y / b         (dy/db = -a/b^2 = -y/b)
 *   y = a^2          da += 2 * dy * a
 *   y = sqrt(a)      da += dy / (2 y)
 *   y = a + const    da += dy
 *   y = mean(a)      da += broadcast(dy) / B     (B = N*H*W values per channel)
 *   y = broadcast(a) da += sum(dy) */
#include "trainer/tape.h"

#include <stdlib.h>

#include "trainer/check.h"
#include "trainer/memory.h"

enum operation {
    TAPE_INPUT,
    TAPE_ADD,
    TAPE_SUBTRACT,
    TAPE_MULTIPLY,
    TAPE_DIVIDE,
    TAPE_SQUARE,
    TAPE_SQRT,
    TAPE_ADD_CONSTANT,
    TAPE_CHANNEL_MEAN,
    TAPE_BROADCAST,
};

/* A tensor with memory that outlives tape_clear. */
struct cell {
    struct tensor tensor;
    size_t bytes; /* size of the memory behind tensor.data; 0: borrowed, or none yet */
};

struct node {
    enum operation operation;
    tape_variable a, b; /* operands; -1 where there is none */
    struct cell value, gradient;
};

struct tape {
    struct backend *backend;
    int count, capacity;
    struct node *nodes;
    struct cell scratch; /* one term of a sum, before it is added */
};

struct tape *tape_create(struct backend *backend)
{
    struct tape *tape = memory_alloc(1, sizeof *tape);
    tape->backend = backend;
    return tape;
}

static void cell_free(struct tape *tape, struct cell *cell)
{
    if (cell->bytes) tape->backend->ops->free(tape->backend, cell->tensor.data);
    *cell = (struct cell){0};
}

void tape_destroy(struct tape *tape)
{
    if (!tape) return;
    for (int i = 0; i < tape->capacity; i++) {
        cell_free(tape, &tape->nodes[i].value);
        cell_free(tape, &tape->nodes[i].gradient);
    }
    cell_free(tape, &tape->scratch);
    free(tape->nodes);
    free(tape);
}

void tape_clear(struct tape *tape)
{
    tape->count = 0;
}

/* Makes the cell a tensor of this kind and shape, with new memory only if its own is too small. */
static struct tensor *cell_shape(struct tape *tape, struct cell *cell, enum tensor_kind kind, struct shape shape)
{
    size_t bytes = tensor_bytes(tape->backend, kind, shape);
    if (cell->bytes < bytes) {
        cell_free(tape, cell);
        cell->tensor.data = tape->backend->ops->alloc(tape->backend, bytes);
        cell->bytes = bytes;
    }
    cell->tensor.kind = kind;
    cell->tensor.shape = shape;
    return &cell->tensor;
}

static struct node *node_of(const struct tape *tape, tape_variable variable)
{
    CHECK(variable >= 0 && variable < tape->count);
    return &tape->nodes[variable];
}

static struct tensor *value_of(const struct tape *tape, tape_variable variable)
{
    return variable < 0 ? NULL : &node_of(tape, variable)->value.tensor;
}

static struct node *append(struct tape *tape, enum operation operation, tape_variable a, tape_variable b)
{
    if (tape->count == tape->capacity) {
        int capacity = tape->capacity ? 2 * tape->capacity : 32;
        tape->nodes = memory_resize(tape->nodes, (size_t)capacity, sizeof *tape->nodes);
        for (int i = tape->capacity; i < capacity; i++) tape->nodes[i] = (struct node){0};
        tape->capacity = capacity;
    }
    struct node *node = &tape->nodes[tape->count++];
    node->operation = operation;
    node->a = a, node->b = b;
    return node;
}

tape_variable tape_input(struct tape *tape, const struct tensor *value)
{
    struct node *node = append(tape, TAPE_INPUT, -1, -1);
    cell_free(tape, &node->value);
    node->value.tensor = *value;
    return tape->count - 1;
}

static tape_variable record(struct tape *tape, enum operation operation, tape_variable a, tape_variable b,
                            struct elementwise_params params)
{
    struct node *node = append(tape, operation, a, b);
    struct tensor *of_a = value_of(tape, a), *of_b = value_of(tape, b);
    struct tensor *y = cell_shape(tape, &node->value, of_a->kind, of_a->shape);
    tape->backend->ops->elementwise(tape->backend, params, of_a, of_b, y);
    return tape->count - 1;
}

tape_variable tape_add(struct tape *tape, tape_variable a, tape_variable b)
{
    return record(tape, TAPE_ADD, a, b, (struct elementwise_params){.op = ELEMENTWISE_ADD});
}

tape_variable tape_subtract(struct tape *tape, tape_variable a, tape_variable b)
{
    return record(tape, TAPE_SUBTRACT, a, b, (struct elementwise_params){.op = ELEMENTWISE_SUBTRACT});
}

tape_variable tape_multiply(struct tape *tape, tape_variable a, tape_variable b)
{
    return record(tape, TAPE_MULTIPLY, a, b, (struct elementwise_params){.op = ELEMENTWISE_MULTIPLY});
}

tape_variable tape_divide(struct tape *tape, tape_variable a, tape_variable b)
{
    return record(tape, TAPE_DIVIDE, a, b, (struct elementwise_params){.op = ELEMENTWISE_DIVIDE});
}

tape_variable tape_square(struct tape *tape, tape_variable a)
{
    return record(tape, TAPE_SQUARE, a, -1, (struct elementwise_params){.op = ELEMENTWISE_SQUARE});
}

tape_variable tape_sqrt(struct tape *tape, tape_variable a)
{
    return record(tape, TAPE_SQRT, a, -1, (struct elementwise_params){.op = ELEMENTWISE_SQRT});
}

tape_variable tape_add_constant(struct tape *tape, tape_variable a, double constant)
{
    struct elementwise_params params = {.op = ELEMENTWISE_AFFINE, .scale = 1, .shift = constant};
    return record(tape, TAPE_ADD_CONSTANT, a, -1, params);
}

/* The number of values per channel. */
static double values_of(const struct tensor *full)
{
    return (double)(full->shape.n * full->shape.h * full->shape.w);
}

tape_variable tape_channel_mean(struct tape *tape, tape_variable a)
{
    struct node *node = append(tape, TAPE_CHANNEL_MEAN, a, -1);
    struct tensor *full = value_of(tape, a);
    struct tensor *y = cell_shape(tape, &node->value, TENSOR_VECTOR, (struct shape){1, full->shape.c, 1, 1});
    tape->backend->ops->channel_sum(tape->backend, 1 / values_of(full), full, y);
    return tape->count - 1;
}

tape_variable tape_broadcast(struct tape *tape, tape_variable a, tape_variable like)
{
    struct node *node = append(tape, TAPE_BROADCAST, a, -1);
    struct tensor *full = value_of(tape, like);
    struct tensor *y = cell_shape(tape, &node->value, full->kind, full->shape);
    tape->backend->ops->channel_broadcast(tape->backend, 1, value_of(tape, a), y);
    return tape->count - 1;
}

const struct tensor *tape_value(const struct tape *tape, tape_variable variable)
{
    return &node_of(tape, variable)->value.tensor;
}

const struct tensor *tape_gradient(const struct tape *tape, tape_variable variable)
{
    return &node_of(tape, variable)->gradient.tensor;
}

/* --- backwards --- */

/* Computes y = a op b, or y = scale * a where b is NULL. */
static void compute(struct tape *tape, enum elementwise op, double scale, const struct tensor *a,
                    const struct tensor *b, const struct tensor *y)
{
    tape->backend->ops->elementwise(tape->backend, (struct elementwise_params){.op = op, .scale = scale}, a, b, y);
}

/* Adds scale * term to the gradient of `variable`. Overwrites the term unless scale is 1 or -1. */
static void accumulate(struct tape *tape, tape_variable variable, double scale, const struct tensor *term)
{
    const struct tensor *gradient = &node_of(tape, variable)->gradient.tensor;
    if (scale == -1) {
        compute(tape, ELEMENTWISE_SUBTRACT, 0, gradient, term, gradient);
        return;
    }
    if (scale != 1) compute(tape, ELEMENTWISE_AFFINE, scale, term, NULL, term);
    compute(tape, ELEMENTWISE_ADD, 0, gradient, term, gradient);
}

/* The scratch tensor in the shape of an operand. */
static struct tensor *scratch_like(struct tape *tape, tape_variable variable)
{
    const struct tensor *value = value_of(tape, variable);
    return cell_shape(tape, &tape->scratch, value->kind, value->shape);
}

static void backward_product(struct tape *tape, const struct node *node, const struct tensor *dy)
{
    struct tensor *term = scratch_like(tape, node->a);
    compute(tape, ELEMENTWISE_MULTIPLY, 0, dy, value_of(tape, node->b), term);
    accumulate(tape, node->a, 1, term);
    compute(tape, ELEMENTWISE_MULTIPLY, 0, dy, value_of(tape, node->a), term);
    accumulate(tape, node->b, 1, term);
}

static void backward_quotient(struct tape *tape, const struct node *node, const struct tensor *dy)
{
    struct tensor *term = scratch_like(tape, node->a);
    compute(tape, ELEMENTWISE_DIVIDE, 0, dy, value_of(tape, node->b), term);
    accumulate(tape, node->a, 1, term);
    compute(tape, ELEMENTWISE_MULTIPLY, 0, term, &node->value.tensor, term);
    accumulate(tape, node->b, -1, term);
}

static void backward_channels(struct tape *tape, const struct node *node, const struct tensor *dy)
{
    struct tensor *term = scratch_like(tape, node->a);
    if (node->operation == TAPE_CHANNEL_MEAN) {
        tape->backend->ops->channel_broadcast(tape->backend, 1 / values_of(term), dy, term);
    } else {
        tape->backend->ops->channel_sum(tape->backend, 1, dy, term);
    }
    accumulate(tape, node->a, 1, term);
}

static void backward_node(struct tape *tape, const struct node *node)
{
    const struct tensor *dy = &node->gradient.tensor;
    switch (node->operation) {
    case TAPE_INPUT:
        break;
    case TAPE_ADD:
    case TAPE_SUBTRACT:
        accumulate(tape, node->a, 1, dy);
        accumulate(tape, node->b, node->operation == TAPE_ADD ? 1 : -1, dy);
        break;
    case TAPE_MULTIPLY:
        backward_product(tape, node, dy);
        break;
    case TAPE_DIVIDE:
        backward_quotient(tape, node, dy);
        break;
    case TAPE_SQUARE:
        compute(tape, ELEMENTWISE_MULTIPLY, 0, dy, value_of(tape, node->a), scratch_like(tape, node->a));
        accumulate(tape, node->a, 2, &tape->scratch.tensor);
        break;
    case TAPE_SQRT:
        compute(tape, ELEMENTWISE_DIVIDE, 0, dy, &node->value.tensor, scratch_like(tape, node->a));
        accumulate(tape, node->a, 0.5, &tape->scratch.tensor);
        break;
    case TAPE_ADD_CONSTANT:
        accumulate(tape, node->a, 1, dy);
        break;
    case TAPE_CHANNEL_MEAN:
    case TAPE_BROADCAST:
        backward_channels(tape, node, dy);
        break;
    }
}

void tape_backward(struct tape *tape, tape_variable output, const struct tensor *doutput)
{
    struct backend *backend = tape->backend;
    CHECK(shape_equal(doutput->shape, node_of(tape, output)->value.tensor.shape));
    for (int i = 0; i < tape->count; i++) {
        struct node *node = &tape->nodes[i];
        const struct tensor *value = &node->value.tensor;
        const struct tensor *gradient = cell_shape(tape, &node->gradient, value->kind, value->shape);
        backend->ops->zero(backend, gradient->data, tensor_bytes(backend, value->kind, value->shape));
    }
    accumulate(tape, output, 1, doutput);
    for (int i = tape->count - 1; i >= 0; i--) backward_node(tape, &tape->nodes[i]);
}

size_t tape_bytes(const struct tape *tape)
{
    size_t bytes = tape->scratch.bytes;
    for (int i = 0; i < tape->capacity; i++) bytes += tape->nodes[i].value.bytes + tape->nodes[i].gradient.bytes;
    return bytes;
}
