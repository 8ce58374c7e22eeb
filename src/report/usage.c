/* Measures how busy the processor and the GPU are (usage.h). */
#include "report/usage.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "util/clock.h"

static const double refresh_seconds = 1;

/* Declarations from nvml.h; their numbers and names are the same since 2012. */
enum { NVML_SUCCESS = 0 };
struct nvml_utilization {
    unsigned gpu, memory; /* percent of the last second or less in which it was in use */
};
typedef int nvml_init(void);
typedef int nvml_find(const char *pci_bus_id, void **device);
typedef int nvml_read(void *device, struct nvml_utilization *utilization);

static double cpu_seconds(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + 1e-9 * (double)used.tv_nsec;
}

/* Finds the GPU in NVML. Without the library or the device there are no figures. */
static void find_gpu(struct usage *usage, const char *pci_bus_id)
{
    usage->library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!usage->library) return;
    nvml_init *init = (nvml_init *)dlsym(usage->library, "nvmlInit_v2");
    nvml_find *find = (nvml_find *)dlsym(usage->library, "nvmlDeviceGetHandleByPciBusId_v2");
    usage->utilization = dlsym(usage->library, "nvmlDeviceGetUtilizationRates");
    if (init && find && usage->utilization && init() == NVML_SUCCESS &&
        find(pci_bus_id, &usage->device) == NVML_SUCCESS)
        return;
    usage_stop(usage);
}

void usage_start(struct usage *usage, const char *pci_bus_id)
{
    *usage = (struct usage){.wall = clock_seconds(), .cpu = cpu_seconds()};
    if (*pci_bus_id) find_gpu(usage, pci_bus_id);
}

void usage_refresh(struct usage *usage)
{
    double wall = clock_seconds();
    if (wall - usage->wall < refresh_seconds) return;
    double cpu = cpu_seconds();
    snprintf(usage->cpu_text, sizeof usage->cpu_text, "CPU %.0f%%", 100 * (cpu - usage->cpu) / (wall - usage->wall));
    usage->wall = wall, usage->cpu = cpu;
    if (!usage->library) return;
    struct nvml_utilization rates;
    if (((nvml_read *)usage->utilization)(usage->device, &rates) == NVML_SUCCESS)
        snprintf(usage->gpu_text, sizeof usage->gpu_text, "GPU %u%%", rates.gpu);
    else
        usage->gpu_text[0] = '\0';
}

void usage_stop(struct usage *usage)
{
    if (usage->library) dlclose(usage->library);
    *usage = (struct usage){0};
}
