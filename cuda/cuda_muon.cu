/* What Muon computes element by element (formula: optimizer_row.h). */
#include "cuda_sum.cuh"
#include "cuda_vector.cuh"

/* The average of the gradients, and in x what is to be orthogonalized. */
__global__ static void average_kernel(float momentum, float rest, bool nesterov, int64_t count, float *m,
                                      const float *dw, float *x)
{
    int64_t i = (int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x;
    if (i >= count) return;
    float average = momentum * m[i] + rest * dw[i];
    m[i] = average;
    x[i] = nesterov ? momentum * average + rest * dw[i] : average;
}

cudaError_t cuda_muon_average_launch(cudaStream_t stream, const struct cuda_update *update,
                                     const struct cuda_muon *muon)
{
    int64_t count = muon->rows * muon->columns;
    float momentum = (float)update->rule.params.momentum, rest = (float)(1 - update->rule.params.momentum);
    launch(stream, blocks_for(count, CUDA_BLOCK_SIZE), CUDA_BLOCK_SIZE, average_kernel, momentum, rest,
           update->rule.params.nesterov, count, update->state[0], update->dw, muon->x);
    return cudaGetLastError();
}

/* A norm that is NaN goes on to the weights, where it is found. */
__global__ static void normalize_kernel(int64_t count, float *x, const double *sums)
{
    __shared__ double shared[CUDA_BLOCK_SIZE];
    double norm = sqrt(block_sum(sums[threadIdx.x], shared));
    int64_t i = (int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x;
    if (i < count) x[i] *= (float)(1 / (norm < MUON_EPSILON ? MUON_EPSILON : norm));
}

cudaError_t cuda_muon_normalize_launch(cudaStream_t stream, const struct cuda_muon *muon, const double *sums)
{
    int64_t count = muon->rows * muon->columns;
    launch(stream, blocks_for(count, CUDA_BLOCK_SIZE), CUDA_BLOCK_SIZE, normalize_kernel, count, muon->x, sums);
    return cudaGetLastError();
}

/* square <- a I + b gram + c square. */
__global__ static void polynomial_kernel(int64_t side, const float *gram, float *square)
{
    int64_t i = (int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x;
    if (i >= side * side) return;
    float sum = (float)MUON_B * gram[i] + (float)MUON_C * square[i];
    square[i] = i / side == i % side ? sum + (float)MUON_A : sum;
}

cudaError_t cuda_muon_polynomial_launch(cudaStream_t stream, const struct cuda_muon *muon)
{
    int64_t count = muon->side * muon->side;
    launch(stream, blocks_for(count, CUDA_BLOCK_SIZE), CUDA_BLOCK_SIZE, polynomial_kernel, muon->side,
           (const float *)muon->gram, muon->square);
    return cudaGetLastError();
}

struct step_task {
    double rate;        /* times the learning rate of the step state */
    float scale, decay; /* s of the formula, weight decay */
    float norm;         /* that w is scaled to first, where `sums` has its own */
    int64_t count;
};

__global__ static void step_kernel(struct step_task task, const struct step_state *state, float *w, const float *x,
                                   const double *sums)
{
    __shared__ double shared[CUDA_BLOCK_SIZE];
    double norm = sums ? sqrt(block_sum(sums[threadIdx.x], shared)) : 0;
    float factor = norm == 0 ? 1 : (float)(task.norm / norm);
    int64_t i = (int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x;
    if (i >= task.count) return;
    float rate = (float)(state->learning_rate * task.rate);
    w[i] = (1 - rate * task.decay) * factor * w[i] - rate * task.scale * x[i];
}

cudaError_t cuda_muon_step_launch(cudaStream_t stream, const struct cuda_update *update, const struct step_state *state,
                                  const struct cuda_muon *muon, const double *sums)
{
    struct step_task task = {
        update->rule.rate, (float)muon_scale(&update->rule.params, (double)muon->rows, (double)muon->columns),
        (float)update->rule.params.weight_decay, sqrtf((float)muon->rows), muon->rows * muon->columns};
    launch(stream, blocks_for(task.count, CUDA_BLOCK_SIZE), CUDA_BLOCK_SIZE, step_kernel, task, state, update->w,
           (const float *)muon->x, sums);
    return cudaGetLastError();
}
