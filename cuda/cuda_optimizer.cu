/* The arithmetic of the optimizers (formulas: optimizer_row.h), of the moving average and of sums (reference_optimizer.c): one
 * pass over the flat arenas, 16 bytes of each at a time. SGD moves 12 bytes per weight (20 with momentum), Adam 28, the
 * average 12, so memory bandwidth is their limit. A copy in bf16 is 2 bytes more, a gradient in bf16 2 less. Learning
 * rate and step number are read from the device, so that a replayed graph sees each step's own.
 *
 * A rule is a struct with the parameters of an optimizer in fp32: STATES is the number of its states, factors_of makes
 * what all weights of step t (1 is the first) share, and element updates one weight with its states. */
#include "cuda_vector.cuh"

enum { QUAD = 4 };

struct plain_rule {
    enum { STATES = 0 };
    float decay;

    struct factors {
        float rate;
    };

    __device__ struct factors factors_of(double, float rate) const
    {
        return {rate};
    }

    __device__ void element(const struct factors &step, float dw, float *w, float *, float *) const
    {
        float gradient = dw + decay * *w;
        *w = *w - step.rate * gradient;
    }
};

struct momentum_rule {
    enum { STATES = 1 };
    float decay, momentum;
    bool nesterov;

    struct factors {
        float rate;
    };

    __device__ struct factors factors_of(double, float rate) const
    {
        return {rate};
    }

    __device__ void element(const struct factors &step, float dw, float *w, float *velocity, float *) const
    {
        float gradient = dw + decay * *w;
        *velocity = momentum * *velocity + gradient;
        *w = *w - step.rate * (nesterov ? gradient + momentum * *velocity : *velocity);
    }
};

struct adam_rule {
    enum { STATES = 2 };
    float beta1, beta2, rest1, rest2, epsilon; /* rest: 1 - beta, rounded once */
    float decay, shrink;                       /* weight decay for Adam, and for AdamW */
    double log_beta1, log_beta2;               /* -infinity for a beta of 0: then 1 - 0^t = 1 */

    struct factors {
        float rate, keep, bias2; /* rate: with the correction of m's bias; bias2: 1 / (1 - beta2^t) */
    };

    /* 1 - beta^t = -expm1(t log beta), in double. */
    __device__ struct factors factors_of(double t, float rate) const
    {
        float bias1 = (float)(-1 / expm1(t * log_beta1));
        return {rate * bias1, 1 - rate * shrink, (float)(-1 / expm1(t * log_beta2))};
    }

    __device__ void element(const struct factors &step, float dw, float *w, float *m, float *v) const
    {
        float gradient = dw + decay * *w;
        *m = beta1 * *m + rest1 * gradient;
        *v = beta2 * *v + rest2 * gradient * gradient;
        *w = step.keep * *w - step.rate * *m / (sqrtf(*v * step.bias2) + epsilon);
    }
};

struct lion_rule {
    enum { STATES = 1 };
    float beta1, beta2, rest1, rest2, decay; /* rest: 1 - beta, rounded once */

    struct factors {
        float rate, keep;
    };

    __device__ struct factors factors_of(double, float rate) const
    {
        return {rate, 1 - rate * decay};
    }

    __device__ void element(const struct factors &step, float dw, float *w, float *m, float *) const
    {
        float direction = beta1 * *m + rest1 * dw;
        float sign = direction > 0 ? 1 : direction < 0 ? -1 : direction; /* 0 and NaN stay */
        *w = step.keep * *w - step.rate * sign;
        *m = beta2 * *m + rest2 * dw;
    }
};

struct arenas {
    int64_t count;
    double rate; /* times the learning rate of the step state */
    float *w, *state[OPTIMIZER_STATES];
    const float *dw;
    bf16 *rounded; /* this and what follows: where ROUNDED, and NULL where it is not wanted (struct cuda_update) */
    const bf16 *dw_rounded;
    const uint32_t *narrow;
};

/* True where the gradients of the line of element i are in bf16. */
__device__ static bool is_narrow(const struct arenas &arenas, int64_t i)
{
    int64_t line = i / CUDA_LINE;
    return arenas.narrow && (arenas.narrow[line / 32] >> (line % 32) & 1);
}

/* The gradients of QUAD elements of a line. */
template <bool ROUNDED> __device__ static void load_gradients(const struct arenas &arenas, int64_t i, float (&dw)[QUAD])
{
    if constexpr (ROUNDED) {
        if (is_narrow(arenas, i)) {
            unpack(load_lanes<QUAD>(arenas.dw_rounded + i), dw);
            return;
        }
    }
    unpack(load_lanes<QUAD>(arenas.dw + i), dw);
}

/* The weights that a count which is no multiple of QUAD leaves over. */
template <typename RULE, bool ROUNDED>
__device__ static void update_rest(const RULE &rule, const typename RULE::factors &step, const struct arenas &arenas,
                                   int64_t i)
{
#pragma unroll 1
    for (; i < arenas.count; i++) {
        float unused = 0, dw = ROUNDED && is_narrow(arenas, i) ? to_float(arenas.dw_rounded[i]) : arenas.dw[i];
        rule.element(step, dw, arenas.w + i, RULE::STATES > 0 ? arenas.state[0] + i : &unused,
                     RULE::STATES > 1 ? arenas.state[1] + i : &unused);
        if (ROUNDED && arenas.rounded) arenas.rounded[i] = from_float<bf16>(arenas.w[i]);
    }
}

/* Each thread strides over the arenas, so that the factors, which one thread of a block computes for all, are
 * computed a few times only. */
template <typename RULE, bool ROUNDED>
__global__ static void update_kernel(RULE rule, struct arenas arenas, const struct step_state *state)
{
    __shared__ typename RULE::factors step;
    if (threadIdx.x == 0) step = rule.factors_of((double)state->step + 1, (float)(state->learning_rate * arenas.rate));
    __syncthreads();
    int64_t stride = (int64_t)gridDim.x * CUDA_BLOCK_SIZE * QUAD;
    for (int64_t i = ((int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x) * QUAD; i < arenas.count; i += stride) {
        if (i + QUAD > arenas.count) {
            update_rest<RULE, ROUNDED>(rule, step, arenas, i);
            return;
        }
        lanes<float, QUAD> w = load_lanes<QUAD>(arenas.w + i);
        float dw[QUAD];
        load_gradients<ROUNDED>(arenas, i, dw);
        lanes<float, QUAD> states[OPTIMIZER_STATES];
#pragma unroll
        for (int s = 0; s < RULE::STATES; s++) states[s] = load_lanes<QUAD>(arenas.state[s] + i);
#pragma unroll
        for (int k = 0; k < QUAD; k++) rule.element(step, dw[k], &w.value[k], &states[0].value[k], &states[1].value[k]);
        store_lanes<QUAD>(arenas.w + i, w);
        if (ROUNDED && arenas.rounded) store_lanes<QUAD>(arenas.rounded + i, pack<bf16>(w.value));
#pragma unroll
        for (int s = 0; s < RULE::STATES; s++) store_lanes<QUAD>(arenas.state[s] + i, states[s]);
    }
}

template <typename RULE>
static void start(cudaStream_t stream, const RULE &rule, const struct cuda_update *update,
                  const struct step_state *state, int multiprocessors)
{
    enum { BLOCKS_PER_MULTIPROCESSOR = 8 };
    struct arenas arenas = {update->count,
                            update->rule.rate,
                            update->w,
                            {},
                            update->dw,
                            (bf16 *)update->rounded,
                            (const bf16 *)update->dw_rounded,
                            update->narrow};
    for (int i = 0; i < RULE::STATES; i++) arenas.state[i] = update->state[i];
    unsigned blocks = blocks_for((arenas.count + QUAD - 1) / QUAD, CUDA_BLOCK_SIZE);
    unsigned most = (unsigned)multiprocessors * BLOCKS_PER_MULTIPROCESSOR;
    blocks = blocks < most ? blocks : most;
    if (arenas.rounded || arenas.narrow)
        launch(stream, blocks, CUDA_BLOCK_SIZE, update_kernel<RULE, true>, rule, arenas, state);
    else
        launch(stream, blocks, CUDA_BLOCK_SIZE, update_kernel<RULE, false>, rule, arenas, state);
}

static struct adam_rule adam_rule_of(const struct optimizer_params &params, bool decoupled)
{
    float decay = (float)params.weight_decay;
    return {
        (float)params.beta1,       (float)params.beta2,   (float)(1 - params.beta1),
        (float)(1 - params.beta2), (float)params.epsilon, decoupled ? 0 : decay,
        decoupled ? decay : 0,     log(params.beta1),     log(params.beta2),
    };
}

static struct lion_rule lion_rule_of(const struct optimizer_params &params)
{
    return {
        (float)params.beta1,       (float)params.beta2,        (float)(1 - params.beta1),
        (float)(1 - params.beta2), (float)params.weight_decay,
    };
}

cudaError_t cuda_update_launch(cudaStream_t stream, const struct cuda_update *update, const struct step_state *state,
                               int multiprocessors)
{
    const struct optimizer_params &params = update->rule.params;
    float decay = (float)params.weight_decay;
    switch (update->rule.kind) {
    case OPTIMIZER_SGD:
        if (params.momentum == 0)
            start(stream, plain_rule{decay}, update, state, multiprocessors);
        else
            start(stream, momentum_rule{decay, (float)params.momentum, params.nesterov}, update, state,
                  multiprocessors);
        break;
    case OPTIMIZER_ADAM:
    case OPTIMIZER_ADAMW:
        start(stream, adam_rule_of(params, update->rule.kind == OPTIMIZER_ADAMW), update, state, multiprocessors);
        break;
    case OPTIMIZER_LION:
        start(stream, lion_rule_of(params), update, state, multiprocessors);
        break;
    case OPTIMIZER_MUON: /* cuda_muon.c */
        return cudaErrorInvalidValue;
    }
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
#pragma unroll 1
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

__global__ static void accumulate_kernel(float factor, int64_t count, float *to, const float *from)
{
    int64_t i = ((int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x) * QUAD;
    if (i >= count) return;
    if (i + QUAD > count) {
#pragma unroll 1
        for (; i < count; i++) to[i] = (to[i] + from[i]) * factor;
        return;
    }
    lanes<float, QUAD> sum = load_lanes<QUAD>(to + i), term = load_lanes<QUAD>(from + i);
#pragma unroll
    for (int k = 0; k < QUAD; k++) sum.value[k] = (sum.value[k] + term.value[k]) * factor;
    store_lanes<QUAD>(to + i, sum);
}

cudaError_t cuda_accumulate_launch(cudaStream_t stream, double factor, int64_t count, float *to, const float *from)
{
    unsigned blocks = blocks_for((count + QUAD - 1) / QUAD, CUDA_BLOCK_SIZE);
    launch(stream, blocks, CUDA_BLOCK_SIZE, accumulate_kernel, (float)factor, count, to, from);
    return cudaGetLastError();
}

__global__ static void accumulate_metrics_kernel(struct metrics *to, const struct metrics *from)
{
    to->loss += from->loss;
    to->correct += from->correct;
    to->count += from->count;
}

cudaError_t cuda_accumulate_metrics_launch(cudaStream_t stream, struct metrics *to, const struct metrics *from)
{
    launch(stream, 1, 1, accumulate_metrics_kernel, to, from);
    return cudaGetLastError();
}
