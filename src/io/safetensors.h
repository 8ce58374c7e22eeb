/* Named tensors and strings in one file, in the safetensors format, which Python reads with its own library
 * (https://github.com/huggingface/safetensors): 8 bytes with the length of the header, the header (JSON), the data.
 *
 * Files written here carry a digest: the first entry of their "__metadata__" is "sha256", the SHA-256 of the whole file
 * with those 64 hexadecimal digits as zeros. So reading fails when any byte of such a file changes or is missing.
 *
 * The reader trusts nothing. It refuses a header that is no JSON, a name given twice, a dtype or key that the format
 * does not know, and offsets that do not match dtype and shape, overlap, leave a gap or do not end where the file ends.
 * Errors are STATUS_RUNTIME, one line with the path, the expected and the found. */
#ifndef SAFETENSORS_H
#define SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/status.h"

/* Limits of a file that the reader takes. */
#define SAFETENSORS_MAX_HEADER (INT64_C(8) << 20) /* bytes; parsed, JSON takes up to 20 times that much memory */
#define SAFETENSORS_MAX_FILE (INT64_C(64) << 30)  /* bytes; a file is read into memory whole */
enum { SAFETENSORS_MAX_RANK = 8 };

/* Every dtype of the format: a file may hold tensors of dtypes that the program does not use. */
enum safetensors_dtype {
    SAFETENSORS_F32,
    SAFETENSORS_F64,
    SAFETENSORS_F16,
    SAFETENSORS_BF16,
    SAFETENSORS_BOOL,
    SAFETENSORS_U8,
    SAFETENSORS_I8,
    SAFETENSORS_U16,
    SAFETENSORS_I16,
    SAFETENSORS_U32,
    SAFETENSORS_I32,
    SAFETENSORS_U64,
    SAFETENSORS_I64,
    /* The dtypes from here on have names and sizes, and safetensors_values does not know them. */
    SAFETENSORS_F4,
    SAFETENSORS_F6_E2M3,
    SAFETENSORS_F6_E3M2,
    SAFETENSORS_F8_E4M3,
    SAFETENSORS_F8_E5M2,
    SAFETENSORS_F8_E4M3FNUZ,
    SAFETENSORS_F8_E5M2FNUZ,
    SAFETENSORS_F8_E8M0,
    SAFETENSORS_C64,
    SAFETENSORS_DTYPE_COUNT,
};

struct safetensors_tensor {
    const char *name; /* UTF-8 */
    enum safetensors_dtype dtype;
    int rank; /* 0: a single element */
    int64_t shape[SAFETENSORS_MAX_RANK];
    int64_t count;    /* elements, the product of the shape; the reader sets it, the writer ignores it */
    const void *data; /* row-major, little-endian; in a file that was read, at any alignment */
};

struct safetensors_metadata {
    const char *key, *value; /* UTF-8 */
};

/* Writes a file, which appears whole or not at all (util/file_atomic.h). The same tensors and metadata in the same
 * order give the same bytes. Names and keys are CHECKed to differ from each other and from "__metadata__" and
 * "sha256". */
bool safetensors_write(const char *path, const struct safetensors_tensor *tensors, int tensor_count,
                       const struct safetensors_metadata *metadata, int metadata_count, struct status *status);

/* A file in memory. It owns everything that it points to. */
struct safetensors_file {
    char *path;
    int tensor_count;
    struct safetensors_tensor *tensors; /* in the order of their data */
    int metadata_count;
    struct safetensors_metadata *metadata; /* in the file's order, without the digest */
    bool has_digest;                       /* the file has a digest, and it is right */
    void *bytes, *header;                  /* the file; its parsed header, which owns the strings */
};

/* Tells whether a file without a digest, as other programs write them, is an error. A digest that is there is always
 * checked. */
enum safetensors_digest { SAFETENSORS_DIGEST_OPTIONAL, SAFETENSORS_DIGEST_REQUIRED };

/* Reads a file. Free with safetensors_free; after an error there is nothing to free. */
bool safetensors_read(struct safetensors_file *file, const char *path, enum safetensors_digest digest,
                      struct status *status);

/* Reads `size` bytes in memory (from malloc) instead. They become the file's; after an error they are freed. `path` is
 * for messages. */
bool safetensors_parse(struct safetensors_file *file, const char *path, void *bytes, size_t size,
                       enum safetensors_digest digest, struct status *status);
void safetensors_free(struct safetensors_file *file); /* leaves it empty; an empty one is allowed */

/* Return the tensor, or the metadata's value, of that name, or NULL. */
const struct safetensors_tensor *safetensors_find(const struct safetensors_file *file, const char *name);
const char *safetensors_metadata_find(const struct safetensors_file *file, const char *key);

/* Fills `values` with all elements of a tensor, exact but for I64 and U64 beyond 2^53; BOOL gives 0 and 1. The dtype is
 * CHECKed to have values. */
void safetensors_values(const struct safetensors_tensor *tensor, double *values);
bool safetensors_dtype_has_values(enum safetensors_dtype dtype);

/* True for the dtypes that weights may have: F32, F64, F16 and BF16. */
bool safetensors_dtype_is_real(enum safetensors_dtype dtype);

/* True for the dtypes of tensors that count or mask: whole numbers and BOOL. */
bool safetensors_dtype_is_whole(enum safetensors_dtype dtype);

const char *safetensors_dtype_name(enum safetensors_dtype dtype); /* "F32" */

/* Gives the bytes of `count` elements; false where that is no whole number of bytes, or does not fit. */
bool safetensors_dtype_bytes(enum safetensors_dtype dtype, int64_t count, int64_t *bytes);

#endif
