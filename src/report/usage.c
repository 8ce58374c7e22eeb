/* Measures how busy the processor and the GPU are (usage.h). */
#include "report/usage.h"

#include <stdio.h>
#include <time.h>

#include "util/clock.h"

static const double refresh_seconds = 1;

static double cpu_seconds(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + 1e-9 * (double)used.tv_nsec;
}

/* Finds the GPU in NVML. Without the library or the device there are no figures. */
static void find_gpu(struct usage *usage, const char *pci_bus_id)
{
    if (!nvml_open(&usage->nvml)) return;
    usage->gpu = nvml_gpu_find(&usage->nvml, pci_bus_id);
    if (!usage->gpu) nvml_close(&usage->nvml);
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
    if (!usage->gpu) return;
    int busy = nvml_gpu_busy(&usage->nvml, usage->gpu);
    if (busy >= 0)
        snprintf(usage->gpu_text, sizeof usage->gpu_text, "GPU %d%%", busy);
    else
        usage->gpu_text[0] = '\0';
}

void usage_stop(struct usage *usage)
{
    nvml_close(&usage->nvml);
    *usage = (struct usage){0};
}
