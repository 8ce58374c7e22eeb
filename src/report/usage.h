/* Measures how busy the processor and the GPU are, for a line that people watch. The GPU's figures come from NVML
 * (util/nvml.h). */
#ifndef USAGE_H
#define USAGE_H

#include "util/nvml.h"

enum { USAGE_TEXT_SIZE = 32 };

struct usage {
    double wall, cpu; /* seconds of wall clock and processor time at the last look */
    struct nvml nvml;
    void *gpu; /* NVML's handle of the GPU that computes; NULL: none */
    /* "CPU 187%": this process's use in percent of one core; "" where unknown. */
    char cpu_text[USAGE_TEXT_SIZE], gpu_text[USAGE_TEXT_SIZE];
};

/* Starts the measurement. pci_bus_id names the GPU that computes ("0000:0A:00.0"), or is "" where none does. */
void usage_start(struct usage *usage, const char *pci_bus_id);

/* Brings the texts up to date, at most once per second, because shorter spans say little. */
void usage_refresh(struct usage *usage);

void usage_stop(struct usage *usage);

#endif
