/* A network: layers, each of which reads the outputs of layers before it, with their parameters, gradients and running
 * statistics, each in one flat arena, and the programs that the layers write: for training, for evaluation, for
 * prediction, and for parts of the network alone. */
#ifndef NETWORK_H
#define NETWORK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "nn/layer.h"
#include "program/program.h"

/* Bytes of the backend's memory. All are taken before the first step. */
struct network_memory {
    int64_t parameters, gradients; /* the arenas */
    int64_t work;                  /* activations, their gradients and what else lives within a step */
    int64_t scratch;               /* running statistics, class weights, the private memory of operations */
};

/* Layers that the backend computes as one: a batch normalization with the sum, the activation and the pool after it. Most
 * groups are one layer. */
struct layer_group {
    int first, count;
};

struct network {
    struct backend *backend;
    int layer_count, group_count;
    struct layer *layers;
    struct layer_group *groups;   /* in order; together they are all layers */
    enum loss_kind loss;          /* LOSS_SEPARATE: the last layer is a softmax */
    double label_smoothing;       /* smoothing of training's loss; 0 until it is set, and 0 with LOSS_SEPARATE */
    bool labels_mixed;            /* training's labels are mixed as the step state says; false until it is set */
    struct tensor class_weights;  /* (D) for training's loss; data is NULL where every class weighs 1 */
    struct shape input;           /* (N,C,H,W): n is the largest batch */
    size_t arena_count;           /* elements in each arena, padding included */
    void *parameters, *gradients; /* arenas */
    size_t buffer_count;          /* elements of `buffers`, padding included */
    void *buffers;                /* arena of the layers' running statistics */
    struct tensor metrics;        /* SPACE_METRICS of the programs: what losses add to */
    int64_t parameter_count;      /* trainable scalars, padding not counted */
    int64_t max_batch;
    struct network_memory memory;
};

/* Limits of a network. Beyond them a config is an error (STATUS_USAGE) instead of an overflow. 2^31 - 1 elements is
 * also the limit of libraries for devices. */
#define NETWORK_MAX_PARAMETERS (INT64_C(1) << 31)
#define NETWORK_MAX_TENSOR ((int64_t)INT32_MAX)      /* elements of one activation, batch included: 2^31 - 1 */
#define NETWORK_MAX_MULTIPLY_ADDS (INT64_C(1) << 50) /* per sample and layer */

/* Builds the layers on the backend for batches of up to input.n samples. What each reads: struct layer_spec. Parameters
 * start as spec and seed say. The last layer's output is the network's, a vector per sample; every other one must have a
 * reader. Errors (STATUS_USAGE) begin with the origin of the spec that they are about. Nothing of `specs` is kept.
 * Destroy with network_destroy, before the backend. */
bool network_build(struct network **network, struct backend *backend, const struct layer_spec *specs, int count,
                   enum loss_kind loss, struct shape input, uint64_t seed, struct status *status);
void network_destroy(struct network *network); /* NULL is allowed */

/* True where such a network is within the limits and takes at most so many bytes of the backend's memory, by an estimate
 * that counts every activation: training takes about as much, and an evaluation less. */
bool network_fits(const struct backend *backend, const struct layer_spec *specs, int count, struct shape input,
                  int64_t bytes);

/* The sums of the metrics since they were zeroed or written; reading waits for the device. */
struct metrics network_metrics(const struct network *network);
void network_set_metrics(const struct network *network, struct metrics sums);

/* A program to write. */
struct network_request {
    enum layer_mode mode;
    int64_t n;                          /* largest batch */
    int first, last;                    /* layers first .. last-1 */
    const struct gather_params *gather; /* how the batch comes from the data set; NULL: the caller fills it */
    bool loss;                          /* add the loss: of training, or that of evaluations */
    bool backward;                      /* in training, also the gradients */
    bool dinput;                        /* with the gradients with respect to what the program reads */
    bool keep;                          /* the caller reads the output after a run */
    bool fold;                          /* evaluation: fold batch normalization into the weights before it */
};

/* A program and the tensors that the caller may fill or read, in SPACE_WORK; -1: there is none.
 *
 * Its inputs x[0] .. x[input_count-1] are what its layers read from before the first of them, in the order in which they
 * first read it: of a whole network the batch alone. A part of a network must have LAYER_MAX_INPUTS of them at most. */
struct network_program {
    struct program *program; /* free with program_free */
    int input_count;
    int x[LAYER_MAX_INPUTS];
    int dx[LAYER_MAX_INPUTS]; /* gradients with respect to x */
    int labels;
    int y, logits; /* output of the last layer, and the scores: y, or the input of its softmax */
    int dy;        /* without a loss the gradient with respect to y, which the caller fills */
};

/* Writes the program, fused. Nothing is placed yet: append what is missing, then program_finish. */
struct network_program network_write(const struct network *network, const struct network_request *request);

/* Checks that the backend computes every op of a program of the network. The error (STATUS_USAGE) names layer, op and
 * backend. */
bool network_check_support(const struct network *network, const struct program *program, struct status *status);

/* The same for one op of the program, or for one without a layer that runs outside of it. */
bool network_check_op(const struct network *network, const struct program *program, const struct op *op,
                      struct status *status);

/* Appends an op that clips the norm of all gradients together. */
void network_write_clip(const struct network *network, double limit, struct program *program);

/* Sets the bases of the network's own spaces: base[SPACES], by enum space. */
void network_bases(const struct network *network, void *base[]);

/* A tensor of SPACE_WORK that is kept, for the largest batch, where that space begins at `work`. */
struct tensor network_tensor(const struct network_program *made, int tensor, void *work);

/* True where an evaluation depends on how samples are batched: a batch normalization without running statistics
 * normalises by the batch at hand. */
bool network_needs_batches(const struct network *network);

/* The first batch normalization that would normalise a batch of n samples by itself and see one value per channel, of
 * which nothing is left then but its bias; NULL: none. */
const struct layer *network_find_single_value(const struct network *network, int64_t n, enum layer_mode mode);

/* Makes training's loss weigh a sample by its class (struct loss_params). weights (D) are copied. Call it once at most,
 * before a program is written. */
void network_set_class_weights(struct network *network, const double *weights);

/* Writes what a group is, and returns the shape of its output: its layers joined by " + ", each with what it reads from
 * before the group, unless that is the layer before it alone; before them the last layer's name if it has one: "sum: add of
 * branch, input". */
enum { NETWORK_GROUP_TEXT = 128 }; /* bytes that are room enough for most */
struct shape network_describe_group(const struct network *network, struct layer_group group, char *text, size_t size);

/* Trainable scalars and multiply-adds per sample of a group. */
int64_t network_group_scalars(const struct network *network, struct layer_group group);
int64_t network_group_multiply_adds(const struct network *network, struct layer_group group);

/* Prints a table of the layers: output shape, parameters, multiply-adds per sample. */
void network_print_summary(const struct network *network, FILE *out);

/* Columns that the longest name of a layer takes in such a table, 26 or more. */
int network_name_width(const struct network *network);

#endif
