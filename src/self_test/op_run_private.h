/* What op_run.c offers to op_run_cases.c: tensors by name, and operations on them. */
#ifndef SELF_TEST_OP_RUN_PRIVATE_H
#define SELF_TEST_OP_RUN_PRIVATE_H

#include "self_test/op_run.h"

/* Sets up the tensors and operations of the case (op_run_cases.c). */
void op_run_write(struct op_run *run, const struct op_case *op_case);

bool op_run_forward_only(const struct op_run *run);
const struct op_array *op_run_input(const struct op_run *run, const char *name);

/* The input of that name as a tensor, or NULL where the case has none. */
const struct tensor *op_run_in(struct op_run *run, const char *name);

/* The same as a result too, updated in place. */
const struct tensor *op_run_in_out(struct op_run *run, const char *name);

/* A result, full of NaN until an operation writes it; op_run_like shapes it like another tensor. op_run_zeros is updated
 * in place from 0. */
const struct tensor *op_run_out(struct op_run *run, const char *name, enum tensor_kind kind, struct shape shape);
const struct tensor *op_run_like(struct op_run *run, const char *name, const struct tensor *like);
const struct tensor *op_run_zeros(struct op_run *run, const char *name, enum tensor_kind kind, struct shape shape);

/* An input in the type of activations, as products take it. */
const struct tensor *op_run_in_rounded(struct op_run *run, const char *name);

/* Tells that the gradients of w come in the type of activations. After all tensors of the run. */
void op_run_round_gradient(struct op_run *run, const struct tensor *w);

/* True where the backend's activations are of another type than its scalars. */
bool op_run_rounds(const struct op_run *run);

/* A tensor that is written and of no interest. */
const struct tensor *op_run_scratch(struct op_run *run, enum tensor_kind kind, struct shape shape);

/* Memory for what a pool saves; NULL where that is nothing. */
const struct tensor *op_run_saved(struct op_run *run, const struct op *op, struct shape y);

/* The labels (N) of the input of that name, and the data set that the inputs of a gather make up. */
const struct tensor *op_run_labels(struct op_run *run, const char *name);
void op_run_dataset(struct op_run *run, struct shape image);

/* Appends an operation; operands[slot] may be NULL. It runs in the step `state`. */
void op_run_add(struct op_run *run, struct op op, struct step_state state, const struct tensor *const *operands);

#endif
