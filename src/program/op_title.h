/* What an op does, in a few words. */
#ifndef PROGRAM_OP_TITLE_H
#define PROGRAM_OP_TITLE_H

#include "program/program.h"

/* Writes the op's kind with the parameters that tell it from its like: "conv2d 3x3", "norm + relu + max-pool 3x3/2"
 * (the stride after the slash, unless it is 1), "update adam". */
void op_title(const struct program *program, const struct op *op, char *text, size_t size);

#endif
