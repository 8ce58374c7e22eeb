/* Batch normalization folded into the filters and biases before it, for evaluation (formulas:
 * reference_batchnorm_fold.c). A thread takes a weight; filters lie as [O][K][K][I], so the weights of an output
 * channel are side by side. */
#include "cuda_vector.cuh"

__global__ static void fold_kernel(struct cuda_fold task)
{
    int64_t i = (int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x;
    if (i >= task.outputs * task.inputs) return;
    int64_t o = i / task.inputs;
    float scale = task.gamma[o] * __frsqrt_rn(task.running_var[o] + task.epsilon);
    task.to_weight[i] = scale * task.weight[i];
    if (i % task.inputs != 0) return;
    float bias = task.bias ? task.bias[o] : 0;
    task.to_bias[o] = scale * (bias - task.running_mean[o]) + task.beta[o];
}

cudaError_t cuda_fold_launch(cudaStream_t stream, const struct cuda_fold *task)
{
    launch(stream, blocks_for(task->outputs * task->inputs, CUDA_BLOCK_SIZE), CUDA_BLOCK_SIZE, fold_kernel, *task);
    return cudaGetLastError();
}
