/* Activations, element by element (definitions: struct activation_params in backend.h). With a the slope:
 *   relu        dx = x > 0 ? dy : 0
 *   relu6       dx = 0 < x < 6 ? dy : 0
 *   leaky_relu  dx = x > 0 ? dy : a dy
 *   elu         dx = x > 0 ? dy : a exp(x) dy
 *   gelu        dx = (Phi(x) + x phi(x)) dy, with the normal distribution Phi and its density phi
 *   silu        dx = s (1 + x (1 - s)) dy, with s = 1 / (1 + exp(-x))
 * A thread takes 16 bytes of each tensor. Bytes: forward 2 per byte of x, backward 3. */
#include "cuda_activation.cuh"

template <typename T, enum activation KIND>
__global__ static void activation_kernel(int64_t count, float slope, const T *x, T *y)
{
    constexpr int LANES = vector_lanes<T>();
    int64_t i = ((int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x) * LANES;
    if (i >= count) return;
    if (i + LANES > count) { /* the end of a tensor that is no multiple of 16 bytes */
#pragma unroll 1
        for (; i < count; i++) y[i] = from_float<T>(activate(KIND, to_float(x[i]), slope));
        return;
    }
    float values[LANES];
    unpack(load_lanes<LANES>(x + i), values);
#pragma unroll
    for (int k = 0; k < LANES; k++) values[k] = activate(KIND, values[k], slope);
    store_lanes<LANES>(y + i, pack<T>(values));
}

template <typename T, enum activation KIND>
__global__ static void activation_backward_kernel(int64_t count, float slope, const T *x, const T *dy, T *dx)
{
    constexpr int LANES = vector_lanes<T>();
    int64_t i = ((int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x) * LANES;
    if (i >= count) return;
    if (i + LANES > count) {
#pragma unroll 1
        for (; i < count; i++) dx[i] = from_float<T>(activate_backward(KIND, to_float(x[i]), to_float(dy[i]), slope));
        return;
    }
    float values[LANES], gradients[LANES];
    unpack(load_lanes<LANES>(x + i), values);
    unpack(load_lanes<LANES>(dy + i), gradients);
#pragma unroll
    for (int k = 0; k < LANES; k++) gradients[k] = activate_backward(KIND, values[k], gradients[k], slope);
    store_lanes<LANES>(dx + i, pack<T>(gradients));
}

template <typename T, enum activation KIND>
static void start(cudaStream_t stream, float slope, int64_t count, const void *x, const void *dy, void *out)
{
    unsigned blocks = blocks_for((count + vector_lanes<T>() - 1) / vector_lanes<T>(), CUDA_BLOCK_SIZE);
    if (dy) {
        launch(stream, blocks, CUDA_BLOCK_SIZE, activation_backward_kernel<T, KIND>, count, slope, (const T *)x,
               (const T *)dy, (T *)out);
    } else {
        launch(stream, blocks, CUDA_BLOCK_SIZE, activation_kernel<T, KIND>, count, slope, (const T *)x, (T *)out);
    }
}

/* Runs forward where dy is NULL, else backward. */
template <typename T>
static cudaError_t run(cudaStream_t stream, struct activation_params params, int64_t count, const void *x,
                       const void *dy, void *out)
{
    float slope = (float)params.slope;
    switch (params.kind) {
    case ACTIVATION_RELU:
        start<T, ACTIVATION_RELU>(stream, slope, count, x, dy, out);
        break;
    case ACTIVATION_RELU6:
        start<T, ACTIVATION_RELU6>(stream, slope, count, x, dy, out);
        break;
    case ACTIVATION_LEAKY_RELU:
        start<T, ACTIVATION_LEAKY_RELU>(stream, slope, count, x, dy, out);
        break;
    case ACTIVATION_ELU:
        start<T, ACTIVATION_ELU>(stream, slope, count, x, dy, out);
        break;
    case ACTIVATION_GELU:
        start<T, ACTIVATION_GELU>(stream, slope, count, x, dy, out);
        break;
    case ACTIVATION_SILU:
        start<T, ACTIVATION_SILU>(stream, slope, count, x, dy, out);
        break;
    case ACTIVATION_NONE: /* a normalization's, which has no op of its own */
        break;
    }
    return cudaGetLastError();
}

cudaError_t cuda_activation_forward_launch(cudaStream_t stream, enum cuda_type type, struct activation_params params,
                                           int64_t count, const void *x, void *y)
{
    return CUDA_DISPATCH(type, run, stream, params, count, x, NULL, y);
}

cudaError_t cuda_activation_backward_launch(cudaStream_t stream, enum cuda_type type, struct activation_params params,
                                            int64_t count, const void *x, const void *dy, void *dx)
{
    return CUDA_DISPATCH(type, run, stream, params, count, x, dy, dx);
}
