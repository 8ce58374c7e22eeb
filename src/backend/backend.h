/* A backend computes: it has a function for each kind of operation (prepared.h), over raw device addresses and plain
 * parameter structs, and a table of what else there is to a device. A backend knows nothing of networks, layers or
 * configs, except that the errors of backend_create name a config's key. The code above it knows nothing of devices.
 *
 * Letters: N batch, C channels, H, W height and width of an input, P, Q height and width of an output, O output
 * channels, I input channels, K kernel size, D features of a vector. `dx` is the gradient of the loss with respect to
 * `x`.
 *
 * Layout: a backend keeps activations and filters in an order of its own, which cpu_variant.h and cuda_backend.h
 * document. The elements that it adds as padding are zero. Every operation but ELEMENTWISE (a shift, a quotient)
 * keeps them zero, so that an optimizer may walk over a whole arena. At the boundary (tensor_read, tensor_write) the
 * order is N,C,H,W for activations and O,I,K,K for filters, as in PyTorch.
 *
 * Errors: creating a backend can fail with a status. The operations cannot: wrong arguments are a programmer's error
 * and stop through CHECK. */
#ifndef BACKEND_H
#define BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/optimizer_row.h"
#include "tensor/tensor.h"
#include "util/choice.h"
#include "util/status.h"

struct backend;
struct comm;           /* ranks that send memory to one another: comm/comm.h */
struct program;        /* a list of operations: program/program.h */
struct op_function;    /* how a kind of operation of a program is computed: prepared.h */
struct device_dataset; /* a backend's own: images and labels where it can gather from them */

/* The reference backend is the definition of each operation, slow, on one thread (reference/reference.h). */
#define DEVICE_CHOICES(X)                                                                                              \
    X(DEVICE_AUTO, "auto")                                                                                             \
    X(DEVICE_CPU, "cpu")                                                                                               \
    X(DEVICE_CUDA, "cuda")                                                                                             \
    X(DEVICE_REFERENCE, "reference")
enum device { DEVICE_CHOICES(CHOICE_ENUMERATOR) };

#define PRECISION_CHOICES(X)                                                                                           \
    X(PRECISION_FP32, "fp32")                                                                                          \
    X(PRECISION_FP64, "fp64")                                                                                          \
    X(PRECISION_TF32, "tf32")                                                                                          \
    X(PRECISION_BF16, "bf16")
enum precision { PRECISION_CHOICES(CHOICE_ENUMERATOR) };

#define CPU_ISA_CHOICES(X)                                                                                             \
    X(CPU_ISA_AUTO, "auto")                                                                                            \
    X(CPU_ISA_AMX, "amx")                                                                                              \
    X(CPU_ISA_AVX512, "avx512")                                                                                        \
    X(CPU_ISA_AVX2, "avx2")                                                                                            \
    X(CPU_ISA_PORTABLE, "portable")
enum cpu_isa { CPU_ISA_CHOICES(CHOICE_ENUMERATOR) };

/* The CPU computes 3x3 convolutions at stride 1 with padding 1 by Winograd's method: where it is faster, always, or
 * never. */
#define WINOGRAD_CHOICES(X) X(WINOGRAD_AUTO, "auto") X(WINOGRAD_ON, "on") X(WINOGRAD_OFF, "off")
enum winograd { WINOGRAD_CHOICES(CHOICE_ENUMERATOR) };

/* Streams of a GPU on which a training step runs: two unless their longer lives of tensors take much of its memory, or
 * always that many. */
#define STREAMS_CHOICES(X) X(STREAMS_AUTO, "auto") X(STREAMS_ONE, "1") X(STREAMS_TWO, "2")
enum streams { STREAMS_CHOICES(CHOICE_ENUMERATOR) };

/* The way of what ranks send from device to device: by NCCL where they can, through the memory of their hosts, or by NCCL. */
#define EXCHANGE_CHOICES(X) X(EXCHANGE_AUTO, "auto") X(EXCHANGE_HOST, "host") X(EXCHANGE_NCCL, "nccl")
enum exchange { EXCHANGE_CHOICES(CHOICE_ENUMERATOR) };

struct backend_options {
    enum device device;
    enum precision precision;
    enum cpu_isa cpu_isa;   /* instruction set of the kernels; CPU_ISA_AMX adds products of bf16 and of bytes */
    int threads;            /* CPU threads; 0: one for each core that the process may use */
    enum winograd winograd; /* CPU only */
    /* The fields below are for CUDA; the CPU backend gives the same bits in every run anyway. */
    bool deterministic;   /* only algorithms that give the same bits in every run */
    bool eager;           /* start every operation anew instead of recording a step and replaying it */
    enum streams streams; /* filter gradients on a stream of their own */
    bool cudnn_batchnorm; /* cuDNN's batch normalization instead of our own */
    int64_t
        workspace_bytes; /* memory that a library's algorithm may take beside its tensors, on each stream; 0: 256 MiB */

    int gpu; /* which of the machine's GPUs, as CUDA counts them */

    const char *gpu_refused; /* why a GPU that is there is not to be taken, in words for people; NULL: no reason */

    bool fuse; /* use the operations that do the work of several, where the backend has them */
    /* Programs are only listed, and nothing runs: with DEVICE_CUDA a build that has the backend needs no device. */
    bool listing;
};

/* Batch normalization over N, H, W per channel, B = N*H*W values (Ioffe and Szegedy 2015). This is the one definition,
 * which every backend and every kind of batch normalization cites:
 *   mu = mean(x), var = mean((x - mu)^2)           (biased, divided by B)
 *   y = gamma * (x - mu) / sqrt(var + eps) + beta
 *   running_mean <- (1 - momentum) * running_mean + momentum * mu
 *   running_var  <- (1 - momentum) * running_var  + momentum * var * B / (B - 1)   (unbiased; var where B = 1)
 * In evaluation running_mean and running_var stand for mu and var. */
struct batchnorm_params {
    double epsilon;
    double momentum;
};

#define ACTIVATION_CHOICES(X)                                                                                          \
    X(ACTIVATION_RELU, "relu")                                                                                         \
    X(ACTIVATION_RELU6, "relu6")                                                                                       \
    X(ACTIVATION_LEAKY_RELU, "leaky_relu")                                                                             \
    X(ACTIVATION_ELU, "elu")                                                                                           \
    X(ACTIVATION_GELU, "gelu")                                                                                         \
    X(ACTIVATION_SILU, "silu")
/* ACTIVATION_NONE is no choice of a config: a normalization without an activation in the same operation. */
enum activation { ACTIVATION_CHOICES(CHOICE_ENUMERATOR) ACTIVATION_NONE };

/* none: x. relu: max(0,x). relu6: min(max(0,x),6). leaky_relu: x > 0 ? x : slope*x. elu: x > 0 ? x : slope*(exp(x)-1).
 * gelu: x*Phi(x), with Phi the distribution function of the normal distribution (Hendrycks and Gimpel 2016). silu:
 * x*sigmoid(x). At x = 0 the gradient of the first four is that of the left side (0 for relu and relu6), and at 6 that of
 * relu6 is 0, as in PyTorch. NaN stays NaN. */
struct activation_params {
    enum activation kind;
    double slope;
};

/* The I input channels are cut into `groups` ranges of equal length in their order, and so are the O output channels.
 * Each range of outputs is a convolution of the range of inputs with the same number: output o reads the I/groups inputs
 * from I/groups * floor(o / (O/groups)) on. With groups = I a convolution is depthwise. */
struct conv2d_params {
    struct window window;
    int64_t groups; /* >= 1; I and O are multiples of it */
};

enum pool { POOL_MAX, POOL_AVERAGE };

/* Max: padding counts as -inf; of equal values the first in row-major order wins and gets the gradient; NaN wins
 * always. Average: the sum over the window's valid pixels divided by K*K, padding counted as zeros (PyTorch's default).
 */
struct pool_params {
    enum pool kind;
    struct window window;
};

/* A value is kept with probability 1 - rate and then scaled by 1/(1 - rate). The mask is never stored: it is drawn from
 * Philox with (seed, stream, step, index / 4), word index % 4, where for element (n,c,h,w)
 *   index = ((n*H + h)*W + w) * C' + c,   C' = C rounded up to a multiple of 16,   n counted from the step state's slice_first,
 * and the value is dropped where philox_uniform(word) < rate. `step` is that of the step state. */
struct dropout_params {
    double rate; /* 0 <= rate < 1 */
    uint64_t seed;
    uint32_t stream;
};

/* Batch normalization, then perhaps the sum with an addend, then an activation (or none), then, where `pooled`, a pool, as
 * one operation (NORM of op.h). program_fuse makes one of such layers. The results are those of the operations one after
 * the other, to the bit on the CPU and to within rounding elsewhere. */
struct batchnorm_fused_params {
    struct batchnorm_params batchnorm;
    struct activation_params activation;
    bool pooled;
    struct pool_params pool; /* where pooled */
    /* What a backend's rewrite may put around it, where there is no activation and no pool: the batch normalization is that
     * of max(0,x), dx is the gradient of that x, and y goes through a dropout, where its rate is not 0. */
    bool rectified;
    struct dropout_params dropout;
};

/* One step of an optimizer (optimizer_row.h), with the step number of the step state and its learning rate times
 * `rate`. */
struct update {
    enum optimizer_kind kind;
    struct optimizer_params params;
    double rate;
};

/* The primitives of which a layer that is differentiated automatically is made (layer_batchnorm_autodiff.c). The last
 * four take one operand. */
enum elementwise {
    ELEMENTWISE_ADD,
    ELEMENTWISE_SUBTRACT,
    ELEMENTWISE_MULTIPLY,
    ELEMENTWISE_DIVIDE,
    ELEMENTWISE_SQUARE,
    ELEMENTWISE_SQRT,
    ELEMENTWISE_AFFINE, /* scale * a + shift */
    ELEMENTWISE_ROUND,  /* a, a range of parameters, in the type of activations, which y has */
};

struct elementwise_params {
    enum elementwise op;
    double scale, shift; /* ELEMENTWISE_AFFINE only */
    /* ELEMENTWISE_AFFINE only: the scale counts B/(B-1) times with B = N*bessel values, which makes a
     * variance unbiased (once where B = 1); 0: no. */
    int64_t bessel;
};

/* How the images of a training batch are mixed (Zhang et al. 2018, Yun et al. 2019). The partner of sample n of N is
 * sample (n + 1) mod N. The pixels of a sample, in bytes and after its own changes, become
 *   MIX_BLEND (mixup)  round((1 - m) * pixel + m * the partner's pixel)
 *   MIX_BOX (cutmix)   the partner's in rows top .. top + height - 1 and columns left .. left + width - 1
 * and its label counts 1 - m, the partner's m. Draws of a step (src/data/mix.c), with x ~ Beta(a,a):
 *   mixup: m = x rounded to 1/65536.
 *   cutmix: a box of sqrt(x) H by sqrt(x) W around a centre that is uniform over the pixels, as far as it lies in the
 *   image; m = its area / (H*W), rounded to 1/65536 (torchvision's CutMix).
 * Where both are on, a step takes either with a probability of 1/2. All zero is MIX_NONE. */
enum mix_kind { MIX_NONE, MIX_BLEND, MIX_BOX };
struct batch_mix {
    enum mix_kind kind;
    int32_t second; /* m in 1/65536 */
    int32_t top, left, height, width;
};

/* The values that change from step to step (struct run_input has them). */
struct step_state {
    uint64_t step; /* steps done before this one; names the random draws, and Adam's t is step + 1 */
    double learning_rate;
    int64_t batch_first;  /* the batch's first place in the order of the epoch, or in the data set */
    struct batch_mix mix; /* read by a GATHER that mixes, and by a loss of mixed labels */
    /* Of a batch that is one of several slices of a larger one; both are 0 otherwise. */
    int64_t slice_first; /* its first sample's place in the larger batch */
    double weight_sum;   /* W of a loss with class weights: the larger batch's sum over the number of slices */
};

/* Sums over samples. */
struct metrics {
    double loss;     /* sum of the per-sample losses, natural logarithm */
    int64_t correct; /* samples whose largest output is the label's (the first of equal ones; NaN is never correct) */
    int64_t count;
};

/* Images as a data set holds them, in host memory. A pixel enters the network as (pixel - offset[c,h,w]) * scale[c]. */
struct dataset_view {
    int64_t count;
    int64_t channels, height, width;
    const uint8_t *pixels;  /* (R,C,H,W), R = count without `rows` */
    const uint16_t *labels; /* (count) */
    const float *offset;    /* (C,H,W) */
    const float *scale;     /* (C) */
    const int32_t *rows;    /* (count): sample i is image rows[i] of pixels; NULL: image i */
    bool mapped;            /* the pixels lie in a mapped file: on the CPU they take no memory of the process */
};

/* How the images of a training batch are changed on their way into the network. The draws of a sample come from Philox
 * with (seed, a stream, step, index), where `step` is that of the step state. So they are the same on every backend, at
 * any number of threads and after a resume. The arithmetic is that of whole numbers in fixed point, so the pixels are
 * the same too. below(word, n) = floor(word * n / 2^32), and i is the sample's place in the file order of its set.
 *
 * With flip, crop and cutout alone, let a be the words of index 2i of RNG_STREAM_AUGMENT, b those of index 2i + 1:
 *   flipped = flip, and the highest bit of a[0] is set; where flips alternate, flip and that of the word of index 2i at
 *             step 2^32 - 1 (once for the whole run), the other way round in every second epoch
 *   down = below(a[1], 2*crop + 1) - crop,  right = below(a[2], 2*crop + 1) - crop
 *   top = below(b[0], H) - floor(cutout / 2),  left = below(b[1], W) - floor(cutout / 2)
 *   hole = rows top .. top + cutout - 1, columns left .. left + cutout - 1, as far as they lie in the image
 * At (h,w) of channel c the network sees 0 in the hole, elsewhere the normalised pixel
 *   (pixel[c,r,s] - offset[c,r,s]) * scale[c]
 *   r = mirror(h + down, H),  s = mirror((flipped ? W - 1 - w : w) + right, W)
 *   mirror(k, n) = -k where k < 0, 2(n - 1) - k where k >= n, else k     (padding that repeats no edge pixel)
 * A pixel takes its offset along, so a mean image is subtracted before the image is moved. 0 in the hole is the
 * training set's mean where the normalisation subtracts one, else black. src/backend/augment.h has the code.
 *
 * With any of the other fields the changed image is an image of bytes again, rounded at each step that is numbered
 * here, and a pixel is normalised by the offset of the place where it is seen (augment_picture.h has the code). p and q
 * are the words of index 16i and 16i + 1 of RNG_STREAM_AUGMENT_PICTURE; uniform(word, x..y) is x + below(word, y - x +
 * 1) in the unit of x and y.
 *   1. geometry. With flipped, down and right as above, upside_down = vertical_flip and the highest bit of p[0] is set,
 *        angle t = uniform(p[1], -rotate .. rotate),  zoom z = uniform(p[2], 1-scale .. 1+scale),
 *        window = a part of the image, H' by W', from row T and column L: resized_crop (below), else the whole image,
 *      the image shows at (h,w) the source at row r and column s, in pixels:
 *        y = h - (H-1)/2, negative where upside_down;  x = w - (W-1)/2, negative where flipped
 *        r = T + (H'-1)/2 + H'/H * ((cos t * y - sin t * x) / z + down)
 *        s = L + (W'-1)/2 + W'/W * ((sin t * y + cos t * x) / z + right)
 *      r and s are rounded to 1/4096 of a pixel. Of the four pixels around them, mirrored into the image as often as it
 *      takes, each weighs by its nearness (bilinear). Where an image shrinks, pixels are skipped, not averaged: scale
 *      shrinks by less than 2 up to scale = 0.5, and a window never shrinks, so that this shows little.
 *   2. brightness: pixel * f,  f = uniform(q[0], 1-brightness .. 1+brightness); a pixel is limited to 0..255 here and
 *      in what follows (torchvision's ColorJitter, in this order)
 *   3. contrast: pixel * f + mean * (1-f),  f = uniform(q[1], 1-contrast .. 1+contrast); mean: that of the image's
 *      greys. A grey is 0.299 R + 0.587 G + 0.114 B, rounded; every pixel of an image that has not 3 channels is one
 *   4. saturation: pixel * f + its grey * (1-f),  f = uniform(q[2], 1-saturation .. 1+saturation); 3 channels only
 *   5. mixing with the partner, where mixup or cutmix is on: struct batch_mix of the step state
 *   6. holes, after the normalisation: 0 in the hole of cutout (above) and in that of erase (below).
 * resized_crop (torchvision's RandomResizedCrop): the words u of the indices 16i + 2 .. 16i + 11 give ten tries,
 *   area A = H*W * uniform(u[0], resized_crop .. 1),  W'/H' = 2^(uniform(u[1], -log2(4/3)/2 .. log2(4/3)/2) * 2)
 *   W' = round(sqrt(A * W'/H')),  H' = round(sqrt(A / (W'/H'))),  T = below(u[2], H-H'+1),  L = below(u[3], W-W'+1).
 *   The first with 0 < H' <= H and 0 < W' <= W counts; else the largest window in the middle with 3/4 <= W/H <= 4/3.
 * erase (torchvision's RandomErasing): with e the words of index 16i of RNG_STREAM_AUGMENT_ERASE, e[0] < erase decides
 *   whether there is a hole. The words of the next ten indices give tries as above, with an area of 0.02 .. 0.33 and a
 *   height of 0.3 .. 3.3 times the width. The first with H' < H and W' < W counts; else there is no hole. */
struct augment_params {
    bool flip;
    uint32_t flip_epoch; /* steps of an epoch, where flips alternate from epoch to epoch; 0: each step draws */
    int64_t crop;        /* 0..min(H,W)-1; 0: none */
    int64_t cutout;      /* side of the hole; 0: none */
    uint64_t seed;
    bool vertical_flip;
    int64_t rotate;                           /* largest angle, in 2^-32 of a turn, up to 2^31 */
    int64_t scale;                            /* largest change of the zoom, in 2^-16, up to 0.9 */
    int64_t resized_crop;                     /* least share of the area, in 2^-32, up to 2^32; 0: off */
    int64_t brightness, contrast, saturation; /* largest changes of the factors, in 2^-16, up to 1 */
    int64_t erase;                            /* probability, in 2^-32, up to 2^32 */
    double mixup, cutmix;                     /* a of Beta(a,a), 0: off. The host draws by them (mix.h) */
};

/* The parameters of SOFTMAX_CROSS_ENTROPY, whose formula is in op.h. */
struct loss_params {
    double smoothing; /* smoothing of the labels, 0 <= smoothing < 1 */
    bool mixed;       /* labels are mixed as the step state's mix says */
};

/* What a backend is beside its operations (struct op_function). All entries must be there but those that are called
 * optional, which may be NULL. */
struct backend_table {
    void (*destroy)(struct backend *backend);

    /* --- memory --- */
    void *(*alloc)(struct backend *backend, size_t bytes); /* zeroed; aligned to 64 bytes at least */
    void (*free)(struct backend *backend, void *data);     /* NULL is allowed */
    void (*zero)(struct backend *backend, void *data, size_t bytes);
    /* Optional: without them the memory is the host's. Copy bytes of the device's memory as they lie there, and wait. */
    void (*copy_to_host)(struct backend *backend, void *to, const void *from, size_t bytes);
    void (*copy_to_device)(struct backend *backend, void *to, const void *from, size_t bytes);

    /* --- ranks --- */
    /* Optional. Joins the devices of all ranks, which call this together: messages of *devices lie in their memory. Where
     * they cannot be joined *devices is NULL, and *reason tells why in a new string; both are the same on all ranks. False
     * after a failed exchange. Destroy *devices before the backend. */
    bool (*connect)(struct backend *backend, struct comm *ranks, struct comm **devices, char **reason,
                    struct status *status);

    /* --- the boundary --- */
    /* The elements that a tensor takes in memory, padding included. activation_size or scalar_size of struct backend
     * gives the bytes of one; tensor_bytes multiplies. */
    size_t (*tensor_count)(const struct backend *backend, enum tensor_kind kind, struct shape shape);
    void (*tensor_write)(struct backend *backend, const struct tensor *to, const double *from); /* boundary's order */
    void (*tensor_read)(struct backend *backend, const struct tensor *from, double *to); /* waits for the device */

    /* --- data --- */
    struct device_dataset *(*dataset_upload)(struct backend *backend,
                                             const struct dataset_view *view);     /* view stays valid */
    void (*dataset_free)(struct backend *backend, struct device_dataset *dataset); /* NULL is allowed */
    /* Sets the order in which GATHER visits the samples: a permutation of 0..count-1 in host memory, which is copied.
     * NULL is the file order. */
    void (*dataset_set_order)(struct backend *backend, struct device_dataset *dataset, const int32_t *order);

    /* --- programs --- */
    /* Optional. Changes a finished program, whose tensors have no places yet, where this device knows better: the results
     * stay as they are, or change within rounding where the ops allow it. Called once (program_finish). */
    void (*rewrite)(struct backend *backend, struct program *program);
    /* Optional. Sets the state of the operations that come next, for a backend that replays recorded ones. */
    void (*set_state)(struct backend *backend, const struct step_state *state);
    /* Optional. What comes next runs on that stream of struct op. On stream 0, with `join`, it begins after all that came
     * before on any stream, on another one after what came before on stream 0. */
    void (*enter_stream)(struct backend *backend, int stream, bool join);
    /* Optional; without it body(argument) is called. Runs body(argument), a fixed sequence of operations on fixed
     * addresses. A backend may record the first run of a (body, argument) and replay it afterwards. */
    void (*run)(struct backend *backend, void (*body)(void *), void *argument);

    /* Returns the multiplications and additions per second that the device's arithmetic can do at most in its
     * precision, measured now (some 0.1 s). */
    double (*measure_peak)(struct backend *backend);
};

struct backend {
    const struct backend_table *table;
    const struct op_function *functions; /* by kind (OP_KINDS in op.h), each with `run` where it is computed */
    size_t scalar_size;                  /* bytes of an element of a filter or vector, of its gradient or its moments */
    size_t activation_size;              /* bytes of an element of an activation or its gradient */
    int64_t memory_bytes;     /* the device's memory, as far as the process may use it; alloc gives nothing larger */
    int64_t allocated;        /* bytes of it that alloc, plans and data sets hold (CUDA: that they took so far) */
    int64_t evaluation_batch; /* samples in a batch of an evaluation that keep the device busy; 0: it has no wish */
    char pci_bus_id[32];      /* address of the GPU that computes, "0000:0A:00.0"; "" where none does */
    char identity[384];       /* device, driver and libraries, where a device is tested before it is used; else "" */
    bool in_self_test;        /* its cases run, whose convolutions are none of the user's */
    bool fuse;                /* as in the options */
    bool counts_launches;     /* operations are started one by one on a device: a listing tells how many starts */
    char description[256];    /* for people: device, threads, instruction set, precision; why `auto` chose it */
};

/* Creates the backend that the options name. A device or precision that this build or machine does not have is a
 * STATUS_USAGE error that begins with the config's key ("backend.device: ..."); `auto` always finds one. Destroy with
 * backend_destroy. */
bool backend_create(struct backend **backend, const struct backend_options *options, struct status *status);
void backend_destroy(struct backend *backend); /* NULL is allowed */

/* What this build has of CUDA, whether or not there is a device. */
struct backend_cuda {
    bool built;
    const char *unavailable; /* in words for people, why no device can be used; NULL: one can */
    int runtime;             /* version of the CUDA runtime that is linked, 13000 for 13.0; 0: none */
    size_t cudnn, cublas;    /* versions of the libraries that were loaded, 91900 for 9.19.0 and 130100 for 13.1.0 */
};
struct backend_cuda backend_cuda_facts(void);

/* Returns the name of the library that would join the GPUs of several ranks, "NCCL 2.28.9", or in *problem why there is none;
 * the other is NULL. Both are new strings. */
char *backend_nccl_name(char **problem);

/* Stops by CHECK, with its name, where an entry of the table is missing that is not optional, or where a kind of
 * operation has other functions but no `run`. backend_create calls it. */
void backend_check(const struct backend *backend);

/* Metrics in a tensor of the kind TENSOR_METRICS, to which losses add (op.h). To read them waits for the device. */
struct metrics metrics_read(struct backend *backend, const struct tensor *metrics);
void metrics_write(struct backend *backend, const struct tensor *metrics, struct metrics sums);

/* Adds sums to sums. */
void metrics_add(struct metrics *to, const struct metrics *from);

/* A zeroed tensor with memory of its own; free with tensor_free. */
struct tensor tensor_alloc(struct backend *backend, enum tensor_kind kind, struct shape shape);
void tensor_free(struct backend *backend, struct tensor *tensor);
size_t tensor_bytes(const struct backend *backend, enum tensor_kind kind, struct shape shape);

#endif
