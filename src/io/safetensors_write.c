/* Writes safetensors files whose header holds a digest of the whole file. */
#include "io/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "io/safetensors_private.h"
#include "util/check.h"
#include "util/file_atomic.h"
#include "util/memory.h"
#include "util/sha256.h"

static const char zeros[SHA256_DIGITS + 1] = "0000000000000000000000000000000000000000000000000000000000000000";

static size_t tensor_size(const struct safetensors_tensor *tensor)
{
    int64_t count = 1, size = 0;
    for (int i = 0; i < tensor->rank; i++)
        CHECK(tensor->shape[i] >= 0 && !__builtin_mul_overflow(count, tensor->shape[i], &count));
    CHECK(safetensors_dtype_bytes(tensor->dtype, count, &size));
    return (size_t)size;
}

/* Adds `value` under a name that the object does not have yet. A `value` of NULL (memory is short, or a text is no
 * UTF-8) gives false. */
static bool add(json_t *object, const char *name, json_t *value)
{
    CHECK(!json_object_get(object, name));
    return json_object_set_new(object, name, value) == 0;
}

static json_t *describe_metadata(const struct safetensors_metadata *metadata, int count)
{
    json_t *object = json_object();
    bool good = add(object, "sha256", json_string(zeros));
    for (int i = 0; good && i < count; i++) good = add(object, metadata[i].key, json_string(metadata[i].value));
    if (good) return object;
    json_decref(object);
    return NULL;
}

static json_t *describe_tensor(const struct safetensors_tensor *tensor, size_t begin, size_t end)
{
    json_t *object = json_object(), *shape = json_array();
    bool good = true;
    for (int i = 0; good && i < tensor->rank; i++)
        good = json_array_append_new(shape, json_integer(tensor->shape[i])) == 0;
    good = good && add(object, "dtype", json_string(safetensors_dtype_name(tensor->dtype)));
    good = good && add(object, "shape", json_incref(shape));
    good = good && add(object, "data_offsets", json_pack("[I,I]", (json_int_t)begin, (json_int_t)end));
    json_decref(shape);
    if (good) return object;
    json_decref(object);
    return NULL;
}

/* Returns the header's text with zeros for a digest, or NULL. Blanks at its end let the data begin at a multiple of 8
 * bytes. */
static char *describe_file(const struct safetensors_tensor *tensors, int tensor_count,
                           const struct safetensors_metadata *metadata, int metadata_count)
{
    json_t *object = json_object();
    bool good = add(object, "__metadata__", describe_metadata(metadata, metadata_count));
    size_t end = 0;
    for (int i = 0; good && i < tensor_count; i++) {
        size_t begin = end;
        CHECK(!__builtin_add_overflow(begin, tensor_size(&tensors[i]), &end));
        good = add(object, tensors[i].name, describe_tensor(&tensors[i], begin, end));
    }
    char *text = good ? json_dumps(object, JSON_COMPACT) : NULL, *padded = NULL;
    if (text) padded = memory_format("%s%*s", text, (int)((8 - strlen(text) % 8) % 8), "");
    free(text);
    json_decref(object);
    return padded;
}

/* Writes the digest of the file into its place in the header. */
static bool sign(const struct safetensors_tensor *tensors, int tensor_count, uint64_t length, char *header,
                 struct status *status)
{
    char digits[SHA256_DIGITS + 1];
    struct sha256 hash = sha256_start();
    sha256_add(&hash, &length, sizeof length);
    sha256_add(&hash, header, length);
    for (int i = 0; i < tensor_count; i++) sha256_add(&hash, tensors[i].data, tensor_size(&tensors[i]));
    if (!sha256_finish(&hash, digits, status)) return false;
    CHECK(strncmp(header, SAFETENSORS_DIGEST_PREFIX, strlen(SAFETENSORS_DIGEST_PREFIX)) == 0);
    memcpy(header + strlen(SAFETENSORS_DIGEST_PREFIX), digits, SHA256_DIGITS);
    return true;
}

static bool write_file(const char *path, const struct safetensors_tensor *tensors, int tensor_count, const char *header,
                       struct status *status)
{
    struct file_atomic file;
    uint64_t length = strlen(header);
    bool good = file_atomic_open(&file, path, status) && file_atomic_write(&file, &length, sizeof length, status) &&
                file_atomic_write(&file, header, length, status);
    for (int i = 0; good && i < tensor_count; i++)
        good = file_atomic_write(&file, tensors[i].data, tensor_size(&tensors[i]), status);
    return good && file_atomic_commit(&file, status);
}

bool safetensors_write(const char *path, const struct safetensors_tensor *tensors, int tensor_count,
                       const struct safetensors_metadata *metadata, int metadata_count, struct status *status)
{
    char *header = describe_file(tensors, tensor_count, metadata, metadata_count);
    if (!header)
        return status_fail(status, STATUS_RUNTIME, "%s: cannot write: a name or a text is not UTF-8, or out of memory",
                           path);
    bool written = sign(tensors, tensor_count, strlen(header), header, status) &&
                   write_file(path, tensors, tensor_count, header, status);
    free(header);
    return written;
}
