/* The launchers of the kernels: the host files call them, the .cu files define them. Each puts its work on the stream
 * and returns the error of the launch. Activations are described by cuda_type; a matrix (M,C) is row-major, M = N*H*W
 * rows of C channels. Pointers are aligned to 16 bytes. Counts of elements are below 2^31 (NETWORK_MAX_TENSOR), sums of
 * sizes are 64-bit. */
#ifndef CUDA_KERNELS_H
#define CUDA_KERNELS_H

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "backend/backend.h"

enum cuda_type { CUDA_FP32, CUDA_BF16 };

struct cuda_matrix {
    int64_t m, c;
};

/* Memory of the reductions over channels, made once: a counter per tile of channels, which is zero between launches,
 * and the partial sums of chunks of rows, two values for each. Wherever there is more than one chunk, tiles times
 * chunks are at most the number of multiprocessors, and a tile has at most 64 channels, so C * chunks <= 64 *
 * multiprocessors. */
enum { CUDA_PARTIALS_PER_MULTIPROCESSOR = 2 * 64 };
struct cuda_scratch {
    unsigned *counters; /* [multiprocessors] */
    float *partial;     /* [CUDA_PARTIALS_PER_MULTIPROCESSOR * multiprocessors] */
};

/* --- state and data (cuda_data.cu) --- */
/* Returns an error where the build has no code for the current device. */
cudaError_t cuda_kernels_usable(void);
cudaError_t cuda_state_set(cudaStream_t stream, struct step_state *to, const struct step_state *value);
cudaError_t cuda_order_identity(cudaStream_t stream, int32_t *order, int64_t count);

struct cuda_images {
    const uint8_t *pixels;       /* (count,C,H,W) */
    const uint16_t *labels;      /* (count) */
    const float *offset, *scale; /* (C,H,W), (C) */
    const int32_t *order;        /* (count) */
    int64_t channels, height, width;
};
/* A batch of n images that is changed before it is gathered. */
struct augment_box;
struct cuda_stage {
    uint8_t *pixels;           /* (n,C,H,W); NULL: nothing is changed so */
    struct augment_box *holes; /* cuda_stage_hole_bytes(n) */
};
size_t cuda_stage_hole_bytes(int64_t n);
/* Fills the stage (cuda_augment.cu). `state` is in host memory here and below. */
cudaError_t cuda_stage_launch(cudaStream_t stream, const struct cuda_images *images,
                              const struct augment_params *augment, const struct step_state *state,
                              struct cuda_stage stage, int64_t n);
/* x of n samples: [n][H*W][C] for images, [n][C*H*W] in the order of the file for vectors; labels (n). augment may be
 * NULL; its images come from the stage where that has pixels. Copies the state to `to`, in device memory. */
cudaError_t cuda_gather_launch(cudaStream_t stream, enum cuda_type type, const struct cuda_images *images,
                               const struct augment_params *augment, struct cuda_stage stage,
                               const struct step_state *state, struct step_state *to, bool vectors, int64_t n, void *x,
                               int32_t *labels);

/* --- element by element: `count` elements --- */
cudaError_t cuda_activation_forward_launch(cudaStream_t stream, enum cuda_type type, struct activation_params params,
                                           int64_t count, const void *x, void *y);
cudaError_t cuda_activation_backward_launch(cudaStream_t stream, enum cuda_type type, struct activation_params params,
                                            int64_t count, const void *x, const void *dy, void *dx);
cudaError_t cuda_dropout_launch(cudaStream_t stream, enum cuda_type type, const struct dropout_params *params,
                                const struct step_state *state, int64_t sample_rows, struct cuda_matrix shape,
                                const void *from, void *to);
/* b may be NULL; y may be a or b. */
cudaError_t cuda_elementwise_launch(cudaStream_t stream, enum cuda_type type, struct elementwise_params params,
                                    int64_t count, const void *a, const void *b, void *y);
cudaError_t cuda_to_bf16_launch(cudaStream_t stream, int64_t count, const float *from, void *to);
cudaError_t cuda_from_bf16_launch(cudaStream_t stream, int64_t count, const void *from, float *to);
/* forward: image [N][H*W][C] -> vectors [N][C*H*W]; else back. */
cudaError_t cuda_flatten_launch(cudaStream_t stream, enum cuda_type type, bool forward, struct shape image,
                                const void *from, void *to);

/* --- pooling (cuda_pool.cu) --- */
/* Bytes of a saved tap: 1 where the window has at most 256, else 2. */
static inline size_t cuda_pool_tap_bytes(struct window window)
{
    return window.kernel * window.kernel <= 256 ? 1 : 2;
}
struct cuda_pooling {
    struct window window;
    unsigned channels, height, width;     /* C, H, W */
    unsigned output_height, output_width; /* P, Q */
};
static inline struct cuda_pooling cuda_pooling_of(struct window window, struct shape input, struct shape output)
{
    struct cuda_pooling pooling = {
        window, (unsigned)input.c, (unsigned)input.h, (unsigned)input.w, (unsigned)output.h, (unsigned)output.w};
    return pooling;
}
cudaError_t cuda_pool_forward_launch(cudaStream_t stream, enum cuda_type type, struct pool_params params,
                                     struct shape input, struct shape output, const void *x, void *y, void *saved);
cudaError_t cuda_pool_backward_launch(cudaStream_t stream, enum cuda_type type, struct pool_params params,
                                      struct shape input, struct shape output, const void *dy, const void *saved,
                                      void *dx);

/* The mean over the pixels of an image (cuda_global_pool.cu): x [N][H*W][C] -> y [N][C], and dy [N][C] -> dx. */
cudaError_t cuda_global_pool_forward_launch(cudaStream_t stream, enum cuda_type type, struct shape image, const void *x,
                                            void *y);
cudaError_t cuda_global_pool_backward_launch(cudaStream_t stream, enum cuda_type type, struct shape image,
                                             const void *dy, void *dx);

/* Gates (cuda_gate.cu): x [N][H*W][C] and z [N][C] -> y, and dy -> dx, dz. */
cudaError_t cuda_gate_forward_launch(cudaStream_t stream, enum cuda_type type, struct shape image, const void *x,
                                     const void *z, void *y);
cudaError_t cuda_gate_backward_launch(cudaStream_t stream, enum cuda_type type, struct shape image, const void *x,
                                      const void *z, const void *dy, void *dx, void *dz);

/* --- per channel --- */
/* y[c] = scale * sum over the rows of x. */
cudaError_t cuda_column_sum_launch(cudaStream_t stream, enum cuda_type type, struct cuda_matrix shape,
                                   int multiprocessors, struct cuda_scratch scratch, float scale, const void *x,
                                   float *y);
/* y[m][c] += bias[c]; the bias is fp32, or of the type of y. */
cudaError_t cuda_bias_launch(cudaStream_t stream, enum cuda_type type, struct cuda_matrix shape, int multiprocessors,
                             const void *bias, enum cuda_type bias_type, void *y);
/* x[m][c] = scale * y[c]; y is fp32, x has the type. */
cudaError_t cuda_broadcast_launch(cudaStream_t stream, enum cuda_type type, struct cuda_matrix shape, float scale,
                                  const float *y, void *x);

struct cuda_batchnorm {
    struct cuda_matrix shape;
    int multiprocessors;
    int most_cluster; /* blocks that a cluster may have; 1: the device has no clusters */
    struct cuda_scratch scratch;
    float epsilon, momentum;
    const void *x, *dy;                /* (M,C); dy shaped as y */
    const float *gamma, *beta;         /* (C), as below; NULL in an evaluation (with running_*): x is normalised */
    float *mean, *rstd;                /* written by forward, read by backward */
    float *running_mean, *running_var; /* NULL: not kept; read by evaluate */
    const float *bias;                 /* (C), for running_mean alone, or NULL */
    void *y, *dx;                      /* (M,C), y pooled (N*P*Q,C); dx may be NULL */
    const void *addend;                /* (M,C), added before a ReLU, with no pool; NULL: none */
    void *daddend;                     /* (M,C); NULL: not wanted */
    float *dgamma, *dbeta;
    float *dbias; /* becomes 0; may be NULL */
    /* The operations that are fused with it. */
    bool activated;
    enum activation activation;
    float slope;
    bool pooled; /* only where activated */
    struct cuda_pooling pooling;
    int64_t output_rows; /* N*P*Q */
    uint8_t *saved;      /* (N*P*Q,C) taps; written by forward, NULL in evaluation */
    /* What is around it, only where not activated, and C is a multiple of 8 (CUDA_AROUND_CHANNELS). */
    bool rectified;                 /* x is max(0,x) */
    struct dropout_params dropout;  /* of y; rate 0: none */
    const struct step_state *state; /* device memory, for the dropout */
    int64_t sample_rows;            /* H*W, for the dropout */
};
enum { CUDA_AROUND_CHANNELS = 8 };
cudaError_t cuda_batchnorm_forward_launch(cudaStream_t stream, enum cuda_type type, const struct cuda_batchnorm *task);
cudaError_t cuda_batchnorm_evaluate_launch(cudaStream_t stream, enum cuda_type type, const struct cuda_batchnorm *task);
cudaError_t cuda_batchnorm_backward_launch(cudaStream_t stream, enum cuda_type type, const struct cuda_batchnorm *task);
/* True where forward and backward take one kernel each, on a device that runs the clusters which it says it has. Of the
 * task, shape, multiprocessors and most_cluster count. */
bool cuda_batchnorm_is_resident(enum cuda_type type, const struct cuda_batchnorm *task);

/* The weights are (O, inputs), all others (O); fp32. */
struct cuda_fold {
    int64_t outputs, inputs;
    float epsilon;
    const float *weight, *bias, *gamma, *beta, *running_mean, *running_var;
    float *to_weight, *to_bias;
};
cudaError_t cuda_fold_launch(cudaStream_t stream, const struct cuda_fold *task);

/* --- loss (cuda_softmax.cu): n samples of d features --- */
cudaError_t cuda_softmax_forward_launch(cudaStream_t stream, enum cuda_type type, int64_t n, int64_t d, const void *x,
                                        void *y);
cudaError_t cuda_softmax_backward_launch(cudaStream_t stream, enum cuda_type type, int64_t n, int64_t d, const void *y,
                                         const void *dy, void *dx);
/* The device's twin of struct loss_params. */
struct cuda_loss_params {
    float smoothing; /* for logits only */
    int64_t skipped;
    const float *class_weights;  /* (d), device memory, or NULL */
    const void *logits;          /* (n,d) of the type of x, for probabilities only, or NULL */
    const struct batch_mix *mix; /* of the labels, device memory, for logits only, or NULL */
    const double *weight_sum;    /* of the step state, device memory */
};
/* dx may be NULL. */
cudaError_t cuda_cross_entropy_launch(cudaStream_t stream, enum cuda_type type, bool of_logits,
                                      struct cuda_loss_params params, int64_t n, int64_t d, const void *x,
                                      const int32_t *labels, struct metrics *metrics, void *dx);

/* --- flat arenas (cuda_norm.cu): fp32 --- */
/* sums [CUDA_NORM_BLOCKS]: together they are the sum of the squares of x. */
enum { CUDA_NORM_BLOCKS = 256 };
cudaError_t cuda_norm_launch(cudaStream_t stream, int64_t count, const float *x, double *sums);
/* y = sqrt of the sum of the sums, in device memory. cuda_norm_launch must have made them. */
cudaError_t cuda_magnitude_launch(cudaStream_t stream, const double *sums, double *y);
/* Scales x down to the limit. cuda_norm_launch must have made the sums. */
cudaError_t cuda_clip_launch(cudaStream_t stream, double limit, int64_t count, float *x, const double *sums);

/* --- optimizers (cuda_optimizer.cu): fp32 --- */
/* The rule of an UPDATE with its operands: count elements in device memory; a state that the rule lacks is NULL. The rest
 * is for elementwise rules and may be NULL. */
struct cuda_update {
    struct update rule;
    int64_t count;
    float *w, *state[OPTIMIZER_STATES];
    const float *dw;
    void *rounded; /* becomes w in bf16 */
    const void
        *dw_rounded; /* bf16: read instead of dw for the lines of CUDA_LINE elements that have a bit in `narrow` */
    const uint32_t *narrow; /* device memory; line i is bit i % 32 of word i / 32 */
};
enum { CUDA_LINE = 16 }; /* 64 bytes of fp32: a parameter begins with a line of its own in its arena */
cudaError_t cuda_update_launch(cudaStream_t stream, const struct cuda_update *update, const struct step_state *state,
                               int multiprocessors);
/* The matrices of a step of Muon (cuda_muon.cu): row-major, fp32. */
struct cuda_muon {
    int64_t rows, columns, side; /* side: the smaller of the two */
    float *x, *next;             /* (rows, columns) */
    float *gram, *square;        /* (side, side) */
};
cudaError_t cuda_muon_average_launch(cudaStream_t stream, const struct cuda_update *update,
                                     const struct cuda_muon *muon);
/* cuda_norm_launch must have made the sums of x. */
cudaError_t cuda_muon_normalize_launch(cudaStream_t stream, const struct cuda_muon *muon, const double *sums);
cudaError_t cuda_muon_polynomial_launch(cudaStream_t stream, const struct cuda_muon *muon);
/* `sums`: those of w, which is then normalized first; or NULL. */
cudaError_t cuda_muon_step_launch(cudaStream_t stream, const struct cuda_update *update, const struct step_state *state,
                                  const struct cuda_muon *muon, const double *sums);
cudaError_t cuda_average_launch(cudaStream_t stream, double decay, const struct step_state *state, int64_t count,
                                float *average, const float *w);

/* ACCUMULATE of `count` elements, and of metrics, by one thread. */
cudaError_t cuda_accumulate_launch(cudaStream_t stream, double factor, int64_t count, float *to, const float *from);
cudaError_t cuda_accumulate_metrics_launch(cudaStream_t stream, struct metrics *to, const struct metrics *from);

/* --- convolution without a library (cuda_conv2d.cu): any shape, slow --- */
struct cuda_convolution {
    struct conv2d_params params;
    struct shape x, y; /* (N,I,H,W), (N,O,P,Q) */
};
cudaError_t cuda_conv2d_forward_launch(cudaStream_t stream, enum cuda_type type, const struct cuda_convolution *task,
                                       const void *x, const void *weight, void *y);
cudaError_t cuda_conv2d_dx_launch(cudaStream_t stream, enum cuda_type type, const struct cuda_convolution *task,
                                  const void *weight, const void *dy, void *dx);
/* dweight has a type of its own. */
cudaError_t cuda_conv2d_dweight_launch(cudaStream_t stream, enum cuda_type type, const struct cuda_convolution *task,
                                       const void *x, const void *dy, enum cuda_type dweight_type, void *dweight);

#ifdef __cplusplus
}
#endif

#endif
