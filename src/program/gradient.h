/* The backward pass of a program: the program is the tape (Griewank and Walther, "Evaluating Derivatives", ch. 3). The
 * forward ops are visited from the last to the first. Each row's gradient (op.h) takes the gradient of the op's outputs
 * and writes the ops that compute its share in the gradient of each input.
 *
 * A tensor with several readers gets one share from each. Their sum is one ADD, in descending order of the readers'
 * places in the list, written when the walk comes to the tensor's own op: every share is there by then. */
#ifndef PROGRAM_GRADIENT_H
#define PROGRAM_GRADIENT_H

#include "program/program.h"

/* The ends of a backward pass beside its loss and its parameters; -1 where there is none. */
struct gradient_ends {
    int output, doutput; /* a tensor and its gradient, which the caller fills: for programs without a loss */
    int input_count;
    const int *inputs; /* tensors whose gradients are wanted, as of a network's input; borrowed */
    int *dinputs;      /* program_gradient sets these gradients; -1 where nothing leads to one */
};

/* Appends the backward ops of all ops of the program. Parameters with a `gradient` get theirs. ends may be NULL. */
void program_gradient(struct program *program, const struct gradient_ends *ends);

/* --- for the rows --- */

/* The gradient of a tensor, complete; -1: nothing that counts reads it. Ask in descending order of the ops. */
int gradient_of(struct gradient *gradient, int tensor);

/* True where a gradient of the tensor is wanted: it is a parameter with one, or computed from such. */
bool gradient_wanted(const struct gradient *gradient, int tensor);

/* A new tensor for this op's share in the gradient of `tensor`; -1 where none is wanted. */
int gradient_share(struct gradient *gradient, int tensor);

/* Takes a tensor that exists as the share: the gradient passes through unchanged. */
void gradient_pass(struct gradient *gradient, int tensor, int share);

/* Appends a backward op, with the layer of the forward op that is being visited. */
void gradient_write(struct gradient *gradient, struct op op);

/* The program at hand. */
struct program *gradient_program(struct gradient *gradient);

#endif
