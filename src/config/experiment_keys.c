/* The table of keys: a key is added here, with a field in struct experiment. */
#include "config/experiment_keys.h"

/* clang-format off */
/* A key's field has the key's own name, and struct experiment has a struct per section. `going_on` is a KEY_RESUME_ rule and
 * `searching` a KEY_SWEEP_ one, without the beginnings. */
#define PLACE(part, key, going_on, searching)                                                                         \
    .section = #part, .name = #key, .offset = offsetof(struct experiment, part.key),                                  \
    .resume = KEY_RESUME_##going_on, .sweep = KEY_SWEEP_##searching
#define INTEGER(part, key, going_on, searching, value, smallest, largest, words)                                      \
    {PLACE(part, key, going_on, searching), .type = KEY_INTEGER, .default_text = value, .low = smallest,              \
     .high = largest, .help = words}
#define REAL(part, key, going_on, searching, value, words, ...)                                                       \
    {PLACE(part, key, going_on, searching), .type = KEY_REAL, .default_text = value, .help = words, __VA_ARGS__}
#define BOOLEAN(part, key, going_on, searching, value, words)                                                         \
    {PLACE(part, key, going_on, searching), .type = KEY_BOOLEAN, .default_text = value, .help = words}
#define TEXT(part, key, going_on, searching, value, words)                                                            \
    {PLACE(part, key, going_on, searching), .type = KEY_TEXT, .default_text = value, .help = words,                   \
     .high = sizeof((struct experiment *)0)->part.key - 1}
/* `list` is that of the field's enum. */
#define CHOICE(part, key, going_on, searching, value, list, words)                                                    \
    {PLACE(part, key, going_on, searching), .type = KEY_CHOICE, .default_text = value, .help = words,                 \
     .choices = CHOICE_NAMES(list)}
#define FROM(value) .from = value
#define ABOVE(value) .from = value, .from_excluded = true
#define TO(value) .to = value
#define BELOW(value) .to = value, .to_excluded = true

/* The defaults are those of the report where it has one. */
const struct experiment_key experiment_keys[] = {
    TEXT(experiment, name, FREE, FIXED, "", "Name of the run and of its folder runs/NAME. Default: the config's file name."),
    INTEGER(experiment, seed, KEPT, VARIES, "42", 0, 4294967295,
            "Every random draw starts from this number: the same seed gives the same result."),

    CHOICE(data, dataset, PACKED, FIXED, "cifar10", DATASET_CHOICES, "Format of the data set."),
    TEXT(data, path, FREE, FIXED, "data/cifar-10-batches-bin",
         "Folder that holds the files, or the file itself of dataset = csv, npz or pack. A relative path starts at the folder from which "
         "trainer is started. One of several IDX sets in a folder is FOLDER/BEGINNING, for instance gzip/emnist-letters."),
    TEXT(data, class_names, FREE, FIXED, "auto",
         "Names of the classes, in the order of their labels. A value with a comma is a list of names. Any other value "
         "is the path of a file with a name per line. auto: the names that the data set has itself, if any."),
    INTEGER(data, classes, PACKED, FIXED, "0", 0, 65536,
            "Number of classes; 0: as many as there are names, else as many as the labels of the training set tell."),
    INTEGER(data, first_label, PACKED, FIXED, "0", 0, 65535, "Label that the files give to the first class; 1 for EMNIST's letters."),
    CHOICE(data, labels, PACKED, FIXED, "fine", DATA_LABELS_CHOICES, "Which labels of dataset = cifar100 are learnt: 100 fine or 20 coarse classes."),
    BOOLEAN(data, transpose, PACKED, FIXED, "false", "Swap rows and columns of every image, as EMNIST's need."),
    CHOICE(data, normalization, KEPT, FIXED, "mean_image", NORMALIZATION_CHOICES,
           "How pixels (0..255) enter the network. none: as they are; mean_image: minus the mean image; unit: divided "
           "by 255; channel: mean 0 and deviation 1 per channel. Mean and deviation (the population's) are those of "
           "the training part."),
    {PLACE(data, first_epoch, FIRST_EPOCH, FIXED), .type = KEY_CHOICE, .default_text = "shuffled", .before = "file",
     .choices = CHOICE_NAMES(FIRST_EPOCH_CHOICES),
     .help = "Order of the samples in the first epoch. shuffled: a random one, as in every later epoch; file: that of the "
             "files. Files are often sorted by class, and a network that sees class after class learns the last one."},
    INTEGER(data, validation_size, KEPT, FIXED, "0", 0, 10000000,
            "Training samples held out for validation. The seed draws them, and each class gives its share."),
    {PLACE(data, image_size, PACKED, FIXED), .type = KEY_SIZE, .default_text = "auto", .low = 1, .high = 4096,
     .help = "Size that pictures are made: 64, or WIDTHxHEIGHT. auto: the size that all pictures have; an error where they differ."},
    CHOICE(data, channels, PACKED, FIXED, "auto", DATA_CHANNELS_CHOICES,
           "Channels of the images: 1 (grey) or 3 (red, green, blue). auto: 1 where no training picture has colour, else 3."),
    {PLACE(data, resize, KEPT, FIXED), .type = KEY_CHOICE, .default_text = "crop", .before = "stretch",
     .choices = CHOICE_NAMES(IMAGE_FIT_CHOICES),
     .help = "How a picture of another shape is made to fit, in training and by predict. crop: scaled until it covers the "
             "size, and the middle kept; pad: scaled until it fits in, with borders of data.background; stretch: without "
             "keeping the ratio of its sides."},
    {PLACE(data, background, KEPT, FIXED), .type = KEY_INTEGERS, .default_text = "255", .low = 0, .high = 255,
     .help = "Colour under transparent pixels and of the borders of resize = pad: a grey value, or red, green, blue."},
    REAL(data, max_skipped, FREE, FIXED, "0.1", "Largest share of the pictures that may be left out because they cannot be read.",
         FROM(0), TO(1)),
    INTEGER(data, test_size, PACKED, FIXED, "0", 0, 10000000,
            "Training samples held out as the test set, where the data has none of its own. The seed draws them, and each "
            "class gives its share."),
    BOOLEAN(data, cache, FREE, FIXED, "true",
            "Keep the decoded pictures in a file below XDG_CACHE_HOME (~/.cache), from which the next start maps them."),
    TEXT(data, image_column, KEPT, FIXED, "auto",
         "Column of a table that names the pictures: its name in the first row, or its number from 1. auto: the one whose "
         "values end in .png or .jpg, or that is called image, path, filename, id and the like."),
    TEXT(data, label_column, KEPT, FIXED, "auto",
         "Column of a table that holds the labels. auto: the one that is called label, class, category, target and the "
         "like, or the only other one."),
    TEXT(data, images, PACKED, FIXED, "auto",
         "Folder of the pictures that a table names. auto: the table's own folder, or train/ or images/ in it."),
    INTEGER(data, synthetic_train, KEPT, FIXED, "1000", 1, 10000000, "Training samples of the synthetic set."),
    INTEGER(data, synthetic_test, KEPT, FIXED, "200", 0, 10000000, "Test samples of the synthetic set; 0: it has no test set."),
    INTEGER(data, synthetic_classes, KEPT, FIXED, "10", 2, 65536, "Classes of the synthetic set."),
    INTEGER(data, synthetic_channels, KEPT, FIXED, "3", 1, 16, "Channels of a synthetic image."),
    INTEGER(data, synthetic_size, KEPT, FIXED, "32", 1, 256, "Height and width of a synthetic image."),

    CHOICE(augment, flip, KEPT, FIXED, "false", FLIP_CHOICES,
           "Mirror training images left to right. true: each with a probability of one half; alternating: half of them in the "
           "first epoch, the others in the second, and so on, so that two epochs show each image both ways."),
    INTEGER(augment, crop, KEPT, FIXED, "0", 0, 255,
            "Move a training image by up to this many pixels each way, its edge filled with mirrored pixels; 0: off."),
    INTEGER(augment, cutout, KEPT, FIXED, "0", 0, 255,
            "Side of a square that becomes 0 at a random place of a training image; 0: off."),
    BOOLEAN(augment, vertical_flip, KEPT, FIXED, "false",
            "Mirror a training image top to bottom with a probability of one half."),
    REAL(augment, rotate, KEPT, FIXED, "0", "Turn a training image by up to this many degrees each way; 0: off.", FROM(0), TO(180)),
    REAL(augment, scale, KEPT, FIXED, "0",
         "Enlarge or shrink a training image by a factor from 1 - scale to 1 + scale; 0: off.", FROM(0), TO(0.9)),
    REAL(augment, resized_crop, KEPT, FIXED, "0",
         "Show a random part of a training image in full size, with at least this share of its area and 3/4 to 4/3 of its "
         "proportions; 0: off.", FROM(0), TO(1)),
    REAL(augment, brightness, KEPT, FIXED, "0",
         "Multiply the pixels of a training image by a factor from 1 - brightness to 1 + brightness; 0: off.",
         FROM(0), TO(1)),
    REAL(augment, contrast, KEPT, FIXED, "0",
         "Multiply the distance of a training image's pixels from its mean grey by a factor from 1 - contrast to "
         "1 + contrast; 0: off.", FROM(0), TO(1)),
    REAL(augment, saturation, KEPT, FIXED, "0",
         "Multiply the distance of a training image's colours from grey by a factor from 1 - saturation to 1 + saturation; "
         "0: off. It needs images of 3 channels.", FROM(0), TO(1)),
    REAL(augment, erase, KEPT, FIXED, "0",
         "Probability with which a rectangle of 2% to 33% of a training image's area becomes 0.", FROM(0), TO(1)),
    REAL(augment, mixup, KEPT, FIXED, "0",
         "Blend each training image with another of its batch, and their labels as much. The share of a batch's other images "
         "is drawn from Beta(mixup, mixup); 0: off. With cutmix too, a batch gets either.", FROM(0), TO(100)),
    REAL(augment, cutmix, KEPT, FIXED, "0",
         "Put a box of another training image of the batch into each, and mix their labels by its area. The area is drawn "
         "from Beta(cutmix, cutmix); 0: off.", FROM(0), TO(100)),

    CHOICE(model, kind, KEPT, VARIES, "mlp", MODEL_CHOICES, "mlp: multi-layer perceptron; convnet: convolutional network."),
    {PLACE(model, hidden, KEPT, VARIES), .type = KEY_INTEGERS, .default_text = "100", .low = 1, .high = 65536,
     .help = "Units of the hidden linear layers; empty: none. Default: 100 for an mlp, none for a convnet."},
    {PLACE(model, features, KEPT, VARIES), .type = KEY_FEATURES, .default_text = "",
     .help = "Convolutions, pools and residual blocks of a convnet, in order; see below."},
    {PLACE(model, block, KEPT, VARIES), .type = KEY_BLOCK, .default_text = "batchnorm, activation, dropout",
     .help = "The layers after each convolution and hidden linear layer, in this order."},
    CHOICE(model, residual, KEPT, VARIES, "original", RESIDUAL_CHOICES,
           "Form of residual blocks. original: an activation behind the sum; preactivation: model.block comes before each "
           "convolution, and nothing behind the sum; linear: no activation behind the sum, and no sum where the block changes "
           "the shape."),
    CHOICE(model, conv_bias, KEPT, VARIES, "true", CONV_BIAS_CHOICES,
           "Whether convolutions have a bias. auto: those that batch normalization follows have none, as it would take a "
           "bias away."),
    CHOICE(model, activation, KEPT, VARIES, "relu", ACTIVATION_CHOICES, "Activation function."),
    REAL(model, activation_slope, KEPT, VARIES, "0", "Slope of the negative side; 0: the usual one (leaky_relu 0.01, elu 1).",
         FROM(0), TO(100)),
    CHOICE(model, batchnorm, KEPT, VARIES, "none", BATCHNORM_CHOICES,
           "Batch normalization. none: off; custom: its backward pass is derived by hand; autodiff: a tape "
           "differentiates it; cudnn: cuDNN computes it, on a CUDA device."),
    REAL(model, batchnorm_epsilon, KEPT, VARIES, "1e-5", "Number that batch normalization adds to the variance.", ABOVE(0), TO(1)),
    REAL(model, batchnorm_momentum, KEPT, VARIES, "0.1", "Weight of the newest batch in the running statistics.", ABOVE(0), TO(1)),
    BOOLEAN(model, batchnorm_batch_stats_only, KEPT, VARIES, "false",
            "Normalise by the batch in evaluations too, with no running statistics. An evaluation then depends on "
            "train.eval_batch_size; predict and export to ONNX refuse the network."),
    REAL(model, dropout, KEPT, VARIES, "0", "Probability with which dropout sets a value to 0.", FROM(0), BELOW(1)),
    REAL(model, head_dropout, KEPT, VARIES, "0", "Probability with which dropout sets an input of the last layer to 0.", FROM(0),
         BELOW(1)),
    CHOICE(model, init, KEPT, VARIES, "uniform", INIT_CHOICES,
           "Start of weights and biases. uniform: between -1/sqrt(fan_in) and 1/sqrt(fan_in); normal: weights with "
           "deviation init_std, biases 0; he: weights with deviation sqrt(2 / fan_in), biases 0."),
    REAL(model, init_std, KEPT, VARIES, "1e-4", "Standard deviation of the weights with init = normal.", ABOVE(0), TO(100)),
    BOOLEAN(model, identity_filters, KEPT, VARIES, "false",
            "Start the first filters of each convolution, as many as it has input channels, as the identity: output channel o "
            "is input channel o."),
    BOOLEAN(model, head_bias, KEPT, VARIES, "true", "Whether the last layer, which gives the classes their scores, has a bias."),
    REAL(model, head_std, KEPT, VARIES, "0",
         "Standard deviation that the last layer's starting weights are scaled to; 0: init alone decides.", FROM(0), TO(100)),
    BOOLEAN(model, zero_gamma, KEPT, VARIES, "false",
            "Start gamma of the last batch normalization of each residual block at 0, so that a block begins as what its "
            "shortcut makes of the input."),
    CHOICE(model, loss, KEPT, VARIES, "fused", LOSS_CHOICES,
           "Softmax and cross-entropy: fused in one step, or as two separate layers with the same results to within "
           "rounding."),
    TEXT(model, init_from, FREE, FIXED, "none",
         "Run, or file of weights, that training starts from. The weights of all layers are taken over, but for the last "
         "layer where it has another number of classes or inputs, or the classes have other names."),
    TEXT(model, init_names, FREE, FIXED, "none",
         "File that tells the order of the modules in init_from by their names, where the program does not know them: "
         "`trainer import --help` explains it."),
    TEXT(model, freeze, KEPT, VARIES, "none",
         "Parameters that training leaves as they are, with commas between: features (all before the first linear layer), "
         "head (the last layer), gamma, beta (of all batch normalizations), a number of layers, or a pattern of names in a "
         "checkpoint such as layers.3.*. A batch normalization that is frozen whole uses its running statistics."),

    CHOICE(optimizer, name, KEPT, VARIES, "sgd", OPTIMIZER_CHOICES, "Rule by which a step changes the weights."),
    REAL(optimizer, learning_rate, KEPT, VARIES, "2e-3", "Learning rate; a schedule changes it from step to step.",
         ABOVE(0), TO(1000)),
    REAL(optimizer, momentum, KEPT, VARIES, "0", "Share of the sum of gradients that stays from step to step.", FROM(0), BELOW(1)),
    BOOLEAN(optimizer, nesterov, KEPT, VARIES, "false", "Use Nesterov's form of the momentum; needs a momentum above 0."),
    REAL(optimizer, weight_decay, KEPT, VARIES, "0",
         "Weight decay of all parameters: weights, biases, and gamma and beta of batch normalization. sgd and adam "
         "add it to the gradient; the others shrink the parameter by learning rate times this.", FROM(0), TO(10)),
    REAL(optimizer, beta1, KEPT, VARIES, "0.9", "Decay of Adam's average of gradients, and the first beta of other optimizers.",
         FROM(0), BELOW(1)),
    REAL(optimizer, beta2, KEPT, VARIES, "0.999", "Decay of Adam's average of squared gradients, and the second beta of other optimizers.",
         FROM(0), BELOW(1)),
    REAL(optimizer, epsilon, KEPT, VARIES, "1e-8", "Number that Adam adds to the root of its average of squared gradients.",
         ABOVE(0), TO(1)),
    CHOICE(optimizer, adjust_rate, KEPT, VARIES, "match_rms_adamw", ADJUST_RATE_CHOICES,
           "How muon scales its step for a filter as a matrix of o rows and n columns. match_rms_adamw: by 0.2 "
           "sqrt(max(o, n)), so that rates and weight decays that suit adamw suit muon; original: by sqrt(max(1, o / n))."),
    INTEGER(optimizer, ns_steps, KEPT, VARIES, "5", 1, 100,
            "Iterations by which muon makes the rows of a step orthogonal (Newton and Schulz)."),
    BOOLEAN(optimizer, normalize_weights, KEPT, VARIES, "false",
            "Before each step of muon, scale a filter of o output channels to the norm sqrt(o)."),
    CHOICE(optimizer, rest, KEPT, VARIES, "adamw", MUON_REST_CHOICES,
           "Optimizer of the parameters that muon leaves over: biases, gamma and beta of batch normalization, and the last "
           "layer's weights."),
    REAL(optimizer, adamw_learning_rate, KEPT, VARIES, "0",
         "Learning rate of what muon leaves to AdamW. A schedule changes it in proportion to learning_rate; 0: that of "
         "learning_rate.", FROM(0), TO(1000)),
    REAL(optimizer, sgd_learning_rate, KEPT, VARIES, "0",
         "Learning rate of what muon leaves to SGD with rest = sgd. A schedule changes it in proportion to learning_rate; "
         "0: that of learning_rate.", FROM(0), TO(1000)),
    REAL(optimizer, sgd_momentum, KEPT, VARIES, "0", "Momentum of what muon leaves to SGD; nesterov is for it too.",
         FROM(0), BELOW(1)),
    TEXT(optimizer, rates, KEPT, VARIES, "none",
         "Factors by which the learning rate of some parameters differs, with commas between: features 0.1, layers.*.bias "
         "2. The groups are those of model.freeze."),
    TEXT(optimizer, decays, KEPT, VARIES, "none",
         "Factors by which the weight decay of some parameters differs, with commas between: layers.*.bias 0, gamma 0, "
         "beta 0. The groups are those of model.freeze."),

    CHOICE(schedule, name, KEPT, VARIES, "constant", SCHEDULE_CHOICES,
           "How the learning rate changes after the warm-up. cosine and linear go from optimizer.learning_rate down "
           "to minimum, which they would reach at the step after the last."),
    INTEGER(schedule, warmup_steps, KEPT, VARIES, "0", 0, 1000000000,
            "Steps of the warm-up: the learning rate grows evenly from optimizer.learning_rate / warmup_steps at the "
            "first step to optimizer.learning_rate at the last of them; 0: none."),
    INTEGER(schedule, step_size, KEPT, VARIES, "1000", 1, 1000000000,
            "step: multiply the learning rate by gamma after every step_size steps, counted from the end of the "
            "warm-up."),
    REAL(schedule, gamma, KEPT, VARIES, "0.1", "step: the factor.", ABOVE(0), TO(1)),
    REAL(schedule, minimum, KEPT, VARIES, "0", "cosine, linear: the learning rate at the step after the last.", FROM(0), TO(1000)),

    INTEGER(train, max_steps, LENGTH, VARIES, "1500", 1, 1000000000, "Number of training steps."),
    INTEGER(train, epochs, LENGTH, VARIES, "0", 0, 1000000000,
            "Passes over the training set, in place of train.max_steps; 0: train.max_steps counts. A batch that an epoch's end "
            "would cut short is left out."),
    INTEGER(train, batch_size, KEPT, VARIES, "200", 1, 1000000,
            "Samples per training step. An epoch is as many whole batches as there are in the training part. Samples "
            "that do not fill a batch are left out of the epoch; each epoch draws a new order."),
    INTEGER(train, slices, KEPT, VARIES, "1", 1, 4096,
            "Slices of a batch, a power of two: the gradient of each is computed alone, with batch statistics of its own, and "
            "they are summed in a fixed order. A slice takes the memory of a batch of its size (accumulation of gradients)."),
    INTEGER(train, eval_freq, KEPT, VARIES, "100", 1, 1000000000, "Evaluate after every eval_freq steps, and after the last one."),
    {PLACE(train, eval_train, KEPT, FIXED), .type = KEY_AMOUNT, .default_text = "all", .low = 1, .high = 10000000,
     .choices = CHOICE_NAMES(EVAL_TRAIN_CHOICES),
     .help = "Training samples that an evaluation covers. all: the whole training set; a number: so many of them, drawn once "
             "by experiment.seed, or all where there are no more; off: none, and the training figures are running means over "
             "the batches since the last evaluation, as training saw them."},
    INTEGER(train, eval_batch_size, KEPT, VARIES, "0", 0, 1000000,
            "Samples in a batch of an evaluation; 0: automatic (512 for an mlp, 128 for a convnet). A GPU then takes 2000, or fewer "
            "where half of its free memory is too small for them; not with model.batchnorm_batch_stats_only, where batches "
            "decide the figures."),
    INTEGER(train, patience, FREE, VARIES, "0", 0, 1000000000,
            "End the run after so many evaluations in a row without a better one, by the set of checkpoint.best_by; 0: off."),
    REAL(train, label_smoothing, KEPT, VARIES, "0", "Share of a label's weight that training spreads over all classes.",
         FROM(0), BELOW(1)),
    {PLACE(train, class_weights, KEPT, VARIES), .type = KEY_WEIGHTS, .default_text = "none", FROM(0), TO(1e6),
     .choices = CHOICE_NAMES(CLASS_WEIGHTS_CHOICES),
     .help = "Weight of each class in training's loss. balanced: samples / (classes * samples of the class), counted over "
             "the training part. The figures of evaluations are not weighed."},
    REAL(train, ema_decay, KEPT, VARIES, "0",
         "Decay per step of the moving average of the weights that evaluations use; 0: no average.", FROM(0),
         BELOW(1)),
    REAL(train, clip_norm, KEPT, VARIES, "0",
         "Largest norm of the gradient over all parameters: a longer one is scaled down to it; 0: off.", FROM(0),
         TO(1e9)),

    INTEGER(checkpoint, freq, FREE, FIXED, "500", 0, 1000000000,
            "Save the run after every freq steps; 0: only at its end and when it is stopped."),
    INTEGER(checkpoint, keep, FREE, FIXED, "2", 1, 1000000, "Number of checkpoints that stay, the newest ones."),
    BOOLEAN(checkpoint, best, FREE, FIXED, "true", "Also save a checkpoint at the best evaluation."),
    CHOICE(checkpoint, best_by, KEPT, FIXED, "auto", CHECKPOINT_BEST_CHOICES,
           "Set whose accuracy tells which evaluation is the best; auto: the validation set where there is one, else the "
           "test set. Without both sets the last evaluation is the best."),

    BOOLEAN(report, tensorboard, FREE, FIXED, "false", "Write event files for TensorBoard into the run's folder tensorboard/."),
    BOOLEAN(report, histograms, FREE, FIXED, "false",
            "Also write histograms of every layer's weights and gradients; needs tensorboard."),

    CHOICE(backend, device, ROUNDING, FIXED, "auto", DEVICE_CHOICES,
           "Device that computes; auto: a CUDA device where there is one that passes its self-test, else the CPU. reference: plain loops on one "
           "thread, with which the others are compared: much slower, and for precision = fp64 alone."),
    INTEGER(backend, threads, FREE, FIXED, "0", 0, 1024, "CPU threads; 0: one for each core that the process may use."),
    CHOICE(backend, precision, KEPT, FIXED, "fp32", PRECISION_CHOICES,
           "Arithmetic. bf16: products of numbers rounded to bf16, everything else in fp32 (a GPU needs compute "
           "capability 8.0 for it); tf32: a CUDA device's own products of fp32."),
    CHOICE(backend, cpu_isa, ROUNDING, FIXED, "auto", CPU_ISA_CHOICES,
           "Instruction set of the CPU kernels. auto: the best that there is; amx: avx512, with AMX where it "
           "multiplies faster. In fp32 amx, and avx512 with VNNI, multiply the pixels of a perceptron's input as "
           "bytes."),
    CHOICE(backend, winograd, ROUNDING, FIXED, "auto", WINOGRAD_CHOICES,
           "CPU: compute 3x3 convolutions by Winograd's method, which multiplies less and rounds more. auto: where it "
           "is faster; on: wherever it can; off: never."),
    BOOLEAN(backend, fuse, ROUNDING, FIXED, "true",
            "Compute batch normalization, activation and pool in one operation where the backend has one, fold batch "
            "normalization into the weights for evaluations, and update weights within the backward pass."),
    BOOLEAN(backend, deterministic, ROUNDING, FIXED, "false",
            "CUDA: use only algorithms that repeat a run to the bit, as the CPU always does."),
    BOOLEAN(backend, graph, FREE, FIXED, "true", "CUDA: record a step once and replay it."),
    CHOICE(backend, streams, FREE, FIXED, "auto", STREAMS_CHOICES,
           "CUDA: 2: compute the gradients of filters beside those of activations, on a second stream, which takes more memory; "
           "1: one operation after the other; auto: 2, unless a step would take more than half of the memory. The results "
           "are the same."),
    INTEGER(backend, workspace_mb, ROUNDING, FIXED, "256", 1, 65536,
            "CUDA: MiB of working memory that the algorithm of a convolution may take, on each stream."),
    CHOICE(backend, exchange, FREE, FIXED, "auto", EXCHANGE_CHOICES,
           "CUDA: the way by which ranks with a GPU each exchange gradients and weights. auto: from GPU to GPU by NCCL where "
           "all of them can, else through the memory of their hosts; host: always that way; nccl: a run that cannot use NCCL "
           "ends. The results are the same."),
    REAL(backend, exchange_timeout, FREE, FIXED, "300",
         "Seconds that a rank of a run on several waits for another before it ends the run; 0: for ever.", FROM(0), TO(1e6)),
    REAL(backend, exchange_bucket_mb, FREE, FIXED, "0",
         "MiB of gradients, and then of weights, that a rank sends at once, while it computes the rest; 0: 4 between machines "
         "that compute on the CPU, else all when it has computed all. The results are the same.", FROM(0), TO(65536)),
};

const int experiment_key_count = sizeof experiment_keys / sizeof experiment_keys[0];
