/* Creates and destroys the CUDA backend, gives it memory, and puts its tables together. Layout: cuda_backend.h. */
#include "cuda_backend.h"

#include <stdio.h>
#include <stdlib.h>

#include "cuda_create.h"
#include "util/memory.h"

const char *cuda_unavailable(void)
{
    int count = 0;
    cudaError_t error = cudaGetDeviceCount(&count);
    if (error == cudaSuccess && count == 0) error = cudaErrorNoDevice;
    if (error == cudaSuccess) error = cuda_kernels_usable();
    cudaGetLastError(); /* clears the error, which is reported already */
    return error == cudaSuccess ? NULL : cuda_reason(error);
}

bool cuda_computes(enum precision precision, int capability_major)
{
    enum { BF16_SINCE = 8 };
    return precision != PRECISION_BF16 || capability_major >= BF16_SINCE;
}

const char *cuda_precision_missing(enum precision precision)
{
    int device = 0, major = 0;
    CUDA_CHECK(cudaGetDevice(&device));
    CUDA_CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
    if (cuda_computes(precision, major)) return NULL;
    return "bf16 needs a GPU of compute capability 8.0 or higher, and this one's is lower";
}

/* --- memory --- */

void *cuda_alloc(struct cuda_backend *cuda, size_t bytes)
{
    CHECK(!cuda->recording);
    void *data = NULL;
    size_t wanted = bytes ? bytes : 1;
    CUDA_CHECK(cudaMalloc(&data, wanted));
    CUDA_CHECK(cudaMemsetAsync(data, 0, wanted, cuda->lane->stream));
    cuda->base.allocated += (int64_t)wanted;
    return data;
}

void cuda_free(struct cuda_backend *cuda, void *data)
{
    if (!data || cuda->stuck) return;
    CHECK(!cuda->recording);
    CUDA_CHECK(cudaFree(data)); /* waits for the work that still uses it */
    cuda->generation++;         /* a recorded step may have used it */
}

static void *backend_alloc(struct backend *backend, size_t bytes)
{
    return cuda_alloc(cuda_backend_of(backend), bytes);
}

static void backend_free(struct backend *backend, void *data)
{
    cuda_free(cuda_backend_of(backend), data);
}

static void backend_zero(struct backend *backend, void *data, size_t bytes)
{
    CUDA_CHECK(cudaMemsetAsync(data, 0, bytes, cuda_backend_of(backend)->lane->stream));
}

static size_t backend_tensor_count(const struct backend *backend, enum tensor_kind kind, struct shape shape)
{
    (void)backend, (void)kind;
    return (size_t)shape_count(shape);
}

/* --- creation and destruction --- */

static void backend_destroy_cuda(struct backend *backend)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    if (cuda->stuck) return;
    CUDA_CHECK(cudaStreamSynchronize(cuda->lane->stream));
    cuda_graphs_forget(cuda);
    cuda_free(cuda, cuda->state);
    cuda_free(cuda, cuda->stage.pixels);
    cuda_free(cuda, cuda->stage.holes);
    cuda_free(cuda, cuda->norm_sums);
    cuda_lanes_close(cuda);
    CUBLAS_CHECK(cublasLtDestroy(cuda->cublas));
    CUDA_CHECK(cudaEventDestroy(cuda->started));
    CUDA_CHECK(cudaEventDestroy(cuda->stopped));
    free((void *)backend->table);
    free((void *)backend->functions);
    free(cuda);
}

static const char *precision_name(enum precision precision)
{
    static const char *const names[] = {PRECISION_CHOICES(CHOICE_NAME)};
    return names[precision];
}

static void read_device(struct cuda_backend *cuda)
{
    struct cudaDeviceProp device;
    enum { CLUSTERS_SINCE = 9, LARGEST_CLUSTER = 16 }; /* compute capability; blocks */
    int index = 0;
    CUDA_CHECK(cudaGetDevice(&index));
    CUDA_CHECK(cudaGetDeviceProperties(&device, index));
    CUDA_CHECK(cudaDeviceGetPCIBusId(cuda->base.pci_bus_id, sizeof cuda->base.pci_bus_id, index));
    cuda->multiprocessors = device.multiProcessorCount;
    cuda->most_cluster = device.major >= CLUSTERS_SINCE ? LARGEST_CLUSTER : 1;
    size_t left = 0, total = 0;
    CUDA_CHECK(cudaMemGetInfo(&left, &total));
    cuda->base.memory_bytes = (int64_t)left; /* other processes have the rest */
    snprintf(cuda->base.description, sizeof cuda->base.description, "cuda, %.100s (sm_%d%d), %s%s%s", device.name,
             device.major, device.minor, precision_name(cuda->options.precision),
             cuda->options.deterministic ? ", deterministic" : "", cuda->options.eager ? ", not recorded" : "");
    cuda_identity_write(&device, cuda->base.pci_bus_id, cuda->base.identity, sizeof cuda->base.identity);
}

static void make_tables(struct cuda_backend *cuda)
{
    struct backend_table *table = memory_alloc(1, sizeof *table);
    struct op_function *functions = memory_alloc(OP_KIND_COUNT, sizeof *functions);
    *table = (struct backend_table){
        .destroy = backend_destroy_cuda,
        .alloc = backend_alloc,
        .free = backend_free,
        .zero = backend_zero,
        .tensor_count = backend_tensor_count,
    };
    cuda_boundary_install(table);
    cuda_connect_install(table);
    cuda_graph_install(table);
    cuda_lanes_install(table);
    cuda_peak_install(table);
    cuda_rewrite_install(table);
    cuda_data_install(table, functions);
    cuda_conv2d_install(functions);
    cuda_pool_install(functions);
    cuda_batchnorm_install(functions);
    cuda_batchnorm_fold_install(functions);
    cuda_gate_install(functions);
    cuda_activation_install(functions);
    cuda_dropout_install(functions);
    cuda_flatten_install(functions);
    cuda_softmax_install(functions);
    cuda_primitive_install(functions);
    cuda_norm_install(functions);
    cuda_optimizer_install(functions);
    if (cuda->options.cudnn_batchnorm) cudnn_batchnorm_install(functions);
    cuda->base.table = table;
    cuda->base.functions = functions;
}

struct cuda_backend *cuda_backend_begin(const struct backend_options *options, struct status *status)
{
    if (options->precision == PRECISION_FP64) {
        status_fail(status, STATUS_USAGE,
                    "backend.precision: the CUDA backend computes in fp32, tf32 or bf16; fp64 needs "
                    "backend.device = cpu");
        return NULL;
    }
    struct cuda_backend *cuda = memory_alloc(1, sizeof *cuda);
    cuda->options = *options;
    cuda->type = options->precision == PRECISION_BF16 ? CUDA_BF16 : CUDA_FP32;
    make_tables(cuda);
    cuda->base.scalar_size = sizeof(float);
    cuda->base.activation_size = cuda->type == CUDA_BF16 ? 2 : sizeof(float);
    cuda->base.counts_launches = true;
    cuda->base.evaluation_batch = CUDA_EVALUATION_BATCH;
    cuda->workspace_bytes = options->workspace_bytes ? (size_t)options->workspace_bytes : CUDA_WORKSPACE_BYTES;
    return cuda;
}

/* Makes the GPU that the options name the one of this thread. A scheduler may show each rank of a machine its own alone. */
static bool choose_device(int gpu, struct status *status)
{
    int count = 0;
    CUDA_CHECK(cudaGetDeviceCount(&count));
    if (count == 1) gpu = 0;
    if (gpu >= count)
        return status_fail(status, STATUS_USAGE,
                           "backend.device: rank %d of this machine finds %d GPU%s: expected one for each rank", gpu,
                           count, count == 1 ? "" : "s");
    CUDA_CHECK(cudaSetDevice(gpu));
    return true;
}

bool cuda_backend_create(struct backend **backend, const struct backend_options *options, struct status *status)
{
    if (!choose_device(options->gpu, status)) return false;
    const char *missing = cuda_precision_missing(options->precision);
    if (missing) return status_fail(status, STATUS_USAGE, "backend.precision: %s; use fp32", missing);
    struct cuda_backend *cuda = cuda_backend_begin(options, status);
    if (!cuda) return false;
    read_device(cuda);
    cuda_lanes_open(cuda);
    CUDA_CHECK(cudaEventCreate(&cuda->started));
    CUDA_CHECK(cudaEventCreate(&cuda->stopped));
    CUBLAS_CHECK(cublasLtCreate(&cuda->cublas));
    cuda->state = cuda_alloc(cuda, sizeof *cuda->state);
    cuda->norm_sums = cuda_alloc(cuda, CUDA_NORM_BLOCKS * sizeof *cuda->norm_sums);
    *backend = &cuda->base;
    return true;
}
