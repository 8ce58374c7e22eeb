/* The kinds of lines in a list of cases: each makes a struct op_case. make_reference.py of the tests knows the same ones,
 * and a case's name is its line. */
#ifndef SELF_TEST_OP_CASE_LINES_H
#define SELF_TEST_OP_CASE_LINES_H

#include "self_test/op_case.h"

#define CASE(text, kind_, n, c, h, w, centre, factor, ...)                                                             \
    {                                                                                                                  \
        .name = text, .kind = kind_, .x = {n, c, h, w}, .offset = centre, .scale = factor, __VA_ARGS__                 \
    }
#define CONV2D(...) CONV2D_("CONV2D(" #__VA_ARGS__ ")", __VA_ARGS__)
#define CONV2D_(text, n, i, h, w, o, kernel_, stride_, padding_, bias_)                                                \
    CASE(text, OP_CONV2D, n, i, h, w, 0, 1, .conv2d = {o, {kernel_, stride_, padding_}, bias_, 1})
#define GROUPED(...) GROUPED_("GROUPED(" #__VA_ARGS__ ")", __VA_ARGS__)
#define GROUPED_(text, n, i, h, w, o, kernel_, stride_, padding_, bias_, groups_)                                      \
    CASE(text, OP_CONV2D, n, i, h, w, 0, 1, .conv2d = {o, {kernel_, stride_, padding_}, bias_, groups_})
#define LINEAR(...) LINEAR_("LINEAR(" #__VA_ARGS__ ")", __VA_ARGS__)
#define LINEAR_(text, n, d, o, bias_) CASE(text, OP_CONV2D, n, d, 1, 1, 0, 1, .conv2d = {o, {1, 1, 0}, bias_, 1})
#define MAX_POOL(...) POOL_("MAX_POOL(" #__VA_ARGS__ ")", POOL_MAX, __VA_ARGS__)
#define AVERAGE_POOL(...) POOL_("AVERAGE_POOL(" #__VA_ARGS__ ")", POOL_AVERAGE, __VA_ARGS__)
#define POOL_(text, kind, n, c, h, w, kernel_, stride_, padding_)                                                      \
    CASE(text, OP_POOL, n, c, h, w, 0, 1, .pool = {kind, {kernel_, stride_, padding_}})
#define GLOBAL_POOL(...) GLOBAL_POOL_("GLOBAL_POOL(" #__VA_ARGS__ ")", __VA_ARGS__)
#define GLOBAL_POOL_(text, n, c, h, w) CASE(text, OP_GLOBAL_POOL, n, c, h, w, 0, 1, .pool = {0})
#define GATE(...) GATE_("GATE(" #__VA_ARGS__ ")", __VA_ARGS__)
#define GATE_(text, n, c, h, w) CASE(text, OP_GATE, n, c, h, w, 0, 1, .pool = {0})
#define BATCHNORM(...) BATCHNORM_("BATCHNORM(" #__VA_ARGS__ ")", __VA_ARGS__)
#define BATCHNORM_(text, n, c, h, w, centre, factor, epsilon_, momentum_)                                              \
    CASE(text, OP_NORM, n, c, h, w, centre, factor,                                                                    \
         .norm = {.params = {.batchnorm = {epsilon_, momentum_}, .activation = {ACTIVATION_NONE, 0}}})
/* A ReLU6 gets inputs beyond 6: those of its own, or gammas up to 6 (op_inputs.c). */
#define FUSED(...) FUSED_("FUSED(" #__VA_ARGS__ ")", __VA_ARGS__)
#define FUSED_(text, n, c, h, w, activation_, slope_, addend_)                                                         \
    CASE(text, OP_NORM, n, c, h, w, 0.5, 1,                                                                            \
         .norm = {.params = {.batchnorm = {1e-5, 0.1}, .activation = {ACTIVATION_##activation_, slope_}},              \
                  .addend = addend_})
#define FUSED_POOL(...) FUSED_POOL_("FUSED_POOL(" #__VA_ARGS__ ")", __VA_ARGS__)
#define FUSED_POOL_(text, n, c, h, w, activation_, slope_, addend_, pool_, kernel_, stride_, padding_)                 \
    CASE(text, OP_NORM, n, c, h, w, 0.5, 1,                                                                            \
         .norm = {.params = {.batchnorm = {1e-5, 0.1},                                                                 \
                             .activation = {ACTIVATION_##activation_, slope_},                                         \
                             .pooled = true,                                                                           \
                             .pool = {POOL_##pool_, {kernel_, stride_, padding_}}},                                    \
                  .addend = addend_})
#define FOLD(...) FOLD_("FOLD(" #__VA_ARGS__ ")", __VA_ARGS__)
#define FOLD_(text, o, i, k, epsilon_, bias_) CASE(text, OP_FOLD, o, i, k, k, 0, 1, .fold = {{epsilon_, 0}, bias_})
#define RELU(...) ACTIVATION_("RELU(" #__VA_ARGS__ ")", ACTIVATION_RELU, __VA_ARGS__, 0)
#define RELU6(...) RELU6_("RELU6(" #__VA_ARGS__ ")", __VA_ARGS__)
#define RELU6_(text, n, c, h, w) CASE(text, OP_ACTIVATION, n, c, h, w, 3, 3, .activation = {ACTIVATION_RELU6, 0})
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
#define ROUNDED_ADAM(...) ROUNDED_ADAM_("ROUNDED_ADAM(" #__VA_ARGS__ ")", __VA_ARGS__)
#define ROUNDED_ADAM_(text, o, i, k, beta1_, beta2_, epsilon_, decay)                                                  \
    CASE(text, OP_UPDATE, o, i, k, k, 0, 1, .rounded = true,                                                           \
         .update = {.kind = OPTIMIZER_ADAM,                                                                            \
                    .params = {.weight_decay = decay, .beta1 = beta1_, .beta2 = beta2_, .epsilon = epsilon_},          \
                    .rate = 1})
#define LION(...) LION_("LION(" #__VA_ARGS__ ")", __VA_ARGS__)
#define LION_(text, o, i, k, beta1_, beta2_, decay)                                                                    \
    UPDATE_(text, o, i, k, OPTIMIZER_LION, .weight_decay = decay, .beta1 = beta1_, .beta2 = beta2_)
#define MUON(...) MUON_("MUON(" #__VA_ARGS__ ")", __VA_ARGS__)
#define MUON_(text, o, i, k, momentum_, decay, nesterov_, adjust)                                                      \
    UPDATE_(text, o, i, k, OPTIMIZER_MUON, .weight_decay = decay, .momentum = momentum_, .nesterov = nesterov_,        \
            .ns_steps = 5, .adjust_rate = adjust)
#define MUON_NORMALIZED(...) MUON_NORMALIZED_("MUON_NORMALIZED(" #__VA_ARGS__ ")", __VA_ARGS__)
#define MUON_NORMALIZED_(text, o, i, k, momentum_, steps)                                                              \
    UPDATE_(text, o, i, k, OPTIMIZER_MUON, .momentum = momentum_, .nesterov = true, .ns_steps = steps,                 \
            .normalize_weights = true)
#define UPDATE_(text, o, i, k, optimizer_, ...)                                                                        \
    CASE(text, OP_UPDATE, o, i, k, k, 0, 1, .update = {.kind = optimizer_, .params = {__VA_ARGS__}, .rate = 1})
#define CLIP(...) CLIP_("CLIP(" #__VA_ARGS__ ")", __VA_ARGS__)
#define CLIP_(text, o, i, k, limit_) CASE(text, OP_CLIP, o, i, k, k, 0, 1, .clip = limit_)
#define MAGNITUDE(...) MAGNITUDE_("MAGNITUDE(" #__VA_ARGS__ ")", __VA_ARGS__)
#define MAGNITUDE_(text, o, i, k) CASE(text, OP_MAGNITUDE, o, i, k, k, 0, 1, .clip = 0)
#define AVERAGE(...) AVERAGE_("AVERAGE(" #__VA_ARGS__ ")", __VA_ARGS__)
#define AVERAGE_(text, o, i, k, decay_) CASE(text, OP_AVERAGE, o, i, k, k, 0, 1, .decay = decay_)
#define ACCUMULATE(...) ACCUMULATE_("ACCUMULATE(" #__VA_ARGS__ ")", __VA_ARGS__)
#define ACCUMULATE_(text, o, i, k, factor_) CASE(text, OP_ACCUMULATE, o, i, k, k, 0, 1, .factor = factor_)
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

#endif
