/* Ends the program after an error of a CUDA library: with one line for people, or with the statement that failed
 * (cuda_check.h). */
#include "cuda_check.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/status.h"

static _Noreturn void stop_run(const char *what, const char *text)
{
    fprintf(stderr, "trainer: %s: %s\n", what, text);
    exit(STATUS_RUNTIME);
}

static _Noreturn void stop_programmer(const char *text, const char *statement, const char *file, int line)
{
    fprintf(stderr, "%s:%d: %s failed: %s\n", file, line, statement, text);
    abort();
}

static _Noreturn void out_of_memory(const char *text)
{
    size_t left = 0, total = 0;
    if (cudaMemGetInfo(&left, &total) != cudaSuccess) stop_run("out of GPU memory", text);
    fprintf(stderr,
            "trainer: out of GPU memory: %.1f GiB of %.1f GiB are free; use a smaller train.batch_size, "
            "train.eval_batch_size or backend.workspace_mb\n",
            (double)left / 0x1p30, (double)total / 0x1p30);
    exit(STATUS_RUNTIME);
}

/* True where the machine is to blame, not the program. */
static bool is_environment(cudaError_t error)
{
    switch (error) {
    case cudaErrorInitializationError:
    case cudaErrorInsufficientDriver:
    case cudaErrorNoDevice:
    case cudaErrorInvalidDevice:
    case cudaErrorDevicesUnavailable:
    case cudaErrorDeviceNotLicensed:
    case cudaErrorDeviceUninitialized:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorHardwareStackError:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
    case cudaErrorJitCompilerNotFound:
    case cudaErrorOperatingSystem:
    case cudaErrorSystemNotReady:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorCompatNotSupportedOnDevice:
    case cudaErrorLaunchTimeout:
    case cudaErrorCudartUnloading:
    case cudaErrorStartupFailure:
    case cudaErrorUnknown: /* a device that fell off its bus gives this */
        return true;
    default:
        return false;
    }
}

const char *cuda_reason(cudaError_t error)
{
    int version = 0;
    if (error == cudaErrorInsufficientDriver && cudaDriverGetVersion(&version) == cudaSuccess && version == 0)
        return "there is no NVIDIA driver";
    if (error == cudaErrorNoDevice) return "there is no CUDA device";
    if (error == cudaErrorInsufficientDriver) return "the NVIDIA driver is too old for this build";
    if (error == cudaErrorNoKernelImageForDevice) return "this build has no code for the CUDA device";
    return cudaGetErrorString(error);
}

_Noreturn void cuda_failed(cudaError_t error, const char *statement, const char *file, int line)
{
    if (error == cudaErrorMemoryAllocation) out_of_memory(cudaGetErrorString(error));
    if (is_environment(error)) stop_run("the CUDA device failed", cuda_reason(error));
    stop_programmer(cudaGetErrorString(error), statement, file, line);
}

/* A library reports an earlier error of the device as its own failure. This reports it as the device's. */
static void blame_device(const char *statement, const char *file, int line)
{
    cudaError_t error = cudaGetLastError();
    if (error == cudaSuccess) error = cudaDeviceSynchronize();
    if (error != cudaSuccess && error != cudaErrorStreamCaptureUnsupported) cuda_failed(error, statement, file, line);
}

_Noreturn void cuda_cudnn_failed(cudnnStatus_t status, const char *statement, const char *file, int line)
{
    if (status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED) out_of_memory(cudnnGetErrorString(status));
    if (status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED)
        stop_run("out of memory in cuDNN", cudnnGetErrorString(status));
    if (status == CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH)
        stop_run("cuDNN does not support this CUDA device", cudnnGetErrorString(status));
    blame_device(statement, file, line);
    stop_programmer(cudnnGetErrorString(status), statement, file, line);
}

_Noreturn void cuda_cublas_failed(cublasStatus_t status, const char *statement, const char *file, int line)
{
    if (status == CUBLAS_STATUS_ALLOC_FAILED) out_of_memory(cublasLtGetStatusString(status));
    if (status == CUBLAS_STATUS_ARCH_MISMATCH)
        stop_run("cuBLAS does not support this CUDA device", cublasLtGetStatusString(status));
    blame_device(statement, file, line);
    stop_programmer(cublasLtGetStatusString(status), statement, file, line);
}
