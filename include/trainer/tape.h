/* Reverse-mode automatic differentiation over a handful of primitive operations: the tape records each operation as it
 * is computed, and plays the record backwards to get the gradients (Griewank and Walther, "Evaluating Derivatives", ch.
 * 3). Everything composed of these primitives gets its backward pass for free; src/nn/layer_batchnorm_autodiff.c
 * composes batch normalization.
 *
 * A variable is a number that stands for its place on the tape. Shapes are either full, (N,C,H,W), or per channel, (C).
 * The operands of one operation have one shape; channel_mean and broadcast lead from one shape to the other. */
#ifndef TRAINER_TAPE_H
#define TRAINER_TAPE_H

#include "trainer/backend.h"

struct tape;

typedef int tape_variable;

struct tape *tape_create(struct backend *backend);
void tape_destroy(struct tape *tape); /* NULL is allowed; call it before backend_destroy */

/* Forgets the record. The memory stays, so recording the same operations again allocates nothing. */
void tape_clear(struct tape *tape);

/* A variable whose value is given: `value` is borrowed until tape_clear. */
tape_variable tape_input(struct tape *tape, const struct tensor *value);

tape_variable tape_add(struct tape *tape, tape_variable a, tape_variable b);      /* a + b */
tape_variable tape_subtract(struct tape *tape, tape_variable a, tape_variable b); /* a - b */
tape_variable tape_multiply(struct tape *tape, tape_variable a, tape_variable b); /* a * b, element by element */
tape_variable tape_divide(struct tape *tape, tape_variable a, tape_variable b);   /* a / b, element by element */
tape_variable tape_square(struct tape *tape, tape_variable a);                    /* a^2 */
tape_variable tape_sqrt(struct tape *tape, tape_variable a);                      /* sqrt(a) */
tape_variable tape_add_constant(struct tape *tape, tape_variable a, double constant);
tape_variable tape_channel_mean(struct tape *tape, tape_variable a); /* (N,C,H,W) -> (C): mean over N, H, W */
/* (C) -> the shape of `like`: the channel's value everywhere. */
tape_variable tape_broadcast(struct tape *tape, tape_variable a, tape_variable like);

/* The variable's value; valid until tape_clear. */
const struct tensor *tape_value(const struct tape *tape, tape_variable variable);

/* Computes the gradients of a scalar L with respect to every variable, given dL/d(output) (of output's shape). */
void tape_backward(struct tape *tape, tape_variable output, const struct tensor *doutput);

/* dL/d(variable) after tape_backward; zero where output does not depend on it. Valid until tape_clear. */
const struct tensor *tape_gradient(const struct tape *tape, tape_variable variable);

/* Bytes that values and gradients take. */
size_t tape_bytes(const struct tape *tape);

#endif
