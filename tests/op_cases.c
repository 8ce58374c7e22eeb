/* The list of cases (op_cases.h). Their inputs are in op_inputs.c. */
#include "op_cases.h"

/* The kinds of lines in the list. make_reference.py knows the same ones, and a case's name is its line. */
#define CASE(text, kind_, n, c, h, w, centre, factor, ...)                                                             \
    {                                                                                                                  \
        .name = text, .kind = kind_, .x = {n, c, h, w}, .offset = centre, .scale = factor, __VA_ARGS__                 \
    }
#define CONV2D(...) CONV2D_("CONV2D(" #__VA_ARGS__ ")", __VA_ARGS__)
#define CONV2D_(text, n, i, h, w, o, kernel_, stride_, padding_, bias_)                                                \
    CASE(text, OP_CONV2D, n, i, h, w, 0, 1, .conv2d = {o, {kernel_, stride_, padding_}, bias_})
#define LINEAR(...) LINEAR_("LINEAR(" #__VA_ARGS__ ")", __VA_ARGS__)
#define LINEAR_(text, n, d, o, bias_) CASE(text, OP_CONV2D, n, d, 1, 1, 0, 1, .conv2d = {o, {1, 1, 0}, bias_})
#define MAX_POOL(...) POOL_("MAX_POOL(" #__VA_ARGS__ ")", POOL_MAX, __VA_ARGS__)
#define AVERAGE_POOL(...) POOL_("AVERAGE_POOL(" #__VA_ARGS__ ")", POOL_AVERAGE, __VA_ARGS__)
#define POOL_(text, kind, n, c, h, w, kernel_, stride_, padding_)                                                      \
    CASE(text, OP_POOL, n, c, h, w, 0, 1, .pool = {kind, {kernel_, stride_, padding_}})
#define GLOBAL_POOL(...) GLOBAL_POOL_("GLOBAL_POOL(" #__VA_ARGS__ ")", __VA_ARGS__)
#define GLOBAL_POOL_(text, n, c, h, w) CASE(text, OP_GLOBAL_POOL, n, c, h, w, 0, 1, .pool = {0})
#define BATCHNORM(...) BATCHNORM_("BATCHNORM(" #__VA_ARGS__ ")", __VA_ARGS__)
#define BATCHNORM_(text, n, c, h, w, centre, factor, epsilon_, momentum_)                                              \
    CASE(text, OP_NORM, n, c, h, w, centre, factor,                                                                    \
         .norm = {{{epsilon_, momentum_}, {ACTIVATION_NONE, 0}, false, {POOL_MAX, {0, 0, 0}}}, false})
#define FUSED(...) FUSED_("FUSED(" #__VA_ARGS__ ")", __VA_ARGS__)
#define FUSED_(text, n, c, h, w, activation_, slope_, addend_)                                                         \
    CASE(text, OP_NORM, n, c, h, w, 0.5, 1,                                                                            \
         .norm = {{{1e-5, 0.1}, {ACTIVATION_##activation_, slope_}, false, {POOL_MAX, {0, 0, 0}}}, addend_})
#define FUSED_POOL(...) FUSED_POOL_("FUSED_POOL(" #__VA_ARGS__ ")", __VA_ARGS__)
#define FUSED_POOL_(text, n, c, h, w, activation_, slope_, addend_, pool_, kernel_, stride_, padding_)                 \
    CASE(text, OP_NORM, n, c, h, w, 0.5, 1,                                                                            \
         .norm = {                                                                                                     \
             {{1e-5, 0.1}, {ACTIVATION_##activation_, slope_}, true, {POOL_##pool_, {kernel_, stride_, padding_}}},    \
             addend_})
#define FOLD(...) FOLD_("FOLD(" #__VA_ARGS__ ")", __VA_ARGS__)
#define FOLD_(text, o, i, k, epsilon_, bias_) CASE(text, OP_FOLD, o, i, k, k, 0, 1, .fold = {{epsilon_, 0}, bias_})
#define RELU(...) ACTIVATION_("RELU(" #__VA_ARGS__ ")", ACTIVATION_RELU, __VA_ARGS__, 0)
#define LEAKY_RELU(...) ACTIVATION_("LEAKY_RELU(" #__VA_ARGS__ ")", ACTIVATION_LEAKY_RELU, __VA_ARGS__)
#define ELU(...) ACTIVATION_("ELU(" #__VA_ARGS__ ")", ACTIVATION_ELU, __VA_ARGS__)
#define GELU(...) ACTIVATION_("GELU(" #__VA_ARGS__ ")", ACTIVATION_GELU, __VA_ARGS__, 0)
#define SILU(...) ACTIVATION_("SILU(" #__VA_ARGS__ ")", ACTIVATION_SILU, __VA_ARGS__, 0)
#define ACTIVATION_(text, kind, n, c, h, w, slope_)                                                                    \
    CASE(text, OP_ACTIVATION, n, c, h, w, 0, 1, .activation = {kind, slope_})
#define DROPOUT(...) DROPOUT_("DROPOUT(" #__VA_ARGS__ ")", __VA_ARGS__)
#define DROPOUT_(text, n, c, h, w, rate_, seed_, stream_, step_)                                                       \
    CASE(text, OP_DROPOUT, n, c, h, w, 0, 1, .dropout = {{rate_, seed_, stream_}, step_})
#define FLATTEN(...) FLATTEN_("FLATTEN(" #__VA_ARGS__ ")", __VA_ARGS__)
#define FLATTEN_(text, n, c, h, w) CASE(text, OP_FLATTEN, n, c, h, w, 0, 1, .pool = {0})
#define SOFTMAX(...) VECTOR_("SOFTMAX(" #__VA_ARGS__ ")", OP_SOFTMAX, __VA_ARGS__)
#define SOFTMAX_CROSS_ENTROPY(...)                                                                                     \
    VECTOR_("SOFTMAX_CROSS_ENTROPY(" #__VA_ARGS__ ")", OP_SOFTMAX_CROSS_ENTROPY, __VA_ARGS__)
#define SMOOTHED(...) SMOOTHED_("SMOOTHED(" #__VA_ARGS__ ")", __VA_ARGS__)
#define SMOOTHED_(text, n, d, factor, smoothing_)                                                                      \
    CASE(text, OP_SOFTMAX_CROSS_ENTROPY, n, d, 1, 1, 0, factor, .loss = {.smoothing = smoothing_})
#define WEIGHTED(...) WEIGHTED_("WEIGHTED(" #__VA_ARGS__ ")", __VA_ARGS__)
#define WEIGHTED_(text, n, d, factor, smoothing_)                                                                      \
    CASE(text, OP_SOFTMAX_CROSS_ENTROPY, n, d, 1, 1, 0, factor, .loss = {smoothing_, true, 0})
#define MIXED(...) MIXED_("MIXED(" #__VA_ARGS__ ")", __VA_ARGS__)
#define MIXED_(text, n, d, factor, smoothing_, mix_)                                                                   \
    CASE(text, OP_SOFTMAX_CROSS_ENTROPY, n, d, 1, 1, 0, factor, .loss = {smoothing_, false, mix_})
#define VECTOR_(text, kind, n, d, factor) CASE(text, kind, n, d, 1, 1, 0, factor, .pool = {0})
/* 1/4 * u + 1/2 + 1/4096 is in (0, 1]. */
#define CROSS_ENTROPY(...) CROSS_ENTROPY_("CROSS_ENTROPY(" #__VA_ARGS__ ")", __VA_ARGS__)
#define CROSS_ENTROPY_(text, n, d) CASE(text, OP_CROSS_ENTROPY, n, d, 1, 1, 0.5 + 0x1p-12, 0.25, .loss = {0})
#define WEIGHTED_CROSS_ENTROPY(...) WEIGHTED_CROSS_ENTROPY_("WEIGHTED_CROSS_ENTROPY(" #__VA_ARGS__ ")", __VA_ARGS__)
#define WEIGHTED_CROSS_ENTROPY_(text, n, d)                                                                            \
    CASE(text, OP_CROSS_ENTROPY, n, d, 1, 1, 0.5 + 0x1p-12, 0.25, .loss = {.weighted = true})
#define ADD(...) ELEMENTWISE_("ADD(" #__VA_ARGS__ ")", ELEMENTWISE_ADD, __VA_ARGS__, 0, 0)
#define SUBTRACT(...) ELEMENTWISE_("SUBTRACT(" #__VA_ARGS__ ")", ELEMENTWISE_SUBTRACT, __VA_ARGS__, 0, 0)
#define MULTIPLY(...) ELEMENTWISE_("MULTIPLY(" #__VA_ARGS__ ")", ELEMENTWISE_MULTIPLY, __VA_ARGS__, 0, 0)
#define DIVIDE(...) ELEMENTWISE_("DIVIDE(" #__VA_ARGS__ ")", ELEMENTWISE_DIVIDE, __VA_ARGS__, 0, 0)
#define SQUARE(...) ELEMENTWISE_("SQUARE(" #__VA_ARGS__ ")", ELEMENTWISE_SQUARE, __VA_ARGS__, 0, 0)
#define SQRT(...) ELEMENTWISE_("SQRT(" #__VA_ARGS__ ")", ELEMENTWISE_SQRT, __VA_ARGS__, 0, 0)
#define AFFINE(...) ELEMENTWISE_("AFFINE(" #__VA_ARGS__ ")", ELEMENTWISE_AFFINE, __VA_ARGS__)
#define ELEMENTWISE_(text, kind, n, c, h, w, scale_, shift_)                                                           \
    CASE(text, OP_ELEMENTWISE, n, c, h, w, 0, 1, .elementwise = {kind, scale_, shift_, 0})
#define SUM(...) SUM_("SUM(" #__VA_ARGS__ ")", __VA_ARGS__)
#define SUM_(text, n, c, h, w, terms_) CASE(text, OP_ADD, n, c, h, w, 0, 1, .terms = terms_)
#define CHANNEL(...) CHANNEL_("CHANNEL(" #__VA_ARGS__ ")", __VA_ARGS__)
#define CHANNEL_(text, n, c, h, w, centre, factor, scale_)                                                             \
    CASE(text, OP_CHANNEL_SUM, n, c, h, w, centre, factor, .channel = {scale_, false})
#define SGD(...) SGD_("SGD(" #__VA_ARGS__ ")", __VA_ARGS__)
#define SGD_(text, o, i, k, momentum_, decay, nesterov_)                                                               \
    UPDATE_(text, o, i, k, OPTIMIZER_SGD, .weight_decay = decay, .momentum = momentum_, .nesterov = nesterov_)
#define ADAM(...) ADAM_("ADAM(" #__VA_ARGS__ ")", OPTIMIZER_ADAM, __VA_ARGS__)
#define ADAMW(...) ADAM_("ADAMW(" #__VA_ARGS__ ")", OPTIMIZER_ADAMW, __VA_ARGS__)
#define ADAM_(text, kind, o, i, k, beta1_, beta2_, epsilon_, decay)                                                    \
    UPDATE_(text, o, i, k, kind, .weight_decay = decay, .beta1 = beta1_, .beta2 = beta2_, .epsilon = epsilon_)
#define LION(...) LION_("LION(" #__VA_ARGS__ ")", __VA_ARGS__)
#define LION_(text, o, i, k, beta1_, beta2_, decay)                                                                    \
    UPDATE_(text, o, i, k, OPTIMIZER_LION, .weight_decay = decay, .beta1 = beta1_, .beta2 = beta2_)
#define MUON(...) MUON_("MUON(" #__VA_ARGS__ ")", __VA_ARGS__)
#define MUON_(text, o, i, k, momentum_, decay, nesterov_, adjust)                                                      \
    UPDATE_(text, o, i, k, OPTIMIZER_MUON, .weight_decay = decay, .momentum = momentum_, .nesterov = nesterov_,        \
            .adjust_rate = adjust)
#define UPDATE_(text, o, i, k, optimizer_, ...)                                                                        \
    CASE(text, OP_UPDATE, o, i, k, k, 0, 1, .update = {.kind = optimizer_, .params = {__VA_ARGS__}, .rate = 1})
#define CLIP(...) CLIP_("CLIP(" #__VA_ARGS__ ")", __VA_ARGS__)
#define CLIP_(text, o, i, k, limit_) CASE(text, OP_CLIP, o, i, k, k, 0, 1, .clip = limit_)
#define MAGNITUDE(...) MAGNITUDE_("MAGNITUDE(" #__VA_ARGS__ ")", __VA_ARGS__)
#define MAGNITUDE_(text, o, i, k) CASE(text, OP_MAGNITUDE, o, i, k, k, 0, 1, .clip = 0)
#define AVERAGE(...) AVERAGE_("AVERAGE(" #__VA_ARGS__ ")", __VA_ARGS__)
#define AVERAGE_(text, o, i, k, decay_) CASE(text, OP_AVERAGE, o, i, k, k, 0, 1, .decay = decay_)
#define GATHER(...) GATHER_("GATHER(" #__VA_ARGS__ ")", __VA_ARGS__)
#define GATHER_(text, n, c, h, w) CASE(text, OP_GATHER, n, c, h, w, 0, 1, .gather = {.augmented = false})
#define MOVED(...) MOVED_("MOVED(" #__VA_ARGS__ ")", __VA_ARGS__)
#define MOVED_(text, n, c, h, w, flip_, crop_, cutout_)                                                                \
    CASE(text, OP_GATHER, n, c, h, w, 0, 1,                                                                            \
         .gather = {.augmented = true, .augment = {.flip = flip_, .crop = crop_, .cutout = cutout_, .seed = 3}})
#define CHANGED(...) CHANGED_("CHANGED(" #__VA_ARGS__ ")", __VA_ARGS__)
#define CHANGED_(text, n, c, h, w, crop_, mixup_, cutmix_)                                                             \
    CASE(text, OP_GATHER, n, c, h, w, 0, 1,                                                                            \
         .gather = {.augmented = true,                                                                                 \
                    .augment = {.flip = true,                                                                          \
                                .crop = crop_,                                                                         \
                                .cutout = 2,                                                                           \
                                .seed = 3,                                                                             \
                                .vertical_flip = true,                                                                 \
                                .rotate = 1 << 29,                                                                     \
                                .scale = 1 << 14,                                                                      \
                                .resized_crop = 1 << 30,                                                               \
                                .brightness = 1 << 14,                                                                 \
                                .contrast = 1 << 14,                                                                   \
                                .saturation = (c) == 3 ? 1 << 14 : 0,                                                  \
                                .erase = INT64_C(1) << 31,                                                             \
                                .mixup = mixup_,                                                                       \
                                .cutmix = cutmix_}})

/* clang-format off */
static const struct op_case cases[] = {
    /* n, i, h, w, o, kernel, stride, padding, bias */
    CONV2D(1, 1, 1, 1, 1, 1, 1, 0, 1),
    CONV2D(2, 3, 5, 5, 16, 1, 1, 0, 0),
    CONV2D(3, 17, 4, 6, 37, 1, 1, 0, 1),
    CONV2D(1, 16, 7, 7, 16, 1, 2, 0, 1),
    CONV2D(2, 3, 5, 4, 2, 1, 1, 1, 1),     /* 1x1 with padding: the rim of the output sees the bias alone */
    CONV2D(2, 5, 3, 3, 7, 1, 2, 3, 0),
    CONV2D(2, 3, 6, 5, 4, 2, 1, 0, 1),
    CONV2D(1, 17, 5, 5, 3, 2, 2, 1, 1),
    CONV2D(2, 4, 3, 5, 17, 2, 3, 3, 1),    /* windows that lie in the padding altogether */
    CONV2D(1, 3, 1, 1, 16, 3, 1, 1, 1),    /* 1x1 images: eight of nine weights never meet a pixel */
    CONV2D(7, 64, 1, 1, 64, 3, 1, 1, 1),
    CONV2D(33, 16, 1, 1, 17, 3, 1, 1, 0),
    CONV2D(1, 64, 2, 2, 37, 3, 1, 1, 1),   /* 2x2 images: the report's last convolutions */
    CONV2D(33, 17, 2, 2, 16, 3, 1, 1, 1),
    CONV2D(7, 3, 4, 4, 64, 3, 1, 1, 0),
    CONV2D(1, 1, 9, 9, 1, 3, 1, 0, 1),
    CONV2D(2, 3, 8, 8, 64, 3, 1, 1, 1),    /* the first layer's kind: 3 channels */
    CONV2D(7, 16, 5, 7, 37, 3, 1, 1, 1),
    CONV2D(2, 37, 11, 3, 17, 3, 1, 2, 0),
    CONV2D(1, 64, 17, 17, 64, 3, 1, 1, 1),
    CONV2D(2, 32, 13, 19, 48, 3, 1, 1, 0),
    CONV2D(3, 17, 7, 7, 16, 3, 2, 1, 1),
    CONV2D(2, 16, 8, 8, 3, 3, 2, 0, 1),    /* the last row and column are never read */
    CONV2D(1, 5, 10, 11, 16, 3, 3, 0, 0),
    CONV2D(2, 16, 10, 8, 32, 3, 3, 2, 1),
    CONV2D(2, 3, 6, 6, 5, 3, 1, 3, 1),     /* padding = kernel: corners made of padding */
    CONV2D(1, 16, 4, 9, 16, 3, 2, 3, 0),
    CONV2D(2, 3, 12, 12, 16, 5, 1, 2, 1),
    CONV2D(1, 17, 5, 5, 37, 5, 1, 0, 1),   /* one window: the whole image */
    CONV2D(3, 16, 9, 7, 16, 5, 2, 2, 0),
    CONV2D(1, 2, 2, 2, 3, 5, 1, 2, 1),
    CONV2D(2, 3, 14, 14, 17, 7, 2, 3, 1),
    CONV2D(1, 16, 7, 8, 16, 7, 1, 3, 1),
    CONV2D(1, 1, 13, 9, 2, 7, 3, 0, 0),
    CONV2D(1, 3, 1, 1, 2, 7, 1, 3, 1),
    CONV2D(1, 2, 12, 10, 3, 11, 1, 5, 1),  /* 121 taps */
    CONV2D(2, 83, 4, 4, 33, 3, 1, 1, 1),   /* six blocks of 16 channels */
    CONV2D(33, 3, 6, 6, 16, 3, 1, 1, 1),
    CONV2D(2, 33, 32, 32, 16, 3, 1, 1, 1), /* many output positions: sums over thousands of terms in dweight */

    /* n, d, o, bias */
    LINEAR(1, 1, 1, 1),
    LINEAR(7, 16, 16, 1),
    LINEAR(33, 17, 10, 1),
    LINEAR(1, 64, 37, 0),
    LINEAR(2, 512, 10, 1),
    LINEAR(5, 3072, 100, 1),
    LINEAR(200, 100, 10, 1),
    LINEAR(33, 37, 128, 0),

    /* n, c, h, w, kernel, stride, padding */
    MAX_POOL(1, 1, 1, 1, 1, 1, 0),
    MAX_POOL(2, 17, 5, 3, 1, 1, 0),
    MAX_POOL(3, 3, 4, 4, 2, 2, 0),
    MAX_POOL(2, 16, 7, 5, 2, 2, 0),
    MAX_POOL(1, 37, 6, 6, 2, 1, 1),
    MAX_POOL(7, 16, 8, 8, 3, 2, 1),
    MAX_POOL(2, 17, 7, 9, 3, 2, 1),
    MAX_POOL(33, 64, 2, 2, 3, 2, 1),
    MAX_POOL(2, 3, 1, 1, 3, 2, 1),
    MAX_POOL(1, 5, 11, 10, 3, 3, 0),
    MAX_POOL(2, 16, 9, 9, 2, 3, 0),        /* pixels between the windows */
    MAX_POOL(1, 3, 8, 8, 5, 1, 2),
    AVERAGE_POOL(1, 1, 1, 1, 1, 1, 0),
    AVERAGE_POOL(7, 64, 1, 1, 1, 1, 0),    /* the report's pool, an identity */
    AVERAGE_POOL(3, 17, 4, 6, 2, 2, 0),
    AVERAGE_POOL(2, 16, 7, 5, 2, 2, 0),
    AVERAGE_POOL(2, 37, 7, 8, 3, 2, 1),
    AVERAGE_POOL(33, 3, 2, 2, 3, 2, 1),
    AVERAGE_POOL(1, 16, 1, 1, 3, 2, 1),
    AVERAGE_POOL(1, 5, 9, 9, 2, 3, 1),
    AVERAGE_POOL(2, 16, 7, 7, 7, 1, 0),

    /* n, c, h, w */
    GLOBAL_POOL(1, 1, 1, 1),
    GLOBAL_POOL(2, 17, 5, 3),
    GLOBAL_POOL(7, 64, 4, 4),
    GLOBAL_POOL(33, 3, 1, 7),

    /* n, c, h, w, offset, scale, epsilon, momentum */
    BATCHNORM(1, 1, 1, 1, 0, 1, 1e-5, 0.1), /* one value per channel: its variance is 0 */
    BATCHNORM(1, 17, 1, 1, 3, 1, 1e-5, 0.1),
    BATCHNORM(2, 3, 1, 1, 0, 1, 1e-5, 0.1),
    BATCHNORM(33, 37, 1, 1, 0, 1, 1e-5, 0.1),
    BATCHNORM(7, 16, 5, 3, 0, 1, 1e-5, 0.1),
    BATCHNORM(1, 64, 7, 7, 0.5, 1, 1e-3, 0.3),
    BATCHNORM(33, 17, 2, 2, 0, 1, 1e-5, 1),
    BATCHNORM(2, 3, 32, 32, 0, 1, 1e-5, 0.1),
    BATCHNORM(7, 17, 5, 5, 1000, 0.125, 1e-5, 0.1), /* a large mean: the mean of squares minus the squared mean fails */
    BATCHNORM(33, 3, 1, 1, -1000, 0.125, 1e-5, 0.1),
    BATCHNORM(5, 16, 3, 3, 0, 0.0009765625, 1e-5, 0.1), /* a variance below epsilon */
    BATCHNORM(4, 16, 3, 3, 0, 64, 1e-5, 0.1),

    /* n, c, h, w, activation, slope, addend */
    FUSED(1, 1, 1, 1, RELU, 0, 0),
    FUSED(33, 37, 1, 1, RELU, 0, 0),
    FUSED(7, 17, 5, 3, LEAKY_RELU, 0.1, 0),
    FUSED(2, 64, 3, 3, ELU, 0.5, 0),
    FUSED(7, 17, 5, 3, RELU, 0, 1),        /* the end of a residual block */
    FUSED(33, 16, 1, 1, LEAKY_RELU, 0.1, 1),
    FUSED(2, 5, 4, 4, ELU, 1, 1),
    FUSED(3, 37, 2, 2, NONE, 0, 1),
    FUSED(2, 37, 3, 5, GELU, 0, 0),
    FUSED(7, 5, 4, 4, SILU, 0, 0),
    FUSED(33, 16, 1, 1, GELU, 0, 1),
    FUSED(2, 17, 3, 3, SILU, 0, 1),

    /* n, c, h, w, activation, slope, addend, pool, kernel, stride, padding */
    FUSED_POOL(1, 1, 1, 1, RELU, 0, 0, MAX, 3, 2, 1),
    FUSED_POOL(7, 16, 8, 8, RELU, 0, 0, MAX, 3, 2, 1),
    FUSED_POOL(2, 17, 7, 9, LEAKY_RELU, 0.1, 0, MAX, 2, 2, 0),
    FUSED_POOL(2, 5, 5, 4, ELU, 0.5, 0, MAX, 2, 3, 0),
    FUSED_POOL(3, 37, 5, 5, RELU, 0, 0, AVERAGE, 5, 1, 2),
    FUSED_POOL(7, 16, 4, 6, RELU, 0, 1, MAX, 3, 2, 1),
    FUSED_POOL(2, 17, 7, 5, ELU, 1, 1, AVERAGE, 2, 2, 0),
    FUSED_POOL(3, 17, 6, 4, GELU, 0, 0, MAX, 2, 2, 0),
    FUSED_POOL(2, 37, 5, 5, SILU, 0, 0, AVERAGE, 3, 1, 1),
    FUSED_POOL(5, 3, 6, 6, NONE, 0, 1, MAX, 2, 2, 0),
    FUSED_POOL(5, 3, 6, 6, NONE, 0, 0, AVERAGE, 3, 1, 1),

    /* o, i, k, epsilon, bias */
    FOLD(1, 1, 1, 1e-5, 1),
    FOLD(17, 3, 3, 1e-5, 1),
    FOLD(16, 37, 1, 1e-3, 1),
    FOLD(17, 3, 3, 1e-5, 0),
    FOLD(33, 5, 1, 1e-3, 0),

    /* n, c, h, w, (slope) */
    RELU(1, 1, 1, 1),
    RELU(7, 17, 3, 5),
    RELU(33, 16, 2, 2),
    RELU(2, 64, 9, 9),
    RELU(33, 100, 1, 1),
    LEAKY_RELU(2, 17, 3, 3, 0.01),
    LEAKY_RELU(7, 3, 5, 5, 0.2),
    ELU(7, 17, 3, 3, 1),
    ELU(2, 37, 5, 1, 0.5),
    ELU(33, 16, 1, 1, 1),
    GELU(7, 17, 3, 3),
    GELU(33, 64, 2, 5),
    GELU(5, 1, 1, 1),
    SILU(7, 17, 3, 3),
    SILU(33, 64, 2, 5),
    SILU(5, 1, 1, 1),

    /* n, c, h, w, rate, seed, stream, step */
    DROPOUT(1, 1, 1, 1, 0.5, 42, 0x20000, 0),
    DROPOUT(7, 17, 3, 5, 0.5, 42, 0x20003, 7),
    DROPOUT(33, 100, 1, 1, 0.01, 1, 0x20001, 4999),
    DROPOUT(2, 16, 4, 4, 0.25, 0x123456789abcdef, 0x20002, 1),
    DROPOUT(3, 64, 2, 2, 0, 42, 0x20000, 0),
    DROPOUT(2, 37, 3, 3, 0.9, 42, 0x20000, 3),

    /* n, c, h, w */
    FLATTEN(1, 1, 1, 1),
    FLATTEN(2, 17, 3, 5),
    FLATTEN(7, 64, 1, 1),
    FLATTEN(3, 16, 4, 4),
    FLATTEN(33, 3, 2, 2),
    FLATTEN(1, 37, 1, 7),

    /* n, d, scale */
    SOFTMAX(1, 1, 1),
    SOFTMAX(33, 10, 1),
    SOFTMAX(7, 17, 1),
    SOFTMAX(2, 64, 1),
    SOFTMAX(3, 37, 64),
    SOFTMAX(7, 10, 4096),

    /* n, d */
    CROSS_ENTROPY(1, 1),
    CROSS_ENTROPY(33, 10),
    CROSS_ENTROPY(7, 17),
    CROSS_ENTROPY(2, 100),

    /* n, d */
    WEIGHTED_CROSS_ENTROPY(1, 1),
    WEIGHTED_CROSS_ENTROPY(33, 10),
    WEIGHTED_CROSS_ENTROPY(7, 17),
    WEIGHTED_CROSS_ENTROPY(2, 100),

    /* n, d, scale */
    SOFTMAX_CROSS_ENTROPY(1, 1, 1),
    SOFTMAX_CROSS_ENTROPY(1, 10, 1),
    SOFTMAX_CROSS_ENTROPY(33, 10, 1),
    SOFTMAX_CROSS_ENTROPY(7, 17, 4),
    SOFTMAX_CROSS_ENTROPY(2, 100, 1),
    SOFTMAX_CROSS_ENTROPY(200, 16, 1),
    SOFTMAX_CROSS_ENTROPY(7, 10, 4096),
    SOFTMAX_CROSS_ENTROPY(3, 37, 65536),

    /* n, d, scale, smoothing */
    SMOOTHED(1, 1, 1, 0.1),
    SMOOTHED(33, 10, 1, 0.1),
    SMOOTHED(7, 17, 4, 0.2),
    SMOOTHED(2, 100, 1, 0.9),
    SMOOTHED(7, 10, 4096, 0.1),

    /* n, d, scale, smoothing */
    WEIGHTED(1, 1, 1, 0),
    WEIGHTED(1, 10, 1, 0),
    WEIGHTED(33, 10, 1, 0),
    WEIGHTED(7, 17, 4, 0),
    WEIGHTED(200, 16, 1, 0),
    WEIGHTED(7, 10, 4096, 0),
    WEIGHTED(1, 1, 1, 0.1),
    WEIGHTED(33, 10, 1, 0.1),
    WEIGHTED(7, 17, 4, 0.2),
    WEIGHTED(2, 100, 1, 0.9),
    WEIGHTED(7, 10, 4096, 0.1),

    /* n, d, scale, smoothing, share of the next sample's label in 1/65536 */
    MIXED(1, 3, 1, 0, 16384),
    MIXED(33, 10, 1, 0, 20000),
    MIXED(7, 17, 4, 0.1, 45000),           /* the partner's label is the larger one */
    MIXED(2, 100, 1, 0.2, 32768),

    /* n, c, h, w, (scale, shift) */
    ADD(7, 17, 3, 3),
    ADD(1, 37, 1, 1),
    SUBTRACT(2, 3, 5, 7),
    SUBTRACT(1, 16, 1, 1),
    MULTIPLY(33, 17, 2, 2),
    MULTIPLY(1, 1, 1, 1),
    DIVIDE(3, 37, 4, 1),
    DIVIDE(1, 17, 1, 1),                   /* 0 / 0 in the padding */
    SQUARE(2, 64, 3, 3),
    SQUARE(1, 3, 1, 1),
    SQRT(7, 3, 2, 5),
    SQRT(1, 37, 1, 1),
    AFFINE(2, 17, 3, 3, 1, 0.5),           /* a shift, but not of the padding */
    AFFINE(1, 3, 1, 1, -0.25, 1e-5),

    /* n, c, h, w, terms */
    SUM(7, 17, 3, 3, 2),
    SUM(2, 3, 5, 7, 3),
    SUM(33, 16, 1, 1, 4),

    /* n, c, h, w, offset, scale of x, scale of the sum */
    CHANNEL(1, 1, 1, 1, 0, 1, 1),
    CHANNEL(33, 17, 2, 2, 0, 1, -0.5),
    CHANNEL(7, 37, 5, 3, 0, 1, 0.009523809523809525),
    CHANNEL(2, 3, 32, 32, 100, 1, 0.00048828125),

    /* o, i, k, momentum, weight decay, nesterov */
    SGD(1, 1, 1, 0, 0, 0),
    SGD(17, 3, 3, 0, 0.01, 0),
    SGD(16, 17, 1, 0.9, 0, 0),
    SGD(7, 5, 3, 0.9, 0.1, 0),
    SGD(37, 16, 1, 0.5, 0.01, 1),

    /* o, i, k, beta1, beta2, epsilon, weight decay */
    ADAM(1, 1, 1, 0.9, 0.999, 1e-8, 0),
    ADAM(17, 3, 3, 0.9, 0.999, 1e-8, 0),
    ADAM(16, 17, 1, 0.9, 0.999, 1e-8, 0.01),
    ADAMW(7, 5, 3, 0.8, 0.9, 1e-3, 0.1),
    ADAMW(37, 16, 1, 0.9, 0.999, 1e-8, 0.01),

    /* o, i, k, beta1, beta2, weight decay */
    LION(1, 1, 1, 0.9, 0.99, 0),
    LION(17, 3, 3, 0.9, 0.99, 0),
    LION(7, 5, 3, 0, 0.5, 0.1),
    LION(37, 16, 1, 0.95, 0.98, 0.01),

    /* o, i, k, momentum, weight decay, nesterov, match_rms_adamw */
    MUON(1, 1, 1, 0.95, 0, 1, 1),
    MUON(17, 3, 3, 0.95, 0, 1, 1),
    MUON(7, 5, 3, 0.9, 0.1, 0, 0),
    MUON(37, 16, 1, 0.95, 0.01, 1, 0),  /* more rows than columns */
    MUON(33, 50, 1, 0.5, 0, 1, 1),
    MUON(5, 40, 3, 0, 0, 0, 0),

    /* o, i, k, decay */
    AVERAGE(1, 1, 1, 0),
    AVERAGE(17, 3, 3, 0.99),               /* (1 + s) / (10 + s) in every step */
    AVERAGE(37, 16, 1, 0.25),              /* (1 + s) / (10 + s) at first, then 0.25 */

    /* o, i, k, (limit) */
    MAGNITUDE(1, 1, 1),
    MAGNITUDE(17, 3, 3),
    MAGNITUDE(64, 100, 1),
    CLIP(1, 1, 1, 0.5),
    CLIP(17, 3, 3, 1),
    CLIP(17, 3, 3, 1000),                  /* the limit is not reached */
    CLIP(64, 100, 1, 0.01),

    /* n, c, h, w, (flip, crop, cutout), (crop, mixup, cutmix): all options of pictures */
    GATHER(1, 1, 1, 1),
    GATHER(7, 3, 5, 4),
    GATHER(2, 17, 3, 3),
    MOVED(7, 3, 8, 6, 1, 0, 0),
    MOVED(5, 1, 7, 9, 0, 3, 0),
    MOVED(3, 17, 5, 5, 1, 2, 3),
    CHANGED(5, 3, 8, 6, 2, 0, 0),
    CHANGED(4, 1, 7, 9, 0, 0, 0),
    CHANGED(7, 3, 6, 6, 1, 1, 0),          /* mixup */
    CHANGED(7, 2, 9, 5, 1, 0, 1),          /* cutmix */
};
/* clang-format on */

const struct op_case *op_case_list(int *count)
{
    *count = sizeof cases / sizeof cases[0];
    return cases;
}

double op_case_learning_rate(int step)
{
    return 0.01 * (1 - 0.125 * step);
}
