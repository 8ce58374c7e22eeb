/* Helpers of the tests (support.h). The definition below is for nftw. */
#define _XOPEN_SOURCE 700
#include "support.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/reference/reference.h"
#include "self_test/op_run.h"
#include "util/check.h"
#include "util/memory.h"
#include "util/rng.h"

#define CPU_VARIANT(scalar, isa, precision, isa_value, roundoff)                                                       \
    {                                                                                                                  \
        "cpu " scalar " " isa, DEVICE_CPU, precision, isa_value, roundoff, true, WINOGRAD_OFF                          \
    }

/* The sums of products of Winograd's method round about ten times as much: Lavin and Gray, section 6.3. The roundings of
 * bf16's operands grow 2.6 times (cpu_winograd_bf16.c). */
#define WINOGRAD_VARIANT(scalar, isa, precision, isa_value, roundoff)                                                  \
    {                                                                                                                  \
        "cpu " scalar " " isa " winograd", DEVICE_CPU, precision, isa_value, roundoff, true, WINOGRAD_ON               \
    }

#define CUDA_VARIANT(name, precision, roundoff)                                                                        \
    {                                                                                                                  \
        "cuda " name, DEVICE_CUDA, precision, CPU_ISA_AUTO, roundoff, false, WINOGRAD_AUTO                             \
    }

static const struct variant variants[] = {
    CPU_VARIANT("fp64", "portable", PRECISION_FP64, CPU_ISA_PORTABLE, 0x1p-53),
    CPU_VARIANT("fp64", "avx2", PRECISION_FP64, CPU_ISA_AVX2, 0x1p-53),
    CPU_VARIANT("fp64", "avx512", PRECISION_FP64, CPU_ISA_AVX512, 0x1p-53),
    CPU_VARIANT("fp32", "portable", PRECISION_FP32, CPU_ISA_PORTABLE, 0x1p-24),
    CPU_VARIANT("fp32", "avx2", PRECISION_FP32, CPU_ISA_AVX2, 0x1p-24),
    CPU_VARIANT("fp32", "avx512", PRECISION_FP32, CPU_ISA_AVX512, 0x1p-24),
    WINOGRAD_VARIANT("fp64", "portable", PRECISION_FP64, CPU_ISA_PORTABLE, 16 * 0x1p-53),
    WINOGRAD_VARIANT("fp64", "avx512", PRECISION_FP64, CPU_ISA_AVX512, 16 * 0x1p-53),
    WINOGRAD_VARIANT("fp32", "portable", PRECISION_FP32, CPU_ISA_PORTABLE, 16 * 0x1p-24),
    WINOGRAD_VARIANT("fp32", "avx2", PRECISION_FP32, CPU_ISA_AVX2, 16 * 0x1p-24),
    WINOGRAD_VARIANT("fp32", "avx512", PRECISION_FP32, CPU_ISA_AVX512, 16 * 0x1p-24),
    CPU_VARIANT("bf16", "portable", PRECISION_BF16, CPU_ISA_PORTABLE, 0x1p-8), /* operands: 7 bits behind the point */
    CPU_VARIANT("bf16", "avx2", PRECISION_BF16, CPU_ISA_AVX2, 0x1p-8),
    CPU_VARIANT("bf16", "avx512", PRECISION_BF16, CPU_ISA_AVX512, 0x1p-8),
    CPU_VARIANT("bf16", "amx", PRECISION_BF16, CPU_ISA_AMX, 0x1p-8),
    WINOGRAD_VARIANT("bf16", "portable", PRECISION_BF16, CPU_ISA_PORTABLE, 4 * 0x1p-8),
    WINOGRAD_VARIANT("bf16", "avx2", PRECISION_BF16, CPU_ISA_AVX2, 4 * 0x1p-8),
    WINOGRAD_VARIANT("bf16", "avx512", PRECISION_BF16, CPU_ISA_AVX512, 4 * 0x1p-8),
    CUDA_VARIANT("fp32", PRECISION_FP32, 0x1p-24),
    CUDA_VARIANT("tf32", PRECISION_TF32, 0x1p-11), /* operands of products have 10 bits behind the point */
    CUDA_VARIANT("bf16", PRECISION_BF16, 0x1p-8),  /* activations and filters have 7 */
};

const struct variant *variant_list(int *count)
{
    *count = sizeof variants / sizeof variants[0];
    return variants;
}

struct backend *variant_create(const struct variant *variant, int threads)
{
    /* Two plans of one shape must take one algorithm, whichever was faster when it was tried. */
    struct backend_options options = {.device = variant->device,
                                      .precision = variant->precision,
                                      .cpu_isa = variant->cpu_isa,
                                      .winograd = variant->winograd,
                                      .threads = threads,
                                      .deterministic = true};
    struct backend *backend;
    struct status status = {0};
    return backend_create(&backend, &options, &status) ? backend : NULL;
}

struct backend *reference_create(void)
{
    const struct backend_options options = {.precision = PRECISION_FP64};
    struct backend *backend;
    struct status status = {0};
    CHECK(reference_backend_create(&backend, &options, &status));
    return backend;
}

const struct variant reference_variant = {
    .name = "reference", .precision = PRECISION_FP64, .roundoff = 0x1p-53, .host_memory = true};

void support_round(const struct variant *variant, double *values, int64_t count)
{
    if (variant->precision != PRECISION_BF16 || variant->host_memory) return; /* only CUDA stores bf16 */
    support_round_bf16(values, count);
}

void support_gather(struct backend *backend, const struct device_dataset *dataset, const struct augment_params *augment,
                    struct step_state state, const struct tensor *x, int32_t *labels)
{
    struct tensor labels_of_x = {labels, {x->shape.n, 1, 1, 1}, TENSOR_LABELS};
    struct op op = op_make(OP_GATHER);
    if (augment) op.gather = (struct gather_params){.augmented = true, .augment = *augment};
    backend_run_op(backend, op, (struct run_input){.state = state, .data = dataset},
                   OPERANDS([GATHER_X] = x, [GATHER_LABELS] = &labels_of_x));
}

double support_relative_error(const double *values, const double *references, int64_t count)
{
    double differences = 0, squares = 0;
    for (int64_t i = 0; i < count; i++) {
        differences += (values[i] - references[i]) * (values[i] - references[i]);
        squares += references[i] * references[i];
    }
    return sqrt(differences / squares);
}

char *support_folder(void)
{
    const char *parent = getenv("TMPDIR");
    char *folder = memory_format("%s/trainer-test-XXXXXX", parent && *parent ? parent : "/tmp");
    CHECK(mkdtemp(folder) != NULL);
    return folder;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info, (void)type, (void)walk;
    return remove(path);
}

void support_folder_remove(char *folder)
{
    CHECK(nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0);
    free(folder);
}

char *support_path(const char *folder, const char *name)
{
    return memory_format("%s/%s", folder, name);
}

char *support_file_read(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    size_t used = 0, space = 4096, got;
    char *bytes = memory_alloc(space, 1);
    while ((got = fread(bytes + used, 1, space - used - 1, file)) > 0) {
        used += got;
        if (space - used < 2) bytes = memory_resize(bytes, space *= 2, 1);
    }
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed) {
        free(bytes);
        return NULL;
    }
    bytes[used] = '\0';
    if (size) *size = used;
    return bytes;
}

void support_file_write(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL);
    CHECK(fwrite(bytes, 1, size, file) == size);
    CHECK(fclose(file) == 0);
}
