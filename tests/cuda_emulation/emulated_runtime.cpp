/* The calls of the runtime, with one device: errors, memory, launches. A copy from the host reads its source at once, as
 * CUDA does with memory that is not page-locked. Streams and graphs: emulated_streams.cpp. */
#include "emulation.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

static cudaError_t last_error = cudaSuccess;
static bool lost;

cudaError_t emulation_remember(cudaError_t error)
{
    if (error != cudaSuccess) last_error = error;
    return error;
}

bool emulation_backward()
{
    static const char *order = getenv("CUDA_EMULATION_ORDER");
    static const bool backward = order && strcmp(order, "backward") == 0;
    return backward;
}

int emulation_capability()
{
    static const char *capability = getenv("CUDA_EMULATION_CAPABILITY");
    return capability ? atoi(capability) : 90;
}

void emulation_lose_device()
{
    lost = true;
    last_error = cudaErrorUnknown;
}

bool emulation_is_lost()
{
    return lost;
}

/* --- errors and the device --- */

const char *cudaGetErrorString(cudaError_t error)
{
    return error == cudaSuccess                         ? "no error"
           : error == cudaErrorMemoryAllocation         ? "out of memory"
           : error == cudaErrorStreamCaptureUnsupported ? "operation not permitted when stream is capturing"
                                                        : "an error of the CUDA emulation";
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

bool emulated_fault(const char *part)
{
    const char *broken = getenv("CUDA_EMULATION_FAULT");
    return broken && strcmp(broken, part) == 0;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    const char *driver = getenv("CUDA_EMULATION_DRIVER");
    *version = driver ? atoi(driver) : 13000;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = 13000;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    const char *hidden = getenv("CUDA_EMULATION_HIDDEN"), *devices = getenv("CUDA_EMULATION_DEVICES");
    *count = hidden ? 0 : devices ? atoi(devices) : 1;
    return hidden ? emulation_remember(cudaErrorNoDevice) : cudaSuccess;
}

/* All devices are alike, and their memory is the host's. */
static int chosen_device;

cudaError_t cudaSetDevice(int device)
{
    int count;
    if (cudaError_t error = cudaGetDeviceCount(&count)) return error;
    if (device < 0 || device >= count) return emulation_remember(cudaErrorInvalidDevice);
    chosen_device = device;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *device)
{
    *device = chosen_device;
    return cudaSuccess;
}

/* Few multiprocessors, so that small tensors too are cut into all the forms that there are. */
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device)
{
    if (device != chosen_device) return emulation_remember(cudaErrorInvalidDevice);
    memset(properties, 0, sizeof *properties);
    strcpy(properties->name, "emulated on the CPU");
    properties->totalGlobalMem = (size_t)8 << 30;
    properties->multiProcessorCount = 13;
    properties->major = emulation_capability() / 10, properties->minor = emulation_capability() % 10;
    properties->l2CacheSize = 1 << 20;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device)
{
    struct cudaDeviceProp properties;
    if (cudaError_t error = cudaGetDeviceProperties(&properties, device)) return error;
    *value = attribute == cudaDevAttrComputeCapabilityMajor ? properties.major : properties.l2CacheSize;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char *id, int size, int device)
{
    if (device != chosen_device || size < 13) return emulation_remember(cudaErrorInvalidValue);
    const char *bus = getenv("CUDA_EMULATION_BUS");
    if (bus)
        snprintf(id, (size_t)size, "%s", bus);
    else
        snprintf(id, (size_t)size, "0000:%02x:00.0", device);
    return cudaSuccess;
}

/* --- memory --- */

cudaError_t cudaMemGetInfo(size_t *left, size_t *total)
{
    *left = *total = (size_t)8 << 30;
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **data, size_t bytes)
{
    if (emulation_recording()) return emulation_remember(cudaErrorStreamCaptureUnsupported);
    if (bytes > (size_t)8 << 30 || posix_memalign(data, 256, bytes) != 0)
        return emulation_remember(cudaErrorMemoryAllocation);
    const size_t workspace = (size_t)64 << 20; /* too large to be worth it */
    if (bytes < workspace) memset(*data, 0xff, bytes);
    return cudaSuccess;
}

cudaError_t cudaFree(void *data)
{
    if (cudaError_t error = cudaDeviceSynchronize()) return error;
    emulation_forget_workspace(data);
    free(data);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream)
{
    if (kind == cudaMemcpyDeviceToHost) {
        if (cudaError_t error = emulation_wait(stream)) return error;
        memcpy(to, from, bytes);
    } else if (kind == cudaMemcpyHostToDevice) {
        if (emulation_recording())
            return emulation_remember(cudaErrorStreamCaptureUnsupported); /* its source would be gone */
        std::vector<char> taken((const char *)from, (const char *)from + bytes);
        emulation_enqueue(stream, [=] { memcpy(to, taken.data(), bytes); });
    } else {
        emulation_enqueue(stream, [=] { memcpy(to, from, bytes); });
    }
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *data, int value, size_t bytes, cudaStream_t stream)
{
    emulation_enqueue(stream, [=] { memset(data, value, bytes); });
    return cudaSuccess;
}

/* --- launches --- */

static unsigned cluster_of(const cudaLaunchConfig_t *config)
{
    for (unsigned i = 0; i < config->numAttrs; i++)
        if (config->attrs[i].id == cudaLaunchAttributeClusterDimension) return config->attrs[i].val.clusterDim.x;
    return 1;
}

static unsigned most_cluster()
{
    static const char *most = getenv("CUDA_EMULATION_CLUSTER");
    return most ? (unsigned)atoi(most) : 16;
}

int emulated_active_clusters(const cudaLaunchConfig_t *config)
{
    return cluster_of(config) <= most_cluster();
}

/* False for a launch that a device refuses. */
static bool launchable(const cudaLaunchConfig_t *config, unsigned cluster)
{
    const unsigned most_blocks_yz = 65535, most_threads = 1024;
    dim3 grid = config->gridDim, block = config->blockDim;
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > INT32_MAX) return false;
    if (grid.y > most_blocks_yz || grid.z > most_blocks_yz) return false;
    if (block.x == 0 || block.y == 0 || block.z == 0 || block.x * block.y * block.z > most_threads) return false;
    if (cluster > 1 && emulation_capability() < 90) return false;
    return cluster >= 1 && cluster <= most_cluster() && grid.x % cluster == 0;
}

cudaError_t emulated_launch(const cudaLaunchConfig_t *config, std::function<void()> kernel)
{
    unsigned cluster = cluster_of(config);
    if (!launchable(config, cluster)) return emulation_remember(cudaErrorInvalidValue);
    dim3 blocks = config->gridDim, threads = config->blockDim;
    emulation_enqueue(config->stream, [=] { emulation_run_grid(blocks, threads, cluster, kernel); });
    return cudaSuccess;
}

/* --- numbers --- */

float emulation_bf16_to_float(uint16_t bits)
{
    uint32_t word = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &word, sizeof value);
    return value;
}

uint16_t emulation_bf16_from_float(float value)
{
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    if (value != value) return 0x7fff;
    return (uint16_t)((word + 0x7fff + (word >> 16 & 1)) >> 16);
}

float emulation_to_tf32(float value)
{
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    if (value - value != 0) return value;
    word = (word + 0x0fff + (word >> 13 & 1)) & ~0x1fffu;
    memcpy(&value, &word, sizeof value);
    return value;
}
