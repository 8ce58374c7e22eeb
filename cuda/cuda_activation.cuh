/* Activations of one element and their gradients (formulas: cuda_activation.cu). Where `kind` is known at compile time,
 * the compiler removes the choice. */
#ifndef CUDA_ACTIVATION_CUH
#define CUDA_ACTIVATION_CUH

#include "cuda_vector.cuh"

__device__ inline float normal_distribution(float x)
{
    return 0.5f * erfcf(x * -0.70710678f);
}

__device__ inline float normal_density(float x)
{
    return 0.39894228f * expf(x * x * -0.5f);
}

__device__ inline float sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}

__device__ inline float activate(enum activation kind, float x, float slope)
{
    if (kind == ACTIVATION_RELU) return x <= 0 ? 0 : x; /* NaN stays NaN */
    if (kind == ACTIVATION_LEAKY_RELU) return x > 0 ? x : slope * x;
    if (kind == ACTIVATION_GELU) return x * normal_distribution(x);
    if (kind == ACTIVATION_SILU) return x * sigmoid(x);
    return x > 0 ? x : slope * expm1f(x);
}

__device__ inline float activate_backward(enum activation kind, float x, float dy, float slope)
{
    if (kind == ACTIVATION_GELU) return (normal_distribution(x) + x * normal_density(x)) * dy;
    if (kind == ACTIVATION_SILU) return sigmoid(x) * (1 + x * (1 - sigmoid(x))) * dy;
    if (x > 0) return dy;
    if (kind == ACTIVATION_RELU) return 0;
    return kind == ACTIVATION_LEAKY_RELU ? slope * dy : slope * expf(x) * dy;
}

#endif
