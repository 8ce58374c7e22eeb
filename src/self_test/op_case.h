/* Cases of the operations of the op table (op.h): shapes and parameters, with inputs that are drawn from Philox by the
 * case's name (support_fill), so that they need not be stored. The self-test of a device runs a few (brief_cases.h), the
 * tests many more (tests/op_cases.h). op_run.h runs them. */
#ifndef SELF_TEST_OP_CASE_H
#define SELF_TEST_OP_CASE_H

#include <stdbool.h>
#include <stdint.h>

#include "program/op.h"

enum { OP_OPTIMIZER_STEPS = 5 };

struct op_case {
    const char *name;     /* the line of the list, e.g. "RELU(1, 1, 1, 1)" */
    enum op_kind kind;    /* the forward operation; those that belong to it run too */
    struct shape x;       /* shape of the main input; for arenas, of the parameters; for a gather, of the output */
    double offset, scale; /* range of the main input: offset + scale * u (support_fill) */
    union {
        struct {
            int64_t channels;
            struct window window;
            bool bias;
            int64_t groups;
        } conv2d;
        struct pool_params pool;
        struct {
            struct batchnorm_fused_params params;
            bool addend;
        } norm;
        struct {
            struct batchnorm_params params;
            bool bias;
        } fold;
        struct activation_params activation;
        struct {
            struct dropout_params params;
            uint64_t step;
        } dropout;
        struct elementwise_params elementwise;
        struct channel_params channel;
        int terms; /* OP_ADD: 2..4 */
        struct {
            double smoothing; /* OP_SOFTMAX_CROSS_ENTROPY */
            bool weighted;    /* weighted by class */
            int32_t mix;      /* share of the partner's label in 1/65536 */
        } loss;
        struct gather_params gather;
        struct {
            struct update update;
            bool rounded; /* OP_UPDATE: with a copy in the type of activations, by gradients of that type */
        };
        double decay;  /* OP_AVERAGE */
        double factor; /* OP_ACCUMULATE */
        double clip;
    };
};

/* Named arrays of doubles in the boundary's order: the inputs or outputs of a case. */
enum { OP_MAX_ARRAYS = 12 };
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
 *   conv2d x, weight, (bias), dy        pool, global_pool, activation, softmax x, dy        flatten x, dy (N,C*H*W,1,1)
 *   gate x, z (N,C,1,1), dy
 *   norm x, gamma, beta, running_mean, running_var, dy, (addend)        dropout x        add x, b, (c), (d)
 *   fold weight, (bias), gamma, beta, running_mean, running_var        elementwise x, (b)        channel_sum x, v (C)
 *   cross_entropy x (probabilities), labels, (weights (C))        softmax_cross_entropy x (logits), labels, (weights)
 *   update w, dw0 .. dw4: the gradients of five steps        magnitude, clip w
 *   average w, dw0 .. dw4: the average, and the values that it takes in in five steps
 *   gather pixels (2N+3,C,H,W), labels, offset (C,H,W), scale (C)
 * An elementwise case of N = H = W = 1 has vectors (C). */
void op_case_inputs(const struct op_case *op_case, struct op_arrays *inputs);

/* Moves the main input away from where a derivative jumps: an activation's from 0, a pool's from each other. */
void op_case_avoid_kinks(const struct op_case *op_case, struct op_arrays *inputs);

/* The learning rate of an optimizer's step 0..4. */
double op_case_learning_rate(int step);

#endif
