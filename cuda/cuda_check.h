/* Errors of the CUDA libraries. A statement that fails stops the program. Where a programmer is to blame, it stops with
 * its text, file and line. Where the machine is to blame (no memory left, a device that is lost or that the build has
 * no code for), it stops with one line for people. */
#ifndef CUDA_CHECK_H
#define CUDA_CHECK_H

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#define CUDA_CHECK(statement)                                                                                          \
    do {                                                                                                               \
        cudaError_t cuda_check_error = (statement);                                                                    \
        if (cuda_check_error != cudaSuccess) cuda_failed(cuda_check_error, #statement, __FILE__, __LINE__);            \
    } while (0)

#define CUDNN_CHECK(statement)                                                                                         \
    do {                                                                                                               \
        cudnnStatus_t cudnn_check_status = (statement);                                                                \
        if (cudnn_check_status != CUDNN_STATUS_SUCCESS)                                                                \
            cuda_cudnn_failed(cudnn_check_status, #statement, __FILE__, __LINE__);                                     \
    } while (0)

#define CUBLAS_CHECK(statement)                                                                                        \
    do {                                                                                                               \
        cublasStatus_t cublas_check_status = (statement);                                                              \
        if (cublas_check_status != CUBLAS_STATUS_SUCCESS)                                                              \
            cuda_cublas_failed(cublas_check_status, #statement, __FILE__, __LINE__);                                   \
    } while (0)

_Noreturn void cuda_failed(cudaError_t error, const char *statement, const char *file, int line);
_Noreturn void cuda_cudnn_failed(cudnnStatus_t status, const char *statement, const char *file, int line);
_Noreturn void cuda_cublas_failed(cublasStatus_t status, const char *statement, const char *file, int line);

/* Tells in words for people why there is no device to work with. */
const char *cuda_reason(cudaError_t error);

#endif
