/* The declarations that the layer kinds share: their tables, and the helpers of layer.c and init.c. */
#ifndef NN_LAYER_PRIVATE_H
#define NN_LAYER_PRIVATE_H

#include "trainer/layer.h"

extern const struct layer_ops layer_linear_ops, layer_conv2d_ops, layer_pool_ops, layer_batchnorm_ops,
    layer_batchnorm_autodiff_ops, layer_batchnorm_fused_ops, layer_activation_ops, layer_dropout_ops, layer_flatten_ops,
    layer_softmax_ops;

/* Calls status_fail with STATUS_USAGE and the spec's origin before the message. */
bool layer_fail(const struct layer *layer, struct status *status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds a parameter or buffer to the layer, without memory yet. */
void layer_add_parameter(struct layer *layer, const char *name, enum tensor_kind kind, struct shape shape);
void layer_add_buffer(struct layer *layer, const char *name, struct shape shape);

/* The infer_shape of the element-by-element kinds: the output has the input's shape, and there are no parameters. */
bool layer_infer_same_shape(struct layer *layer, struct status *status);

/* Adds the weight (O,I,K,K) and bias (O) of a linear layer or convolution; layer->output is set already. */
void layer_add_weight_and_bias(struct layer *layer, int64_t kernel);

/* A linear layer is a 1x1 convolution of a 1x1 image, so the two kinds share all but the shapes. impl: the plan. */
void layer_plan_create(struct layer *layer, struct window window);
void layer_plan_forward(struct layer *layer, enum layer_mode mode, const struct tensor *x, const struct tensor *y);
void layer_plan_backward(struct layer *layer, const struct tensor *x, const struct tensor *y, const struct tensor *dy,
                         const struct tensor *dx);
void layer_plan_destroy(struct layer *layer);

/* Every kind of batch normalization has the same parameters (weight is gamma, bias is beta, as PyTorch calls them) and
 * running statistics; the two that are not fused evaluate alike. */
bool layer_normalizes(const struct layer *layer); /* true for each of these kinds */
bool layer_batchnorm_infer_shape(struct layer *layer, struct status *status);
void layer_batchnorm_init(struct layer *layer);
void layer_batchnorm_evaluate(struct layer *layer, const struct tensor *x, const struct tensor *y);

/* The parameters of the backend's operation for a LAYER_BATCHNORM_FUSED. */
struct batchnorm_fused_params layer_batchnorm_fused_params(const struct layer_spec *spec);

/* Starting values. The weight is parameter 0, the bias parameter 1. */
void init_weight_and_bias(struct layer *layer, const struct init_params *init);
void init_constant(struct layer *layer, const struct tensor *tensor, double value);

#endif
