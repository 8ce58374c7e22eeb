/* One list of cases for the single operations of a backend, and one way to run a case. Known values (test_ops_known),
 * gradient checks (test_ops_gradcheck), padding (test_backend), the comparison of backends and the benchmark walk over
 * the same list; ref/make_reference.py reads it out of op_cases.c. A new case is a line there, and a run of that
 * script. Not in the list are the operations that do the work of several (test_fuse, test_fold, test_update), gather
 * (test_augment, test_backend), norm and clip_norm (test_norm); they have tests of their own.
 *
 * The inputs of a case are drawn from Philox by its name (support_fill), so that they need not be stored. */
#ifndef TESTS_OP_CASES_H
#define TESTS_OP_CASES_H

#include <stdbool.h>
#include <stdint.h>

#include "trainer/backend.h"

enum case_kind {
    CASE_CONV2D,
    CASE_POOL,
    CASE_BATCHNORM,
    CASE_ACTIVATION,
    CASE_DROPOUT,
    CASE_FLATTEN,
    CASE_SOFTMAX,
    CASE_CROSS_ENTROPY,
    CASE_SOFTMAX_CROSS_ENTROPY,
    CASE_ELEMENTWISE,
    CASE_CHANNEL, /* channel_sum and channel_broadcast */
    CASE_UPDATE,
    CASE_AVERAGE,
    CASE_COUNT
};

enum { OP_OPTIMIZER_STEPS = 5 };

struct op_case {
    const char *name; /* the line of the list, e.g. "RELU(1, 1, 1, 1)" */
    enum case_kind op;
    struct shape x;       /* shape of the main input; for an optimizer, of the parameters */
    double offset, scale; /* range of the main input: offset + scale * u (support_fill) */
    union {
        struct {
            int64_t channels;
            struct window window;
            bool bias;
        } conv2d;
        struct pool_params pool;
        struct batchnorm_params batchnorm;
        struct activation_params activation;
        struct {
            struct dropout_params params;
            uint64_t step;
        } dropout;
        struct elementwise_params elementwise;
        double channel_scale;
        struct {
            double smoothing; /* CASE_SOFTMAX_CROSS_ENTROPY */
            bool weighted;    /* weighted by class */
        } loss;
        struct {
            enum optimizer_kind kind;
            struct optimizer_params params;
        } update;
        double decay; /* CASE_AVERAGE */
    };
};

const struct op_case *op_case_list(int *count);

/* Named arrays of doubles in the boundary's order: the inputs or outputs of a case. */
enum { OP_MAX_ARRAYS = 10 };
struct op_array {
    const char *name; /* "x", "dweight", ... */
    enum tensor_kind kind;
    struct shape shape;
    double *values; /* owned */
};
struct op_arrays {
    int count;
    struct op_array array[OP_MAX_ARRAYS];
};

/* Adds an array of zeros. */
struct op_array *op_arrays_add(struct op_arrays *arrays, const char *name, enum tensor_kind kind, struct shape shape);

/* The array of that name, or NULL. */
const struct op_array *op_arrays_find(const struct op_arrays *arrays, const char *name);
void op_arrays_free(struct op_arrays *arrays);

/* The inputs of a case; free with op_arrays_free.
 *   conv2d x, weight, (bias), dy        pool, activation, softmax x, dy        flatten x, dy (N,C*H*W,1,1)
 *   batchnorm x, gamma, beta, running_mean, running_var, dy        dropout x
 *   cross_entropy x (probabilities), labels, (weights (C))        softmax_cross_entropy x (logits), labels, (weights)
 *   elementwise x, (b)        channel x, v (C)        update w, dw0 .. dw4: the gradients of five steps
 *   average w, dw0 .. dw4: the average, and the values that it takes in in five steps
 * An elementwise case of N = H = W = 1 has vectors (C). */
void op_case_inputs(const struct op_case *op_case, struct op_arrays *inputs);

/* The learning rate of an optimizer's step 0..4. */
double op_case_learning_rate(int step);

/* The ways to run a case. */
struct op_run_options {
    bool host_memory;  /* look into the memory of tensors for the observations of op_observations */
    bool forward_only; /* leave out the backward pass and its outputs, where it is a separate operation */
};

/* The observations of a run beside its results (with host_memory; NULL without). */
struct op_observations {
    const char *padding_not_zero; /* name of a tensor, input or output, after the last operation; NULL: none */
    const char *input_changed;    /* name of an input that is no output and that changed, to the bit; NULL: none */
};

/* Runs the operations of a case on a backend; outputs are new arrays, to be freed with op_arrays_free:
 *   conv2d y, dx, dweight, (dbias)      pool, activation, softmax, flatten y, dx      dropout y
 *   batchnorm y, mean, rstd, running_mean, running_var, dx, dgamma, dbeta, y_evaluate (with the running_* of the input)
 *   cross_entropy, softmax_cross_entropy: metrics (loss, correct, count), dx      elementwise y
 *   channel sum (C), spread (N,C,H,W)      update w, and its states by their names (optimizer_row.h)      average w */
struct op_observations op_case_run(const struct op_case *op_case, struct backend *backend,
                                   struct op_run_options options, const struct op_arrays *inputs,
                                   struct op_arrays *outputs);

#endif
