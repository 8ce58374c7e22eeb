/* Softmax, cross-entropy and both in one, over the d features of each of n samples; t is the label.
 *
 *   softmax        y_i = exp(x_i - m) / sum_k exp(x_k - m), m = max x;  dx_j = y_j (dy_j - sum_i dy_i y_i)
 *   cross-entropy  L = -(1/W) sum_n w_t log p[n,t_n];  dp[n,i] = -w_t delta_it / (W p[n,t])
 *   fused          L = (1/W) sum_n (S (m + log sum_k exp(x_k - m)) - sum_i w_i q_i x_i), q_i = (1-s) delta_it + s/D;
 *                  dx_i = (S softmax(x)_i - w_i q_i) / W, S = sum_i w_i q_i;  s: the smoothing
 *   W = sum_n w_t; without class weights w is 1, S is 1 and W is N.
 *   mixed labels: q_i = (1-s) ((1-m) delta_it + m delta_iu) + s/D with the partner's label u, and the sample weighs
 *                  (1-m) w_t + m w_u in W
 *
 * A group of 4 or 32 neighbouring threads takes a sample, by the number of features. The losses are added by one block,
 * in double and in one order, so a batch is one launch without atomics. */
#include <float.h>

#include "cuda_vector.cuh"

enum { LOSS_THREADS = 1024, LOSS_WARPS = LOSS_THREADS / CUDA_WARP };

/* The number of threads that share a sample. */
static int group_size(int64_t d)
{
    return d <= 16 ? 4 : CUDA_WARP;
}

/* group_sum, group_max and group_all combine the values of the threads of a group; every thread gets the result. All
 * threads of a warp must call them. */
__device__ inline float group_sum(float value, int group)
{
    for (int offset = group / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(CUDA_FULL_WARP, value, offset);
    return value;
}

__device__ inline float group_max(float value, int group)
{
    for (int offset = group / 2; offset > 0; offset /= 2)
        value = fmaxf(value, __shfl_xor_sync(CUDA_FULL_WARP, value, offset));
    return value;
}

__device__ inline bool group_all(bool value, int group)
{
    int both = value;
    for (int offset = group / 2; offset > 0; offset /= 2) both &= __shfl_xor_sync(CUDA_FULL_WARP, both, offset);
    return both != 0;
}

/* Returns m, and in `sum` sum_k exp(x_k - m), for a sample. With d = 0 (no such sample) nothing is read. */
template <typename T> __device__ inline float max_and_sum(const T *x, int64_t d, int lane, int group, float *sum)
{
    float most = -INFINITY, total = 0;
    for (int64_t i = lane; i < d; i += group) most = fmaxf(most, to_float(x[i]));
    most = group_max(most, group);
    for (int64_t i = lane; i < d; i += group) total += expf(to_float(x[i]) - most);
    *sum = group_sum(total, group);
    return most;
}

template <typename T> __global__ static void softmax_kernel(int64_t n, int64_t d, int group, const T *x, T *y)
{
    int64_t thread = (int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x, sample = thread / group;
    int lane = (int)(thread % group);
    if (sample >= n) d = 0, sample = 0; /* the thread still takes part in the shuffles */
    float sum, most = max_and_sum(x + sample * d, d, lane, group, &sum);
    for (int64_t i = lane; i < d; i += group)
        y[sample * d + i] = from_float<T>(expf(to_float(x[sample * d + i]) - most) / sum);
}

/* y as softmax_backward reads it where dy is its gradient (reference_softmax.c). NaN stays. */
__device__ inline float read_probability(float y, float dy)
{
    return dy != 0 && y < FLT_MIN ? FLT_MIN : y;
}

template <typename T>
__global__ static void softmax_backward_kernel(int64_t n, int64_t d, int group, const T *y, const T *dy, T *dx)
{
    int64_t thread = (int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x, sample = thread / group;
    int lane = (int)(thread % group);
    if (sample >= n) d = 0, sample = 0;
    int64_t first = sample * d;
    float dot = 0;
    for (int64_t i = lane; i < d; i += group) {
        float gradient = to_float(dy[first + i]);
        dot += gradient * read_probability(to_float(y[first + i]), gradient);
    }
    dot = group_sum(dot, group);
    for (int64_t i = lane; i < d; i += group) {
        float gradient = to_float(dy[first + i]);
        dx[first + i] = from_float<T>(read_probability(to_float(y[first + i]), gradient) * (gradient - dot));
    }
}

template <typename T> static cudaError_t softmax(cudaStream_t stream, int64_t n, int64_t d, const void *x, void *y)
{
    int group = group_size(d);
    launch(stream, blocks_for(n * group, CUDA_BLOCK_SIZE), CUDA_BLOCK_SIZE, softmax_kernel<T>, n, d, group,
           (const T *)x, (T *)y);
    return cudaGetLastError();
}

template <typename T>
static cudaError_t softmax_backward(cudaStream_t stream, int64_t n, int64_t d, const void *y, const void *dy, void *dx)
{
    int group = group_size(d);
    launch(stream, blocks_for(n * group, CUDA_BLOCK_SIZE), CUDA_BLOCK_SIZE, softmax_backward_kernel<T>, n, d, group,
           (const T *)y, (const T *)dy, (T *)dx);
    return cudaGetLastError();
}

cudaError_t cuda_softmax_forward_launch(cudaStream_t stream, enum cuda_type type, int64_t n, int64_t d, const void *x,
                                        void *y)
{
    return CUDA_DISPATCH(type, softmax, stream, n, d, x, y);
}

cudaError_t cuda_softmax_backward_launch(cudaStream_t stream, enum cuda_type type, int64_t n, int64_t d, const void *y,
                                         const void *dy, void *dx)
{
    return CUDA_DISPATCH(type, softmax_backward, stream, n, d, y, dy, dx);
}

/* --- losses --- */

/* True where the largest output is the label's: no other is larger, none before it is as large, none is NaN. */
template <typename T>
__device__ inline bool is_correct(const T *x, int64_t d, int64_t label, float of_label, int lane, int group)
{
    bool correct = true;
    for (int64_t i = lane; i < d; i += group) {
        float value = to_float(x[i]);
        correct &= i < label ? value < of_label : value <= of_label;
    }
    return group_all(correct, group);
}

/* The sum over the block, added up in one order; every thread gets it. All threads must call. */
__device__ inline double block_sum(double value)
{
    __shared__ double sums[LOSS_WARPS];
    for (int offset = CUDA_WARP / 2; offset > 0; offset /= 2) value += __shfl_down_sync(CUDA_FULL_WARP, value, offset);
    if (threadIdx.x % CUDA_WARP == 0) sums[threadIdx.x / CUDA_WARP] = value;
    __syncthreads();
    double total = 0;
    for (int w = 0; w < (int)blockDim.x / CUDA_WARP; w++) total += sums[w];
    __syncthreads(); /* before a next call writes there */
    return total;
}

/* The weights of a batch's terms. */
struct weighing {
    const float *weights;  /* (d); NULL: all 1 */
    float smoothing, mean; /* s; the mean of the d weights */
    float share;           /* 1/W; 0 where W is 0 */
    float second;          /* m */
    double per_sample;     /* N/W, or 0: the factor of a sample's loss in the metrics */
};

/* A label of a sample, its output and its weight; NaN where there is no such class. */
struct labelled {
    int64_t label;
    float output, weight;
};

__device__ inline float class_weight(const struct weighing *w, int64_t i)
{
    return w->weights ? w->weights[i] : 1;
}

__device__ static struct weighing weigh(const struct cuda_loss_params *params, int64_t n, int64_t d,
                                        const int32_t *labels)
{
    float second = params->mix ? (float)params->mix->second / 65536 : 0;
    struct weighing w = {params->class_weights, params->smoothing, 1, 1 / (float)n, second, 1};
    if (!w.weights) return w;
    double total = 0, sum = 0;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
        double own = labels[i] >= 0 && labels[i] < d ? (double)w.weights[labels[i]] : NAN;
        int32_t other = labels[i + 1 < n ? i + 1 : 0];
        if (second > 0 && !(other >= 0 && other < d)) own = NAN;
        total += second > 0 ? (1 - (double)second) * own + (double)second * (double)w.weights[other] : own;
    }
    for (int64_t i = threadIdx.x; i < d; i += blockDim.x) sum += (double)w.weights[i];
    total = block_sum(total);
    w.mean = (float)(block_sum(sum) / (double)d);
    if (*params->weight_sum != 0) total = *params->weight_sum;
    w.per_sample = total == 0 ? 0 : (double)n / total;
    w.share = total == 0 ? 0 : (float)(1 / total);
    return w;
}

template <typename T>
__device__ inline struct labelled find_label(const T *row, int64_t d, int64_t label, const struct weighing *w)
{
    bool known = label >= 0 && label < d;
    struct labelled found = {label, known ? to_float(row[label]) : NAN, known ? class_weight(w, label) : NAN};
    return found;
}

/* Returns the loss of a sample of logits, and writes its gradient where dx is not NULL. `other` is read where labels
 * are mixed. All threads of a warp have the same weighing. */
template <typename T>
__device__ inline float logits_loss(const T *x, int64_t d, struct labelled own, struct labelled other,
                                    const struct weighing *w, int lane, int group, T *dx)
{
    float sum, most = max_and_sum(x, d, lane, group, &sum), every = w->smoothing / (float)d, of_label = own.output;
    bool mixed = w->second > 0;
    float first = mixed ? (1 - w->second) * own.weight : own.weight, second = mixed ? w->second * other.weight : 0;
    float targets = w->weights ? (1 - w->smoothing) * (first + second) + w->smoothing * w->mean : 1; /* S */
    for (int64_t i = lane; dx && i < d; i += group) {
        float p = expf(to_float(x[i]) - most) / sum * targets - every * class_weight(w, i);
        if (mixed && i == other.label) p -= (1 - w->smoothing) * second;
        dx[i] = from_float<T>((i == own.label ? p - (1 - w->smoothing) * first : p) * w->share);
    }
    float loss = targets * (most - of_label + logf(sum));
    if (mixed) loss += (1 - w->smoothing) * second * (of_label - other.output);
    if (w->smoothing == 0) return loss; /* the other features may be infinite */
    float below = 0;                    /* sum_i w_i (x_t - x_i) */
    for (int64_t i = lane; i < d; i += group) below += class_weight(w, i) * (of_label - to_float(x[i]));
    return loss + every * group_sum(below, group);
}

/* The same for probabilities; logits (or NULL) are those of the sample. A label's probability that has underflowed is
 * computed anew from them. All threads of a warp have logits, or none has. */
template <typename T>
__device__ inline float probabilities_loss(const T *logits, int64_t d, struct labelled own, const struct weighing *w,
                                           int lane, int group, T *dx)
{
    float p = own.output < FLT_MIN ? FLT_MIN : own.output, loss = -logf(p); /* NaN stays NaN */
    for (int64_t i = lane; dx && i < d; i += group)
        dx[i] = from_float<T>(i == own.label ? -own.weight * w->share / p : 0);
    if (logits) {
        float sum, most = max_and_sum(logits, d, lane, group, &sum);
        if (own.output < FLT_MIN) loss = most - to_float(logits[own.label]) + logf(sum);
    }
    return own.weight * loss;
}

/* Adds up over the block; thread 0 gets the sums. */
__device__ inline void block_totals(double *loss, int *correct)
{
    __shared__ double losses[LOSS_WARPS];
    __shared__ int hits[LOSS_WARPS];
    int warp = (int)threadIdx.x / CUDA_WARP, lane = (int)threadIdx.x % CUDA_WARP;
    for (int offset = CUDA_WARP / 2; offset > 0; offset /= 2) {
        *loss += __shfl_down_sync(CUDA_FULL_WARP, *loss, offset);
        *correct += __shfl_down_sync(CUDA_FULL_WARP, *correct, offset);
    }
    if (lane == 0) losses[warp] = *loss, hits[warp] = *correct;
    __syncthreads();
    if (threadIdx.x > 0) return;
    for (int w = 1; w < (int)blockDim.x / CUDA_WARP; w++) *loss += losses[w], *correct += hits[w];
}

/* One block computes the whole batch. A label outside of the features makes the loss NaN instead of a read outside of
 * x. */
template <typename T, bool OF_LOGITS>
__global__ __launch_bounds__(LOSS_THREADS) static void loss_kernel(int64_t n, int64_t d, int group,
                                                                   struct cuda_loss_params params, const T *x,
                                                                   const int32_t *labels, struct metrics *metrics,
                                                                   T *dx)
{
    int lane = (int)threadIdx.x % group, samples = (int)blockDim.x / group;
    struct weighing w = weigh(&params, n, d, labels);
    double loss = 0;
    int correct = 0;
    for (int64_t first = 0; first < n; first += samples) { /* the same number of rounds for every thread */
        int64_t sample = first + (int)threadIdx.x / group;
        bool valid = sample < n;
        int64_t label = valid ? labels[sample] : 0, features = valid ? d : 0;
        const T *row = x + (valid ? sample * d : 0);
        const T *logits = params.logits ? (const T *)params.logits + (valid ? sample * d : 0) : NULL;
        T *drow = dx && valid ? dx + sample * d : NULL;
        struct labelled own = find_label(row, features, label, &w), other = own;
        if (w.second > 0 && valid) other = find_label(row, d, labels[sample + 1 < n ? sample + 1 : 0], &w);
        float loss_of_sample = OF_LOGITS ? logits_loss(row, features, own, other, &w, lane, group, drow)
                                         : probabilities_loss(logits, features, own, &w, lane, group, drow);
        struct labelled larger = w.second > 0.5f ? other : own;
        bool hit = is_correct(row, features, larger.label, larger.output, lane, group);
        if (valid && lane == 0 && sample >= params.skipped)
            loss += (double)loss_of_sample * w.per_sample, correct += hit;
    }
    block_totals(&loss, &correct);
    if (threadIdx.x > 0) return;
    metrics->loss += loss;
    metrics->correct += correct;
    metrics->count += n - params.skipped;
}

template <typename T>
static cudaError_t cross_entropy(cudaStream_t stream, bool of_logits, struct cuda_loss_params params, int64_t n,
                                 int64_t d, const void *x, const int32_t *labels, struct metrics *metrics, void *dx)
{
    int group = group_size(d);
    int64_t wanted = (n * group + CUDA_WARP - 1) / CUDA_WARP * CUDA_WARP;
    int threads = wanted < LOSS_THREADS ? (int)wanted : LOSS_THREADS;
    if (of_logits)
        launch(stream, 1, threads, loss_kernel<T, true>, n, d, group, params, (const T *)x, labels, metrics, (T *)dx);
    else
        launch(stream, 1, threads, loss_kernel<T, false>, n, d, group, params, (const T *)x, labels, metrics, (T *)dx);
    return cudaGetLastError();
}

cudaError_t cuda_cross_entropy_launch(cudaStream_t stream, enum cuda_type type, bool of_logits,
                                      struct cuda_loss_params params, int64_t n, int64_t d, const void *x,
                                      const int32_t *labels, struct metrics *metrics, void *dx)
{
    return CUDA_DISPATCH(type, cross_entropy, stream, of_logits, params, n, d, x, labels, metrics, dx);
}
