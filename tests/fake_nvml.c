/* Stands for NVML: a driver and one GPU at 0000:0A:00.0, which is 73 percent busy until FAKE_NVML_BROKEN is set. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int nvmlInit_v2(void);
int nvmlSystemGetDriverVersion(char *version, unsigned size);
int nvmlDeviceGetCount_v2(unsigned *count);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device);
int nvmlDeviceGetHandleByPciBusId_v2(const char *pci_bus_id, void **device);
int nvmlDeviceGetName(void *device, char *name, unsigned size);
int nvmlDeviceGetMemoryInfo(void *device, unsigned long long memory[3]);
int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor);
int nvmlDeviceGetUtilizationRates(void *device, unsigned rates[2]);

enum { NOT_FOUND = 6, UNKNOWN = 999 }; /* NVML's numbers */

static int the_device;

static int fill(char *text, unsigned size, const char *with)
{
    snprintf(text, size, "%s", with);
    return 0;
}

int nvmlInit_v2(void)
{
    return 0;
}

int nvmlSystemGetDriverVersion(char *version, unsigned size)
{
    return fill(version, size, "580.82.07");
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = 1;
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    *device = &the_device;
    return index == 0 ? 0 : NOT_FOUND;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *pci_bus_id, void **device)
{
    *device = &the_device;
    return strcmp(pci_bus_id, "0000:0A:00.0") == 0 ? 0 : NOT_FOUND;
}

int nvmlDeviceGetName(void *device, char *name, unsigned size)
{
    return device == &the_device ? fill(name, size, "NVIDIA Stand-In") : NOT_FOUND;
}

int nvmlDeviceGetMemoryInfo(void *device, unsigned long long memory[3])
{
    memory[0] = 24ull << 30, memory[1] = 23ull << 30, memory[2] = 1ull << 30;
    return device == &the_device ? 0 : NOT_FOUND;
}

int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor)
{
    *major = 9, *minor = 0;
    return device == &the_device ? 0 : NOT_FOUND;
}

int nvmlDeviceGetUtilizationRates(void *device, unsigned rates[2])
{
    if (device != &the_device || getenv("FAKE_NVML_BROKEN")) return UNKNOWN;
    rates[0] = 73, rates[1] = 21;
    return 0;
}
