#include "config/experiment_keys.h"

/* clang-format off */
/* A key's field has the key's own name: struct experiment has a struct per section. */
#define PLACE(part, key) .section = #part, .name = #key, .offset = offsetof(struct experiment, part.key)
#define INTEGER(part, key, value, smallest, largest, words)                                                           \
    {PLACE(part, key), .type = KEY_INTEGER, .default_text = value, .low = smallest, .high = largest, .help = words}
#define REAL(part, key, value, words, ...)                                                                            \
    {PLACE(part, key), .type = KEY_REAL, .default_text = value, .help = words, __VA_ARGS__}
#define BOOLEAN(part, key, value, words)                                                                              \
    {PLACE(part, key), .type = KEY_BOOLEAN, .default_text = value, .help = words}
#define TEXT(part, key, value, words) {PLACE(part, key), .type = KEY_TEXT, .default_text = value, .help = words}
#define CHOICE(part, key, value, words, ...)                                                                          \
    {PLACE(part, key), .type = KEY_CHOICE, .default_text = value, .help = words,                                      \
     .choices = (const char *const[]){__VA_ARGS__, NULL}}
#define FROM(value) .from = value
#define ABOVE(value) .from = value, .from_excluded = true
#define TO(value) .to = value
#define BELOW(value) .to = value, .to_excluded = true

/* The defaults are those of the report where it has one. */
const struct experiment_key experiment_keys[] = {
    TEXT(experiment, name, "", "Name of the run and of its folder runs/NAME. Default: the config's file name."),
    INTEGER(experiment, seed, "42", 0, 4294967295, "Start of every random draw: same seed, same result."),

    CHOICE(data, dataset, "cifar10", "Format of the data set.", "cifar10", "idx", "synthetic"),
    TEXT(data, path, "data/cifar-10-batches-bin", "Folder that holds the files, seen from where trainer is started."),
    CHOICE(data, normalization, "mean_image",
           "none: 0..255; mean_image: minus the mean image; unit: 0..1; channel: mean 0, deviation 1 per channel.",
           "none", "mean_image", "unit", "channel"),
    INTEGER(data, validation_size, "0", 0, 10000000, "First training samples held out for validation."),
    INTEGER(data, synthetic_train, "1000", 1, 10000000, "Training samples of the synthetic set."),
    INTEGER(data, synthetic_test, "200", 1, 10000000, "Test samples of the synthetic set."),
    INTEGER(data, synthetic_classes, "10", 2, 256, "Classes of the synthetic set."),
    INTEGER(data, synthetic_channels, "3", 1, 16, "Channels of a synthetic image."),
    INTEGER(data, synthetic_size, "32", 1, 256, "Height and width of a synthetic image."),

    BOOLEAN(augment, flip, "false", "Mirror every other training image, drawn at random, left to right."),
    INTEGER(augment, crop, "0", 0, 255, "Move a training image by up to so many pixels each way, its edge mirrored; 0: off."),
    INTEGER(augment, cutout, "0", 0, 255, "Side of a square that is cut out of a training image at random; 0: off."),

    CHOICE(model, kind, "mlp", "Multi-layer perceptron or convolutional network.", "mlp", "convnet"),
    {PLACE(model, hidden), .type = KEY_INTEGERS, .default_text = "100", .low = 1, .high = 65536,
     .help = "Units of the hidden linear layers; empty: none. Default: 100 for an mlp, none for a convnet."},
    {PLACE(model, features), .type = KEY_FEATURES, .default_text = "",
     .help = "Convolutions and pools of a convnet, in order; see below."},
    {PLACE(model, block), .type = KEY_BLOCK, .default_text = "batchnorm, activation, dropout",
     .help = "What follows each convolution and hidden linear layer, in this order."},
    CHOICE(model, activation, "relu", "Activation function.", "relu", "leaky_relu", "elu"),
    REAL(model, activation_slope, "0", "Slope of the negative side; 0: the usual one (leaky_relu 0.01, elu 1).",
         FROM(0), TO(100)),
    CHOICE(model, batchnorm, "none", "Batch normalization: none; custom: backward pass derived by hand; autodiff: by the tape; "
           "cudnn: cuDNN's, on a CUDA device.", "none", "custom", "autodiff", "cudnn"),
    REAL(model, batchnorm_epsilon, "1e-5", "Added to the variance.", ABOVE(0), TO(1)),
    REAL(model, batchnorm_momentum, "0.1", "Weight of the newest batch in the running statistics.", ABOVE(0), TO(1)),
    BOOLEAN(model, batchnorm_batch_stats_only, "false",
            "Normalise by the batch in evaluations too, with no running statistics. An evaluation then depends on train.eval_batch_size; predict and export to ONNX refuse the network."),
    REAL(model, dropout, "0", "Share of the values that dropout sets to 0.", FROM(0), BELOW(1)),
    CHOICE(model, init, "uniform", "Start of weights and biases: +-1/sqrt(fan_in), or normal with biases 0.",
           "uniform", "normal"),
    REAL(model, init_std, "1e-4", "Standard deviation of the weights with init = normal.", ABOVE(0), TO(100)),
    CHOICE(model, loss, "fused", "Softmax and cross-entropy in one step, or as two layers.", "fused", "separate"),

    CHOICE(optimizer, name, "sgd", "Optimizer.", "sgd", "adam", "adamw"),
    REAL(optimizer, learning_rate, "2e-3", "Learning rate.", ABOVE(0), TO(1000)),
    REAL(optimizer, momentum, "0", "Momentum of sgd.", FROM(0), BELOW(1)),
    BOOLEAN(optimizer, nesterov, "false", "Nesterov's momentum."),
    REAL(optimizer, weight_decay, "0", "Weight decay; with adamw decoupled from the gradient.", FROM(0), TO(10)),
    REAL(optimizer, beta1, "0.9", "Decay of Adam's first moment.", FROM(0), BELOW(1)),
    REAL(optimizer, beta2, "0.999", "Decay of Adam's second moment.", FROM(0), BELOW(1)),
    REAL(optimizer, epsilon, "1e-8", "Added to the root of Adam's second moment.", ABOVE(0), TO(1)),

    CHOICE(schedule, name, "constant", "How the learning rate changes.", "constant", "step", "cosine", "linear"),
    INTEGER(schedule, warmup_steps, "0", 0, 1000000000, "Steps in which the learning rate grows from 0."),
    INTEGER(schedule, step_size, "1000", 1, 1000000000, "step: multiply by gamma after so many steps."),
    REAL(schedule, gamma, "0.1", "step: the factor.", ABOVE(0), TO(1)),
    REAL(schedule, minimum, "0", "cosine, linear: the learning rate at the end.", FROM(0), TO(1000)),

    INTEGER(train, max_steps, "1500", 1, 1000000000, "Training steps."),
    INTEGER(train, batch_size, "200", 1, 1000000, "Samples per training step."),
    INTEGER(train, eval_freq, "100", 1, 1000000000, "Evaluate after so many steps; always after the last."),
    INTEGER(train, eval_batch_size, "0", 0, 1000000, "Samples at once in an evaluation; 0: automatic (512 for an mlp, 128 for a convnet)."),
    REAL(train, label_smoothing, "0", "Share of the label's weight that training spreads over all classes.", FROM(0), BELOW(1)),
    REAL(train, ema_decay, "0", "Evaluate a moving average of the parameters that decays so slowly; 0: the parameters.",
         FROM(0), BELOW(1)),
    REAL(train, clip_norm, "0", "Largest norm of the gradient: a longer one is scaled down to it; 0: off.", FROM(0),
         TO(1e9)),

    INTEGER(checkpoint, freq, "500", 0, 1000000000,
            "Save the run after so many steps; 0: only at its end and when it is stopped."),
    INTEGER(checkpoint, keep, "2", 1, 1000000, "Checkpoints of the last steps that stay."),
    BOOLEAN(checkpoint, best, "true", "Save a checkpoint at the highest test accuracy too."),

    BOOLEAN(report, tensorboard, "false", "Write event files for TensorBoard into the run's folder tensorboard/."),
    BOOLEAN(report, histograms, "false", "With them how the weights and gradients of every layer are spread."),

    CHOICE(backend, device, "auto", "What computes; auto: a CUDA device where there is one.", "auto", "cpu", "cuda"),
    INTEGER(backend, threads, "0", 0, 1024, "CPU threads; 0: one for each core that the process may use."),
    CHOICE(backend, precision, "fp32", "Arithmetic; bf16: products of bf16, the rest in fp32; tf32 needs a CUDA device.", "fp32", "fp64", "tf32", "bf16"),
    CHOICE(backend, cpu_isa, "auto", "Instruction set of the CPU kernels; auto: the best there is; amx: avx512, with AMX where that multiplies faster. In fp32 amx, and avx512 with VNNI, multiply the pixels of a perceptron's input as bytes.", "auto", "amx", "avx512",
           "avx2", "portable"),
    CHOICE(backend, winograd, "auto",
           "CPU: 3x3 convolutions by Winograd's method, which multiplies less and rounds more: where it is faster, on, off.",
           "auto", "on", "off"),
    BOOLEAN(backend, fuse, "true", "Batch normalization, activation and pool in one operation where the backend has one; in an evaluation, in the weights. Weights are updated while the backward pass goes on."),
    BOOLEAN(backend, deterministic, "false", "CUDA: only algorithms that repeat a run to the bit, as the CPU always does."),
    BOOLEAN(backend, graph, "true", "CUDA: record a step once and replay it."),
    INTEGER(backend, workspace_mb, "256", 1, 65536, "CUDA: MiB that a convolution's algorithm may take beside its tensors."),
};

const int experiment_key_count = sizeof experiment_keys / sizeof experiment_keys[0];
