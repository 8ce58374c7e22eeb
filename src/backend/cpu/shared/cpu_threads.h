/* A fixed team of threads that share the iterations of a loop. The caller is one of them. */
#ifndef CPU_THREADS_H
#define CPU_THREADS_H

#include <stddef.h>
#include <stdint.h>

#include "util/status.h"

struct cpu_threads;

enum { CPU_THREADS_MAX = 1024 };

/* Makes a team. threads >= 1, of which 1 is the caller; cores >= 1, as many as the process may use. At most that many
 * threads work on a loop at a time. Returns NULL, with the reason in `status`, where the system gives no more
 * threads. */
struct cpu_threads *cpu_threads_create(int threads, int cores, struct status *status);
void cpu_threads_destroy(struct cpu_threads *team); /* NULL is allowed */
int cpu_threads_count(const struct cpu_threads *team);

/* Threads that work on a loop at a time: the count, or the number of cores where that is smaller. Loops are cut for
 * these; every thread has memory of its own. */
int cpu_threads_width(const struct cpu_threads *team);

/* "2 threads", or "8 threads on 2 cores" where there are more threads than cores. 64 bytes are enough. */
void cpu_threads_describe(const struct cpu_threads *team, char *text, size_t size);

/* Within a body, the thread's number in its team, 0..count-1: it names memory of the thread's own. */
int cpu_threads_current(void);

/* Calls body(argument, first, last) for consecutive ranges [first, last) that together cover 0..count-1, each of up to
 * `grain` iterations; returns when all are done. Each thread begins with a share of its own, the same in every loop of
 * that count and grain, and then helps the others. An iteration must compute its results alone, so that they do not
 * depend on the number of threads. */
void cpu_threads_for(struct cpu_threads *team, int64_t count, int64_t grain,
                     void (*body)(void *argument, int64_t first, int64_t last), void *argument);

#endif
