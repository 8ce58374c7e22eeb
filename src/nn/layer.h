/* Layers: a table of functions per kind, and one instance per place in a network. A layer knows shapes, parameters and
 * which operations make it up, and writes these into programs; it knows nothing of devices. */
#ifndef LAYER_H
#define LAYER_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "util/choice.h"

enum layer_kind {
    LAYER_LINEAR,
    LAYER_CONV2D,
    LAYER_POOL,
    LAYER_BATCHNORM,
    LAYER_BATCHNORM_AUTODIFF,
    LAYER_ACTIVATION,
    LAYER_DROPOUT,
    LAYER_FLATTEN,
    LAYER_ADD,
    LAYER_GLOBAL_POOL,
    LAYER_GATE,
    LAYER_SOFTMAX,
};

/* How a network ends: with scores, whose loss is the cross-entropy of their softmax in one operation, or with a softmax
 * as its last layer. */
#define LOSS_CHOICES(X) X(LOSS_FUSED, "fused") X(LOSS_SEPARATE, "separate")
enum loss_kind { LOSS_CHOICES(CHOICE_ENUMERATOR) };

/* The starting values of weights. uniform: in +-1/sqrt(fan_in), biases too; normal: N(0, std^2), biases 0; he:
 * N(0, 2 / fan_in), biases 0, which keeps the size of activations behind a ReLU (He et al. 2015). */
#define INIT_CHOICES(X) X(INIT_UNIFORM_FAN_IN, "uniform") X(INIT_NORMAL, "normal") X(INIT_HE, "he")
enum init_kind { INIT_CHOICES(CHOICE_ENUMERATOR) };
struct init_params {
    enum init_kind kind;
    double std; /* INIT_NORMAL only */
    /* Output channel o of the first I begins as input channel o: 1 in the middle of the kernel, else 0 (as PyTorch's
     * dirac_ does; Jordan 2024). */
    bool identity;
    double final_std; /* > 0: the weights are then scaled to this deviation around their mean */
};

struct batchnorm_spec {
    struct batchnorm_params params;
    bool batch_stats_only; /* normalise by the batch at evaluation too, and keep no running statistics */
    bool zero_gamma;       /* gamma starts at 0 instead of 1 */
};

enum {
    LAYER_MAX_INPUTS = 4,
    WHITENING_VALUES = 256, /* the most values of a whitening layer's patch: C*K*K */
    NETWORK_INPUT = -1,     /* stands for the network's input where a layer's index is expected */
};

/* The description of a layer before it exists. All strings are borrowed and may be NULL. `origin` is put before the
 * message of an error ("file:line: section.key: entry 3 (M)").
 *
 * A layer reads the layers that `input` names, in this order, up to the first NULL; "input" is the network's input. A
 * layer that names none reads the one before it. A network that adds its input to what a convolution makes of it:
 *
 *   {.kind = LAYER_CONV2D, .name = "branch", .conv2d = ...},
 *   {.kind = LAYER_ADD, .input = {"branch", "input"}},
 *   {.kind = LAYER_ACTIVATION, .activation = ...},                  reads the sum */
struct layer_spec {
    enum layer_kind kind;
    const char *origin;
    const char *name; /* by which later layers read it, at least one byte; no other layer's, and not "input" */
    const char *input[LAYER_MAX_INPUTS];
    union {
        struct {
            int64_t units;
            struct init_params init;
            bool without_bias;
        } linear;
        struct {
            int64_t channels;
            struct window window;
            struct init_params init;
            bool without_bias;
            bool whitening; /* the weights come from the data (train/whitening.h) and are frozen */
            int64_t groups; /* struct conv2d_params; 0 counts as 1 */
        } conv2d;
        struct pool_params pool;
        struct batchnorm_spec batchnorm; /* of both kinds */
        struct activation_params activation;
        struct {
            double rate;
        } dropout;
    };
};

enum { LAYER_MAX_PARAMETERS = 2, LAYER_MAX_BUFFERS = 2 };

/* A trainable tensor and its gradient: views into the arenas of the network. */
struct parameter {
    const char *name; /* "weight", "bias" */
    struct tensor value, gradient;
    int64_t offset; /* bytes from the start of each arena */
    bool frozen;    /* training leaves it as it is */
    double rate;    /* its learning rate over that of the optimizer; 1 until network_set_rates */
    double decay;   /* its weight decay over that of the optimizer; 1 until network_set_decays */
};

/* State that is saved with the parameters but not trained: running statistics. */
struct layer_buffer {
    const char *name; /* "running_mean", "running_var" */
    struct tensor value;
    int64_t offset; /* bytes from the start of the arena */
};

/* The layers that a layer reads, by index. */
struct layer_sources {
    int count;
    int layer[LAYER_MAX_INPUTS]; /* NETWORK_INPUT: none, but the network's input */
};

struct layer {
    const struct layer_ops *ops;
    struct layer_spec spec; /* its strings are NULL once the network is built */
    char *name;             /* NULL: it has none; owned by the network */
    struct layer_sources sources;
    struct backend *backend;
    int index; /* place among the layers: names the layer in a checkpoint, and the random stream of a dropout mask */
    int first_parameter; /* number of parameters before it: names the random streams of the starting values */
    uint64_t seed;
    struct shape input[LAYER_MAX_INPUTS], output; /* n is the largest batch */
    int64_t multiply_adds;                        /* per sample, forward */
    bool frozen;                                  /* all of its parameters are (parameter_group.h) */
    bool learns;        /* parameters are trained in it or in a layer before it; set by network_freeze */
    bool learns_before; /* they are in a layer before it */
    int parameter_count, buffer_count;
    struct parameter parameter[LAYER_MAX_PARAMETERS];
    struct layer_buffer buffer[LAYER_MAX_BUFFERS];
};

enum layer_mode { LAYER_TRAIN, LAYER_EVALUATE };

struct program;

struct layer_ops {
    const char *name;
    struct {
        int least, most;
    } inputs; /* how many it takes */
    /* See layer_describe. May be NULL: the name alone. */
    void (*describe)(const struct layer *layer, char *text, size_t size);
    /* Sets output, multiply_adds, and the kind, name and shape of each parameter and buffer (data is still NULL), from
     * layer->input and spec. An impossible shape is the user's error. */
    bool (*infer_shape)(struct layer *layer, struct status *status);
    /* Writes the starting values of parameters and buffers. May be NULL. */
    void (*init)(struct layer *layer);
    /* Writes the layer's forward ops for its inputs, the tensors x[0], x[1], ... of the program, and returns the tensor
     * of its output: x[0] itself where the layer changes nothing in this mode. */
    int (*write)(const struct layer *layer, enum layer_mode mode, struct program *program, const int *x);
};

/* Writes the name as the summary shows it, with the main sizes of the spec ("conv2d 3x3"). */
void layer_describe(const struct layer *layer, char *text, size_t size);

/* The number of trainable scalars. */
int64_t layer_parameter_scalars(const struct layer *layer);

/* The table of a kind: layer_linear.c, layer_conv2d.c, ... each define one. */
const struct layer_ops *layer_ops_of(enum layer_kind kind);

#endif
