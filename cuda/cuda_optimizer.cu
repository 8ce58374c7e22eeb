/* The arithmetic of SGD, Adam and the moving average (formulas: struct sgd_params, struct adam_params and average_step
 * in backend.h): one pass over the flat arenas, 16 bytes of each at a time. SGD moves 12 bytes per weight (20 with
 * momentum), Adam 28, the average 12, so memory bandwidth is their limit. Learning rate and step number are read from
 * the device, so that a replayed graph sees each step's own. */
#include "cuda_vector.cuh"

enum { QUAD = 4 };

struct sgd_task {
    float decay, momentum;
    bool nesterov;
    int64_t count;
    float *w;
    const float *dw;
    float *velocity; /* NULL: no momentum */
};

__device__ static float sgd_element(const struct sgd_task &task, float rate, float w, float dw, float *velocity)
{
    float gradient = dw + task.decay * w;
    if (!velocity) return w - rate * gradient;
    *velocity = task.momentum * *velocity + gradient;
    return w - rate * (task.nesterov ? gradient + task.momentum * *velocity : *velocity);
}

__global__ static void sgd_kernel(struct sgd_task task, const struct step_state *state)
{
    int64_t i = ((int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x) * QUAD;
    float rate = (float)state->learning_rate;
    if (i >= task.count) return;
    if (i + QUAD > task.count) {
        for (; i < task.count; i++)
            task.w[i] = sgd_element(task, rate, task.w[i], task.dw[i], task.velocity ? task.velocity + i : NULL);
        return;
    }
    lanes<float, QUAD> w = load_lanes<QUAD>(task.w + i), dw = load_lanes<QUAD>(task.dw + i), velocity;
    if (task.velocity) velocity = load_lanes<QUAD>(task.velocity + i);
#pragma unroll
    for (int k = 0; k < QUAD; k++)
        w.value[k] = sgd_element(task, rate, w.value[k], dw.value[k], task.velocity ? &velocity.value[k] : NULL);
    store_lanes<QUAD>(task.w + i, w);
    if (task.velocity) store_lanes<QUAD>(task.velocity + i, velocity);
}

cudaError_t cuda_sgd_launch(cudaStream_t stream, struct sgd_params params, const struct step_state *state,
                            int64_t count, float *w, const float *dw, float *velocity)
{
    struct sgd_task task = {
        (float)params.weight_decay, (float)params.momentum, params.nesterov, count, w, dw, velocity};
    launch(stream, blocks_for((count + QUAD - 1) / QUAD, CUDA_BLOCK_SIZE), CUDA_BLOCK_SIZE, sgd_kernel, task, state);
    return cudaGetLastError();
}

struct adam_task {
    float beta1, beta2, rest1, rest2, epsilon; /* rest: 1 - beta, rounded once */
    float decay, shrink;                       /* weight decay for Adam, and for AdamW */
    double log_beta1, log_beta2;
    int64_t count;
    float *w, *m, *v;
    const float *dw;
};

struct adam_step {
    float rate, keep, bias2; /* rate: with the correction of m's bias; bias2: 1 / (1 - beta2^t) */
};

/* 1 - beta^t = -expm1(t log beta), in double, computed by one thread of a block for all. */
__device__ static struct adam_step adam_step_of(const struct adam_task &task, const struct step_state *state)
{
    double t = (double)state->step + 1;
    float rate = (float)state->learning_rate, bias1 = (float)(-1 / expm1(t * task.log_beta1));
    return {rate * bias1, 1 - rate * task.shrink, (float)(-1 / expm1(t * task.log_beta2))};
}

__device__ static void adam_element(const struct adam_task &task, const struct adam_step &step, float dw, float *w,
                                    float *m, float *v)
{
    float gradient = dw + task.decay * *w;
    *m = task.beta1 * *m + task.rest1 * gradient;
    *v = task.beta2 * *v + task.rest2 * gradient * gradient;
    *w = step.keep * *w - step.rate * *m / (sqrtf(*v * step.bias2) + task.epsilon);
}

/* Each thread strides over the arenas, so that the block's constants are computed a few times only. */
__global__ static void adam_kernel(struct adam_task task, const struct step_state *state)
{
    __shared__ struct adam_step step;
    if (threadIdx.x == 0) step = adam_step_of(task, state);
    __syncthreads();
    int64_t stride = (int64_t)gridDim.x * CUDA_BLOCK_SIZE * QUAD;
    for (int64_t i = ((int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x) * QUAD; i < task.count; i += stride) {
        if (i + QUAD > task.count) {
            for (; i < task.count; i++) adam_element(task, step, task.dw[i], task.w + i, task.m + i, task.v + i);
            return;
        }
        lanes<float, QUAD> w = load_lanes<QUAD>(task.w + i), dw = load_lanes<QUAD>(task.dw + i);
        lanes<float, QUAD> m = load_lanes<QUAD>(task.m + i), v = load_lanes<QUAD>(task.v + i);
#pragma unroll
        for (int k = 0; k < QUAD; k++) adam_element(task, step, dw.value[k], &w.value[k], &m.value[k], &v.value[k]);
        store_lanes<QUAD>(task.w + i, w);
        store_lanes<QUAD>(task.m + i, m);
        store_lanes<QUAD>(task.v + i, v);
    }
}

cudaError_t cuda_adam_launch(cudaStream_t stream, struct adam_params params, const struct step_state *state,
                             int multiprocessors, int64_t count, float *w, const float *dw, float *m, float *v)
{
    enum { BLOCKS_PER_MULTIPROCESSOR = 8 };
    struct adam_task task = {
        (float)params.beta1,
        (float)params.beta2,
        (float)(1 - params.beta1),
        (float)(1 - params.beta2),
        (float)params.epsilon,
        params.decoupled ? 0 : (float)params.weight_decay,
        params.decoupled ? (float)params.weight_decay : 0,
        log(params.beta1), /* -infinity for 0: then 1 - 0^t = 1 */
        log(params.beta2),
        count,
        w,
        m,
        v,
        dw,
    };
    unsigned blocks = blocks_for((count + QUAD - 1) / QUAD, CUDA_BLOCK_SIZE);
    unsigned most = (unsigned)multiprocessors * BLOCKS_PER_MULTIPROCESSOR;
    launch(stream, blocks < most ? blocks : most, CUDA_BLOCK_SIZE, adam_kernel, task, state);
    return cudaGetLastError();
}

__global__ static void average_kernel(double decay, const struct step_state *state, int64_t count, float *average,
                                      const float *w)
{
    int64_t i = ((int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x) * QUAD;
    if (i >= count) return;
    double s = (double)state->step;
    float share = (float)(1 - fmin(decay, (1 + s) / (10 + s)));
    if (i + QUAD > count) {
        for (; i < count; i++) average[i] += share * (w[i] - average[i]);
        return;
    }
    lanes<float, QUAD> to = load_lanes<QUAD>(average + i), from = load_lanes<QUAD>(w + i);
#pragma unroll
    for (int k = 0; k < QUAD; k++) to.value[k] += share * (from.value[k] - to.value[k]);
    store_lanes<QUAD>(average + i, to);
}

cudaError_t cuda_average_launch(cudaStream_t stream, double decay, const struct step_state *state, int64_t count,
                                float *average, const float *w)
{
    unsigned blocks = blocks_for((count + QUAD - 1) / QUAD, CUDA_BLOCK_SIZE);
    launch(stream, blocks, CUDA_BLOCK_SIZE, average_kernel, decay, state, count, average, w);
    return cudaGetLastError();
}
