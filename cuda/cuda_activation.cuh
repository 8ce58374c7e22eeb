/* Activations of one element and their gradients (formulas: cuda_activation.cu). Where `kind` is known at compile time,
 * the compiler removes the choice. */
#ifndef CUDA_ACTIVATION_CUH
#define CUDA_ACTIVATION_CUH

#include "cuda_vector.cuh"

struct normal_t {
    float distribution, density; /* Phi(x), phi(x) */
};

/* The polynomial of src/backend/cpu/cpu_normal.h: shorter than erfcf, of which a kernel has a copy for each of its lanes. */
__device__ inline normal_t normal(float x)
{
    constexpr float q[] = {0.127661526f,  0.127660945f,  0.114622355f,  0.0878290715f, 0.0586541295f,
                           -0.009378064f, 0.0653288854f, -0.146708319f, 0.0954077197f, -0.0210782715f};
    float bell = expf(x * x * -0.5f), t = __fdividef(1, 1 + 0.32f * fabsf(x)), sum = q[9];
#pragma unroll
    for (int i = 8; i >= 0; i--) sum = sum * t + q[i];
    float tail = bell * t * sum;
    return {x < 0 ? tail : 1 - tail, bell * 0.39894228f};
}

__device__ inline float sigmoid(float x)
{
    return __fdividef(1, 1 + expf(-x));
}

__device__ inline float activate(enum activation kind, float x, float slope)
{
    if (kind == ACTIVATION_RELU) return x <= 0 ? 0 : x; /* NaN stays NaN */
    if (kind == ACTIVATION_RELU6) return x <= 0 ? 0 : x >= 6 ? 6 : x;
    if (kind == ACTIVATION_LEAKY_RELU) return x > 0 ? x : slope * x;
    if (kind == ACTIVATION_GELU) return x * normal(x).distribution;
    if (kind == ACTIVATION_SILU) return x * sigmoid(x);
    return x > 0 ? x : slope * expm1f(x);
}

__device__ inline float activate_backward(enum activation kind, float x, float dy, float slope)
{
    if (kind == ACTIVATION_GELU) {
        normal_t at_x = normal(x);
        return (at_x.distribution + x * at_x.density) * dy;
    }
    if (kind == ACTIVATION_SILU) {
        float s = sigmoid(x);
        return s * (1 + x * (1 - s)) * dy;
    }
    if (kind == ACTIVATION_RELU6) return x > 0 && x < 6 ? dy : 0;
    if (x > 0) return dy;
    if (kind == ACTIVATION_RELU) return 0;
    return kind == ACTIVATION_LEAKY_RELU ? slope * dy : slope * expf(x) * dy;
}

#endif
