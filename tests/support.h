/* Helpers that every test may use: backends by variant, tensors to and from arrays of doubles, comparison with a
 * tolerance, repeatable random numbers, folders that vanish. */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "program/program.h"
#include "self_test/support.h"

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

/* Gathers a batch of a data set into x and, in device memory, labels (N) with the step state. `augment` may be NULL: the
 * images enter as they are. */
void support_gather(struct backend *backend, const struct device_dataset *dataset, const struct augment_params *augment,
                    struct step_state state, const struct tensor *x, int32_t *labels);

/* --- comparison --- */

/* The root of the mean square of the differences, relative to that of the references. */
double support_relative_error(const double *values, const double *references, int64_t count);

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
