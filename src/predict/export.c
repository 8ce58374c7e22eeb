/* Writes a network's tensors as safetensors or NPZ. */
#include "predict/export_private.h"

#include <stdlib.h>
#include <string.h>

#include "util/memory.h"

static bool is_exported(const char *name)
{
    return strncmp(name, "layers.", 7) == 0 || strncmp(name, "input.", 6) == 0;
}

struct safetensors_tensor *export_tensors(const struct checkpoint *checkpoint, int *count)
{
    const struct safetensors_file *file = &checkpoint->file;
    struct safetensors_tensor *tensors = memory_alloc((size_t)file->tensor_count + 1, sizeof *tensors);
    *count = 0;
    for (int i = 0; i < file->tensor_count; i++)
        if (is_exported(file->tensors[i].name)) tensors[(*count)++] = file->tensors[i];
    return tensors;
}

bool export_safetensors(const struct export_model *model, const char *path, struct status *status)
{
    const struct safetensors_file *file = &model->checkpoint->file;
    const char *const keys[] = {"classes", "class_names", "step"};
    struct safetensors_metadata metadata[4] = {{"format", "pt"}};
    int count, texts = 1;
    for (int i = 0; i < 3; i++) {
        const char *value = safetensors_metadata_find(file, keys[i]);
        if (value) metadata[texts++] = (struct safetensors_metadata){keys[i], value};
    }
    struct safetensors_tensor *tensors = export_tensors(model->checkpoint, &count);
    bool written = safetensors_write(path, tensors, count, metadata, texts, status);
    free(tensors);
    return written;
}

bool export_npz(const struct export_model *model, const char *path, struct status *status)
{
    int count;
    struct safetensors_tensor *tensors = export_tensors(model->checkpoint, &count);
    bool written = npz_write(path, tensors, count, status);
    free(tensors);
    return written;
}
