/* Creates or refuses a backend. This is the one place that knows which backends are built. */
#include "backend/backend.h"

#include <stdio.h>
#include <string.h>

#include "backend/cpu/shared/cpu_create.h"
#include "backend/prepared.h"
#include "backend/reference/reference.h"
#include "util/check.h"
#include "util/memory.h"

#ifdef TRAINER_CUDA
#include "cuda_create.h"
static const bool tell_why = true;
#else
static const bool tell_why = false; /* a build for the CPU alone need not say in every run that it is one */

/* These stand for the declarations in cuda_create.h. */
static const char *cuda_unavailable(void)
{
    return "this trainer was built without CUDA";
}

static const char *cuda_precision_missing(enum precision precision)
{
    (void)precision;
    return NULL;
}

static struct backend_cuda cuda_facts(void)
{
    return (struct backend_cuda){.unavailable = cuda_unavailable()};
}

static char *cuda_nccl_name(char **problem)
{
    *problem = memory_copy_string(cuda_unavailable());
    return NULL;
}

static bool cuda_backend_create(struct backend **backend, const struct backend_options *options, struct status *status)
{
    (void)backend, (void)options;
    return status_fail(status, STATUS_USAGE, "backend.device: %s", cuda_unavailable());
}

static bool cuda_listing_create(struct backend **backend, const struct backend_options *options, struct status *status)
{
    (void)backend, (void)options;
    return status_fail(status, STATUS_USAGE, "backend.device: no CUDA: %s; use cpu or auto", cuda_unavailable());
}
#endif

/* Refuses what a CUDA device alone can do. `reason` tells why there is no such device, or is NULL. */
static bool without_cudnn(const struct backend_options *options, const char *reason, struct status *status)
{
    return !options->cudnn_batchnorm ||
           status_fail(status, STATUS_USAGE, "model.batchnorm: cudnn needs a CUDA device; use custom%s%s",
                       reason ? "; " : "", reason ? reason : "");
}

/* An option that only a CUDA device can satisfy is an error in terms of its key. `reason` as above. */
static bool create_cpu(struct backend **backend, const struct backend_options *options, const char *reason,
                       struct status *status)
{
    if (!without_cudnn(options, reason, status)) return false;
    if (reason && options->precision == PRECISION_TF32)
        return status_fail(status, STATUS_USAGE,
                           "backend.precision: tf32 needs a CUDA device; use fp32, bf16 or fp64; %s", reason);
    if (!cpu_backend_create(backend, options, status)) return false;
    char *description = (*backend)->description;
    size_t used = strlen(description);
    if (reason && tell_why) snprintf(description + used, sizeof(*backend)->description - used, " (%s)", reason);
    return true;
}

static bool create_device(struct backend **backend, const struct backend_options *options, struct status *status)
{
    if (options->device == DEVICE_REFERENCE)
        return without_cudnn(options, NULL, status) && reference_backend_create(backend, options, status);
    if (options->device == DEVICE_CPU || (options->device == DEVICE_AUTO && options->precision == PRECISION_FP64))
        return create_cpu(backend, options, NULL, status);
    const char *reason = options->gpu_refused ? options->gpu_refused : cuda_unavailable();
    if (!reason && options->device == DEVICE_AUTO) reason = cuda_precision_missing(options->precision);
    if (!reason) return cuda_backend_create(backend, options, status);
    if (options->device == DEVICE_AUTO) return create_cpu(backend, options, reason, status);
    if (options->listing) return cuda_listing_create(backend, options, status);
    return status_fail(status, STATUS_USAGE, "backend.device: no CUDA: %s; use cpu or auto", reason);
}

struct backend_cuda backend_cuda_facts(void)
{
    return cuda_facts();
}

char *backend_nccl_name(char **problem)
{
    return cuda_nccl_name(problem);
}

void backend_check(const struct backend *backend)
{
    const struct backend_table *table = backend->table;
    CHECK(table->destroy);
    CHECK(table->alloc);
    CHECK(table->free);
    CHECK(table->zero);
    CHECK(table->tensor_count);
    CHECK(table->tensor_write);
    CHECK(table->tensor_read);
    CHECK(table->dataset_upload);
    CHECK(table->dataset_free);
    CHECK(table->dataset_set_order);
    CHECK(table->measure_peak);
    CHECK(backend->scalar_size > 0 && backend->activation_size > 0);
    for (int kind = 0; kind < OP_KIND_COUNT; kind++) {
        const struct op_function *function = &backend->functions[kind];
        CHECK(function->run || !(function->supports || function->saved_bytes || function->prepare ||
                                 function->release || function->launches));
    }
}

bool backend_create(struct backend **backend, const struct backend_options *options, struct status *status)
{
    if (!create_device(backend, options, status)) return false;
    (*backend)->fuse = options->fuse;
    backend_check(*backend);
    return true;
}

void backend_destroy(struct backend *backend)
{
    if (backend) backend->table->destroy(backend);
}

size_t tensor_bytes(const struct backend *backend, enum tensor_kind kind, struct shape shape)
{
    switch (kind) {
    case TENSOR_LABELS:
        return (size_t)shape.n * sizeof(int32_t);
    case TENSOR_METRICS:
        return sizeof(struct metrics);
    case TENSOR_SCALAR:
        return sizeof(double);
    case TENSOR_FLAT:
        return (size_t)shape.c * backend->scalar_size;
    case TENSOR_ACTIVATION:
    case TENSOR_ROUNDED:
        return backend->table->tensor_count(backend, kind, shape) * backend->activation_size;
    default:
        return backend->table->tensor_count(backend, kind, shape) * backend->scalar_size;
    }
}

struct metrics metrics_read(struct backend *backend, const struct tensor *metrics)
{
    double values[3];
    backend->table->tensor_read(backend, metrics, values);
    return (struct metrics){.loss = values[0], .correct = (int64_t)values[1], .count = (int64_t)values[2]};
}

void metrics_write(struct backend *backend, const struct tensor *metrics, struct metrics sums)
{
    const double values[] = {sums.loss, (double)sums.correct, (double)sums.count};
    backend->table->tensor_write(backend, metrics, values);
}

void metrics_add(struct metrics *to, const struct metrics *from)
{
    to->loss += from->loss;
    to->correct += from->correct;
    to->count += from->count;
}

struct tensor tensor_alloc(struct backend *backend, enum tensor_kind kind, struct shape shape)
{
    void *data = backend->table->alloc(backend, tensor_bytes(backend, kind, shape));
    return (struct tensor){data, shape, kind};
}

void tensor_free(struct backend *backend, struct tensor *tensor)
{
    backend->table->free(backend, tensor->data);
    tensor->data = NULL;
}
