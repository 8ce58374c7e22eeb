/* Reads weights into a network (weights_file.h). */
#include "train/weights_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/checkpoint_private.h"
#include "util/memory.h"
#include "util/warning.h"

bool weights_file_open(struct weights_file *weights, const char *path, const struct network *network,
                       const struct layer *other_head, const char *order, struct status *status)
{
    *weights = (struct weights_file){.file = {.path = NULL}};
    return safetensors_read(&weights->file, path, SAFETENSORS_DIGEST_OPTIONAL, status) &&
           import_names_match(&weights->names, &weights->file, network, other_head,
                              strcmp(order, "none") == 0 ? NULL : order, status);
}

void weights_file_close(struct weights_file *weights)
{
    safetensors_free(&weights->file);
    import_names_free(&weights->names);
}

struct finite_check {
    const char *path;
    struct backend *backend;
    struct status *status;
};

static bool check_finite(void *argument, const struct checkpoint_item *item)
{
    const struct finite_check *check = argument;
    int64_t count = shape_count(item->tensor.shape), i = 0;
    double *values = memory_alloc((size_t)count, sizeof *values);
    check->backend->table->tensor_read(check->backend, &item->tensor, values);
    while (i < count && isfinite(values[i])) i++;
    free(values);
    return i == count || status_fail(check->status, STATUS_DIVERGED, "%s: tensor %s holds a value that is not finite",
                                     check->path, item->name);
}

bool weights_file_load(const struct weights_file *weights, struct network *network, const struct layer *kept,
                       struct status *status)
{
    struct finite_check check = {weights->file.path, network->backend, status};
    if (!checkpoint_load_weights(&weights->file, network, kept, status) ||
        !checkpoint_each_weight(network, check_finite, &check))
        return false;
    for (int i = 0; i < weights->names.note_count; i++) warning_print("%s", weights->names.notes[i]);
    return true;
}

/* Returns the largest relative error of a value that was rounded to the dtype. */
static double rounding(enum safetensors_dtype dtype)
{
    return dtype == SAFETENSORS_F16 ? 0x1p-11 : dtype == SAFETENSORS_BF16 ? 0x1p-8 : 0;
}

bool weights_file_agrees(const struct weights_file *weights, const char *name, const float *expected, int64_t count)
{
    const double smallest_half = 0x1p-24;
    const struct safetensors_tensor *tensor = safetensors_find(&weights->file, name);
    if (!tensor) return true;
    if (tensor->count != count || !safetensors_dtype_has_values(tensor->dtype)) return false;
    double *values = memory_alloc((size_t)count, sizeof *values), part = rounding(tensor->dtype);
    safetensors_values(tensor, values);
    bool same = true;
    for (int64_t i = 0; same && i < count; i++) {
        double difference = fabs((double)(float)values[i] - (double)expected[i]);
        same = difference <= part * fabs((double)expected[i]) + (part > 0 ? smallest_half : 0);
    }
    free(values);
    return same;
}
