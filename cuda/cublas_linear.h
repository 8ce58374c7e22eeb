/* Matrix products of a linear layer, or of a 1x1 convolution, through cuBLASLt: x (M,I), weight (O,I), y (M,O),
 * row-major. x, y and the weight that a product reads are of one type; dweight and dbias are fp32. Products of
 * fp32 are those of tf32 unless precision = fp32. */
#ifndef CUBLAS_LINEAR_H
#define CUBLAS_LINEAR_H

#include "cuda_backend.h"

struct cublas_linear;

/* True for a convolution that is a matrix product: its window is a pixel, and it moves pixel by pixel. */
static inline bool cublas_linear_takes(struct conv2d_params params)
{
    struct window window = params.window;
    return params.groups == 1 && window.kernel == 1 && window.stride == 1 && window.padding == 0;
}

struct cublas_linear *cublas_linear_create(struct cuda_backend *cuda, enum cuda_type type, int64_t inputs,
                                           int64_t outputs);
void cublas_linear_destroy(struct cublas_linear *linear);

/* Returns false where cuBLASLt has no way to compute the product; then nothing was written. `fused` tells whether the
 * same kernel did the bias, or dbias; where it is false on return, the caller must. bias and dbias may be NULL. */
bool cublas_linear_forward(struct cublas_linear *linear, int64_t rows, const void *x, const void *weight,
                           const void *bias, enum cuda_type bias_type, void *y, bool *fused);
bool cublas_linear_dx(struct cublas_linear *linear, int64_t rows, const void *weight, const void *dy, void *dx);
bool cublas_linear_dweight(struct cublas_linear *linear, int64_t rows, const void *x, const void *dy, float *dweight,
                           float *dbias, bool *fused);

#endif
