/* Stands for NVML: one GPU at 0000:0A:00.0, which is 73 percent busy until FAKE_NVML_BROKEN is set. */
#include <stdlib.h>
#include <string.h>

int nvmlInit_v2(void);
int nvmlDeviceGetHandleByPciBusId_v2(const char *pci_bus_id, void **device);
int nvmlDeviceGetUtilizationRates(void *device, unsigned rates[2]);

static int the_device;

int nvmlInit_v2(void)
{
    return 0;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *pci_bus_id, void **device)
{
    *device = &the_device;
    return strcmp(pci_bus_id, "0000:0A:00.0") == 0 ? 0 : 6; /* NVML_ERROR_NOT_FOUND */
}

int nvmlDeviceGetUtilizationRates(void *device, unsigned rates[2])
{
    if (device != &the_device || getenv("FAKE_NVML_BROKEN")) return 999; /* NVML_ERROR_UNKNOWN */
    rates[0] = 73, rates[1] = 21;
    return 0;
}
