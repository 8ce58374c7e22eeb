/* Loads the weights that training starts from (init_from.h). */
#include "train/init_from.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/parameter_group.h"
#include "train/checkpoint_private.h"
#include "train/weights_file.h"
#include "util/memory.h"
#include "util/warning.h"

/* Finds the file: of a run the best checkpoint, or the last one where none is the best. */
static char *find_file(const char *path, struct status *status)
{
    struct status none;
    char *file = checkpoint_find(path, CHECKPOINT_BEST, &none);
    return file ? file : checkpoint_find(path, CHECKPOINT_LAST, status);
}

/* The weight of the head as the file has it. */
static const struct safetensors_tensor *head_of(const struct weights_file *weights, const struct layer *head)
{
    char name[64];
    snprintf(name, sizeof name, "layers.%d.%s", head->index, head->parameter[0].name);
    return safetensors_find(&weights->file, name);
}

/* Returns why the head must start anew, in a new string, or NULL: the file's is taken. */
static char *why_new_head(const struct weights_file *weights, const struct layer *head, const struct dataset *dataset)
{
    const int64_t *there = head_of(weights, head)->shape, inputs = head->parameter[0].value.shape.c;
    if (there[0] != dataset->classes)
        return memory_format("%" PRId64 " classes there, %" PRId64 " here", there[0], dataset->classes);
    if (there[1] != inputs) return memory_format("%" PRId64 " features there, %" PRId64 " here", there[1], inputs);
    const char *names = safetensors_metadata_find(&weights->file, "class_names");
    char *own = checkpoint_class_names(dataset), *reason = NULL;
    if (names && own && strcmp(names, own) != 0) reason = memory_copy_string("its classes have other names");
    free(own);
    return reason;
}

/* Warns of pixels that enter the network at another scale than where its weights come from. */
static void compare_scale(const struct weights_file *weights, const struct dataset *dataset)
{
    const double most = 4; /* data sets whose normalization is of one kind are nearer to each other */
    const struct safetensors_tensor *tensor = safetensors_find(&weights->file, "input.scale");
    if (!tensor || tensor->count != dataset->channels || !safetensors_dtype_has_values(tensor->dtype)) return;
    double *scale = memory_alloc((size_t)tensor->count, sizeof *scale), largest = 1, ratio = 1;
    safetensors_values(tensor, scale);
    for (int64_t c = 0; c < tensor->count; c++) {
        double other = (double)dataset->scale[c] / scale[c], far = fmax(other, 1 / other);
        if (far > largest) largest = far, ratio = other;
    }
    free(scale);
    if (largest > most)
        warning_print("%s: pixels are %.3g times as large here as they were for these weights (data.normalization)",
                      weights->file.path, ratio);
}

static bool load(struct trainer *trainer, const char *path, char **text, struct status *status)
{
    struct weights_file weights;
    struct network *network = trainer->network;
    const struct layer *head = network_head(network);
    char *reason = NULL;
    bool good = weights_file_open(&weights, path, network, head, trainer->experiment->model.init_names, status);
    if (good) {
        reason = why_new_head(&weights, head, trainer->dataset);
        good = weights_file_load(&weights, network, reason ? head : NULL, status);
    }
    if (good) {
        compare_scale(&weights, trainer->dataset);
        ema_restart(&trainer->ema);
        *text = reason ? memory_format("weights of %s; the last layer starts anew: %s", path, reason)
                       : memory_format("weights of %s", path);
    }
    weights_file_close(&weights);
    free(reason);
    return good;
}

bool init_from_load(struct trainer *trainer, char **text, struct status *status)
{
    const char *from = trainer->experiment->model.init_from;
    *text = NULL;
    if (strcmp(from, "none") == 0) return true;
    char *path = find_file(from, status);
    bool good = path && load(trainer, path, text, status);
    free(path);
    return good;
}

bool init_from_check(const struct experiment *experiment, struct status *status)
{
    const char *from = experiment->model.init_from;
    struct safetensors_file file = {.path = NULL};
    if (strcmp(from, "none") == 0) return true;
    char *path = find_file(from, status);
    bool good = path && safetensors_read(&file, path, SAFETENSORS_DIGEST_OPTIONAL, status);
    safetensors_free(&file);
    free(path);
    return good;
}
