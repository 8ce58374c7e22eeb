/* The CPU backend's memory and boundary; its tables are put together here. This file is compiled
 * once per variant (cpu_variant.h). */
#include "backend/cpu/cpu_install.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/cpu/conv/cpu_bf16.h"
#include "backend/cpu/conv/cpu_bytes.h"
#include "backend/cpu/conv/cpu_linear_pixels.h"
#include "backend/cpu/conv/cpu_winograd.h"
#include "backend/cpu/shared/cpu_create.h"
#include "backend/cpu/shared/cpu_rewrite.h"
#include "util/memory.h"

static void cpu_destroy(struct backend *backend)
{
    struct cpu_backend *cpu = cpu_backend_of(backend);
    CPU_EXPORT(cpu_winograd_release)(backend);
    free(cpu->moves);
    free(cpu->staged);
    free(cpu->mixed);
    free(cpu->holes);
    cpu_threads_destroy(cpu->threads);
    free(cpu->scratch);
    free((void *)backend->functions);
    free(cpu);
}

static void *cpu_alloc(struct backend *backend, size_t bytes)
{
    void *data = memory_alloc_aligned(bytes);
    backend->allocated += (int64_t)malloc_usable_size(data);
    return data;
}

static void cpu_free(struct backend *backend, void *data)
{
    backend->allocated -= (int64_t)malloc_usable_size(data); /* 0 for NULL */
    free(data);
}

void CPU_EXPORT(cpu_scratch_reserve)(struct backend *backend, size_t bytes)
{
    struct cpu_backend *cpu = cpu_backend_of(backend);
    if (bytes <= cpu->scratch_bytes) return;
    backend->table->free(backend, cpu->scratch);
    cpu->scratch = backend->table->alloc(backend, bytes);
    cpu->scratch_bytes = bytes;
}

static void cpu_zero(struct backend *backend, void *data, size_t bytes)
{
    (void)backend;
    memset(data, 0, bytes);
}

static size_t cpu_tensor_count(const struct backend *backend, enum tensor_kind kind, struct shape shape)
{
    (void)backend;
    if (kind == TENSOR_PIXELS) {
        int64_t bytes = cpu_pixels_steps(shape.c) * cpu_pixels_rows(shape.n) * CPU_PIXELS_STEP;
        return (sizeof(struct cpu_pixels) + (size_t)bytes) / sizeof(real);
    }
    if (kind == TENSOR_FLAT) return (size_t)shape.c;
    int64_t rows = kind == TENSOR_FILTER ? cpu_blocks(shape.n) * CPU_BLOCK : shape.n;
    return (size_t)(rows * cpu_blocks(shape.c) * CPU_BLOCK * shape.h * shape.w);
}

/* The place of element (n,c,h,w), or (o,i,h,w) of a filter, in scalars from the start. */
static int64_t element_offset(const struct tensor *tensor, int64_t n, int64_t c, int64_t h, int64_t w)
{
    struct shape s = tensor->shape;
    if (tensor->kind != TENSOR_FILTER)
        return (((c / CPU_BLOCK * s.h + h) * s.w + w) * s.n + n) * CPU_BLOCK + c % CPU_BLOCK;
    int64_t block = ((n / CPU_BLOCK * cpu_blocks(s.c) + c / CPU_BLOCK) * s.h + h) * s.w + w;
    return (block * CPU_BLOCK + c % CPU_BLOCK) * CPU_BLOCK + n % CPU_BLOCK;
}

static void write_blocks(struct backend *backend, const struct tensor *to, const double *from)
{
    struct shape s = to->shape;
    real *data = to->data;
    memset(data, 0, tensor_bytes(backend, to->kind, s));
    for (int64_t n = 0; n < s.n; n++)
        for (int64_t c = 0; c < s.c; c++)
            for (int64_t h = 0; h < s.h; h++)
                for (int64_t w = 0; w < s.w; w++) data[element_offset(to, n, c, h, w)] = (real)*from++;
}

static void cpu_tensor_write(struct backend *backend, const struct tensor *to, const double *from)
{
    switch (to->kind) {
    case TENSOR_LABELS:
        for (int64_t i = 0; i < to->shape.n; i++) ((int32_t *)to->data)[i] = (int32_t)from[i];
        break;
    case TENSOR_METRICS:
        *(struct metrics *)to->data = (struct metrics){from[0], (int64_t)from[1], (int64_t)from[2]};
        break;
    case TENSOR_SCALAR:
        *(double *)to->data = *from;
        break;
    case TENSOR_FLAT:
        for (int64_t i = 0; i < to->shape.c; i++) ((real *)to->data)[i] = (real)from[i];
        break;
    default:
        write_blocks(backend, to, from);
    }
}

static void read_blocks(const struct tensor *from, double *to)
{
    struct shape s = from->shape;
    const real *data = from->data;
    for (int64_t n = 0; n < s.n; n++)
        for (int64_t c = 0; c < s.c; c++)
            for (int64_t h = 0; h < s.h; h++)
                for (int64_t w = 0; w < s.w; w++) *to++ = data[element_offset(from, n, c, h, w)];
}

static void cpu_tensor_read(struct backend *backend, const struct tensor *from, double *to)
{
    const struct metrics *metrics = from->data;
    (void)backend;
    switch (from->kind) {
    case TENSOR_LABELS:
        for (int64_t i = 0; i < from->shape.n; i++) to[i] = ((const int32_t *)from->data)[i];
        break;
    case TENSOR_METRICS:
        to[0] = metrics->loss, to[1] = (double)metrics->correct, to[2] = (double)metrics->count;
        break;
    case TENSOR_SCALAR:
        *to = *(const double *)from->data;
        break;
    case TENSOR_FLAT:
        for (int64_t i = 0; i < from->shape.c; i++) to[i] = ((const real *)from->data)[i];
        break;
    default:
        read_blocks(from, to);
    }
}

static void rewrite(struct backend *backend, struct program *program)
{
    cpu_rewrite(program, cpu_backend_of(backend)->bytes != NULL);
}

static const struct backend_table table = {
    .destroy = cpu_destroy,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .zero = cpu_zero,
    .tensor_count = cpu_tensor_count,
    .tensor_write = cpu_tensor_write,
    .tensor_read = cpu_tensor_read,
    .measure_peak = CPU_EXPORT(cpu_measure_peak),
    .dataset_upload = CPU_EXPORT(cpu_dataset_upload),
    .dataset_free = CPU_EXPORT(cpu_dataset_free),
    .dataset_set_order = CPU_EXPORT(cpu_dataset_set_order),
    .rewrite = rewrite,
};

static const struct op_function *make_functions(void)
{
    struct op_function *functions = memory_alloc(OP_KIND_COUNT, sizeof *functions);
    CPU_EXPORT(cpu_data_install)(functions);
    CPU_EXPORT(cpu_conv2d_install)(functions);
    CPU_EXPORT(cpu_batchnorm_install)(functions);
    CPU_EXPORT(cpu_batchnorm_fold_install)(functions);
    CPU_EXPORT(cpu_pool_install)(functions);
    CPU_EXPORT(cpu_global_pool_install)(functions);
    CPU_EXPORT(cpu_gate_install)(functions);
    CPU_EXPORT(cpu_activation_install)(functions);
    CPU_EXPORT(cpu_dropout_install)(functions);
    CPU_EXPORT(cpu_flatten_install)(functions);
    CPU_EXPORT(cpu_softmax_install)(functions);
    CPU_EXPORT(cpu_primitive_install)(functions);
    CPU_EXPORT(cpu_norm_install)(functions);
    CPU_EXPORT(cpu_optimizer_install)(functions);
    for (int kind = 0; kind < OP_KIND_COUNT; kind++) CHECK(functions[kind].run);
    return functions;
}

struct backend *CPU_EXPORT(cpu_backend_create)(struct cpu_threads *threads, const struct backend_options *options)
{
    struct cpu_backend *cpu = memory_alloc(1, sizeof *cpu);
    cpu->base.table = &table;
    cpu->base.functions = make_functions();
    cpu->base.scalar_size = cpu->base.activation_size = sizeof(real);
    cpu->threads = threads;
    cpu->winograd_choice = options->winograd;
    const char *isa_name = cpu_isa_name(options->cpu_isa),
               *arithmetic = sizeof(real) == sizeof(float) ? "fp32" : "fp64";
#if defined(CPU_SCALAR_f32)
    if (options->precision == PRECISION_BF16)
        cpu->bf16 = CPU_EXPORT(cpu_bf16_engine_find)(options->cpu_isa), arithmetic = cpu->bf16->name;
    if (options->precision == PRECISION_FP32) cpu->bytes = CPU_EXPORT(cpu_bytes_engine_find)(options->cpu_isa);
#endif
    char team[64];
    cpu_threads_describe(threads, team, sizeof team);
    snprintf(cpu->base.description, sizeof cpu->base.description, "cpu, %s, %s, %s", team, isa_name, arithmetic);
    return &cpu->base;
}
