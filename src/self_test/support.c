/* Tensors, comparison and random numbers of the cases of operations (support.h). */
#include "self_test/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/memory.h"
#include "util/rng.h"

struct tensor support_tensor(struct backend *backend, enum tensor_kind kind, struct shape shape, const double *values)
{
    struct tensor tensor = tensor_alloc(backend, kind, shape);
    if (values) backend->table->tensor_write(backend, &tensor, values);
    return tensor;
}

int support_external(struct program *program, const char *name, const struct tensor *tensor, bool batch, size_t bytes)
{
    return program_tensor_add(program, (struct program_tensor){.name = name,
                                                               .name_index = -1,
                                                               .kind = tensor->kind,
                                                               .shape = tensor->shape,
                                                               .batch = batch,
                                                               .space = SPACE_EXTERNAL,
                                                               .offset = (int64_t)(intptr_t)tensor->data,
                                                               .bytes = bytes,
                                                               .gradient = -1});
}

double *support_read(struct backend *backend, const struct tensor *tensor)
{
    double *values = memory_alloc((size_t)shape_count(tensor->shape), sizeof(double));
    backend->table->tensor_read(backend, tensor, values);
    return values;
}

int32_t *support_labels(struct backend *backend, const double *labels, int64_t count)
{
    return support_tensor(backend, TENSOR_LABELS, (struct shape){count, 1, 1, 1}, labels).data;
}

void support_poison(struct backend *backend, bool host_memory, const struct tensor *tensor)
{
    if (host_memory && tensor->kind == TENSOR_ACTIVATION) {
        memset(tensor->data, 0xff, tensor_bytes(backend, tensor->kind, tensor->shape)); /* a NaN in fp32 and fp64 */
        return;
    }
    int64_t count = shape_count(tensor->shape);
    double *values = memory_alloc((size_t)count, sizeof(double));
    for (int64_t i = 0; i < count; i++) values[i] = NAN;
    backend->table->tensor_write(backend, tensor, values);
    free(values);
}

/* The nonzero numbers among some values: how many there are, and the sum of their bits, mixed. Equal for the same numbers
 * in another order. */
struct nonzero {
    int64_t count; /* -1: there is a NaN */
    uint64_t sum;
};

/* The finaliser of MurmurHash3 (Appleby). */
static uint64_t mix_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits = (bits ^ bits >> 33) * 0xff51afd7ed558ccdU;
    bits = (bits ^ bits >> 33) * 0xc4ceb9fe1a85ec53U;
    return bits ^ bits >> 33;
}

static struct nonzero find_nonzero(const double *values, int64_t count)
{
    struct nonzero found = {0, 0};
    for (int64_t i = 0; i < count; i++) {
        if (isnan(values[i])) return (struct nonzero){-1, 0};
        if (values[i] != 0) found.count++, found.sum += mix_bits(values[i]);
    }
    return found;
}

bool support_padding_is_zero(struct backend *backend, const struct tensor *tensor)
{
    int64_t raw_count = (int64_t)backend->table->tensor_count(backend, tensor->kind, tensor->shape);
    double *raw = memory_alloc((size_t)raw_count, sizeof(double)), *logical = support_read(backend, tensor);
    for (int64_t i = 0; i < raw_count; i++) {
        raw[i] = backend->scalar_size == sizeof(float) ? ((const float *)tensor->data)[i]
                                                       : ((const double *)tensor->data)[i];
    }
    struct nonzero in_memory = find_nonzero(raw, raw_count), read = find_nonzero(logical, shape_count(tensor->shape));
    free(raw), free(logical);
    return read.count >= 0 && in_memory.count == read.count && in_memory.sum == read.sum;
}

bool support_close(const double *values, const double *references, int64_t count, double absolute, double relative,
                   char *message, size_t size)
{
    int64_t failures = 0, first = 0;
    for (int64_t i = count - 1; i >= 0; i--) {
        double difference = fabs(values[i] - references[i]);
        bool close = isfinite(references[i]) && difference <= absolute + relative * fabs(references[i]);
        if (!close) failures++, first = i;
    }
    if (failures == 0) return true;
    snprintf(message, size, "%lld of %lld differ, first [%lld]: %.17g, expected %.17g (+- %.3g + %.3g * |expected|)",
             (long long)failures, (long long)count, (long long)first, values[first], references[first], absolute,
             relative);
    return false;
}

uint64_t support_seed(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    return hash;
}

void support_fill(double *values, int64_t count, uint64_t seed, uint32_t stream, double offset, double scale)
{
    struct rng rng = rng_create(seed, stream, 0);
    for (int64_t i = 0; i < count; i++) {
        values[i] = offset + scale * (((double)(rng_next(&rng) >> 20) - 2048) / 1024);
    }
}

void support_round_bf16(double *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        int exponent;
        double fraction = frexp(values[i], &exponent); /* 0.5 <= |fraction| < 1: 8 bits in all */
        values[i] = ldexp(rint(fraction * 0x1p8) / 0x1p8, exponent);
    }
}
