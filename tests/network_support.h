/* Runs the programs of a network in tests: forward and backward passes on a batch that the test fills. */
#ifndef TESTS_NETWORK_SUPPORT_H
#define TESTS_NETWORK_SUPPORT_H

#include "backend/prepared.h"
#include "nn/network.h"
#include "optim/optimizer.h"

/* A forward pass with or without the loss, the backward pass, and an evaluation that ends with the scores. */
struct runner {
    struct network *network;
    struct network_program training, evaluation;
    struct prepared *train, *evaluate;
    void *work[2];
    struct step_state state; /* of every run; zero until it is set */
    int64_t n;               /* batch at hand; the network's largest until it is set */
};

/* Settings of the programs. */
struct runner_options {
    bool dinput;                       /* with the gradient with respect to the batch */
    bool fold;                         /* evaluations fold batch normalization */
    bool apart;                        /* no two tensors share memory */
    const struct optimizer *optimizer; /* training takes its steps, in runs of the whole program; NULL: none */
    int layers; /* only the first layers, without a loss: the test fills the gradient of their output; 0: all */
};

struct runner runner_open(struct network *network, struct runner_options options);
void runner_close(struct runner *runner);

/* True where the backend leaves a batch as pixels for a network that begins with a linear layer. */
bool runner_takes_pixels(struct backend *backend);

/* The batch, the output of the last layer and the gradient with respect to the batch, with n samples. */
struct tensor runner_input(const struct runner *runner, enum layer_mode mode);
struct tensor runner_output(const struct runner *runner, enum layer_mode mode);
struct tensor runner_dinput(const struct runner *runner);
struct tensor runner_doutput(const struct runner *runner); /* only where there is no loss */

/* Copies (N) labels to the training program of a backend in host memory. */
void runner_set_labels(struct runner *runner, const int32_t *labels);

/* Fills the batch of the training program with random values and labels; on a backend in host memory. */
void runner_fill(struct runner *runner);

/* For prepared_watch: overwrites the tensors whose life ends with the op, with NaN in every precision and labels that no
 * set has. `prepared` is the struct prepared, on a backend in host memory. */
void prepared_overwrite_dead(void *argument, const struct prepared *from, int op);

/* A forward pass; in training it adds the loss to the metrics. */
void runner_forward(struct runner *runner, enum layer_mode mode);

/* Forward and backward pass. */
void runner_backward(struct runner *runner);

/* Forward pass in training mode: the mean loss. */
double runner_loss(struct runner *runner);

#endif
