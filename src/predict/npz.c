/* Writes NPZ (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html); libzip writes the archive. */
#include "predict/export_private.h"

#ifdef TRAINER_ZIP
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "io/npy.h"
#include "util/check.h"
#include "util/memory.h"

enum { ALIGNMENT = 64, MAGIC_SIZE = 10, SHAPE_SIZE = 256 };

/* Writes the shape as a Python tuple: "(3, 4, )". */
static void format_shape(const struct safetensors_tensor *tensor, char text[SHAPE_SIZE])
{
    snprintf(text, SHAPE_SIZE, "(");
    for (int i = 0; i < tensor->rank; i++) {
        size_t length = strlen(text);
        snprintf(text + length, SHAPE_SIZE - length, "%" PRId64 ", ", tensor->shape[i]);
    }
    strcat(text, ")");
}

/* Returns a new .npy file of *size bytes: magic, version, length of the header, header, data. */
static char *npy_file(const struct safetensors_tensor *tensor, size_t *size)
{
    char shape[SHAPE_SIZE];
    format_shape(tensor, shape);
    char *header =
        memory_format("{'descr': '%s', 'fortran_order': False, 'shape': %s, }", npy_dtype_name(tensor->dtype), shape);
    size_t used = MAGIC_SIZE + strlen(header) + 1, start = (used + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    int64_t bytes = 0;
    CHECK(safetensors_dtype_bytes(tensor->dtype, tensor->count, &bytes));
    *size = start + (size_t)bytes;
    char *file = memory_alloc(*size, 1);
    memcpy(file, "\x93NUMPY\x01", 8);
    file[8] = (char)((start - MAGIC_SIZE) & 0xFF);
    file[9] = (char)((start - MAGIC_SIZE) >> 8);
    memset(file + MAGIC_SIZE, ' ', start - MAGIC_SIZE);
    memcpy(file + MAGIC_SIZE, header, strlen(header));
    file[start - 1] = '\n';
    memcpy(file + start, tensor->data, (size_t)bytes);
    free(header);
    return file;
}

/* Adds a tensor. The entry has a fixed date, so that the same tensors give the same bytes. */
static bool add_entry(zip_t *archive, const struct safetensors_tensor *tensor)
{
    const zip_uint16_t first_of_1980 = 1 << 5 | 1;
    size_t size;
    char *file = npy_file(tensor, &size), *name = memory_format("%s.npy", tensor->name);
    zip_source_t *source = zip_source_buffer(archive, file, size, 1);
    if (!source) free(file);
    zip_int64_t index = source ? zip_file_add(archive, name, source, ZIP_FL_ENC_UTF_8) : -1;
    if (source && index < 0) zip_source_free(source);
    free(name);
    return index >= 0 && zip_set_file_compression(archive, (zip_uint64_t)index, ZIP_CM_STORE, 0) == 0 &&
           zip_file_set_dostime(archive, (zip_uint64_t)index, 0, first_of_1980, 0) == 0;
}

static bool check_dtypes(const char *path, const struct safetensors_tensor *tensors, int count, struct status *status)
{
    for (int i = 0; i < count; i++)
        if (!npy_dtype_name(tensors[i].dtype))
            return status_fail(status, STATUS_RUNTIME, "%s: not written: tensor %s is %s, which NumPy does not have",
                               path, tensors[i].name, safetensors_dtype_name(tensors[i].dtype));
    return true;
}

bool npz_write(const char *path, const struct safetensors_tensor *tensors, int count, struct status *status)
{
    int code = 0;
    if (!check_dtypes(path, tensors, count, status)) return false;
    zip_t *archive = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &code);
    if (!archive) {
        zip_error_t error;
        zip_error_init_with_code(&error, code);
        status_fail(status, STATUS_RUNTIME, "%s: cannot write: %s", path, zip_error_strerror(&error));
        zip_error_fini(&error);
        return false;
    }
    bool good = true;
    for (int i = 0; good && i < count; i++) good = add_entry(archive, &tensors[i]);
    /* zip_close writes the file, which appears whole or not at all. */
    if (good && zip_close(archive) == 0) return true;
    status_fail(status, STATUS_RUNTIME, "%s: cannot write: %s", path, zip_strerror(archive));
    zip_discard(archive);
    return false;
}
#else
bool npz_write(const char *path, const struct safetensors_tensor *tensors, int count, struct status *status)
{
    (void)tensors, (void)count;
    return status_fail(status, STATUS_USAGE, "%s: not written: this build has no libzip (Debian: libzip-dev)", path);
}
#endif
