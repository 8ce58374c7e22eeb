/* The headers of NumPy's .npy files, as NPZ archives hold them
 * (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html):
 *   6 bytes "\x93NUMPY", version (2 bytes), the header's size (2 bytes in version 1, 4 later, low byte first), the
 *   header, which is a Python dictionary as text, and the elements. */
#ifndef IO_NPY_H
#define IO_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/safetensors.h"
#include "util/status.h"

enum {
    NPY_RANK_MAX = 8,
    NPY_PREFIX_SIZE = 10,      /* bytes before the header in version 1; later versions have two more */
    NPY_TEXT_SIZE_MAX = 65535, /* of the header, as in version 1 */
};

/* What a header says of its array. */
struct npy_header {
    enum safetensors_dtype dtype; /* one with values */
    bool big_endian;              /* the order of an element's bytes */
    bool fortran_order;           /* the first index runs fastest, not the last */
    int rank;
    int64_t shape[NPY_RANK_MAX];
    int64_t count, bytes; /* of the elements */
};

/* Returns NumPy's name of a dtype ("<f4"); NULL where NumPy has no such dtype. */
const char *npy_dtype_name(enum safetensors_dtype dtype);

/* Finds the version and the header's size in the NPY_PREFIX_SIZE bytes that a file begins with, and in the two after
 * them. Gives the number of bytes before the header. An error (STATUS_RUNTIME) begins with `place`. */
bool npy_prefix_parse(const uint8_t bytes[NPY_PREFIX_SIZE + 2], int64_t *before, int64_t *text_size, const char *place,
                      struct status *status);

/* Reads a header. Refuses pickled objects, texts, dates, records and complex numbers, and shapes whose bytes do not fit
 * 63 bits. An error (STATUS_RUNTIME) begins with `place`. */
bool npy_header_parse(struct npy_header *header, const char *text, size_t size, const char *place,
                      struct status *status);

/* Returns the shape as NumPy writes it, "(60000, 28, 28)", in a new string; free with free(). */
char *npy_shape_text(const struct npy_header *header);

/* Converts `count` elements to `values`, exact but for 64-bit numbers beyond 2^53. Reverses the order of bytes in
 * `bytes` where the header says so. */
void npy_values(const struct npy_header *header, uint8_t *bytes, int64_t count, double *values);

#endif
