/* NVML, the library of NVIDIA's driver, which tells about GPUs without using one. The program looks for it when it runs, so
 * that it starts without a driver. */
#ifndef UTIL_NVML_H
#define UTIL_NVML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nvml {
    void *library; /* NULL: there is none */
};

/* Loads the library and starts it. False, with nothing to close, where there is no driver or none that answers. */
bool nvml_open(struct nvml *nvml);
void nvml_close(struct nvml *nvml);

/* The driver's version, "580.82.07"; "" where it is not known. */
void nvml_driver_version(const struct nvml *nvml, char *text, size_t size);

/* A GPU of the machine; what is not known is "" or 0. */
struct nvml_gpu {
    char name[96];
    int64_t memory_bytes;
    int major, minor; /* its compute capability */
};

int nvml_gpu_count(const struct nvml *nvml);
struct nvml_gpu nvml_gpu_read(const struct nvml *nvml, int index);

/* The GPU at an address of the bus, "0000:0A:00.0"; NULL: the library does not know it. */
void *nvml_gpu_find(const struct nvml *nvml, const char *pci_bus_id);

/* Percent of the last second or less in which that GPU was in use; -1: not known. */
int nvml_gpu_busy(const struct nvml *nvml, void *gpu);

#endif
