/* The networks that a few settings describe: multilayer perceptrons, and convolutional networks with or without residual
 * blocks. */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/backend.h"
#include "nn/features.h"
#include "nn/layer.h"
#include "tensor/shape.h"
#include "util/choice.h"
#include "util/int_list.h"

#define MODEL_CHOICES(X) X(MODEL_MLP, "mlp") X(MODEL_CONVNET, "convnet")
enum model_kind { MODEL_CHOICES(CHOICE_ENUMERATOR) };

/* custom: the backend's kernels, with the backward pass derived by hand; autodiff: primitives that the tape
 * differentiates; cudnn: cuDNN's kernels, CUDA only. */
#define BATCHNORM_CHOICES(X)                                                                                           \
    X(BATCHNORM_NONE, "none")                                                                                          \
    X(BATCHNORM_CUSTOM, "custom")                                                                                      \
    X(BATCHNORM_AUTODIFF, "autodiff")                                                                                  \
    X(BATCHNORM_CUDNN, "cudnn")
enum batchnorm_kind { BATCHNORM_CHOICES(CHOICE_ENUMERATOR) };

/* Whether convolutions have a bias. auto: those have none whose output a batch normalization reads, which takes any
 * constant away. */
#define CONV_BIAS_CHOICES(X) X(CONV_BIAS_TRUE, "true") X(CONV_BIAS_FALSE, "false") X(CONV_BIAS_AUTO, "auto")
enum conv_bias { CONV_BIAS_CHOICES(CHOICE_ENUMERATOR) };

/* The form of residual blocks, where branch(x) are a block's convolutions and norm what else model.block asks for.
 * original: y = act(norm(conv(..)) + x), of ResNets (He et al. 2015). preactivation: model.block comes before each
 * convolution, y = conv(act(norm(..))) + x (He et al. 2016, wide ResNets). linear: no activation behind the sum, and no
 * sum where the block changes the shape (MobileNetV2, Sandler et al. 2018). */
#define RESIDUAL_CHOICES(X)                                                                                            \
    X(RESIDUAL_ORIGINAL, "original") X(RESIDUAL_PREACTIVATION, "preactivation") X(RESIDUAL_LINEAR, "linear")
enum residual { RESIDUAL_CHOICES(CHOICE_ENUMERATOR) };

/* A piece of the block that follows each convolution or hidden linear layer; the order is the user's (model.block). */
#define BLOCK_CHOICES(X) X(BLOCK_BATCHNORM, "batchnorm") X(BLOCK_ACTIVATION, "activation") X(BLOCK_DROPOUT, "dropout")
enum block_part { BLOCK_CHOICES(CHOICE_ENUMERATOR) BLOCK_PART_COUNT };

enum { MODEL_TEXT_SIZE = 256, MODEL_PATH_SIZE = 4096 };

struct model_params {
    enum model_kind kind;
    struct int_list hidden;                  /* units of the hidden linear layers; may be empty */
    struct feature_list features;            /* convnet only */
    enum block_part block[BLOCK_PART_COUNT]; /* a permutation of the parts */
    enum residual residual;
    enum conv_bias conv_bias;
    enum activation activation;
    double activation_slope; /* a 0 in the file becomes the activation's usual slope */
    enum batchnorm_kind batchnorm;
    double batchnorm_epsilon, batchnorm_momentum;
    bool zero_gamma;                 /* gamma of the last batch normalization of a residual block starts at 0 */
    bool batchnorm_batch_stats_only; /* evaluation too uses the batch's statistics; no running ones exist */
    double dropout, head_dropout;    /* in each block; before the last layer */
    enum init_kind init;
    double init_std;       /* INIT_NORMAL: standard deviation of the weights; biases start at 0 */
    bool identity_filters; /* convolutions begin by passing their channels on (struct init_params) */
    bool head_bias;        /* the last layer has a bias */
    double head_std;       /* standard deviation that the last layer's weights are scaled to at the start; 0: none */
    enum loss_kind loss;
    char freeze
        [MODEL_TEXT_SIZE]; /* groups of parameters that training leaves as they are (parameter_group.h), or none */
    char init_from[MODEL_PATH_SIZE];  /* run or file whose weights training starts from, or none */
    char init_names[MODEL_PATH_SIZE]; /* file with the order of its modules (train/module_order.h), or none */
};

/* The model's input for an image: (1,C*H*W,1,1) for an MLP, (1,C,H,W) for a ConvNet. */
struct shape model_input_shape(enum model_kind kind, int64_t channels, int64_t height, int64_t width);

/* Tells where a setting has its value from, for the errors about the layers that it asks for. */
struct model_places {
    /* Writes the beginning of an error about an entry of a setting ("model.hidden", "entry 2 (128)") to `text`:
     * "file.ini:3: model.hidden: entry 2 (128)". */
    void (*write)(const void *context, const char *setting, const char *entry, char *text, size_t size);
    const void *context;
};

/* Makes the layers of a model for that input and number of classes, in a new array (free with model_specs_free). The
 * origin of each spec is what `places` writes; where that is NULL, setting and entry alone. */
struct layer_spec *model_specs(const struct model_params *model, struct shape input, int64_t classes,
                               const struct model_places *places, int *count);
void model_specs_free(struct layer_spec *specs, int count);

#endif
