/* Measures the rate of fused multiply-adds (of separate multiplications and additions where the variant has no fused
 * ones) that all threads together reach on registers alone, or with bf16 products from L1. The rate of a kernel is
 * judged by it. This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/conv/cpu_bf16.h"
#include "backend/cpu/cpu_install.h"

#include <stdlib.h>

#include "util/clock.h"
#include "util/memory.h"

enum {
    CHAINS = CPU_VEC_BYTES == 64 ? 24 : 12, /* independent sums: enough to hide the latency, few enough for registers */
    ROUNDS = 1 << 20,
    REPEATS = 5,
};

struct peak_task {
    struct backend *backend;
    vec result; /* keeps the compiler from dropping the sums */
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

#if defined(CPU_SCALAR_f32)

enum { BF16_STEPS = 64, BF16_ROUNDS = 1 << 12, BF16_FLOP = 2 * 2 * BF16_STEPS * 2 * CPU_BF16_WORDS * 32 };

/* Computes four tiles of C from tiles of A and B that stay in L1. */
static void run_bf16(void *argument, int64_t first, int64_t last)
{
    const struct peak_task *tasks = argument;
    const struct cpu_bf16_engine *engine = cpu_backend_of(tasks->backend)->bf16;
    static const uint32_t operands[2 * CPU_BF16_WORDS] __attribute__((aligned(64)));
    float c[4 * CPU_BF16_WORDS] __attribute__((aligned(64))) = {0};
    struct cpu_bf16_step steps[BF16_STEPS];
    for (int s = 0; s < BF16_STEPS; s++) steps[s] = (struct cpu_bf16_step){operands, operands};
    struct cpu_bf16_block block = {.steps = steps, .step_count = BF16_STEPS, .rows = 2, .columns = 2};
    block.a_second = block.b_second = CPU_BF16_WORDS;
    for (int tile = 0; tile < 4; tile++) block.c[tile / 2][tile % 2] = c + tile * CPU_BF16_WORDS;
    engine->begin();
    for (int64_t i = first * BF16_ROUNDS; i < last * BF16_ROUNDS; i++) engine->multiply(&block);
    engine->end();
}

#endif

double CPU_EXPORT(cpu_measure_peak)(struct backend *backend)
{
    struct cpu_threads *threads = cpu_backend_of(backend)->threads;
    int count = cpu_threads_count(threads);
    struct peak_task *tasks = memory_alloc_aligned((size_t)count * sizeof *tasks);
    for (int i = 0; i < count; i++) tasks[i].backend = backend;
    void (*body)(void *, int64_t, int64_t) = run_chains;
    double flop = 2.0 * CHAINS * CPU_LANES * ROUNDS, best = 0;
#if defined(CPU_SCALAR_f32)
    if (cpu_backend_of(backend)->bf16) body = run_bf16, flop = (double)BF16_FLOP * BF16_ROUNDS;
#endif
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double start = clock_seconds();
        cpu_threads_for(threads, count, 1, body, tasks);
        double rate = flop * count / (clock_seconds() - start);
        if (rate > best) best = rate;
    }
    free(tasks);
    return best;
}
