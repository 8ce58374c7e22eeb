/* Reads safetensors files: the file as a whole, then its header, then the digest. */
#include "io/safetensors.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/safetensors_private.h"
#include "util/file_regular.h"
#include "util/memory.h"
#include "util/sha256.h"

#define FAIL(file, format, ...)                                                                                        \
    status_fail(status, STATUS_RUNTIME, "%s: not a good safetensors file: " format, (file)->path, __VA_ARGS__)

/* --- a tensor of the header --- */

static bool parse_dtype(const struct safetensors_file *file, struct safetensors_tensor *tensor, const json_t *value,
                        struct status *status)
{
    const char *name = json_string_value(value);
    if (name && safetensors_dtype_find(name, &tensor->dtype)) return true;
    return FAIL(file, "tensor %s: expected a dtype of the format (F32, F16, BF16, I64, ...), found \"%s\"",
                tensor->name, name ? name : "no text");
}

static bool parse_shape(const struct safetensors_file *file, struct safetensors_tensor *tensor, const json_t *value,
                        struct status *status)
{
    size_t rank = json_array_size(value);
    if (!json_is_array(value) || rank > SAFETENSORS_MAX_RANK)
        return FAIL(file, "tensor %s: expected a shape of up to %d numbers", tensor->name, SAFETENSORS_MAX_RANK);
    tensor->rank = (int)rank;
    tensor->count = 1;
    for (size_t i = 0; i < rank; i++) {
        const json_t *entry = json_array_get(value, i);
        tensor->shape[i] = json_integer_value(entry);
        if (!json_is_integer(entry) || tensor->shape[i] < 0 ||
            __builtin_mul_overflow(tensor->count, tensor->shape[i], &tensor->count))
            return FAIL(file, "tensor %s: expected a shape of numbers whose product fits 63 bits", tensor->name);
    }
    return true;
}

/* A tensor and the place of its data, counted from the first byte after the header. */
struct place {
    int64_t begin, end;
    struct safetensors_tensor tensor;
};

static bool parse_place(const struct safetensors_file *file, struct place *place, const json_t *value,
                        struct status *status)
{
    const json_t *begin = json_array_get(value, 0), *end = json_array_get(value, 1);
    const struct safetensors_tensor *tensor = &place->tensor;
    if (json_array_size(value) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return FAIL(file, "tensor %s: expected two data_offsets", tensor->name);
    place->begin = json_integer_value(begin), place->end = json_integer_value(end);
    int64_t size;
    bool fits = safetensors_dtype_bytes(tensor->dtype, tensor->count, &size);
    if (fits && place->begin >= 0 && place->end >= place->begin && place->end - place->begin == size) return true;
    return FAIL(file,
                "tensor %s: expected data_offsets that are as far apart as dtype and shape say, found %" PRId64
                " and %" PRId64,
                tensor->name, place->begin, place->end);
}

static bool parse_tensor(const struct safetensors_file *file, struct place *place, const json_t *value,
                         struct status *status)
{
    const char *const keys[] = {"dtype", "shape", "data_offsets"};
    for (int i = 0; i < 3; i++)
        if (!json_object_get(value, keys[i])) return FAIL(file, "tensor %s: no %s", place->tensor.name, keys[i]);
    if (json_object_size(value) != 3)
        return FAIL(file, "tensor %s: expected dtype, shape and data_offsets, found %zu keys", place->tensor.name,
                    json_object_size(value));
    return parse_dtype(file, &place->tensor, json_object_get(value, "dtype"), status) &&
           parse_shape(file, &place->tensor, json_object_get(value, "shape"), status) &&
           parse_place(file, place, json_object_get(value, "data_offsets"), status);
}

/* --- the header --- */

static bool parse_metadata(struct safetensors_file *file, json_t *object, struct status *status)
{
    if (!object) return true;
    if (!json_is_object(object)) return FAIL(file, "%s", "expected __metadata__ to hold texts");
    file->metadata = memory_alloc(json_object_size(object), sizeof *file->metadata);
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (!json_is_string(value)) return FAIL(file, "metadata %s: expected a text", key);
        if (file->has_digest && strcmp(key, "sha256") == 0) continue;
        file->metadata[file->metadata_count++] = (struct safetensors_metadata){key, json_string_value(value)};
    }
    return true;
}

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return strcmp(x->tensor.name, y->tensor.name); /* gives empty tensors an order too */
}

/* Checks that each byte of the data belongs to exactly one tensor. */
static bool take_places(struct safetensors_file *file, struct place *places, int count, const char *data, int64_t size,
                        struct status *status)
{
    int64_t end = 0;
    qsort(places, (size_t)count, sizeof *places, compare_places);
    for (int i = 0; i < count; i++) {
        const char *name = places[i].tensor.name;
        if (places[i].begin != end)
            return FAIL(file, "tensor %s: expected its data at %" PRId64 ", right after the one before, found %" PRId64,
                        name, end, places[i].begin);
        end = places[i].end;
        if (end > size)
            return FAIL(file, "tensor %s: its data ends at %" PRId64 ", the file has only %" PRId64 " bytes of data",
                        name, end, size);
        file->tensors[i] = places[i].tensor;
        file->tensors[i].data = data + places[i].begin;
    }
    file->tensor_count = count;
    return end == size || FAIL(file, "%" PRId64 " bytes at its end belong to no tensor", size - end);
}

static bool parse_tensors(struct safetensors_file *file, const char *data, int64_t size, struct status *status)
{
    json_t *header = file->header, *value;
    struct place *places = memory_alloc(json_object_size(header), sizeof *places);
    file->tensors = memory_alloc(json_object_size(header), sizeof *file->tensors);
    int count = 0;
    bool good = true;
    const char *name;
    json_object_foreach(header, name, value)
    {
        if (strcmp(name, "__metadata__") == 0) continue;
        places[count].tensor.name = name;
        good = json_is_object(value) ? parse_tensor(file, &places[count++], value, status)
                                     : FAIL(file, "tensor %s: expected an object", name);
        if (!good) break;
    }
    good = good && take_places(file, places, count, data, size, status);
    free(places);
    return good;
}

/* --- the digest --- */

static bool check_digest(struct safetensors_file *file, char *header, size_t file_size, struct status *status)
{
    char *place = header + strlen(SAFETENSORS_DIGEST_PREFIX);
    char found[SHA256_DIGITS], expected[SHA256_DIGITS + 1];
    memcpy(found, place, sizeof found);
    memset(place, '0', sizeof found);
    struct sha256 hash = sha256_start();
    sha256_add(&hash, file->bytes, file_size);
    bool computed = sha256_finish(&hash, expected, status);
    memcpy(place, found, sizeof found);
    if (!computed) return false;
    if (memcmp(found, expected, sizeof found) == 0) return true;
    return FAIL(file, "%s", "damaged: its SHA-256 is not the one that it was written with");
}

/* --- the file --- */

static bool begins_with_digest(const char *header, size_t length)
{
    size_t prefix = strlen(SAFETENSORS_DIGEST_PREFIX);
    return length > prefix + SHA256_DIGITS && memcmp(header, SAFETENSORS_DIGEST_PREFIX, prefix) == 0 &&
           header[prefix + SHA256_DIGITS] == '"';
}

/* Reads the length of the header and checks that the header lies in the file. */
static bool check_length(const struct safetensors_file *file, const void *bytes, size_t size, uint64_t *length,
                         struct status *status)
{
    if (size < SAFETENSORS_LENGTH_SIZE + 2)
        return FAIL(file, "%zu bytes, expected at least %d", size, SAFETENSORS_LENGTH_SIZE + 2);
    memcpy(length, bytes, SAFETENSORS_LENGTH_SIZE);
    if (*length > SAFETENSORS_MAX_HEADER)
        return FAIL(file, "a header of %" PRIu64 " bytes, expected at most %" PRId64, *length, SAFETENSORS_MAX_HEADER);
    if (*length > size - SAFETENSORS_LENGTH_SIZE)
        return FAIL(file, "cut off: a header of %" PRIu64 " bytes in a file of %zu", *length, size);
    return true;
}

static bool parse_header(struct safetensors_file *file, const char *header, size_t length, struct status *status)
{
    json_error_t error;
    if (header[0] != '{') return FAIL(file, "%s", "expected a header that begins with \"{\"");
    file->header = json_loadb(header, length, JSON_REJECT_DUPLICATES, &error);
    if (!file->header) return FAIL(file, "its header: %s, in byte %d", error.text, error.position);
    return parse_metadata(file, json_object_get(file->header, "__metadata__"), status);
}

static bool parse_bytes(struct safetensors_file *file, size_t size, enum safetensors_digest digest,
                        struct status *status)
{
    uint64_t length = 0;
    if (!check_length(file, file->bytes, size, &length, status)) return false;
    char *header = (char *)file->bytes + SAFETENSORS_LENGTH_SIZE;
    size_t data = SAFETENSORS_LENGTH_SIZE + (size_t)length;
    file->has_digest = begins_with_digest(header, length);
    if (!file->has_digest && digest == SAFETENSORS_DIGEST_REQUIRED)
        return FAIL(file, "%s", "no digest where one was written");
    return parse_header(file, header, length, status) &&
           parse_tensors(file, (const char *)file->bytes + data, (int64_t)(size - data), status) &&
           (!file->has_digest || check_digest(file, header, size, status));
}

bool safetensors_parse(struct safetensors_file *file, const char *path, void *bytes, size_t size,
                       enum safetensors_digest digest, struct status *status)
{
    *file = (struct safetensors_file){.path = memory_copy_string(path), .bytes = bytes};
    if (parse_bytes(file, size, digest, status)) return true;
    safetensors_free(file);
    return false;
}

static bool read_bytes(int descriptor, const char *path, char *bytes, size_t size, struct status *status)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = read(descriptor, bytes + done, size - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return status_fail(status, STATUS_RUNTIME, "%s: cannot read: %s", path, strerror(errno));
        if (got == 0) return status_fail(status, STATUS_RUNTIME, "%s: became shorter while it was read", path);
        done += (size_t)got;
    }
    return true;
}

static bool open_file(const char *path, int *descriptor, size_t *size, struct status *status)
{
    int64_t bytes;
    if (!file_regular_open(descriptor, &bytes, path, status)) return false;
    if (bytes > SAFETENSORS_MAX_FILE)
        return status_fail(status, STATUS_RUNTIME, "%s: %" PRId64 " bytes, expected at most %" PRId64, path, bytes,
                           SAFETENSORS_MAX_FILE);
    *size = (size_t)bytes;
    return true;
}

/* Reads the first bytes before the rest, because they already show a file of another format. */
static bool read_file(int descriptor, const char *path, size_t size, void **bytes, struct status *status)
{
    struct safetensors_file file = {.path = (char *)path};
    char start[SAFETENSORS_LENGTH_SIZE] = {0};
    uint64_t length = 0;
    size_t first = size < sizeof start ? size : sizeof start;
    if (!read_bytes(descriptor, path, start, first, status) || !check_length(&file, start, size, &length, status))
        return false;
    *bytes = memory_alloc(size, 1);
    memcpy(*bytes, start, first);
    if (read_bytes(descriptor, path, (char *)*bytes + first, size - first, status)) return true;
    free(*bytes);
    return false;
}

bool safetensors_read(struct safetensors_file *file, const char *path, enum safetensors_digest digest,
                      struct status *status)
{
    int descriptor = -1;
    size_t size = 0;
    void *bytes = NULL;
    bool good = open_file(path, &descriptor, &size, status) && read_file(descriptor, path, size, &bytes, status);
    if (descriptor >= 0) close(descriptor);
    *file = (struct safetensors_file){0};
    return good && safetensors_parse(file, path, bytes, size, digest, status);
}

void safetensors_free(struct safetensors_file *file)
{
    free(file->path);
    free(file->tensors);
    free(file->metadata);
    json_decref(file->header);
    free(file->bytes);
    *file = (struct safetensors_file){0};
}

/* --- what is in it --- */

const struct safetensors_tensor *safetensors_find(const struct safetensors_file *file, const char *name)
{
    for (int i = 0; i < file->tensor_count; i++)
        if (strcmp(file->tensors[i].name, name) == 0) return &file->tensors[i];
    return NULL;
}

const char *safetensors_metadata_find(const struct safetensors_file *file, const char *key)
{
    for (int i = 0; i < file->metadata_count; i++)
        if (strcmp(file->metadata[i].key, key) == 0) return file->metadata[i].value;
    return NULL;
}
