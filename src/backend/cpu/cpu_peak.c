/* The rate of fused multiply-adds (of separate multiplications and additions where the variant has no fused ones) that
 * all threads together reach on registers alone: what the kernels are measured by. */
#include "backend/cpu/cpu_install.h"

#include <stdlib.h>

#include "trainer/memory.h"
#include "util/clock.h"

enum {
    CHAINS = CPU_VEC_BYTES == 64 ? 24 : 12, /* independent sums: enough to hide the latency, few enough for registers */
    ROUNDS = 1 << 20,
    REPEATS = 5,
};

struct peak_task {
    vec result; /* something must be done with the sums, or the compiler drops them */
};

static void run_chains(void *argument, int64_t first, int64_t last)
{
    struct peak_task *tasks = argument;
    for (int64_t i = first; i < last; i++) {
        vec sums[CHAINS], factor = vec_set((real)0.999), term = vec_set((real)0.001);
        CPU_UNROLL
        for (int k = 0; k < CHAINS; k++) sums[k] = vec_set((real)k);
        for (int round = 0; round < ROUNDS; round++) {
            CPU_UNROLL
            for (int k = 0; k < CHAINS; k++) sums[k] = sums[k] * factor + term;
        }
        vec total = {0};
        CPU_UNROLL
        for (int k = 0; k < CHAINS; k++) total += sums[k];
        tasks[i].result = total;
    }
}

static double cpu_measure_peak(struct backend *backend)
{
    struct cpu_threads *threads = cpu_backend_of(backend)->threads;
    int count = cpu_threads_count(threads);
    struct peak_task *tasks = memory_alloc_aligned((size_t)count * sizeof *tasks);
    double best = 0;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double start = clock_seconds();
        cpu_threads_for(threads, count, 1, run_chains, tasks);
        double rate = 2.0 * CHAINS * CPU_LANES * ROUNDS * count / (clock_seconds() - start);
        if (rate > best) best = rate;
    }
    free(tasks);
    return best;
}

void CPU_EXPORT(cpu_peak_install)(struct backend_ops *ops)
{
    ops->measure_peak = cpu_measure_peak;
}
