/* A chain of layers with the memory it needs: parameters and gradients in one flat arena each, one activation per
 * layer, two gradient buffers that the backward pass swaps. */
#ifndef TRAINER_NETWORK_H
#define TRAINER_NETWORK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "trainer/experiment.h"
#include "trainer/layer.h"

/* The parts of a step, for an observer that measures them. */
enum network_phase { PHASE_GATHER, PHASE_FORWARD, PHASE_LOSS, PHASE_BACKWARD, PHASE_OPTIMIZER };

/* Called after each part is issued; layer is its index for PHASE_FORWARD and PHASE_BACKWARD, else -1. */
struct network_observer {
    void (*done)(void *argument, enum network_phase phase, int layer);
    void *argument;
};

/* Bytes of the backend's memory. All are taken when the network is built and rehearsed: a step takes none. */
struct network_memory {
    int64_t parameters, gradients;             /* the arenas */
    int64_t activations, activation_gradients; /* for the largest batch, input and labels included */
    int64_t scratch; /* running statistics, folded weights, the private memory of layers and operations */
};

struct network {
    struct backend *backend;
    int layer_count;
    struct layer *layers;
    enum loss_kind loss;          /* LOSS_SEPARATE: the last layer is a softmax */
    double label_smoothing;       /* smoothing of training's loss; 0 until it is set, and 0 with LOSS_SEPARATE */
    bool labels_mixed;            /* training's labels are mixed as the step state says; false until it is set */
    struct tensor class_weights;  /* (D) for training's loss; data is NULL where every class weighs 1 */
    struct tensor input;          /* (N,C,H,W), filled by gather or by its owner; shape.n is the batch at hand */
    int32_t *labels;              /* (N) device memory */
    struct tensor *activations;   /* [layer_count]: output of each layer */
    size_t arena_count;           /* elements in each arena, padding included */
    void *parameters, *gradients; /* arenas */
    size_t buffer_count;          /* elements of `buffers`, padding included */
    void *buffers;                /* arena of the layers' running statistics */
    int64_t parameter_count;      /* trainable scalars, padding not counted */
    int64_t max_batch;
    void *gradient_buffer[2];
    struct network_memory memory;
    const struct network_observer *observer; /* borrowed; NULL: none */
};

/* Limits of a network. Beyond them a config is an error (STATUS_USAGE) instead of an overflow. 2^31 - 1 elements is
 * also the limit of libraries for devices. */
#define NETWORK_MAX_PARAMETERS (INT64_C(1) << 31)
#define NETWORK_MAX_TENSOR ((int64_t)INT32_MAX)      /* elements of one activation, batch included: 2^31 - 1 */
#define NETWORK_MAX_MULTIPLY_ADDS (INT64_C(1) << 50) /* per sample and layer */

/* Builds the layers on the backend for batches of up to input.n samples. Layers that the backend can do together become
 * one. Parameters start as spec and seed say. The last layer's output must be a vector per sample. Errors begin with
 * the origin of the spec that they are about. Nothing of `specs` is kept. Destroy with network_destroy, before the
 * backend. */
bool network_build(struct network **network, struct backend *backend, const struct layer_spec *specs, int count,
                   enum loss_kind loss, struct shape input, uint64_t seed, struct status *status);
void network_destroy(struct network *network); /* NULL is allowed */

/* Promises that the input is always a batch that gather makes of a data set without augmentation. Where the backend can
 * take the first layer's input so, it becomes TENSOR_PIXELS. */
void network_take_pixels(struct network *network);

/* Lets the layers compute with the parameters and running statistics in these arenas, whose layout is that of the
 * network's own. */
void network_use(struct network *network, void *parameters, void *buffers);

/* Sets the batch at hand, 1 <= n <= max_batch: shape.n of the input and of every activation. */
void network_set_batch(struct network *network, int64_t n);

/* Runs a training step of n samples and an evaluation of max_batch, on the input as it is. So memory that is allocated
 * when it is first used (a tape) is there afterwards, and counted in `memory`. Parameters and running statistics are
 * left as they start. */
void network_rehearse(struct network *network, int64_t n);

/* Runs forward from `input` to the last activation. In evaluation, the activation of a layer that then changes nothing
 * is left as it was, unless it is the last. */
void network_forward(struct network *network, enum layer_mode mode);

/* Puts the batch normalization right after a convolution or linear layer, with its running statistics of this moment,
 * into a copy of that layer's weights. Evaluations use the copies until network_unfold. Where there are no running
 * statistics, or the backend cannot, nothing changes. The results agree to within rounding. */
void network_fold(struct network *network);
void network_unfold(struct network *network);

/* Adds the loss of the last activation to the backend's metrics, without label smoothing and class weights; no
 * gradient. The first `skipped` samples of the batch are left out. */
void network_loss(struct network *network, int64_t skipped);

/* True where an evaluation depends on how samples are batched: a batch normalization without running statistics
 * normalises by the batch at hand. */
bool network_needs_batches(const struct network *network);

/* The first batch normalization that would normalise a batch of n samples by itself and see one value per channel, of
 * which nothing is left then but its bias; NULL: none. */
const struct layer *network_find_single_value(const struct network *network, int64_t n, enum layer_mode mode);

/* Makes training's loss weigh a sample by its class from here on (struct loss_params). weights (D) are copied. Call it
 * once at most. */
void network_set_class_weights(struct network *network, const double *weights);

/* The parameters of training's loss. */
struct loss_params network_loss_params(const struct network *network);

/* Adds the loss that training minimises, with label smoothing and class weights, to the metrics. Then runs the
 * backward pass through all layers, which fills the gradients arena. Follows a forward with LAYER_TRAIN. dinput (or
 * NULL) gets the gradient with respect to the input. */
void network_backward(struct network *network, const struct tensor *dinput);

/* Tells the observer, if there is one, that a part is issued. */
void network_observe(const struct network *network, enum network_phase phase, int layer);

/* Prints a table of the layers: output shape, parameters, multiply-adds per sample. */
void network_print_summary(const struct network *network, FILE *out);

/* Columns that the longest name of a layer takes in such a table, 26 or more. */
int network_name_width(const struct network *network);

/* The model's input for an image: (1,C*H*W,1,1) for an MLP, (1,C,H,W) for a ConvNet. */
struct shape model_input_shape(const struct experiment *experiment, int64_t channels, int64_t height, int64_t width);

/* The samples of one evaluation batch: train.eval_batch_size, or where that is 0 enough to keep the kernels busy, at
 * little memory. */
int64_t model_evaluation_batch(const struct experiment *experiment);

/* Makes the layers that [model] describes, for that input and number of classes, in a new array (free with
 * model_specs_free). Each spec's origin names the config's line, the key and the entry in its list. */
struct layer_spec *model_specs(const struct experiment *experiment, struct shape input, int64_t classes, int *count);
void model_specs_free(struct layer_spec *specs, int count);

#endif
