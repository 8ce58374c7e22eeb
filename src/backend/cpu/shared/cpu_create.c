#include "cpu_create.h"
#include "cpu_threads.h"

#include <stdio.h>
#include <unistd.h>

/* The threads become the backend's. */
typedef struct backend *create_function(struct cpu_threads *threads, enum winograd winograd);

create_function cpu_backend_create_f32_portable, cpu_backend_create_f64_portable;
#ifdef TRAINER_X86
create_function cpu_backend_create_f32_avx2, cpu_backend_create_f64_avx2;
create_function cpu_backend_create_f32_avx512, cpu_backend_create_f64_avx512;
#endif

struct variant {
    enum cpu_isa isa;
    const char *name;
    create_function *create_f32, *create_f64;
};

/* Fastest first. */
static const struct variant variants[] = {
#ifdef TRAINER_X86
    {CPU_ISA_AVX512, "avx512", cpu_backend_create_f32_avx512, cpu_backend_create_f64_avx512},
    {CPU_ISA_AVX2, "avx2", cpu_backend_create_f32_avx2, cpu_backend_create_f64_avx2},
#endif
    {CPU_ISA_PORTABLE, "portable", cpu_backend_create_f32_portable, cpu_backend_create_f64_portable},
};

enum { VARIANT_COUNT = sizeof variants / sizeof *variants };

static bool machine_has(enum cpu_isa isa)
{
#ifdef TRAINER_X86
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (isa == CPU_ISA_AVX2) return avx2;
    if (isa == CPU_ISA_AVX512)
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
    return isa == CPU_ISA_PORTABLE;
}

static const struct variant *find_variant(enum cpu_isa isa)
{
    for (int i = 0; i < VARIANT_COUNT; i++)
        if ((isa == CPU_ISA_AUTO || isa == variants[i].isa) && machine_has(variants[i].isa)) return &variants[i];
    return NULL;
}

static const char *isa_name(enum cpu_isa isa)
{
    switch (isa) {
    case CPU_ISA_AVX512:
        return "avx512";
    case CPU_ISA_AVX2:
        return "avx2";
    case CPU_ISA_PORTABLE:
        return "portable";
    case CPU_ISA_AUTO:
        break;
    }
    return "auto";
}

static int core_count(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > 1024 ? 1024 : (int)cores;
}

static int64_t physical_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && page_bytes > 0 ? (int64_t)pages * page_bytes : INT64_MAX;
}

bool cpu_backend_create(struct backend **backend, const struct backend_options *options, struct status *status)
{
    if (options->precision != PRECISION_FP32 && options->precision != PRECISION_FP64)
        return status_fail(status, STATUS_USAGE, "backend.precision: the CPU backend computes in fp32 or fp64");
    if (options->threads < 0 || options->threads > 1024)
        return status_fail(status, STATUS_USAGE, "backend.threads: expected 0 (one per core) to 1024, found %d",
                           options->threads);
    const struct variant *variant = find_variant(options->cpu_isa);
    if (!variant)
        return status_fail(status, STATUS_USAGE, "backend.cpu_isa: this machine or build does not have %s; use auto",
                           isa_name(options->cpu_isa));
    bool fp64 = options->precision == PRECISION_FP64;
    int threads = options->threads ? options->threads : core_count();
    struct cpu_threads *team = cpu_threads_create(threads, status);
    if (!team) return false;
    *backend = (fp64 ? variant->create_f64 : variant->create_f32)(team, options->winograd);
    (*backend)->memory_bytes = physical_memory();
    snprintf((*backend)->description, sizeof(*backend)->description, "cpu, %d thread%s, %s, %s", threads,
             threads == 1 ? "" : "s", variant->name, fp64 ? "fp64" : "fp32");
    return true;
}
