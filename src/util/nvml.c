/* Calls NVML (nvml.h). The declarations are those of NVIDIA's nvml.h; their names and numbers do not change. */
#include "util/nvml.h"

#include <dlfcn.h>
#include <stdio.h>

enum { NVML_SUCCESS = 0 };

struct utilization {
    unsigned gpu, memory; /* percent */
};
struct memory {
    unsigned long long total, free, used;
};

typedef int init_function(void);
typedef int driver_function(char *version, unsigned size);
typedef int count_function(unsigned *count);
typedef int index_function(unsigned index, void **gpu);
typedef int bus_function(const char *pci_bus_id, void **gpu);
typedef int name_function(void *gpu, char *name, unsigned size);
typedef int memory_function(void *gpu, struct memory *memory);
typedef int capability_function(void *gpu, int *major, int *minor);
typedef int utilization_function(void *gpu, struct utilization *utilization);

/* A function of the library by its name, or NULL where this version lacks it. */
#define FUNCTION(type, name) ((type *)dlsym(nvml->library, name))

bool nvml_open(struct nvml *nvml)
{
    nvml->library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!nvml->library) return false;
    init_function *init = FUNCTION(init_function, "nvmlInit_v2");
    if (init && init() == NVML_SUCCESS) return true;
    nvml_close(nvml);
    return false;
}

void nvml_close(struct nvml *nvml)
{
    if (nvml->library) dlclose(nvml->library);
    nvml->library = NULL;
}

void nvml_driver_version(const struct nvml *nvml, char *text, size_t size)
{
    driver_function *read = FUNCTION(driver_function, "nvmlSystemGetDriverVersion");
    if (!read || read(text, (unsigned)size) != NVML_SUCCESS) *text = '\0';
}

int nvml_gpu_count(const struct nvml *nvml)
{
    unsigned count = 0;
    count_function *read = FUNCTION(count_function, "nvmlDeviceGetCount_v2");
    return read && read(&count) == NVML_SUCCESS ? (int)count : 0;
}

struct nvml_gpu nvml_gpu_read(const struct nvml *nvml, int index)
{
    struct nvml_gpu found = {.name = ""};
    void *gpu = NULL;
    struct memory memory = {0};
    index_function *find = FUNCTION(index_function, "nvmlDeviceGetHandleByIndex_v2");
    if (!find || find((unsigned)index, &gpu) != NVML_SUCCESS) return found;
    name_function *name = FUNCTION(name_function, "nvmlDeviceGetName");
    memory_function *size = FUNCTION(memory_function, "nvmlDeviceGetMemoryInfo");
    capability_function *capability = FUNCTION(capability_function, "nvmlDeviceGetCudaComputeCapability");
    if (!name || name(gpu, found.name, sizeof found.name) != NVML_SUCCESS) found.name[0] = '\0';
    if (size && size(gpu, &memory) == NVML_SUCCESS) found.memory_bytes = (int64_t)memory.total;
    if (!capability || capability(gpu, &found.major, &found.minor) != NVML_SUCCESS) found.major = found.minor = 0;
    return found;
}

void *nvml_gpu_find(const struct nvml *nvml, const char *pci_bus_id)
{
    void *gpu = NULL;
    bus_function *find = FUNCTION(bus_function, "nvmlDeviceGetHandleByPciBusId_v2");
    return find && find(pci_bus_id, &gpu) == NVML_SUCCESS ? gpu : NULL;
}

int nvml_gpu_busy(const struct nvml *nvml, void *gpu)
{
    struct utilization rates;
    utilization_function *read = FUNCTION(utilization_function, "nvmlDeviceGetUtilizationRates");
    return read && read(gpu, &rates) == NVML_SUCCESS ? (int)rates.gpu : -1;
}
