/* Small programs, written by hand, for the tests of the passes. */
#ifndef TESTS_PROGRAM_SAMPLES_H
#define TESTS_PROGRAM_SAMPLES_H

#include "program/passes.h"
#include "support.h"

enum { SAMPLE_N = 4 };

/* A convolution, batch normalization, ReLU and a linear layer with loss, gradients, clipping and SGD. Every field that
 * is not said to be an op is a tensor. */
struct sample {
    struct backend *backend;
    struct program *program;
    int x0, labels, x1, x2, x3, x4, x5, mean, rstd, metrics; /* x5: the logits */
    int dx1, dx2, dx3, dx4, dx5;
    int w0, b0, gamma, beta, w1, b1;
    int dw0, db0, dgamma, dbeta, dw1, db1, gradients;
    int conv2d, norm, activation, flatten, linear, loss; /* ops */
    int linear_backward, flatten_backward, activation_backward, norm_backward, conv2d_backward, clip;
    int updates; /* the first of six, w0 to b1 */
};

/* Free with sample_free. */
struct sample sample_create(void);
void sample_free(struct sample *sample);

/* Add a tensor without a gradient, of elements of 8 bytes; one of SPACE_WORK that is a batch of images c x h x h. */
int sample_tensor(struct sample *sample, const char *name, enum tensor_kind kind, struct shape shape, enum space space);
int sample_activation(struct sample *sample, const char *name, int64_t c, int64_t h);

/* An op with tensors in its first slots, up to `count`. */
struct op sample_op(enum op_kind kind, enum op_phase phase, int layer, const int *tensors, size_t count);
#define SAMPLE_OP(kind, phase, layer, ...)                                                                             \
    sample_op(OP_##kind, PHASE_##phase, layer, (const int[]){__VA_ARGS__}, sizeof((int[]){__VA_ARGS__}) / sizeof(int))

/* Moves an op to another place. */
void sample_move(struct program *program, int from, int to);

#endif
