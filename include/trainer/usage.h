/* How busy the processor and the GPU are, for a line that people watch. The GPU's figures come from NVML, the library
 * of NVIDIA's driver, which is looked for when the program runs. */
#ifndef TRAINER_USAGE_H
#define TRAINER_USAGE_H

#include <stdbool.h>

enum { USAGE_TEXT_SIZE = 32 };

struct usage {
    double wall, cpu;  /* seconds of either clock when last looked at */
    void *library;     /* NVML's handle; NULL: none */
    void *device;      /* as NVML calls it */
    void *utilization; /* its function */
    char cpu_text[USAGE_TEXT_SIZE],
        gpu_text[USAGE_TEXT_SIZE]; /* "CPU 187%": of one core, by this process; "" where unknown */
};

/* pci_bus_id: of the GPU that computes ("0000:0A:00.0"), or "" where none does. */
void usage_start(struct usage *usage, const char *pci_bus_id);

/* Brings the texts up to date, at most once per second: shorter spans say little. */
void usage_refresh(struct usage *usage);

void usage_stop(struct usage *usage);

#endif
