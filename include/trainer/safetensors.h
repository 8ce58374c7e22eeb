/* Named tensors and strings in one file, in the safetensors format, which Python reads with its own library
 * (https://github.com/huggingface/safetensors): 8 bytes with the length of the header, the header (JSON), the data.
 *
 * A file that is written here carries a digest: the first entry of its "__metadata__" is "sha256", the SHA-256 of the whole
 * file with those 64 hexadecimal digits as zeros. So whatever byte of it changes or is missing, reading it fails.
 *
 * The reader trusts nothing. It refuses, beside what is no JSON: a name given twice; a dtype that is not below; offsets
 * that do not match dtype and shape, overlap, leave a gap or do not end where the file ends; keys that the format does not know.
 * Errors are STATUS_RUNTIME, one line with the path, what was found and what was expected. */
#ifndef TRAINER_SAFETENSORS_H
#define TRAINER_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trainer/status.h"

/* What a file that is read may be at most. */
#define SAFETENSORS_MAX_HEADER (INT64_C(8) << 20) /* bytes; parsed, JSON takes up to 20 times that much memory */
#define SAFETENSORS_MAX_FILE (INT64_C(64) << 30)  /* bytes; a file is read into memory whole */
enum { SAFETENSORS_MAX_RANK = 8 };

enum safetensors_dtype {
    SAFETENSORS_F32,
    SAFETENSORS_F64,
    SAFETENSORS_U8,
    SAFETENSORS_I32,
    SAFETENSORS_I64,
};

struct safetensors_tensor {
    const char *name; /* UTF-8 */
    enum safetensors_dtype dtype;
    int rank; /* 0: a single element */
    int64_t shape[SAFETENSORS_MAX_RANK];
    int64_t count;    /* elements: the product of the shape, which is all that the writer CHECKs of it */
    const void *data; /* row-major, little-endian; read from a file, of any alignment */
};

struct safetensors_metadata {
    const char *key, *value; /* UTF-8 */
};

/* The same tensors and metadata, in the same order, give the same bytes. Names and keys are CHECKed to differ; "sha256" and
 * "__metadata__" are taken. The file appears whole or not at all (see util/file_atomic.h). */
bool safetensors_write(const char *path, const struct safetensors_tensor *tensors, int tensor_count,
                       const struct safetensors_metadata *metadata, int metadata_count, struct status *status);

/* A file in memory. All that it points to is its own. */
struct safetensors_file {
    char *path;
    int tensor_count;
    struct safetensors_tensor *tensors; /* in the order of their data */
    int metadata_count;
    struct safetensors_metadata *metadata; /* in the file's order, without the digest */
    bool has_digest;                       /* and it is right */
    void *bytes, *header;                  /* the file; its parsed header, which owns the strings */
};

/* Whether a file without a digest, as others write them, is an error. A digest that is there is always checked. */
enum safetensors_digest { SAFETENSORS_DIGEST_OPTIONAL, SAFETENSORS_DIGEST_REQUIRED };

/* Free with safetensors_free; after an error there is nothing to free. */
bool safetensors_read(struct safetensors_file *file, const char *path, enum safetensors_digest digest,
                      struct status *status);

/* The same from `bytes` of `size` in memory (from malloc), which are the file's, or freed after an error; `path` is for
 * messages. */
bool safetensors_parse(struct safetensors_file *file, const char *path, void *bytes, size_t size,
                       enum safetensors_digest digest, struct status *status);
void safetensors_free(struct safetensors_file *file); /* leaves it empty; an empty one is allowed */

/* NULL where there is none of that name. */
const struct safetensors_tensor *safetensors_find(const struct safetensors_file *file, const char *name);
const char *safetensors_metadata_find(const struct safetensors_file *file, const char *key);

/* All elements of a tensor, of whatever dtype, as doubles: exact but for I64 beyond 2^53. */
void safetensors_values(const struct safetensors_tensor *tensor, double *values);

const char *safetensors_dtype_name(enum safetensors_dtype dtype); /* "F32" */
size_t safetensors_dtype_size(enum safetensors_dtype dtype);      /* bytes of an element */

#endif
