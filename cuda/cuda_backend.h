/* The declarations that the host files of the CUDA backend share. Operations follow one another on a stream as they are
 * called. A program may put some on a second stream (cuda_lanes.c).
 *
 * Layout. An activation (N,C,H,W) lies in memory as [N][H][W][C], a filter (O,I,K,K) as [O][K][K][I], a vector (C) as
 * it is; there is no padding. Parameters, gradients and moments are fp32; activations and their gradients are fp32, or
 * bf16 with backend.precision = bf16, and so are the tensors of TENSOR_ROUNDED (cuda_rewrite_bf16.c). A vector per
 * sample (N,D,1,1) is a row-major matrix [N][D]. */
#ifndef CUDA_BACKEND_H
#define CUDA_BACKEND_H

#include "backend/prepared.h"
#include "cuda_check.h"
#include "cuda_kernels.h"
#include "util/check.h"

enum {
    CUDA_MAX_GRAPHS = 16,
    CUDA_WORKSPACE_BYTES = 256 << 20, /* where the options do not say */
    CUDA_EVALUATION_BATCH = 2000,     /* images of 32x32 that fill a GPU; divides the sets of CIFAR-10 and MNIST */
};

/* A body that backend_table.run knows. It first runs as it is, is then recorded, and from then on replayed. */
struct cuda_recording {
    void (*body)(void *);
    void *argument;
    uint64_t generation;   /* generation of the memory when it was recorded or run */
    cudaGraphExec_t graph; /* NULL: not recorded yet */
};

/* A stream, and what belongs to it because work that is done at the same time must not share it. */
struct cuda_lane {
    cudaStream_t stream;         /* NULL: not opened yet */
    cudnnHandle_t cudnn;         /* its work goes to the stream */
    void *workspace;             /* memory of cuDNN and cuBLAS; NULL until the first plan */
    struct cuda_scratch scratch; /* memory of the reductions over channels */
    cudaEvent_t reached;
};

struct cuda_backend {
    struct backend base; /* first: a struct backend * of this kind is a struct cuda_backend * */
    struct backend_options options;
    enum cuda_type type; /* scalar type of activations */
    int multiprocessors;
    int most_cluster;                   /* most blocks in a thread block cluster; 1: no clusters */
    struct cuda_lane lanes[OP_STREAMS]; /* by the stream of an op */
    struct cuda_lane *lane;             /* of the op at hand; between programs the first */
    bool beside;                        /* the first does not wait yet for what is on the second */
    cublasLtHandle_t cublas;
    cudaEvent_t started, stopped; /* for timing candidates */

    struct step_state next_state; /* as it was set last */
    bool state_due;               /* the device has not got it yet */
    struct step_state *state;     /* device memory; cuda_state returns it */
    struct cuda_stage stage;      /* the batch that is augmented, in device memory: grows with the batch */
    int64_t stage_bytes, stage_samples;

    size_t workspace_bytes; /* of each lane */
    double *norm_sums;      /* device, [CUDA_NORM_BLOCKS]; of the first lane, like the state and the stage */

    bool stuck; /* the device does not come to the end of its work, which nobody may wait for: memory stays taken */

    bool search_noted; /* stderr has got the line about plans that are timed */

    uint64_t generation; /* counts the events that make a recorded address invalid: every free */
    bool recording;      /* a step is being recorded: nothing may be allocated, freed, timed or waited for */
    int recording_count;
    struct cuda_recording recordings[CUDA_MAX_GRAPHS];
};

static inline struct cuda_backend *cuda_backend_of(struct backend *backend)
{
    return (struct cuda_backend *)backend;
}

/* The scalar type of a tensor's elements. */
static inline enum cuda_type cuda_type_of(const struct cuda_backend *cuda, const struct tensor *tensor)
{
    return tensor->kind == TENSOR_ACTIVATION || tensor->kind == TENSOR_ROUNDED ? cuda->type : CUDA_FP32;
}

/* An activation or vector as the matrix (M,C) that lies in memory: M = N*H*W rows. */
static inline struct cuda_matrix cuda_matrix_of(const struct tensor *tensor)
{
    struct shape s = tensor->shape;
    return (struct cuda_matrix){s.n * s.h * s.w, s.c};
}

/* Makes a backend with tables and sizes of elements, and no device yet. Returns NULL where it does not compute in the
 * precision. */
struct cuda_backend *cuda_backend_begin(const struct backend_options *options, struct status *status);

/* Device memory without a tensor: zeroed, aligned to 256 bytes. Do not call while a step is recorded. */
void *cuda_alloc(struct cuda_backend *cuda, size_t bytes);
void cuda_free(struct cuda_backend *cuda, void *data);

/* Open the first lane, and close all; the others open when they are entered. */
void cuda_lanes_open(struct cuda_backend *cuda);
void cuda_lanes_close(struct cuda_backend *cuda);

/* Makes memory for cuDNN and cuBLAS, once for a lane. The plans of a lane share it, since its stream runs one at a time. */
void cuda_need_workspace(struct cuda_backend *cuda);

/* Each puts what its file has into the tables; the one of the functions has a place for each kind of operation. */
void cuda_boundary_install(struct backend_table *table);
void cuda_connect_install(struct backend_table *table);
void cuda_graph_install(struct backend_table *table);
void cuda_lanes_install(struct backend_table *table);
void cuda_peak_install(struct backend_table *table);
void cuda_rewrite_install(struct backend_table *table);
void cuda_data_install(struct backend_table *table, struct op_function *functions);
void cuda_conv2d_install(struct op_function *functions);
void cuda_pool_install(struct op_function *functions);
void cuda_batchnorm_install(struct op_function *functions);
void cuda_batchnorm_fold_install(struct op_function *functions);
void cuda_gate_install(struct op_function *functions);
void cuda_activation_install(struct op_function *functions);
void cuda_dropout_install(struct op_function *functions);
void cuda_flatten_install(struct op_function *functions);
void cuda_softmax_install(struct op_function *functions);
void cuda_primitive_install(struct op_function *functions);
void cuda_norm_install(struct op_function *functions);
void cuda_optimizer_install(struct op_function *functions);
/* Last, where cuDNN's batch normalization is asked for: replaces functions of cuda_batchnorm_install. */
void cudnn_batchnorm_install(struct op_function *functions);

/* True where `start` runs as it is and can be recorded. Where it returns false (its library refuses or fails), or spoils
 * the recording, no trace of that is left, unless the device is lost: that ends the program. Do not call while a step is
 * recorded. */
bool cuda_runs(struct cuda_backend *cuda, bool (*start)(void *), void *argument);

/* Returns the milliseconds that `start` takes on the device inside a recorded step, where the host's share of a launch
 * does not count. Infinite where cuda_runs would return false. */
float cuda_time(struct cuda_backend *cuda, bool (*start)(void *), void *argument);

void cuda_graphs_forget(struct cuda_backend *cuda);

/* The step's state in device memory, for an op that reads it there. Brings it where no GATHER has. */
const struct step_state *cuda_state(struct cuda_backend *cuda);

/* The bytes of the taps that a pool saves, for an output y of that shape. */
size_t cuda_pool_saved_bytes(struct pool_params params, struct shape y);

/* NORM and NORM_BACKWARD with our own kernels; also used for the cases that cuDNN cannot do. */
void cuda_batchnorm_forward(struct backend *backend, const struct op_call *call);
void cuda_batchnorm_backward(struct backend *backend, const struct op_call *call);

#endif
