/* Reads from a checkpoint the format of its network's images. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/checkpoint_private.h"
#include "util/memory.h"
#include "util/number.h"
#include "util/text.h"

static bool fail(const struct safetensors_file *file, const char *what, struct status *status)
{
    return status_fail(status, STATUS_RUNTIME, "%s: not a good checkpoint: %s", file->path, what);
}

static float *fail_values(const struct safetensors_file *file, const char *name, const char *what,
                          struct status *status)
{
    status_fail(status, STATUS_RUNTIME, "%s: tensor %s: %s", file->path, name, what);
    return NULL;
}

/* Returns a tensor's values; NULL with an error where no data set gives such a tensor. */
static float *read_values(const struct safetensors_file *file, const char *name, int rank, int64_t *shape,
                          struct status *status)
{
    const struct safetensors_tensor *tensor = safetensors_find(file, name);
    if (!tensor)
        return status_fail(status, STATUS_RUNTIME, "%s: no tensor %s, which the network has", file->path, name), NULL;
    if (tensor->rank != rank || tensor->dtype != SAFETENSORS_F32 || tensor->count == 0)
        return fail_values(file, name, rank == 3 ? "expected (C,H,W), F32" : "expected (C), F32", status);
    float *values = memory_alloc((size_t)tensor->count, sizeof *values);
    memcpy(values, tensor->data, (size_t)tensor->count * sizeof *values);
    for (int64_t i = 0; i < tensor->count; i++) {
        if (isfinite(values[i])) continue;
        free(values);
        return fail_values(file, name, "a value is not finite", status);
    }
    memcpy(shape, tensor->shape, (size_t)rank * sizeof *shape);
    return values;
}

/* Checks a class name. Names are printed, also on terminals, which obey bytes that are no text. */
static bool check_name(const struct safetensors_file *file, int64_t line, const char *name, size_t length,
                       struct status *status)
{
    const char *problem;
    size_t bad = text_find_bad_name_byte(name, length, &problem);
    if (bad == length) return true;
    return status_fail(status, STATUS_RUNTIME,
                       "%s: not a good checkpoint: class_names: line %" PRId64
                       ": %s (byte 0x%02x) in column %zu, expected a name",
                       file->path, line, problem, (unsigned char)name[bad], bad + 1);
}

static bool read_class_names(struct checkpoint_input *input, const struct safetensors_file *file, const char *names,
                             struct status *status)
{
    input->class_names = memory_alloc((size_t)input->classes, sizeof *input->class_names);
    for (int64_t i = 0; i < input->classes; i++) {
        size_t length = strcspn(names, "\n");
        if (!check_name(file, i + 1, names, length, status)) return false;
        input->class_names[i] = memory_format("%.*s", (int)length, names);
        names += length;
        if (*names != (i + 1 < input->classes ? '\n' : '\0'))
            return fail(file, "class_names: expected a line per class", status);
        names += *names == '\n';
    }
    return true;
}

static bool read_classes(struct checkpoint_input *input, const struct safetensors_file *file, struct status *status)
{
    const char *count = safetensors_metadata_find(file, "classes");
    const char *names = safetensors_metadata_find(file, "class_names");
    if (!count || !number_parse_integer(count, &input->classes) || input->classes < 2 ||
        input->classes > DATASET_CLASSES_MAX)
        return fail(file, "classes: expected a number from 2 to 65536", status);
    return !names || read_class_names(input, file, names, status);
}

/* Reads a number of the border; false where it is none that pixels can have. */
static bool read_border_value(const struct safetensors_file *file, const char *key, double *value)
{
    const char *text = safetensors_metadata_find(file, key);
    return text && number_parse_real(text, value) && *value >= 0 && *value <= UINT8_MAX;
}

static bool read_border(struct image_border *border, const struct safetensors_file *file, struct status *status)
{
    border->known = safetensors_metadata_find(file, "border_mean") != NULL;
    if (!border->known) return true;
    return (read_border_value(file, "border_mean", &border->mean) &&
            read_border_value(file, "border_deviation", &border->deviation)) ||
           fail(file, "border_mean, border_deviation: expected two numbers from 0 to 255", status);
}

bool checkpoint_input_read(struct checkpoint_input *input, const struct safetensors_file *file, struct status *status)
{
    int64_t shape[3] = {0}, channels = 0;
    *input = (struct checkpoint_input){0};
    input->offset = read_values(file, "input.offset", 3, shape, status);
    if (input->offset) input->scale = read_values(file, "input.scale", 1, &channels, status);
    input->channels = shape[0], input->height = shape[1], input->width = shape[2];
    bool good = input->offset && input->scale;
    if (good && channels != input->channels)
        good = fail(file, "input.offset and input.scale have different numbers of channels", status);
    if (good && read_classes(input, file, status) && checkpoint_data_read(&input->data, file, status) &&
        read_border(&input->border, file, status))
        return true;
    checkpoint_input_free(input);
    return false;
}

void checkpoint_input_free(struct checkpoint_input *input)
{
    for (int64_t i = 0; input->class_names && i < input->classes; i++) free(input->class_names[i]);
    free(input->class_names);
    free(input->offset);
    free(input->scale);
    *input = (struct checkpoint_input){0};
}
