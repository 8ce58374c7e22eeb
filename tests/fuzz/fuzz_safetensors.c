/* A safetensors file. Input: a byte of flags, and the file. Flags: bit 0, a digest where the file has room for one is
 * made the right one, so that the fuzzer reaches the code behind its check without guessing; bit 1, a digest is
 * required. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "fuzz_sign.h"
#include "io/safetensors.h"
#include "util/check.h"
#include "util/memory.h"

static void use(const struct safetensors_file *file)
{
    for (int i = 0; i < file->tensor_count; i++) {
        const struct safetensors_tensor *tensor = &file->tensors[i];
        if (safetensors_dtype_has_values(tensor->dtype)) {
            double *values = memory_alloc((size_t)tensor->count, sizeof *values);
            safetensors_values(tensor, values);
            free(values);
        }
        CHECK(safetensors_find(file, tensor->name) == tensor);
    }
    for (int i = 0; i < file->metadata_count; i++)
        CHECK(safetensors_metadata_find(file, file->metadata[i].key) == file->metadata[i].value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors_file file;
    struct status status;
    if (size < 1 || size > 1 << 16) return -1;
    uint8_t *bytes = memory_alloc(size, 1);
    memcpy(bytes, data + 1, size - 1);
    if (data[0] & 1) fuzz_sign(bytes, size - 1);
    if (safetensors_parse(&file, "fuzz.safetensors", bytes, size - 1,
                          data[0] & 2 ? SAFETENSORS_DIGEST_REQUIRED : SAFETENSORS_DIGEST_OPTIONAL, &status)) {
        use(&file);
        safetensors_free(&file);
    } else {
        fuzz_check_refusal(&status, STATUS_RUNTIME);
    }
    return 0;
}
