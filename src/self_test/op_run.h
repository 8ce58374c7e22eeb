/* Runs cases of operations: a case is a few operations of the op table (op.h) on tensors of its own, run as
 * a program is. */
#ifndef SELF_TEST_OP_RUN_H
#define SELF_TEST_OP_RUN_H

#include "backend/prepared.h"
#include "self_test/op_case.h"

/* The ways to run a case. */
struct op_run_options {
    bool host_memory;  /* look into the memory of tensors for the observations of op_observations */
    bool forward_only; /* leave out the backward pass and its outputs, where it is a separate operation */
};

/* The observations of a run beside its results (the first two with host_memory; NULL without). */
struct op_observations {
    const char *padding_not_zero; /* name of a tensor, input or output, after the last operation; NULL: none */
    const char *input_changed;    /* name of an input that is no output and that changed, to the bit; NULL: none */
    uint64_t kinds;               /* bit k: an operation of kind k ran */
};

/* True where the backend has all operations of the case. */
bool op_case_offered(const struct op_case *op_case, const struct backend *backend);

/* False where another result is as good: values that are stored as bf16 tie where exact ones do not, and then another one
 * wins a maximum behind a normalization. (test_fuse compares with the operations one by one.) */
bool op_case_comparable(const struct op_case *op_case, const struct backend *backend);

/* Runs the operations of a case on a backend; outputs are new arrays, to be freed with op_arrays_free:
 *   conv2d y, dx, dweight, (dbias)      pool, global_pool, activation, softmax, flatten y, dx      dropout, add y
 *   gate y, dx, dz
 *   norm y, mean, rstd, running_mean, running_var, dx, dgamma, dbeta, y_evaluate (with the running_* of the input),
 *        with an addend also daddend      fold to_weight, to_bias      gather x
 *   cross_entropy, softmax_cross_entropy: metrics (loss, correct, count), dx      elementwise y
 *   channel_sum sum (C), spread (N,C,H,W)      update w, and its states by their names (optimizer_row.h)      average w
 *   magnitude y      clip x */
struct op_observations op_case_run(const struct op_case *op_case, struct backend *backend,
                                   struct op_run_options options, const struct op_arrays *inputs,
                                   struct op_arrays *outputs);

/* --- step by step --- */

/* A case that is set up on a backend. */
struct op_run;
struct op_run *op_run_open(const struct op_case *op_case, struct backend *backend, struct op_run_options options,
                           const struct op_arrays *inputs);

/* The program, whose tensors have addresses (SPACE_EXTERNAL), and the input with which its operation i runs. */
const struct program *op_run_program(const struct op_run *run);
const struct run_input *op_run_input_of(const struct op_run *run, int i);

/* Runs all operations in their order, each in its own step. */
void op_run_all(struct op_run *run);

/* Runs the first operation of a kind again; the step is that of the last one that ran. */
void op_run_again(struct op_run *run, enum op_kind kind);

/* The fewest bytes that it must move (what is updated in place is read and written), and its multiplications and
 * additions (0: few). */
double op_run_bytes(const struct op_run *run, enum op_kind kind);
double op_run_flops(const struct op_run *run, enum op_kind kind);

/* Reads the outputs, unless they are NULL, and frees all. */
struct op_observations op_run_close(struct op_run *run, struct op_arrays *outputs);

#endif
