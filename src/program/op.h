/* The operations that a program is made of: one row per kind. A program (program.h) is a list of operations on tensors.
 * Layers write forward operations, gradient.c writes the backward ones by the rows' gradients, and a backend runs the
 * list. The parameters are those of backend/backend.h, and so are the letters of the shapes. A formula stands beside
 * the slots of its kind, or beside its parameters where several kinds share it.
 *
 * An operation names its tensors in fixed slots, which the enumerations below define. A slot is read, written or
 * updated in place, as its row says. To write is to overwrite all of a tensor, padding included; there is no operation
 * that adds to what is there. A tensor that an operation writes is none that it reads. */
#ifndef OP_H
#define OP_H

#include "backend/backend.h"

struct program;
struct gradient;

/* Every kind once: X(suffix of the enum, row). A row is defined in op.c. */
#define OP_KINDS(X)                                                                                                    \
    X(GATHER, gather)                                                                                                  \
    X(CONV2D, conv2d)                                                                                                  \
    X(CONV2D_BACKWARD, conv2d_backward)                                                                                \
    X(NORM, norm)                                                                                                      \
    X(NORM_EVALUATE, norm_evaluate)                                                                                    \
    X(NORM_BACKWARD, norm_backward)                                                                                    \
    X(POOL, pool)                                                                                                      \
    X(POOL_BACKWARD, pool_backward)                                                                                    \
    X(GLOBAL_POOL, global_pool)                                                                                        \
    X(GLOBAL_POOL_BACKWARD, global_pool_backward)                                                                      \
    X(GATE, gate)                                                                                                      \
    X(GATE_BACKWARD, gate_backward)                                                                                    \
    X(ACTIVATION, activation)                                                                                          \
    X(ACTIVATION_BACKWARD, activation_backward)                                                                        \
    X(DROPOUT, dropout)                                                                                                \
    X(FLATTEN, flatten)                                                                                                \
    X(FLATTEN_BACKWARD, flatten_backward)                                                                              \
    X(SOFTMAX, softmax)                                                                                                \
    X(SOFTMAX_BACKWARD, softmax_backward)                                                                              \
    X(CROSS_ENTROPY, cross_entropy)                                                                                    \
    X(SOFTMAX_CROSS_ENTROPY, softmax_cross_entropy)                                                                    \
    X(ADD, add)                                                                                                        \
    X(ELEMENTWISE, elementwise)                                                                                        \
    X(CHANNEL_SUM, channel_sum)                                                                                        \
    X(CHANNEL_BROADCAST, channel_broadcast)                                                                            \
    X(FOLD, fold)                                                                                                      \
    X(CLIP, clip)                                                                                                      \
    X(MAGNITUDE, magnitude)                                                                                            \
    X(UPDATE, update)                                                                                                  \
    X(AVERAGE, average)                                                                                                \
    X(ACCUMULATE, accumulate)

#define OP_ENUM(suffix, row) OP_##suffix,
enum op_kind { OP_KINDS(OP_ENUM) OP_KIND_COUNT };
#undef OP_ENUM

enum { OP_OPERANDS = 13 };
enum { OP_STREAMS = 2 }; /* most streams of a device that a program uses */

/* The slots of each kind. A name in brackets may be left out (-1). */

/* The batch of N samples that begins at the step state's batch_first in the order of the data set that the run is
 * given: x (N,C,H,W) or (N,C*H*W,1,1), normalised (struct dataset_view) and changed where `augmented` (struct
 * augment_params); labels (N). Where `pixels` allows it, a backend's rewrite may make x (N,D,1,1) one of TENSOR_PIXELS:
 * the pixels of the data set as they are, to which it refers. A linear layer then normalises them within its products.
 * Nothing else reads or writes such a tensor. */
enum { GATHER_X, GATHER_LABELS };
/* x (N,I,H,W), weight (O,I/G,K,K), [bias] (O) -> y (N,O,P,Q), with G groups of channels (struct conv2d_params).
 * Cross-correlation, as in PyTorch. A linear layer is the case K = 1, H = W = 1, G = 1. */
enum { CONV2D_X, CONV2D_WEIGHT, CONV2D_BIAS, CONV2D_Y };
/* dy -> [dx], [dweight], [dbias]. One operation, since a backend reads dy once for several of them. The forward op with
 * the same weight runs before it and may have kept the weight in another form. dx is complete before an update that is
 * attached (struct op) touches the weight. */
enum {
    CONV2D_BACKWARD_X,
    CONV2D_BACKWARD_WEIGHT,
    CONV2D_BACKWARD_DY,
    CONV2D_BACKWARD_DX,
    CONV2D_BACKWARD_DWEIGHT,
    CONV2D_BACKWARD_DBIAS
};
/* Batch normalization of x (N,C,H,W) by the batch (struct batchnorm_params), plus [addend] of x's shape, then the
 * activation, then the pool where `pooled` -> y (N,C,H,W), or (N,C,P,Q) where pooled. gamma, beta, mean, rstd: (C).
 * [running_mean] and [running_var] are moved in place. mean = mu and rstd = 1/sqrt(var + eps) are saved for the
 * backward pass, and so is [saved], what the backend's pool keeps for its own. The values between the parts are kept
 * nowhere. [bias] (C) is one that a backend's rewrite took from the convolution before: y does not depend on it, so it
 * is only added to the mean by which running_mean moves. A rewrite may also put a ReLU before it and a dropout behind it
 * (struct batchnorm_fused_params). */
enum {
    NORM_X,
    NORM_GAMMA,
    NORM_BETA,
    NORM_ADDEND,
    NORM_RUNNING_MEAN,
    NORM_RUNNING_VAR,
    NORM_Y,
    NORM_MEAN,
    NORM_RSTD,
    NORM_SAVED,
    NORM_BIAS
};
/* The same by the statistics [mean] and [var] (C). Without gamma, beta, mean and var, x is normalised already (FOLD),
 * and only the rest is computed. */
enum {
    NORM_EVALUATE_X,
    NORM_EVALUATE_GAMMA,
    NORM_EVALUATE_BETA,
    NORM_EVALUATE_MEAN,
    NORM_EVALUATE_VAR,
    NORM_EVALUATE_ADDEND,
    NORM_EVALUATE_Y
};
/* dy, shaped as y -> [dx], [daddend], [dgamma], [dbeta]. The activation's input is computed again from x. [dbias], the
 * gradient of the bias that NORM may have, is 0. */
enum {
    NORM_BACKWARD_X,
    NORM_BACKWARD_GAMMA,
    NORM_BACKWARD_BETA,
    NORM_BACKWARD_MEAN,
    NORM_BACKWARD_RSTD,
    NORM_BACKWARD_SAVED,
    NORM_BACKWARD_ADDEND,
    NORM_BACKWARD_DY,
    NORM_BACKWARD_DX,
    NORM_BACKWARD_DADDEND,
    NORM_BACKWARD_DGAMMA,
    NORM_BACKWARD_DBETA,
    NORM_BACKWARD_DBIAS
};
/* x (N,C,H,W) -> y (N,C,P,Q), [saved] as in NORM; and back (struct pool_params). */
enum { POOL_X, POOL_Y, POOL_SAVED };
enum { POOL_BACKWARD_DY, POOL_BACKWARD_SAVED, POOL_BACKWARD_DX };
/* x (N,C,H,W) -> y (N,C,1,1), the mean over H, W; dy -> dx = dy / (H*W) at every pixel. */
enum { GLOBAL_POOL_X, GLOBAL_POOL_Y };
enum { GLOBAL_POOL_BACKWARD_DY, GLOBAL_POOL_BACKWARD_DX };
/* x (N,C,H,W), z (N,C,1,1) -> y (N,C,H,W): every channel of a sample times its gate s = 1 / (1 + exp(-z)).
 *   y = s x,  and back  dx = s dy,  dz = s (1 - s) sum over H, W of dy x */
enum { GATE_X, GATE_Z, GATE_Y };
enum { GATE_BACKWARD_X, GATE_BACKWARD_Z, GATE_BACKWARD_DY, GATE_BACKWARD_DX, GATE_BACKWARD_DZ };
/* Element by element (struct activation_params). */
enum { ACTIVATION_X, ACTIVATION_Y };
enum { ACTIVATION_BACKWARD_X, ACTIVATION_BACKWARD_DY, ACTIVATION_BACKWARD_DX };
/* Forward and backward alike: to = mask * from / (1 - rate), with the mask of struct dropout_params. */
enum { DROPOUT_FROM, DROPOUT_TO };
/* x (N,C,H,W) -> y (N,C*H*W,1,1), in the boundary's order; and back. */
enum { FLATTEN_X, FLATTEN_Y };
enum { FLATTEN_BACKWARD_DY, FLATTEN_BACKWARD_DX };
/* x, y (N,D,1,1):  y_i = exp(x_i) / sum_k exp(x_k),  and back  dx_j = y_j (dy_j - sum_i dy_i y_i). Where dy_i is not 0,
 * a y_i below the smallest normal number of the scalar type counts as that number, as in CROSS_ENTROPY: so y_i dy_i is
 * -w_t/W and the label's sample learns, although its probability underflowed. */
enum { SOFTMAX_X, SOFTMAX_Y };
enum { SOFTMAX_BACKWARD_Y, SOFTMAX_BACKWARD_DY, SOFTMAX_BACKWARD_DX };
/* The losses add the samples of the batch to the metrics, all but the first `skipped` of the run's input, which is 0
 * where there is a gradient: [dprobabilities] and [dlogits] (N,D,1,1) become that of the mean loss of the batch.
 * [weights] (D) are those of the classes, none negative; without them every class weighs 1. With class weights w the
 * mean is (sum of the samples' weighted losses) / W, where W is the sum of the weights of the N labels (PyTorch's
 * reduction = "mean"), or the step state's weight_sum where that is not 0. A sample then adds N/W times its weighted loss to the metrics, so that their sum over N is that
 * mean. Where W is 0, losses and gradients are 0.
 *
 * Cross-entropy of probabilities: -w_t log(p) with p = max(p_t, smallest normal number of the scalar type) and the
 * label t; gradient -w_t/(W p), with the same p; without weights w_t = 1 and W = N. Where p_t is below that number and
 * there are [logits], the softmax's input, the loss is w_t (log-sum-exp of the logits - logit of t), which does not
 * underflow. */
enum {
    CROSS_ENTROPY_PROBABILITIES,
    CROSS_ENTROPY_LABELS,
    CROSS_ENTROPY_WEIGHTS,
    CROSS_ENTROPY_LOGITS,
    CROSS_ENTROPY_METRICS,
    CROSS_ENTROPY_DPROBABILITIES
};
/* Softmax and cross-entropy in one, log-sum-exp with the maximum subtracted, against smoothed labels (Szegedy et al.
 * 2016; PyTorch's label_smoothing): with s = smoothing of the parameters, p = softmax(x) and the label t,
 *   q_d = (1 - s) * [d = t] + s / D,  L = -sum_d q_d log p_d,  gradient (p - q) / N
 * With class weights each term of the sum weighs as its class d does, as in PyTorch:
 *   L = -sum_d w_d q_d log p_d,  gradient_d = (S p_d - w_d q_d) / W,  S = sum_d w_d q_d
 * With `mixed` of the parameters, m from the step state's mix and the label u of the sample's partner,
 *   q_d = (1 - s) ((1 - m) [d = t] + m [d = u]) + s / D,
 * and the sample counts as (1 - m) w_t + m w_u in W. So the loss is the mean of those of the two labels, each as large
 * as its share. The metrics call a sample correct by the label with the larger share, by t where m is 1/2. */
enum {
    SOFTMAX_CROSS_ENTROPY_LOGITS,
    SOFTMAX_CROSS_ENTROPY_LABELS,
    SOFTMAX_CROSS_ENTROPY_WEIGHTS,
    SOFTMAX_CROSS_ENTROPY_METRICS,
    SOFTMAX_CROSS_ENTROPY_DLOGITS
};
/* y = ((a + b) + [c]) + [d], of one shape, in this order. */
enum { ADD_A, ADD_B, ADD_C, ADD_D, ADD_Y };
/* y = a op [b], of one shape. */
enum { ELEMENTWISE_A, ELEMENTWISE_B, ELEMENTWISE_Y };
/* x (N,C,H,W) -> y (C): scale times the sum over N, H, W; and y (C) -> x: scale times y's value, everywhere (struct
 * channel_params). */
enum { CHANNEL_SUM_X, CHANNEL_SUM_Y };
enum { CHANNEL_BROADCAST_Y, CHANNEL_BROADCAST_X };
/* weight (O,I,K,K), [bias] (O) and the batch normalization after them, by running statistics -> a weight and bias that
 * contain it. All else is (O). With s = gamma / sqrt(var + eps):
 *   to_weight = s * weight per output channel,  to_bias = s * (bias - mean) + beta
 * So the convolution alone yields NORM_EVALUATE of its output. */
enum { FOLD_WEIGHT, FOLD_BIAS, FOLD_GAMMA, FOLD_BETA, FOLD_MEAN, FOLD_VAR, FOLD_TO_WEIGHT, FOLD_TO_BIAS };
/* Ranges of an arena. MAGNITUDE writes |x| = sqrt(sum x^2) to y, a double in TENSOR_SCALAR: summed in double in an
 * order that the number of elements alone decides, not finite where an x is not. CLIP changes x in place, as PyTorch's
 * clip_grad_norm_:  x <- x * min(1, limit / (|x| + 1e-6)),  limit > 0. */
enum { CLIP_X };
enum { MAGNITUDE_X, MAGNITUDE_Y };
/* One step of an optimizer (optimizer_row.h), with the number of the step and its learning rate from the step state,
 * times `rate`: w, [state_0], [state_1] change in place. They are ranges of arenas, or for a `matrix` optimizer one
 * filter (O,I,K,K). The states are those of the row, as many as optimizer_state_count says. What a backend's rewrite may
 * add: [rounded] becomes w in the type of activations; and where a parameter of the range has its gradient
 * (struct program_tensor) within [dw_rounded], a range of the same type, it counts instead of that in dw. */
enum { UPDATE_W, UPDATE_DW, UPDATE_STATE_0, UPDATE_STATE_1, UPDATE_ROUNDED, UPDATE_DW_ROUNDED };
/* Exponential moving average after step s of the step state (0 is the first):
 *   average <- average + (1 - d) * (w - average),  d = min(decay, (1 + s) / (10 + s))
 * The memory is short early in a run, where a long one would hold on to the random start (as in TensorFlow's
 * ExponentialMovingAverage with num_updates). */
enum { AVERAGE_AVERAGE, AVERAGE_W };
/* A sum of what slices of a batch leave:  to <- (to + from) * factor,  element by element over ranges of an arena. Of two
 * TENSOR_METRICS it adds the sums; the factor must then be 1. The sum is rounded before the product is. */
enum { ACCUMULATE_TO, ACCUMULATE_FROM };

enum operand_role { OPERAND_NONE, OPERAND_READ, OPERAND_WRITE, OPERAND_UPDATE };

struct operand_row {
    const char *name; /* NULL: the kind has no such slot */
    enum operand_role role;
    bool optional;
};

struct gather_params {
    bool augmented; /* else `augment` means nothing, and the images enter as they are */
    struct augment_params augment;
    bool pixels; /* x (N,D,1,1) may become TENSOR_PIXELS by a backend's rewrite: results agree to within rounding */
};

/* A sum or a broadcast over the B = N*H*W values of a channel. */
struct channel_params {
    double scale; /* factor of every value of the result */
    bool mean;    /* divide the scale by B */
};

struct op {
    enum op_kind kind;
    union {
        struct gather_params gather;
        struct conv2d_params conv2d;
        struct batchnorm_fused_params norm; /* NORM, NORM_EVALUATE, NORM_BACKWARD */
        struct pool_params pool;
        struct activation_params activation;
        struct dropout_params dropout;
        struct loss_params loss; /* its tensors are operands */
        struct elementwise_params elementwise;
        struct channel_params channel;
        struct batchnorm_params fold;
        double clip;          /* limit of the norm */
        struct update update; /* rule and parameters; its arenas are operands */
        double average;       /* decay */
        double accumulate;    /* factor */
    };
    int tensor[OP_OPERANDS]; /* the program's tensor in each slot; -1: left out */
    int layer;               /* first of the model's layers that it computes; -1: none */
    int layer_count;         /* how many layers it computes: more than 1 where they are fused */
    enum op_phase { PHASE_GATHER, PHASE_FORWARD, PHASE_LOSS, PHASE_BACKWARD, PHASE_OPTIMIZER } phase;
    bool attached; /* an UPDATE that the CONV2D_BACKWARD right before it takes along */
    /* Ops of one stream run one after the other. Stream 0 is that of a program without others. An op of another one begins
     * when those of stream 0 before it are done. An op of stream 0 with `join` begins when all before it are done, and so
     * does what follows the program. */
    int stream;
    bool join;
};

struct op_row {
    const char *name; /* "conv2d backward" */
    struct operand_row operand[OP_OPERANDS];
    int output; /* slot of the main output, whose shape `shape` gives; -1: none */
    /* The output's shape for the shapes of the other operands; all zero where they do not fit together. */
    struct shape (*shape)(const struct program *program, const struct op *op);
    /* Writes the operations that lead the gradient from the op's outputs to its inputs (gradient.h). NULL: there is no
     * derivative, or none that is asked for. */
    void (*gradient)(struct gradient *gradient, int op);
    /* Floating-point operations for the program's largest batch; NULL: few beside the bytes that it moves. */
    double (*flops)(const struct program *program, const struct op *op);
};

/* The row of a kind. */
const struct op_row *op_row(enum op_kind kind);

/* Starts an op: every slot is empty, layer is -1. */
struct op op_make(enum op_kind kind);

/* True where the op reads, or writes, the tensor. An update in place does both. */
bool op_reads(const struct op *op, int tensor);
bool op_writes(const struct op *op, int tensor);

#endif
