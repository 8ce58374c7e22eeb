/* The shapes of the ConvNet (batch 32), of the best MLP (batch 384) and of the MLP from scratch (batch 200), and some
 * that no cache holds. */
#include "bench_subject.h"

#define CASE(text, which, kind, n, c, h, w, ...)                                                                       \
    {                                                                                                                  \
        .name = text, .pass = which, .op = {.name = text, .op = kind, .x = {n, c, h, w}, .scale = 1, __VA_ARGS__ }     \
    }
#define CONV2D(n, i, size, o)                                                                                          \
    CASE("conv2d 3x3 to " #o, PASS_FORWARD, CASE_CONV2D, n, i, size, size, .conv2d = {o, {3, 1, 1}, true}),            \
        CASE("conv2d 3x3 to " #o ", backward", PASS_BACKWARD, CASE_CONV2D, n, i, size, size,                           \
             .conv2d = {o, {3, 1, 1}, true})
#define LINEAR(n, i, o)                                                                                                \
    CASE("linear to " #o, PASS_FORWARD, CASE_CONV2D, n, i, 1, 1, .conv2d = {o, {1, 1, 0}, true}),                      \
        CASE("linear to " #o ", backward", PASS_BACKWARD, CASE_CONV2D, n, i, 1, 1, .conv2d = {o, {1, 1, 0}, true})
#define NORM(text, which, n, c, size)                                                                                  \
    CASE("batchnorm" text, which, CASE_BATCHNORM, n, c, size, size, .batchnorm = {1e-5, 0.1})
#define POOLED(text, which, n, c, size)                                                                                \
    {                                                                                                                  \
        .name = "batchnorm + relu + pool" text, .pass = which, .pooled = true, .op = {                                 \
            .name = "batchnorm",                                                                                       \
            .op = CASE_BATCHNORM,                                                                                      \
            .x = {n, c, size, size},                                                                                   \
            .scale = 1,                                                                                                \
            .batchnorm = {1e-5, 0.1}                                                                                   \
        }                                                                                                              \
    }
#define BATCHNORM(n, c, size)                                                                                          \
    NORM("", PASS_FORWARD, n, c, size), NORM(", backward", PASS_BACKWARD, n, c, size),                                 \
        NORM(", evaluation", PASS_EVALUATE, n, c, size), NORM(" + relu", PASS_FUSED_FORWARD, n, c, size),              \
        NORM(" + relu, backward", PASS_FUSED_BACKWARD, n, c, size), POOLED("", PASS_FUSED_FORWARD, n, c, size),        \
        POOLED(", backward", PASS_FUSED_BACKWARD, n, c, size)
#define LARGE_BATCHNORM(n, c, size, which, text)                                                                       \
    {                                                                                                                  \
        .name = "batchnorm" text, .pass = which, .large = true, .op = {                                                \
            .name = "batchnorm",                                                                                       \
            .op = CASE_BATCHNORM,                                                                                      \
            .x = {n, c, size, size},                                                                                   \
            .scale = 1,                                                                                                \
            .batchnorm = {1e-5, 0.1}                                                                                   \
        }                                                                                                              \
    }
#define MAX_POOL(n, c, size)                                                                                           \
    CASE("max-pool", PASS_FORWARD, CASE_POOL, n, c, size, size, .pool = {POOL_MAX, {3, 2, 1}}),                        \
        CASE("max-pool, backward", PASS_BACKWARD, CASE_POOL, n, c, size, size, .pool = {POOL_MAX, {3, 2, 1}})
#define RELU(n, c, size)                                                                                               \
    CASE("relu", PASS_FORWARD, CASE_ACTIVATION, n, c, size, size, .activation = {ACTIVATION_RELU, 0}),                 \
        CASE("relu, backward", PASS_BACKWARD, CASE_ACTIVATION, n, c, size, size, .activation = {ACTIVATION_RELU, 0})
#define UPDATE(text, kind_, o, i, k, ...)                                                                              \
    CASE(text, PASS_FORWARD, CASE_UPDATE, o, i, k, k, .update = {.kind = kind_, .params = {__VA_ARGS__}})
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
    LARGE_BATCHNORM(128, 64, 112, PASS_FORWARD, ""),
    LARGE_BATCHNORM(128, 64, 112, PASS_BACKWARD, ", backward"),
    LARGE_BATCHNORM(128, 64, 112, PASS_FUSED_FORWARD, " + relu"),
    LARGE_BATCHNORM(128, 512, 28, PASS_FORWARD, ""),
    LARGE_BATCHNORM(128, 512, 28, PASS_BACKWARD, ", backward"),
    RELU(32, 64, 32),
    MAX_POOL(32, 64, 32),
    MAX_POOL(32, 512, 4),
    CASE("dropout", PASS_FORWARD, CASE_DROPOUT, 384, 512, 1, 1, .dropout = {{0.05, 7, 1}, 0}),
    CASE("softmax + cross-entropy", PASS_FORWARD, CASE_SOFTMAX_CROSS_ENTROPY, 32, 10, 1, 1, .pool = {0}),
    CASE("softmax + cross-entropy", PASS_FORWARD, CASE_SOFTMAX_CROSS_ENTROPY, 384, 10, 1, 1, .pool = {0}),
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
