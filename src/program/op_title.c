/* Names operations for people (op_title.h). */
#include "program/op_title.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* A text that grows. */
struct title {
    char *text;
    size_t size, used;
};

static void add(struct title *title, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct title *title, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(title->text + title->used, title->size - title->used, format, arguments);
    va_end(arguments);
    size_t left = title->size - title->used - 1;
    title->used += (size_t)length < left ? (size_t)length : left;
}

static void add_window(struct title *title, struct window window)
{
    add(title, " %" PRId64 "x%" PRId64, window.kernel, window.kernel);
    if (window.stride != 1) add(title, "/%" PRId64, window.stride);
}

/* x and weight are in the first slots, forward and backward. */
static void add_conv2d(struct title *title, const struct program *program, const struct op *op)
{
    struct shape x = program_shape(program, op, CONV2D_X);
    if (x.h == 1 && x.w == 1 && op->conv2d.window.kernel == 1 && op->conv2d.groups == 1) {
        add(title, "linear");
    } else {
        add(title, "conv2d");
        add_window(title, op->conv2d.window);
        if (op->conv2d.groups > 1) add(title, "/g%" PRId64, op->conv2d.groups);
    }
}

static void add_activation(struct title *title, struct activation_params params)
{
    switch (params.kind) {
    case ACTIVATION_RELU:
        add(title, "relu");
        return;
    case ACTIVATION_RELU6:
        add(title, "relu6");
        return;
    case ACTIVATION_LEAKY_RELU:
        add(title, "leaky_relu");
        return;
    case ACTIVATION_ELU:
        add(title, "elu");
        return;
    case ACTIVATION_GELU:
        add(title, "gelu");
        return;
    case ACTIVATION_SILU:
        add(title, "silu");
        return;
    case ACTIVATION_NONE:
        return;
    }
}

static void add_pool(struct title *title, struct pool_params params)
{
    add(title, params.kind == POOL_MAX ? "max-pool" : "average-pool");
    add_window(title, params.window);
}

/* Adds a part of a fused op, behind a plus unless it is the first. */
static void add_plus(struct title *title)
{
    if (title->used > 0) add(title, " + ");
}

static void add_norm(struct title *title, const struct op *op, bool normalizes, bool addend)
{
    if (op->norm.rectified) add(title, "relu + ");
    if (normalizes) add(title, "norm");
    if (addend) add_plus(title), add(title, "addend");
    if (op->norm.activation.kind != ACTIVATION_NONE) add_plus(title), add_activation(title, op->norm.activation);
    if (op->norm.pooled) add_plus(title), add_pool(title, op->norm.pool);
    if (op->norm.dropout.rate > 0) add(title, " + dropout %g", op->norm.dropout.rate);
}

static void add_elementwise(struct title *title, struct elementwise_params params)
{
    switch (params.op) {
    case ELEMENTWISE_ADD:
        add(title, "a + b");
        return;
    case ELEMENTWISE_SUBTRACT:
        add(title, "a - b");
        return;
    case ELEMENTWISE_MULTIPLY:
        add(title, "a * b");
        return;
    case ELEMENTWISE_DIVIDE:
        add(title, "a / b");
        return;
    case ELEMENTWISE_SQUARE:
        add(title, "a^2");
        return;
    case ELEMENTWISE_SQRT:
        add(title, "sqrt(a)");
        return;
    case ELEMENTWISE_AFFINE:
        add(title, "%g * a + %g", params.scale, params.shift);
        return;
    case ELEMENTWISE_ROUND:
        add(title, "round");
        return;
    }
}

static void add_update(struct title *title, const struct update *update)
{
    add(title, "update %s", optimizer_name(update->kind));
}

/* True where the title, which is that of the forward op so far, lacks a word. A dropout is one kind in both passes. */
static bool is_backward(const struct op *op)
{
    return op->kind == OP_CONV2D_BACKWARD || op->kind == OP_NORM_BACKWARD || op->kind == OP_POOL_BACKWARD ||
           op->kind == OP_ACTIVATION_BACKWARD || (op->kind == OP_DROPOUT && op->phase == PHASE_BACKWARD);
}

void op_title(const struct program *program, const struct op *op, char *text, size_t size)
{
    struct title title = {text, size, 0};
    text[0] = '\0';
    switch (op->kind) {
    case OP_CONV2D:
    case OP_CONV2D_BACKWARD:
        add_conv2d(&title, program, op);
        break;
    case OP_NORM:
        add_norm(&title, op, true, op->tensor[NORM_ADDEND] >= 0);
        break;
    case OP_NORM_EVALUATE:
        add_norm(&title, op, op->tensor[NORM_EVALUATE_GAMMA] >= 0, op->tensor[NORM_EVALUATE_ADDEND] >= 0);
        break;
    case OP_NORM_BACKWARD:
        add_norm(&title, op, true, op->tensor[NORM_BACKWARD_ADDEND] >= 0);
        break;
    case OP_POOL:
    case OP_POOL_BACKWARD:
        add_pool(&title, op->pool);
        break;
    case OP_ACTIVATION:
    case OP_ACTIVATION_BACKWARD:
        add_activation(&title, op->activation);
        break;
    case OP_DROPOUT:
        add(&title, "dropout %g", op->dropout.rate);
        break;
    case OP_ELEMENTWISE:
        add_elementwise(&title, op->elementwise);
        break;
    case OP_UPDATE:
        add_update(&title, &op->update);
        break;
    default:
        add(&title, "%s", op_row(op->kind)->name);
        return;
    }
    if (is_backward(op)) add(&title, " backward");
}
