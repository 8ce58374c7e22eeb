/* What the cases of operations need beside a backend, and tests too: tensors of given values, comparison, repeatable
 * random numbers. */
#ifndef SELF_TEST_SUPPORT_H
#define SELF_TEST_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "program/program.h"

/* A new tensor that holds `values` (in the boundary's order; NULL: zeros); free with tensor_free. */
struct tensor support_tensor(struct backend *backend, enum tensor_kind kind, struct shape shape, const double *values);

/* Adds a tensor with memory of its own to a program and returns its number. batch: its n is that of the batch at hand.
 * bytes: those of its memory; 0: as many as its kind and shape take. */
int support_external(struct program *program, const char *name, const struct tensor *tensor, bool batch, size_t bytes);

/* The values of a tensor, in the boundary's order, in a new array; free with free(). */
double *support_read(struct backend *backend, const struct tensor *tensor);

/* Labels in device memory, (N); free with the table's free. */
int32_t *support_labels(struct backend *backend, const double *labels, int64_t count);

/* Overwrites a tensor with NaN before the operation that writes it, so that elements which the operation leaves out
 * show. In host memory the padding of an activation is overwritten too, because the buffers of a network are shared by
 * tensors of many shapes. */
void support_poison(struct backend *backend, bool host_memory, const struct tensor *tensor);

/* True where all memory of a tensor beside its elements is zero (host memory only): the nonzero numbers in memory are,
 * up to their order, the nonzero elements. */
bool support_padding_is_zero(struct backend *backend, const struct tensor *tensor);

/* True where |value - reference| <= absolute + relative * |reference| holds everywhere. A NaN fails, and so does a
 * reference that is not finite. Where it does not hold, `message` (of `size` bytes) tells the first place. */
bool support_close(const double *values, const double *references, int64_t count, double absolute, double relative,
                   char *message, size_t size);

/* 64-bit FNV-1a hash of a name: the seed of the numbers that are drawn for it. */
uint64_t support_seed(const char *name);

/* offset + scale * u, with u a multiple of 1/1024 in [-2, 2) from the words of the stream (seed, stream, 0): exact in
 * fp32 for the offsets and scales in use, so that every precision and PyTorch start from the same numbers. */
void support_fill(double *values, int64_t count, uint64_t seed, uint32_t stream, double offset, double scale);

/* Rounds the values to those that bf16 has. */
void support_round_bf16(double *values, int64_t count);

#endif
