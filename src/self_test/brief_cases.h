/* The cases of the self-test: every kind of operation once or more, forward and backward, in small shapes with odd
 * numbers, so that all of them take seconds. Lines of an array (op_case_lines.h), which the tests' list has too. */
/* clang-format off */
CONV2D(3, 17, 4, 6, 37, 1, 1, 0, 1),
CONV2D(2, 3, 8, 8, 64, 3, 1, 1, 1),    /* the first layer's kind: 3 channels */
CONV2D(3, 17, 7, 7, 16, 3, 2, 1, 1),
CONV2D(3, 16, 9, 7, 16, 5, 2, 2, 0),
GROUPED(3, 17, 7, 9, 17, 3, 1, 1, 0, 17), /* depthwise */
GROUPED(2, 24, 6, 6, 40, 3, 2, 1, 1, 8),
LINEAR(33, 17, 10, 1),
LINEAR(33, 37, 128, 0),
MAX_POOL(2, 17, 7, 9, 3, 2, 1),
AVERAGE_POOL(2, 37, 7, 8, 3, 2, 1),
GLOBAL_POOL(2, 17, 5, 3),
GATE(3, 17, 5, 3),
BATCHNORM(7, 16, 5, 3, 0, 1, 1e-5, 0.1),
BATCHNORM(2, 3, 32, 32, 0, 1, 1e-5, 0.1),
FUSED(7, 17, 5, 3, RELU, 0, 1),        /* the end of a residual block */
FUSED_POOL(7, 16, 8, 8, RELU, 0, 0, MAX, 3, 2, 1),
FUSED_POOL(3, 37, 5, 5, RELU, 0, 0, AVERAGE, 5, 1, 2),
FOLD(17, 3, 3, 1e-5, 1),
RELU(7, 17, 3, 5),
LEAKY_RELU(7, 3, 5, 5, 0.2),
ELU(7, 17, 3, 3, 1),
GELU(7, 17, 3, 3),
SILU(7, 17, 3, 3),
RELU6(7, 17, 3, 3),
FUSED(5, 17, 3, 3, RELU6, 0, 0),
DROPOUT(7, 17, 3, 5, 0.5, 42, 0x20003, 7),
FLATTEN(2, 17, 3, 5),
SOFTMAX(7, 17, 1),
CROSS_ENTROPY(7, 17),
SOFTMAX_CROSS_ENTROPY(33, 10, 1),
MIXED(7, 17, 4, 0.1, 45000),           /* the partner's label is the larger one */
ADD(7, 17, 3, 3),
DIVIDE(3, 37, 4, 1),
AFFINE(2, 17, 3, 3, 1, 0.5),           /* a shift, but not of the padding */
SUM(2, 3, 5, 7, 3),
CHANNEL(7, 37, 5, 3, 0, 1, 0.009523809523809525),
SGD(7, 5, 3, 0.9, 0.1, 0),
ADAM(16, 17, 1, 0.9, 0.999, 1e-8, 0.01),
ROUNDED_ADAM(16, 17, 1, 0.9, 0.999, 1e-8, 0.01),
LION(17, 3, 3, 0.9, 0.99, 0),
MUON(17, 3, 3, 0.95, 0, 1, 1),
MUON_NORMALIZED(17, 3, 3, 0.6, 3),
AVERAGE(17, 3, 3, 0.99),               /* (1 + s) / (10 + s) in every step */
ACCUMULATE(17, 3, 3, 0.5),
MAGNITUDE(17, 3, 3),
CLIP(17, 3, 3, 1),
GATHER(7, 3, 5, 4),
MOVED(3, 17, 5, 5, 1, 2, 3),
CHANGED(5, 3, 8, 6, 2, 0, 0),
    /* clang-format on */
