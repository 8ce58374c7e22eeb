/* Measures the device's matrix rate in the backend's precision: that of the fastest kernel of cuBLASLt on a large
 * product. */
#include <stdlib.h>

#include "cublas_linear.h"
#include "util/memory.h"

enum { SIZE = 4096, RUNS = 10 };

/* The numbers differ, since a product of zeros takes less power and runs faster than real ones do. */
static struct tensor make_matrix(struct cuda_backend *cuda)
{
    struct backend *backend = &cuda->base;
    struct tensor row = tensor_alloc(backend, TENSOR_VECTOR, shape_vector(SIZE));
    struct tensor matrix = tensor_alloc(backend, TENSOR_ACTIVATION, (struct shape){SIZE, SIZE, 1, 1});
    double *values = memory_alloc(SIZE, sizeof *values);
    for (int i = 0; i < SIZE; i++) values[i] = (i * 619 % 1009) / 504.5 - 1;
    backend->table->tensor_write(backend, &row, values);
    CUDA_CHECK(
        cuda_broadcast_launch(cuda->lane->stream, cuda->type, cuda_matrix_of(&matrix), 1, row.data, matrix.data));
    free(values);
    tensor_free(backend, &row);
    return matrix;
}

static double measure_peak(struct backend *backend)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    struct tensor matrices[3];
    struct cublas_linear *linear = cublas_linear_create(cuda, cuda->type, SIZE, SIZE);
    float milliseconds = 0;
    for (int i = 0; i < 3; i++) matrices[i] = make_matrix(cuda);
    const void *x = matrices[0].data, *weight = matrices[1].data;
    bool known = cublas_linear_dx(linear, SIZE, weight, x, matrices[2].data);
    CUDA_CHECK(cudaEventRecord(cuda->started, cuda->lane->stream));
    for (int run = 0; known && run < RUNS; run++) cublas_linear_dx(linear, SIZE, weight, x, matrices[2].data);
    CUDA_CHECK(cudaEventRecord(cuda->stopped, cuda->lane->stream));
    CUDA_CHECK(cudaEventSynchronize(cuda->stopped));
    CUDA_CHECK(cudaEventElapsedTime(&milliseconds, cuda->started, cuda->stopped));
    for (int i = 0; i < 3; i++) tensor_free(backend, &matrices[i]);
    cublas_linear_destroy(linear);
    return known ? 2.0 * SIZE * SIZE * SIZE * RUNS / (1e-3 * (double)milliseconds) : 0;
}

void cuda_peak_install(struct backend_table *table)
{
    table->measure_peak = measure_peak;
}
