/* Chooses the variant of the CPU backend by precision and instruction set, and creates it. */
#include "cpu_create.h"
#include "cpu_threads.h"

#include "util/machine.h"

#if defined(TRAINER_X86)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* The backend takes ownership of the threads. */
typedef struct backend *create_function(struct cpu_threads *threads, const struct backend_options *options);

create_function cpu_backend_create_f32_portable, cpu_backend_create_f64_portable;
#ifdef TRAINER_X86
create_function cpu_backend_create_f32_avx2, cpu_backend_create_f64_avx2;
create_function cpu_backend_create_f32_avx512, cpu_backend_create_f64_avx512;
#endif

struct variant {
    enum cpu_isa isa;
    create_function *create_f32, *create_f64;
};

/* The variants, the fastest first. */
static const struct variant variants[] = {
#ifdef TRAINER_X86
    {CPU_ISA_AMX, cpu_backend_create_f32_avx512, NULL},
    {CPU_ISA_AVX512, cpu_backend_create_f32_avx512, cpu_backend_create_f64_avx512},
    {CPU_ISA_AVX2, cpu_backend_create_f32_avx2, cpu_backend_create_f64_avx2},
#endif
    {CPU_ISA_PORTABLE, cpu_backend_create_f32_portable, cpu_backend_create_f64_portable},
};

enum { VARIANT_COUNT = sizeof variants / sizeof *variants };

/* Linux gives a process the tiles' registers when it asks for them (Documentation/arch/x86/xstate.rst). */
#if defined(TRAINER_X86) && defined(__linux__)
static bool amx_allowed(void)
{
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18, AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24, AMX_INT8 = 1 << 25 };
    unsigned a, b, c, features;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &features)) return false;
    const unsigned wanted = AMX_BF16 | AMX_TILE | AMX_INT8;
    if ((features & wanted) != wanted) return false;
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}
#elif defined(TRAINER_X86)
static bool amx_allowed(void)
{
    return false;
}
#endif

bool cpu_isa_usable(enum cpu_isa isa)
{
#ifdef TRAINER_X86
    if (isa == CPU_ISA_AMX) return cpu_isa_usable(CPU_ISA_AVX512) && amx_allowed();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (isa == CPU_ISA_AVX2) return avx2;
    if (isa == CPU_ISA_AVX512)
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
    return isa == CPU_ISA_PORTABLE;
}

static const struct variant *find_variant(enum cpu_isa isa, enum precision precision)
{
    for (int i = 0; i < VARIANT_COUNT; i++) {
        bool useful = isa == variants[i].isa ||
                      (isa == CPU_ISA_AUTO && (variants[i].isa != CPU_ISA_AMX || precision != PRECISION_FP64));
        if (useful && cpu_isa_usable(variants[i].isa)) return &variants[i];
    }
    return NULL;
}

const char *cpu_isa_name(enum cpu_isa isa)
{
    static const char *const names[] = {CPU_ISA_CHOICES(CHOICE_NAME)};
    return names[isa];
}

bool cpu_backend_create(struct backend **backend, const struct backend_options *options, struct status *status)
{
    if (options->precision == PRECISION_TF32)
        return status_fail(status, STATUS_USAGE, "backend.precision: the CPU backend computes in fp32, bf16 or fp64");
    if (options->cpu_isa == CPU_ISA_AMX && options->precision == PRECISION_FP64)
        return status_fail(status, STATUS_USAGE, "backend.cpu_isa: amx is of no use to fp64; use auto");
    if (options->threads < 0 || options->threads > CPU_THREADS_MAX)
        return status_fail(status, STATUS_USAGE, "backend.threads: expected 0 (one per core) to %d, found %d",
                           CPU_THREADS_MAX, options->threads);
    const struct variant *variant = find_variant(options->cpu_isa, options->precision);
    if (!variant)
        return status_fail(status, STATUS_USAGE, "backend.cpu_isa: this machine or build does not have %s; use auto",
                           cpu_isa_name(options->cpu_isa));
    struct machine machine = machine_read("");
    int cores = machine.cores < CPU_THREADS_MAX ? machine.cores : CPU_THREADS_MAX;
    struct backend_options chosen = *options;
    chosen.threads = options->threads ? options->threads : cores;
    chosen.cpu_isa = variant->isa;
    struct cpu_threads *team = cpu_threads_create(chosen.threads, cores, status);
    if (!team) return false;
    *backend = (options->precision == PRECISION_FP64 ? variant->create_f64 : variant->create_f32)(team, &chosen);
    (*backend)->memory_bytes = machine.memory;
    return true;
}
