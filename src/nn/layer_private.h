/* The declarations that the layer kinds share: their tables, and the helpers of layer.c and init.c. */
#ifndef NN_LAYER_PRIVATE_H
#define NN_LAYER_PRIVATE_H

#include "nn/layer.h"
#include "program/program.h"

extern const struct layer_ops layer_linear_ops, layer_conv2d_ops, layer_pool_ops, layer_batchnorm_ops,
    layer_batchnorm_autodiff_ops, layer_activation_ops, layer_dropout_ops, layer_flatten_ops, layer_add_ops,
    layer_global_pool_ops, layer_gate_ops, layer_softmax_ops;

/* Call status_fail with STATUS_USAGE and the spec's origin before the message; without an origin, the layer's index and
 * kind. */
bool layer_fail(const struct layer *layer, struct status *status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool layer_spec_fail(const struct layer_spec *spec, int index, struct status *status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Adds a parameter or buffer to the layer, without memory yet. */
void layer_add_parameter(struct layer *layer, const char *name, enum tensor_kind kind, struct shape shape);
void layer_add_buffer(struct layer *layer, const char *name, struct shape shape);

/* The infer_shape of the element-by-element kinds: the output has the input's shape, and there are no parameters. */
bool layer_infer_same_shape(struct layer *layer, struct status *status);

/* Add the weight (O,I/G,K,K) and the bias (O) of a linear layer or convolution with G groups; layer->output is set
 * already. */
void layer_add_weight(struct layer *layer, struct conv2d_params params);
void layer_add_bias(struct layer *layer);

/* An op of the layer's forward pass, without its tensors. */
struct op layer_op(const struct layer *layer, enum op_kind kind);

/* A parameter or buffer as a tensor of the program. In training a parameter has a gradient unless it is frozen. */
int layer_parameter(const struct layer *layer, enum layer_mode mode, struct program *program, int parameter);
int layer_buffer(const struct layer *layer, struct program *program, int buffer);

/* A linear layer is a 1x1 convolution of a 1x1 image, so the two kinds share all but the shapes. */
int layer_write_conv2d(const struct layer *layer, enum layer_mode mode, struct conv2d_params params,
                       struct program *program, int x);

/* Both kinds of batch normalization have the same parameters (weight is gamma, bias is beta, as PyTorch calls them) and
 * running statistics, and evaluate alike. */
bool layer_normalizes(const struct layer *layer); /* true for both kinds */
bool layer_batchnorm_infer_shape(struct layer *layer, struct status *status);
void layer_batchnorm_init(struct layer *layer);
int layer_batchnorm_evaluate(const struct layer *layer, struct program *program, int x);

/* Writes the normalization by running statistics, for evaluations and for layers that are frozen, and returns true; or
 * returns false where the batch's statistics are to be taken. */
bool layer_batchnorm_write_running(const struct layer *layer, enum layer_mode mode, struct program *program, int x,
                                   int *y);

/* The same as layer_batchnorm_evaluate in primitives, through which a gradient passes. */
int layer_batchnorm_primitives(const struct layer *layer, struct program *program, int x);

/* Starting values. The weight is parameter 0, the bias parameter 1, where the layer has one. */
void init_weight_and_bias(struct layer *layer, const struct init_params *init);
void init_constant(struct layer *layer, const struct tensor *tensor, double value);

#endif
