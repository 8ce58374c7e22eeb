/* The part of the machine that this process may use. A container, a batch system or `taskset` often gives a process
 * fewer cores and less memory than the machine has. */
#ifndef UTIL_MACHINE_H
#define UTIL_MACHINE_H

#include <stddef.h>
#include <stdint.h>

struct machine {
    /* The number of processors in the affinity mask, or the CPU quota of the control groups where that is smaller; at
     * least 1. A quota that is no whole number is rounded up: with a quota of 1.5, two threads use all of it, because
     * the kernel stops both of them for a quarter of each period, and one thread would leave a third of it unused. */
    int cores;
    /* Bytes. The physical memory, or the smallest limit of the control groups where that is smaller. In version 2
     * memory.high counts as well as memory.max: a process above it gets no more memory at any useful speed. */
    int64_t memory;
    /* The same with the swap space that the process may use: the kernel ends a process that needs more than this. */
    int64_t memory_and_swap;
};

/* Reads the affinity mask and the files below /proc and the control groups' mount points (versions 1 and 2). Every
 * group on the path from the process's own one up to the mount point counts. A file that is absent, unreadable or does
 * not hold a number sets no limit. `root` is put in front of every path that is read: "" for the machine itself, a
 * folder for tests. */
struct machine machine_read(const char *root);

/* The processor's name as the kernel has it, "AMD EPYC 9B14"; "" where it has none. `root` as above. */
void machine_processor_name(const char *root, char *name, size_t size);

#endif
