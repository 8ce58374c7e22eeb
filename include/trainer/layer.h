/* Layers: a table of functions per kind, and one instance per place in a network. A layer knows shapes, parameters and
 * which backend operations make it up; it knows nothing of devices. */
#ifndef TRAINER_LAYER_H
#define TRAINER_LAYER_H

#include <stdbool.h>
#include <stdint.h>

#include "trainer/backend.h"

enum layer_kind {
    LAYER_LINEAR,
    LAYER_CONV2D,
    LAYER_POOL,
    LAYER_BATCHNORM,
    LAYER_BATCHNORM_AUTODIFF,
    LAYER_BATCHNORM_FUSED, /* with the activation and maybe the pool after it; made by fuse_specs only */
    LAYER_ACTIVATION,
    LAYER_DROPOUT,
    LAYER_FLATTEN,
    LAYER_SOFTMAX,
};

/* The starting values of weights. Biases start in the same uniform interval with INIT_UNIFORM_FAN_IN, at 0 with
 * INIT_NORMAL. */
struct init_params {
    bool normal; /* N(0, std^2); else uniform in +-1/sqrt(fan_in) */
    double std;
};

struct batchnorm_spec {
    struct batchnorm_params params;
    bool batch_stats_only; /* normalise by the batch at evaluation too, and keep no running statistics */
};

/* The description of a layer before it exists. `origin` is put before the message of a shape error ("file:line:
 * section.key: entry 3 (M)"); it is borrowed and may be NULL. */
struct layer_spec {
    enum layer_kind kind;
    const char *origin;
    union {
        struct {
            int64_t units;
            struct init_params init;
        } linear;
        struct {
            int64_t channels;
            struct window window;
            struct init_params init;
        } conv2d;
        struct pool_params pool;
        struct batchnorm_spec batchnorm; /* for every kind: batchnorm_fused begins with it */
        struct {
            struct batchnorm_spec batchnorm;
            struct activation_params activation;
            bool pooled;
            struct pool_params pool; /* where pooled */
            const char *pool_origin; /* the pool's origin */
        } batchnorm_fused;
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
    struct tensor folded; /* the value with the next batch normalization folded in; data is NULL where none can be */
};

/* State that is saved with the parameters but not trained: running statistics. */
struct layer_buffer {
    const char *name; /* "running_mean", "running_var" */
    struct tensor value;
};

struct layer {
    const struct layer_ops *ops;
    struct layer_spec spec;
    struct backend *backend;
    int index; /* place among the layers as the model has them, fused or not: names the layer in a checkpoint, and
                * the random stream of a dropout mask */
    int first_parameter; /* number of parameters before it: names the random streams of the starting values */
    uint64_t seed;
    struct shape input, output; /* n is the largest batch */
    int64_t multiply_adds;      /* per sample, forward */
    /* In evaluation a folded convolution or linear layer takes parameter[].folded, which contains the batch
     * normalization after it. That batch normalization is folded too and then leaves its input as it is. */
    bool folded;
    int parameter_count, buffer_count;
    struct parameter parameter[LAYER_MAX_PARAMETERS];
    struct layer_buffer buffer[LAYER_MAX_BUFFERS];
    void *impl; /* private state of the kind, owned by the layer */
};

enum layer_mode { LAYER_TRAIN, LAYER_EVALUATE };

struct layer_ops {
    const char *name;
    /* True where the layer changes nothing in evaluation: the network then hands its input on instead of calling
     * forward. */
    bool identity_in_evaluation;
    /* See layer_describe. May be NULL: the name alone. */
    void (*describe)(const struct layer *layer, char *text, size_t size);
    /* Sets output, multiply_adds, and the kind, name and shape of each parameter and buffer (data is still NULL), from
     * layer->input and spec. An impossible shape is the user's error. */
    bool (*infer_shape)(struct layer *layer, struct status *status);
    /* Allocates private state, once parameters and buffers have their memory. May be NULL. */
    void (*create)(struct layer *layer);
    /* Writes the starting values of parameters and buffers. May be NULL. */
    void (*init)(struct layer *layer);
    /* x, y: shapes with the batch at hand. */
    void (*forward)(struct layer *layer, enum layer_mode mode, const struct tensor *x, const struct tensor *y);
    /* Follows a forward with LAYER_TRAIN on the same x. Overwrites the gradients of the parameters. dx may be NULL: not
     * wanted. */
    void (*backward)(struct layer *layer, const struct tensor *x, const struct tensor *y, const struct tensor *dy,
                     const struct tensor *dx);
    void (*destroy)(struct layer *layer); /* frees private state; may be NULL */
};

/* Writes the name as the summary shows it, with the main sizes of the spec ("conv2d 3x3"). */
void layer_describe(const struct layer *layer, char *text, size_t size);

/* The number of trainable scalars. */
int64_t layer_parameter_scalars(const struct layer *layer);

/* The number of the model's layers that a spec stands for: 1, or more for a fused one. */
int layer_spec_span(const struct layer_spec *spec);

/* The table of a kind: layer_linear.c, layer_conv2d.c, ... each define one. */
const struct layer_ops *layer_ops_of(enum layer_kind kind);

#endif
