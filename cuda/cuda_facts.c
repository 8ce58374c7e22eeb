/* Tells the versions of the CUDA libraries (backend.h: struct backend_cuda), and what a device is known by. */
#include <stdio.h>

#include "cuda_check.h"
#include "cuda_create.h"

struct backend_cuda cuda_facts(void)
{
    struct backend_cuda facts = {.built = true, .unavailable = cuda_unavailable()};
    if (cudaRuntimeGetVersion(&facts.runtime) != cudaSuccess) facts.runtime = 0;
    facts.cudnn = cudnnGetVersion();
    facts.cublas = cublasLtGetVersion();
    return facts;
}

void cuda_identity_write(const struct cudaDeviceProp *device, const char *pci_bus_id, char *text, size_t size)
{
    int driver = 0;
    struct backend_cuda facts = cuda_facts();
    CUDA_CHECK(cudaDriverGetVersion(&driver));
    snprintf(text, size, "%.200s sm_%d%d at %s, driver for %d, CUDA %d, cuDNN %zu, cuBLASLt %zu", device->name,
             device->major, device->minor, pci_bus_id, driver, facts.runtime, facts.cudnn, facts.cublas);
}
