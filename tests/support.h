/* Helpers that every test may use: backends by variant, tensors to and from arrays of doubles, comparison with a
 * tolerance, repeatable random numbers, folders that vanish. */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "program/program.h"

/* --- backends --- */

/* A way to compute on this machine, if the machine can. */
struct variant {
    const char *name;
    enum device device;
    enum precision precision;
    enum cpu_isa cpu_isa;
    double roundoff;  /* half the distance from 1 to the next number: the largest relative error of one rounding */
    bool host_memory; /* a tensor's memory can be read here */
    enum winograd winograd;
};

/* Every variant that the project knows, whether or not this machine can run it; the fp64 portable one is the first. */
const struct variant *variant_list(int *count);

/* The variant's backend with that many threads, or NULL where this build or machine does not have it. */
struct backend *variant_create(const struct variant *variant, int threads);

/* The reference backend (backend/reference/reference.h), with which the others are compared, and as a variant. */
struct backend *reference_create(void);
extern const struct variant reference_variant;

/* Rounds values to those that an activation of the variant can hold, where that is less than fp32. With bf16 a
 * comparison must start from the same numbers, or the maximum of a window is another's. */
void support_round(const struct variant *variant, double *values, int64_t count);

/* --- tensors --- */

/* A new tensor that holds `values` (in the boundary's order; NULL: zeros); free with tensor_free. */
struct tensor support_tensor(struct backend *backend, enum tensor_kind kind, struct shape shape, const double *values);

/* Adds a tensor with memory of its own to a program and returns its number. batch: its n is that of the batch at hand.
 * bytes: those of its memory; 0: as many as its kind and shape take. */
int support_external(struct program *program, const char *name, const struct tensor *tensor, bool batch, size_t bytes);

/* The values of a tensor, in the boundary's order, in a new array; free with free(). */
double *support_read(struct backend *backend, const struct tensor *tensor);

/* Labels in device memory, (N); free with the table's free. */
int32_t *support_labels(struct backend *backend, const double *labels, int64_t count);

/* Gathers a batch of a data set into x and, in device memory, labels (N) with the step state. `augment` may be NULL: the
 * images enter as they are. */
void support_gather(struct backend *backend, const struct device_dataset *dataset, const struct augment_params *augment,
                    struct step_state state, const struct tensor *x, int32_t *labels);

/* Overwrites a tensor with NaN before the operation that writes it, so that elements which the operation leaves out
 * show. In host memory the padding of an activation is overwritten too, because the buffers of a network are shared by
 * tensors of many shapes. */
void support_poison(struct backend *backend, bool host_memory, const struct tensor *tensor);

/* True where all memory of a tensor beside its elements is zero (host memory only): the nonzero numbers in memory are,
 * up to their order, the nonzero elements. */
bool support_padding_is_zero(struct backend *backend, const struct tensor *tensor);

/* --- comparison --- */

/* True where |value - reference| <= absolute + relative * |reference| holds everywhere. A NaN fails, and so does a
 * reference that is not finite. Where it does not hold, `message` (of `size` bytes) tells the first place. */
bool support_close(const double *values, const double *references, int64_t count, double absolute, double relative,
                   char *message, size_t size);

/* The root of the mean square of the differences, relative to that of the references. */
double support_relative_error(const double *values, const double *references, int64_t count);

/* --- random numbers --- */

/* 64-bit FNV-1a hash of a name: the seed of the numbers that are drawn for it. */
uint64_t support_seed(const char *name);

/* offset + scale * u, with u a multiple of 1/1024 in [-2, 2) from the words of the stream (seed, stream, 0): exact in
 * fp32 for the offsets and scales in use, so that every precision and PyTorch start from the same numbers. */
void support_fill(double *values, int64_t count, uint64_t seed, uint32_t stream, double offset, double scale);

/* --- files --- */

/* A new empty folder; remove it with support_folder_remove, which frees the name. */
char *support_folder(void);
void support_folder_remove(char *folder);

/* folder/name in a new string; free with free(). */
char *support_path(const char *folder, const char *name);

/* The bytes of a file, NUL-terminated for reading as text; size may be NULL; NULL where it cannot be read. */
char *support_file_read(const char *path, size_t *size);
void support_file_write(const char *path, const void *bytes, size_t size);

#endif
