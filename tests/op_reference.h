/* The values that PyTorch computed in double precision for the cases of op_cases.c: ref/ops.bin, written and described
 * by ref/make_reference.py. */
#ifndef TESTS_OP_REFERENCE_H
#define TESTS_OP_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "op_cases.h"

struct op_reference;

struct op_reference *op_reference_load(void);
void op_reference_free(struct op_reference *reference);

/* True where the outputs of a case agree with the reference to within OP_ROUNDINGS roundings of the terms that make up
 * each element. Else `message` names the output that does not. */
bool op_reference_agrees(const struct op_reference *reference, const struct op_case *op_case,
                         const struct op_arrays *outputs, double roundoff, char *message, size_t size);

/* The same for every element, against the outputs of another backend on the same inputs; `roundoff` is the coarser of
 * the two. Takes the magnitude of the terms from the reference, and 0 where it has none. */
bool op_reference_same(const struct op_reference *reference, const struct op_case *op_case,
                       const struct op_arrays *outputs, const struct op_arrays *expected, double roundoff,
                       char *message, size_t size);

/* The magnitude of an output's terms; rounding errors are in proportion to it. */
double op_reference_magnitude(const struct op_reference *reference, const struct op_case *op_case, const char *output);

#endif
