/* The boundary: values in the order N,C,H,W or O,I,K,K as doubles on the host, and in the backend's own order and type
 * on the device. Labels, metrics and scalars have their own types. The host converts, because this is for starting
 * values, checkpoints and tests, not for a step. */
#include <stdlib.h>
#include <string.h>

#include "cuda_backend.h"
#include "util/memory.h"

/* Rounds fp32 to bf16, to the nearest, ties to even; NaN stays NaN. */
static uint16_t bf16_from_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value) return (uint16_t)((bits >> 16) | 0x40);
    return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

static float bf16_to_float(uint16_t value)
{
    uint32_t bits = (uint32_t)value << 16;
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

/* The place of element (n,c,h,w), or (o,i,h,w) of a filter, in scalars from the start. */
static int64_t element_offset(struct shape s, int64_t n, int64_t c, int64_t h, int64_t w)
{
    return ((n * s.h + h) * s.w + w) * s.c + c;
}

static void pack(void *data, enum cuda_type type, struct shape s, const double *from)
{
    for (int64_t n = 0; n < s.n; n++)
        for (int64_t c = 0; c < s.c; c++)
            for (int64_t h = 0; h < s.h; h++)
                for (int64_t w = 0; w < s.w; w++) {
                    int64_t at = element_offset(s, n, c, h, w);
                    float value = (float)*from++;
                    if (type == CUDA_BF16) {
                        ((uint16_t *)data)[at] = bf16_from_float(value);
                    } else {
                        ((float *)data)[at] = value;
                    }
                }
}

static void unpack(const void *data, enum cuda_type type, struct shape s, double *to)
{
    for (int64_t n = 0; n < s.n; n++)
        for (int64_t c = 0; c < s.c; c++)
            for (int64_t h = 0; h < s.h; h++)
                for (int64_t w = 0; w < s.w; w++) {
                    int64_t at = element_offset(s, n, c, h, w);
                    *to++ = type == CUDA_BF16 ? bf16_to_float(((const uint16_t *)data)[at]) : ((const float *)data)[at];
                }
}

/* Puts values into memory as a tensor of the device has it. */
static void encode(const struct cuda_backend *cuda, const struct tensor *to, void *data, const double *from)
{
    switch (to->kind) {
    case TENSOR_LABELS:
        for (int64_t n = 0; n < to->shape.n; n++) ((int32_t *)data)[n] = (int32_t)from[n];
        return;
    case TENSOR_METRICS:
        *(struct metrics *)data = (struct metrics){from[0], (int64_t)from[1], (int64_t)from[2]};
        return;
    case TENSOR_SCALAR:
        *(double *)data = *from;
        return;
    default:
        pack(data, cuda_type_of(cuda, to), to->shape, from);
    }
}

static void decode(const struct cuda_backend *cuda, const struct tensor *from, const void *data, double *to)
{
    const struct metrics *metrics = data;
    switch (from->kind) {
    case TENSOR_LABELS:
        for (int64_t n = 0; n < from->shape.n; n++) to[n] = ((const int32_t *)data)[n];
        return;
    case TENSOR_METRICS:
        to[0] = metrics->loss, to[1] = (double)metrics->correct, to[2] = (double)metrics->count;
        return;
    case TENSOR_SCALAR:
        *to = *(const double *)data;
        return;
    default:
        unpack(data, cuda_type_of(cuda, from), from->shape, to);
    }
}

static void boundary_write(struct backend *backend, const struct tensor *to, const double *from)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    CHECK(!cuda->recording);
    size_t bytes = tensor_bytes(backend, to->kind, to->shape);
    void *host = memory_alloc(bytes, 1);
    encode(cuda, to, host, from);
    CUDA_CHECK(cudaMemcpyAsync(to->data, host, bytes, cudaMemcpyHostToDevice, cuda->lane->stream));
    CUDA_CHECK(cudaStreamSynchronize(cuda->lane->stream));
    free(host);
}

static void boundary_read(struct backend *backend, const struct tensor *from, double *to)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    CHECK(!cuda->recording);
    size_t bytes = tensor_bytes(backend, from->kind, from->shape);
    void *host = memory_alloc(bytes, 1);
    CUDA_CHECK(cudaMemcpyAsync(host, from->data, bytes, cudaMemcpyDeviceToHost, cuda->lane->stream));
    CUDA_CHECK(cudaStreamSynchronize(cuda->lane->stream));
    decode(cuda, from, host, to);
    free(host);
}

static void copy_to_host(struct backend *backend, void *to, const void *from, size_t bytes)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    CHECK(!cuda->recording);
    if (bytes == 0) return;
    CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, cuda->lane->stream));
    CUDA_CHECK(cudaStreamSynchronize(cuda->lane->stream));
}

static void copy_to_device(struct backend *backend, void *to, const void *from, size_t bytes)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    CHECK(!cuda->recording);
    if (bytes == 0) return;
    CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, cuda->lane->stream));
    CUDA_CHECK(cudaStreamSynchronize(cuda->lane->stream));
}

void cuda_boundary_install(struct backend_table *table)
{
    table->copy_to_host = copy_to_host;
    table->copy_to_device = copy_to_device;
    table->tensor_write = boundary_write;
    table->tensor_read = boundary_read;
}
