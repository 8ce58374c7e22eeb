/* The shapes of the ConvNet (batch 32), of the best MLP (batch 384) and of the MLP from scratch (batch 200), and some
 * that no cache holds. */
#include "bench_cases.h"

#define CASE(text, kind_, timed_, n, c, h, w, ...)                                                                     \
    {                                                                                                                  \
        .name = text, .timed = timed_, .op = {                                                                         \
            .name = text,                                                                                              \
            .kind = kind_,                                                                                             \
            .x = {n, c, h, w},                                                                                         \
            .scale = 1,                                                                                                \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }
#define CONV2D(n, i, size, o)                                                                                          \
    CASE("conv2d 3x3 to " #o, OP_CONV2D, OP_CONV2D, n, i, size, size, .conv2d = {o, {3, 1, 1}, true, 1}),              \
        CASE("conv2d 3x3 to " #o ", backward", OP_CONV2D, OP_CONV2D_BACKWARD, n, i, size, size,                        \
             .conv2d = {o, {3, 1, 1}, true, 1})
#define GROUPED(text, n, i, size, o, stride, groups)                                                                   \
    CASE(text " 3x3/" #stride " to " #o, OP_CONV2D, OP_CONV2D, n, i, size, size,                                       \
         .conv2d = {o, {3, stride, 1}, false, groups}),                                                                \
        CASE(text " 3x3/" #stride " to " #o ", backward", OP_CONV2D, OP_CONV2D_BACKWARD, n, i, size, size,             \
             .conv2d = {o, {3, stride, 1}, false, groups})
#define LINEAR(n, i, o)                                                                                                \
    CASE("linear to " #o, OP_CONV2D, OP_CONV2D, n, i, 1, 1, .conv2d = {o, {1, 1, 0}, true, 1}),                        \
        CASE("linear to " #o ", backward", OP_CONV2D, OP_CONV2D_BACKWARD, n, i, 1, 1,                                  \
             .conv2d = {o, {1, 1, 0}, true, 1})
#define PARTS(activation_, pooled_)                                                                                    \
    .norm = {.params = {.batchnorm = {1e-5, 0.1},                                                                      \
                        .activation = {ACTIVATION_##activation_, 0},                                                   \
                        .pooled = pooled_,                                                                             \
                        .pool = {POOL_MAX, {3, 2, 1}}}}
#define NORM(text, timed, n, c, size, ...) CASE("batchnorm" text, OP_NORM, timed, n, c, size, size, __VA_ARGS__)
#define BATCHNORM(n, c, size)                                                                                          \
    NORM("", OP_NORM, n, c, size, PARTS(NONE, false)),                                                                 \
        NORM(", backward", OP_NORM_BACKWARD, n, c, size, PARTS(NONE, false)),                                          \
        NORM(", evaluation", OP_NORM_EVALUATE, n, c, size, PARTS(NONE, false)),                                        \
        NORM(" + relu", OP_NORM, n, c, size, PARTS(RELU, false)),                                                      \
        NORM(" + relu, backward", OP_NORM_BACKWARD, n, c, size, PARTS(RELU, false)),                                   \
        NORM(" + relu + pool", OP_NORM, n, c, size, PARTS(RELU, true)),                                                \
        NORM(" + relu + pool, backward", OP_NORM_BACKWARD, n, c, size, PARTS(RELU, true))
#define LARGE_BATCHNORM(text, timed_, n, c, size, ...)                                                                 \
    {                                                                                                                  \
        .name = "batchnorm" text, .timed = timed_, .large = true, .op = {                                              \
            .name = "batchnorm",                                                                                       \
            .kind = OP_NORM,                                                                                           \
            .x = {n, c, size, size},                                                                                   \
            .scale = 1,                                                                                                \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }
#define MAX_POOL(n, c, size)                                                                                           \
    CASE("max-pool", OP_POOL, OP_POOL, n, c, size, size, .pool = {POOL_MAX, {3, 2, 1}}),                               \
        CASE("max-pool, backward", OP_POOL, OP_POOL_BACKWARD, n, c, size, size, .pool = {POOL_MAX, {3, 2, 1}})
#define GLOBAL_POOL(n, c, size)                                                                                        \
    CASE("global pool", OP_GLOBAL_POOL, OP_GLOBAL_POOL, n, c, size, size),                                             \
        CASE("global pool, backward", OP_GLOBAL_POOL, OP_GLOBAL_POOL_BACKWARD, n, c, size, size)
#define GATE(n, c, size)                                                                                               \
    CASE("gate", OP_GATE, OP_GATE, n, c, size, size),                                                                  \
        CASE("gate, backward", OP_GATE, OP_GATE_BACKWARD, n, c, size, size)
#define RELU(n, c, size)                                                                                               \
    CASE("relu", OP_ACTIVATION, OP_ACTIVATION, n, c, size, size, .activation = {ACTIVATION_RELU, 0}),                  \
        CASE("relu, backward", OP_ACTIVATION, OP_ACTIVATION_BACKWARD, n, c, size, size,                                \
             .activation = {ACTIVATION_RELU, 0})
#define UPDATE(text, optimizer_, o, i, k, ...)                                                                         \
    CASE(text, OP_UPDATE, OP_UPDATE, o, i, k, k, .update = {.kind = optimizer_, .params = {__VA_ARGS__}, .rate = 1})
#define ADAM(o, i, k) UPDATE("adam", OPTIMIZER_ADAM, o, i, k, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8)

/* clang-format off */
static const struct bench_case cases[] = {
    CONV2D(32, 3, 32, 64),
    CONV2D(32, 64, 16, 128),
    CONV2D(32, 128, 8, 256),
    CONV2D(32, 256, 8, 256),
    CONV2D(32, 256, 4, 512),
    CONV2D(32, 512, 4, 512),
    CONV2D(32, 512, 2, 512),
    GROUPED("depthwise", 32, 96, 56, 96, 1, 96),
    GROUPED("depthwise", 32, 96, 56, 96, 2, 96),
    GROUPED("depthwise", 32, 576, 14, 576, 1, 576),
    GROUPED("grouped", 32, 128, 28, 128, 1, 32),
    GROUPED("grouped", 32, 128, 28, 128, 1, 4),
    LINEAR(32, 512, 10),
    LINEAR(200, 3072, 100),
    LINEAR(384, 3072, 512),
    LINEAR(384, 512, 128),
    BATCHNORM(32, 64, 32),
    BATCHNORM(32, 128, 16),
    BATCHNORM(32, 256, 8),
    BATCHNORM(32, 512, 4),
    BATCHNORM(32, 512, 2),
    BATCHNORM(384, 512, 1),
    LARGE_BATCHNORM("", OP_NORM, 128, 64, 112, PARTS(NONE, false)),
    LARGE_BATCHNORM(", backward", OP_NORM_BACKWARD, 128, 64, 112, PARTS(NONE, false)),
    LARGE_BATCHNORM(" + relu", OP_NORM, 128, 64, 112, PARTS(RELU, false)),
    LARGE_BATCHNORM("", OP_NORM, 128, 512, 28, PARTS(NONE, false)),
    LARGE_BATCHNORM(", backward", OP_NORM_BACKWARD, 128, 512, 28, PARTS(NONE, false)),
    RELU(32, 64, 32),
    MAX_POOL(32, 64, 32),
    MAX_POOL(32, 512, 4),
    GLOBAL_POOL(32, 512, 8),
    GLOBAL_POOL(128, 256, 28),
    GATE(32, 512, 8),
    GATE(128, 256, 28),
    CASE("dropout", OP_DROPOUT, OP_DROPOUT, 384, 512, 1, 1, .dropout = {{0.05, 7, 1}, 0}),
    CASE("softmax + cross-entropy", OP_SOFTMAX_CROSS_ENTROPY, OP_SOFTMAX_CROSS_ENTROPY, 32, 10, 1, 1, .loss = {0}),
    CASE("softmax + cross-entropy", OP_SOFTMAX_CROSS_ENTROPY, OP_SOFTMAX_CROSS_ENTROPY, 384, 10, 1, 1, .loss = {0}),
    ADAM(1024, 1001, 3),  /* as many parameters as the ConvNet has, nearly: 9.2 million */
    ADAM(1300, 1300, 1),  /* the best MLP: 1.7 million */
    UPDATE("sgd", OPTIMIZER_SGD, 100, 3083, 1, .momentum = 0),
    UPDATE("lion", OPTIMIZER_LION, 1300, 1300, 1, .beta1 = 0.9, .beta2 = 0.99),
};
/* clang-format on */

const struct bench_case *bench_case_list(int *count)
{
    *count = sizeof cases / sizeof cases[0];
    return cases;
}
