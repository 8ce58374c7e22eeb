/* The list of cases (op_cases.h). */
#include "op_cases.h"

#include "self_test/op_case_lines.h"

/* clang-format off */
static const struct op_case cases[] = {
#include "self_test/brief_cases.h"

    /* n, i, h, w, o, kernel, stride, padding, bias */
    CONV2D(1, 1, 1, 1, 1, 1, 1, 0, 1),
    CONV2D(2, 3, 5, 5, 16, 1, 1, 0, 0),
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
    CONV2D(7, 16, 5, 7, 37, 3, 1, 1, 1),
    CONV2D(2, 37, 11, 3, 17, 3, 1, 2, 0),
    CONV2D(1, 64, 17, 17, 64, 3, 1, 1, 1),
    CONV2D(2, 32, 13, 19, 48, 3, 1, 1, 0),
    CONV2D(2, 16, 8, 8, 3, 3, 2, 0, 1),    /* the last row and column are never read */
    CONV2D(1, 5, 10, 11, 16, 3, 3, 0, 0),
    CONV2D(2, 16, 10, 8, 32, 3, 3, 2, 1),
    CONV2D(2, 3, 6, 6, 5, 3, 1, 3, 1),     /* padding = kernel: corners made of padding */
    CONV2D(1, 16, 4, 9, 16, 3, 2, 3, 0),
    CONV2D(2, 3, 12, 12, 16, 5, 1, 2, 1),
    CONV2D(1, 17, 5, 5, 37, 5, 1, 0, 1),   /* one window: the whole image */
    CONV2D(1, 2, 2, 2, 3, 5, 1, 2, 1),
    CONV2D(2, 3, 14, 14, 17, 7, 2, 3, 1),
    CONV2D(1, 16, 7, 8, 16, 7, 1, 3, 1),
    CONV2D(1, 1, 13, 9, 2, 7, 3, 0, 0),
    CONV2D(1, 3, 1, 1, 2, 7, 1, 3, 1),
    CONV2D(1, 2, 12, 10, 3, 11, 1, 5, 1),  /* 121 taps */
    CONV2D(2, 83, 4, 4, 33, 3, 1, 1, 1),   /* six blocks of 16 channels */
    CONV2D(33, 3, 6, 6, 16, 3, 1, 1, 1),
    CONV2D(2, 33, 32, 32, 16, 3, 1, 1, 1), /* many output positions: sums over thousands of terms in dweight */
    GROUPED(1, 2, 1, 1, 2, 1, 1, 0, 1, 2), /* depthwise: as many groups as channels, before and behind */
    GROUPED(2, 16, 6, 5, 16, 3, 1, 1, 0, 16),
    GROUPED(3, 37, 7, 9, 37, 3, 1, 1, 1, 37),
    GROUPED(33, 17, 5, 5, 17, 3, 2, 1, 1, 17),
    GROUPED(1, 32, 13, 11, 32, 3, 2, 1, 0, 32), /* one sample: pixels side by side, two apart in x */
    GROUPED(1, 5, 9, 14, 5, 5, 1, 2, 1, 5),
    GROUPED(7, 20, 11, 8, 20, 7, 3, 3, 0, 20),
    GROUPED(2, 3, 4, 3, 3, 5, 2, 4, 1, 3),  /* windows that lie in the padding altogether */
    GROUPED(2, 6, 12, 10, 6, 11, 1, 5, 1, 6),
    GROUPED(2, 16, 24, 50, 16, 3, 1, 1, 0, 16), /* dweight in several parts */
    GROUPED(2, 32, 6, 6, 64, 3, 1, 1, 1, 2), /* groups of whole blocks of 16 channels */
    GROUPED(3, 64, 5, 7, 32, 1, 1, 0, 0, 4), /* of more blocks of outputs than of inputs, or the other way around */
    GROUPED(7, 48, 9, 9, 96, 5, 2, 2, 1, 3),
    GROUPED(2, 32, 7, 5, 32, 3, 1, 1, 1, 8),  /* four channels in a group */
    GROUPED(1, 24, 6, 6, 40, 3, 2, 1, 0, 8),
    GROUPED(2, 7, 5, 5, 21, 3, 1, 1, 1, 7),   /* three outputs per input */
    GROUPED(2, 72, 8, 6, 72, 3, 1, 1, 1, 3),  /* 24 channels in a group: two groups in three blocks, then one */
    GROUPED(33, 10, 4, 4, 6, 2, 1, 0, 0, 2),

    /* n, d, o, bias */
    LINEAR(1, 1, 1, 1),
    LINEAR(7, 16, 16, 1),
    LINEAR(1, 64, 37, 0),
    LINEAR(2, 512, 10, 1),
    LINEAR(5, 3072, 100, 1),
    LINEAR(200, 100, 10, 1),

    /* n, c, h, w, kernel, stride, padding */
    MAX_POOL(1, 1, 1, 1, 1, 1, 0),
    MAX_POOL(2, 17, 5, 3, 1, 1, 0),
    MAX_POOL(3, 3, 4, 4, 2, 2, 0),
    MAX_POOL(2, 16, 7, 5, 2, 2, 0),
    MAX_POOL(1, 37, 6, 6, 2, 1, 1),
    MAX_POOL(7, 16, 8, 8, 3, 2, 1),
    MAX_POOL(33, 64, 2, 2, 3, 2, 1),
    MAX_POOL(2, 3, 1, 1, 3, 2, 1),
    MAX_POOL(1, 5, 11, 10, 3, 3, 0),
    MAX_POOL(2, 16, 9, 9, 2, 3, 0),        /* pixels between the windows */
    MAX_POOL(1, 3, 8, 8, 5, 1, 2),
    AVERAGE_POOL(1, 1, 1, 1, 1, 1, 0),
    AVERAGE_POOL(7, 64, 1, 1, 1, 1, 0),    /* the report's pool, an identity */
    AVERAGE_POOL(3, 17, 4, 6, 2, 2, 0),
    AVERAGE_POOL(2, 16, 7, 5, 2, 2, 0),
    AVERAGE_POOL(33, 3, 2, 2, 3, 2, 1),
    AVERAGE_POOL(1, 16, 1, 1, 3, 2, 1),
    AVERAGE_POOL(1, 5, 9, 9, 2, 3, 1),
    AVERAGE_POOL(2, 16, 7, 7, 7, 1, 0),

    /* n, c, h, w */
    GLOBAL_POOL(1, 1, 1, 1),
    GLOBAL_POOL(7, 64, 4, 4),
    GLOBAL_POOL(33, 3, 1, 7),
    GATE(1, 1, 1, 1),
    GATE(1, 37, 7, 5),
    GATE(5, 64, 3, 3),                     /* rows of 80 scalars: groups of registers, and some that are left */
    GATE(33, 16, 1, 7),
    GATE(2, 3, 17, 16),                    /* more pixels than a chunk has */

    /* n, c, h, w, offset, scale, epsilon, momentum */
    BATCHNORM(1, 1, 1, 1, 0, 1, 1e-5, 0.1), /* one value per channel: its variance is 0 */
    BATCHNORM(1, 17, 1, 1, 3, 1, 1e-5, 0.1),
    BATCHNORM(2, 3, 1, 1, 0, 1, 1e-5, 0.1),
    BATCHNORM(33, 37, 1, 1, 0, 1, 1e-5, 0.1),
    BATCHNORM(1, 64, 7, 7, 0.5, 1, 1e-3, 0.3),
    BATCHNORM(33, 17, 2, 2, 0, 1, 1e-5, 1),
    BATCHNORM(7, 17, 5, 5, 1000, 0.125, 1e-5, 0.1), /* a large mean: the mean of squares minus the squared mean fails */
    BATCHNORM(33, 3, 1, 1, -1000, 0.125, 1e-5, 0.1),
    BATCHNORM(5, 16, 3, 3, 0, 0.0009765625, 1e-5, 0.1), /* a variance below epsilon */
    BATCHNORM(4, 16, 3, 3, 0, 64, 1e-5, 0.1),

    /* n, c, h, w, activation, slope, addend */
    FUSED(1, 1, 1, 1, RELU, 0, 0),
    FUSED(33, 37, 1, 1, RELU, 0, 0),
    FUSED(7, 17, 5, 3, LEAKY_RELU, 0.1, 0),
    FUSED(2, 64, 3, 3, ELU, 0.5, 0),
    FUSED(33, 16, 1, 1, LEAKY_RELU, 0.1, 1),
    FUSED(2, 5, 4, 4, ELU, 1, 1),
    FUSED(3, 37, 2, 2, NONE, 0, 1),
    FUSED(2, 37, 3, 5, GELU, 0, 0),
    FUSED(7, 5, 4, 4, SILU, 0, 0),
    FUSED(33, 16, 1, 1, GELU, 0, 1),
    FUSED(2, 17, 3, 3, SILU, 0, 1),
    FUSED(7, 33, 3, 5, RELU6, 0, 1),

    /* n, c, h, w, activation, slope, addend, pool, kernel, stride, padding */
    FUSED_POOL(1, 1, 1, 1, RELU, 0, 0, MAX, 3, 2, 1),
    FUSED_POOL(2, 17, 7, 9, LEAKY_RELU, 0.1, 0, MAX, 2, 2, 0),
    FUSED_POOL(2, 5, 5, 4, ELU, 0.5, 0, MAX, 2, 3, 0),
    FUSED_POOL(7, 16, 4, 6, RELU, 0, 1, MAX, 3, 2, 1),
    FUSED_POOL(2, 17, 7, 5, ELU, 1, 1, AVERAGE, 2, 2, 0),
    FUSED_POOL(3, 17, 6, 4, GELU, 0, 0, MAX, 2, 2, 0),
    FUSED_POOL(2, 37, 5, 5, SILU, 0, 0, AVERAGE, 3, 1, 1),
    FUSED_POOL(3, 17, 5, 6, RELU6, 0, 0, AVERAGE, 2, 2, 0),
    FUSED_POOL(2, 18, 7, 7, RELU6, 0, 0, MAX, 3, 2, 1),
    FUSED_POOL(5, 3, 6, 6, NONE, 0, 1, MAX, 2, 2, 0),
    FUSED_POOL(5, 3, 6, 6, NONE, 0, 0, AVERAGE, 3, 1, 1),

    /* o, i, k, epsilon, bias */
    FOLD(1, 1, 1, 1e-5, 1),
    FOLD(16, 37, 1, 1e-3, 1),
    FOLD(17, 3, 3, 1e-5, 0),
    FOLD(33, 5, 1, 1e-3, 0),

    /* n, c, h, w, (slope) */
    RELU(1, 1, 1, 1),
    RELU(33, 16, 2, 2),
    RELU(2, 64, 9, 9),
    RELU(33, 100, 1, 1),
    LEAKY_RELU(2, 17, 3, 3, 0.01),
    ELU(2, 37, 5, 1, 0.5),
    ELU(33, 16, 1, 1, 1),
    GELU(33, 64, 2, 5),
    GELU(5, 1, 1, 1),
    SILU(33, 64, 2, 5),
    SILU(5, 1, 1, 1),
    RELU6(33, 64, 2, 5),
    RELU6(5, 1, 1, 1),

    /* n, c, h, w, rate, seed, stream, step */
    DROPOUT(1, 1, 1, 1, 0.5, 42, 0x20000, 0),
    DROPOUT(33, 100, 1, 1, 0.01, 1, 0x20001, 4999),
    DROPOUT(2, 16, 4, 4, 0.25, 0x123456789abcdef, 0x20002, 1),
    DROPOUT(3, 64, 2, 2, 0, 42, 0x20000, 0),
    DROPOUT(2, 37, 3, 3, 0.9, 42, 0x20000, 3),

    /* n, c, h, w */
    FLATTEN(1, 1, 1, 1),
    FLATTEN(7, 64, 1, 1),
    FLATTEN(3, 16, 4, 4),
    FLATTEN(33, 3, 2, 2),
    FLATTEN(1, 37, 1, 7),

    /* n, d, scale */
    SOFTMAX(1, 1, 1),
    SOFTMAX(33, 10, 1),
    SOFTMAX(2, 64, 1),
    SOFTMAX(3, 37, 64),
    SOFTMAX(7, 10, 4096),

    /* n, d */
    CROSS_ENTROPY(1, 1),
    CROSS_ENTROPY(33, 10),
    CROSS_ENTROPY(2, 100),

    /* n, d */
    WEIGHTED_CROSS_ENTROPY(1, 1),
    WEIGHTED_CROSS_ENTROPY(33, 10),
    WEIGHTED_CROSS_ENTROPY(7, 17),
    WEIGHTED_CROSS_ENTROPY(2, 100),

    /* n, d, scale */
    SOFTMAX_CROSS_ENTROPY(1, 1, 1),
    SOFTMAX_CROSS_ENTROPY(1, 10, 1),
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
    MIXED(2, 100, 1, 0.2, 32768),

    /* n, c, h, w, (scale, shift) */
    ADD(1, 37, 1, 1),
    SUBTRACT(2, 3, 5, 7),
    SUBTRACT(1, 16, 1, 1),
    MULTIPLY(33, 17, 2, 2),
    MULTIPLY(1, 1, 1, 1),
    DIVIDE(1, 17, 1, 1),                   /* 0 / 0 in the padding */
    SQUARE(2, 64, 3, 3),
    SQUARE(1, 3, 1, 1),
    SQRT(7, 3, 2, 5),
    SQRT(1, 37, 1, 1),
    AFFINE(1, 3, 1, 1, -0.25, 1e-5),

    /* n, c, h, w, terms */
    SUM(7, 17, 3, 3, 2),
    SUM(33, 16, 1, 1, 4),

    /* n, c, h, w, offset, scale of x, scale of the sum */
    CHANNEL(1, 1, 1, 1, 0, 1, 1),
    CHANNEL(33, 17, 2, 2, 0, 1, -0.5),
    CHANNEL(2, 3, 32, 32, 100, 1, 0.00048828125),

    /* o, i, k, momentum, weight decay, nesterov */
    SGD(1, 1, 1, 0, 0, 0),
    SGD(17, 3, 3, 0, 0.01, 0),
    SGD(16, 17, 1, 0.9, 0, 0),
    SGD(37, 16, 1, 0.5, 0.01, 1),

    /* o, i, k, beta1, beta2, epsilon, weight decay */
    ADAM(1, 1, 1, 0.9, 0.999, 1e-8, 0),
    ADAM(17, 3, 3, 0.9, 0.999, 1e-8, 0),
    ADAMW(7, 5, 3, 0.8, 0.9, 1e-3, 0.1),
    ADAMW(37, 16, 1, 0.9, 0.999, 1e-8, 0.01),

    /* o, i, k, beta1, beta2, weight decay */
    LION(1, 1, 1, 0.9, 0.99, 0),
    LION(7, 5, 3, 0, 0.5, 0.1),
    LION(37, 16, 1, 0.95, 0.98, 0.01),

    /* o, i, k, momentum, weight decay, nesterov, match_rms_adamw */
    MUON(1, 1, 1, 0.95, 0, 1, 1),
    MUON(7, 5, 3, 0.9, 0.1, 0, 0),
    MUON(37, 16, 1, 0.95, 0.01, 1, 0),  /* more rows than columns */
    MUON(33, 50, 1, 0.5, 0, 1, 1),
    MUON(5, 40, 3, 0, 0, 0, 0),
    MUON_NORMALIZED(16, 16, 3, 0.6, 3),
    MUON_NORMALIZED(37, 5, 1, 0.9, 1),

    /* o, i, k, decay */
    AVERAGE(1, 1, 1, 0),
    AVERAGE(37, 16, 1, 0.25),              /* (1 + s) / (10 + s) at first, then 0.25 */

    /* o, i, k, factor */
    ACCUMULATE(1, 1, 1, 1),
    ACCUMULATE(37, 16, 1, 0.25),

    /* o, i, k, (limit) */
    MAGNITUDE(1, 1, 1),
    MAGNITUDE(64, 100, 1),
    CLIP(1, 1, 1, 0.5),
    CLIP(17, 3, 3, 1000),                  /* the limit is not reached */
    CLIP(64, 100, 1, 0.01),

    /* n, c, h, w, (flip, crop, cutout), (crop, mixup, cutmix): all options of pictures */
    GATHER(1, 1, 1, 1),
    GATHER(2, 17, 3, 3),
    MOVED(7, 3, 8, 6, 1, 0, 0),
    MOVED(5, 1, 7, 9, 0, 3, 0),
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
