/* Writes checkpoints: collects the tensors and texts in host memory, then writes them as one file. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config/experiment_value.h"
#include "train/checkpoint_private.h"
#include "util/check.h"
#include "util/memory.h"
#include "util/number.h"
#include "util/sha256.h"
#include "util/text.h"

/* --- tensors --- */

/* The tensors of the file, in host memory. */
struct collection {
    struct backend *backend;
    const char *path;
    struct safetensors_tensor *tensors; /* names and data are owned */
    int count, capacity;
    struct status *status;
};

static bool check_finite(const struct collection *collection, const char *name, const double *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return status_fail(collection->status, STATUS_DIVERGED,
                               "%s: not saved: %s holds a value that is not finite", collection->path, name);
    return true;
}

/* Returns the values in the precision that the backend keeps parameters in, so that nothing is lost. */
static void *narrow(const struct backend *backend, const double *values, int64_t count)
{
    if (backend->scalar_size == sizeof(double)) {
        void *copy = memory_alloc((size_t)count, sizeof(double));
        return memcpy(copy, values, (size_t)count * sizeof(double));
    }
    float *floats = memory_alloc((size_t)count, sizeof *floats);
    for (int64_t i = 0; i < count; i++) floats[i] = (float)values[i];
    return floats;
}

static struct safetensors_tensor *append(struct collection *collection, const char *name)
{
    if (collection->count == collection->capacity) {
        collection->capacity = collection->capacity ? 2 * collection->capacity : 64;
        collection->tensors =
            memory_resize(collection->tensors, (size_t)collection->capacity, sizeof *collection->tensors);
    }
    struct safetensors_tensor *tensor = &collection->tensors[collection->count++];
    *tensor = (struct safetensors_tensor){.name = memory_copy_string(name)};
    return tensor;
}

static bool collect(void *argument, const struct checkpoint_item *item)
{
    struct collection *collection = argument;
    struct backend *backend = collection->backend;
    int64_t count = shape_count(item->tensor.shape);
    double *values = memory_alloc((size_t)count, sizeof *values);
    backend->table->tensor_read(backend, &item->tensor, values);
    bool finite = check_finite(collection, item->name, values, count);
    if (finite) {
        struct safetensors_tensor *tensor = append(collection, item->name);
        tensor->dtype = backend->scalar_size == sizeof(double) ? SAFETENSORS_F64 : SAFETENSORS_F32;
        tensor->rank = item->rank;
        tensor->count = count;
        tensor->data = narrow(backend, values, count);
        memcpy(tensor->shape, item->shape, sizeof item->shape);
    }
    free(values);
    return finite;
}

/* Collects how pixels enter the network: offset and scale. */
static void collect_input(struct collection *collection, const struct dataset *dataset)
{
    const int64_t shape[3] = {dataset->channels, dataset->height, dataset->width};
    const float *const values[2] = {dataset->offset, dataset->scale};
    const char *const names[2] = {"input.offset", "input.scale"};
    for (int i = 0; i < 2; i++) {
        struct safetensors_tensor *tensor = append(collection, names[i]);
        tensor->rank = i == 0 ? 3 : 1;
        tensor->count = i == 0 ? shape[0] * shape[1] * shape[2] : shape[0];
        tensor->dtype = SAFETENSORS_F32;
        tensor->data = memcpy(memory_alloc((size_t)tensor->count, sizeof(float)), values[i],
                              (size_t)tensor->count * sizeof(float));
        memcpy(tensor->shape, shape, (size_t)tensor->rank * sizeof *shape);
    }
}

static void free_collection(struct collection *collection)
{
    for (int i = 0; i < collection->count; i++) {
        free((char *)collection->tensors[i].name);
        free((void *)collection->tensors[i].data);
    }
    free(collection->tensors);
}

/* --- texts --- */

enum { TEXT_LIMIT = 17 + CHECKPOINT_COLUMNS + CHECKPOINT_SETS };

struct texts {
    struct safetensors_metadata entries[TEXT_LIMIT]; /* values are owned */
    int count;
};

/* Adds a text, and takes over `value`. */
static void add_text(struct texts *texts, const char *key, char *value)
{
    CHECK(texts->count < TEXT_LIMIT);
    texts->entries[texts->count++] = (struct safetensors_metadata){key, value};
}

static void add_integer(struct texts *texts, const char *key, int64_t value)
{
    add_text(texts, key, memory_format("%" PRId64, value));
}

static void add_real(struct texts *texts, const char *key, double value)
{
    char text[VALUE_TEXT_SIZE];
    number_format_real(value, text, sizeof text);
    add_text(texts, key, memory_copy_string(text));
}

static void add_best(struct texts *texts, const struct metrics_row *best)
{
    for (int i = 0; i < CHECKPOINT_COLUMNS; i++) {
        const struct checkpoint_column *column = &checkpoint_columns[i];
        const void *place = (const char *)best + column->offset;
        if (column->count) {
            add_integer(texts, column->name, *(const int64_t *)place);
            continue;
        }
        if (column->partner && isnan(*(const double *)place)) continue;
        add_real(texts, column->name, *(const double *)place);
    }
}

/* The sums since the last evaluation, which a run that evaluates no training samples needs for its next row. */
static void add_running(struct texts *texts, const struct trainer *trainer)
{
    if (trainer->experiment->train.eval_train != EVAL_TRAIN_OFF) return;
    struct metrics sums = network_metrics(trainer->network);
    add_real(texts, "running_loss", sums.loss);
    add_integer(texts, "running_correct", sums.correct);
    add_integer(texts, "running_count", sums.count);
}

static bool add_config(struct texts *texts, const struct experiment *experiment, struct status *status)
{
    char digits[SHA256_DIGITS + 1], *text = experiment_text(experiment);
    struct sha256 hash = sha256_start();
    sha256_add(&hash, text, strlen(text));
    add_text(texts, "config", text);
    if (!sha256_finish(&hash, digits, status)) return false;
    add_text(texts, "config_sha256", memory_copy_string(digits));
    return true;
}

/* Adds the class names, one per line, in the order of the labels. A byte that is no text becomes a question mark. */
char *checkpoint_class_names(const struct dataset *dataset)
{
    if (!dataset->class_names) return NULL;
    char *lines = memory_copy_string("");
    for (int64_t i = 0; i < dataset->classes; i++) {
        char *name = memory_copy_string(dataset->class_names[i]);
        const char *problem;
        size_t size = strlen(name);
        for (size_t bad; (bad = text_find_bad_name_byte(name, size, &problem)) < size;) name[bad] = '?';
        char *longer = memory_format("%s%s%s", lines, i > 0 ? "\n" : "", name);
        free(name), free(lines);
        lines = longer;
    }
    return lines;
}

static void add_data(struct texts *texts, const struct dataset *dataset)
{
    for (int i = 0; i < CHECKPOINT_SETS; i++) {
        char *text = checkpoint_data_text(&dataset->digest, i);
        if (text) add_text(texts, checkpoint_data_key(i), text);
    }
    if (!dataset->border.known) return;
    add_real(texts, "border_mean", dataset->border.mean);
    add_real(texts, "border_deviation", dataset->border.deviation);
}

static bool add_texts(struct texts *texts, const struct trainer *trainer, const struct run_result *result,
                      struct status *status)
{
    add_text(texts, "format", memory_copy_string("pt"));
    add_text(texts, "trainer_checkpoint", memory_copy_string(checkpoint_version));
    add_integer(texts, "step", trainer->step);
    add_integer(texts, "epoch", trainer->step / trainer->batches_per_epoch);
    add_integer(texts, "batch", trainer->step % trainer->batches_per_epoch);
    add_integer(texts, "seed", trainer->experiment->experiment.seed);
    add_text(texts, "rng", memory_copy_string(checkpoint_rng));
    add_integer(texts, "metrics_rows", result->row_count);
    if (result->row_count > 0) add_best(texts, &result->best);
    add_running(texts, trainer);
    add_integer(texts, "classes", trainer->dataset->classes);
    char *names = checkpoint_class_names(trainer->dataset);
    if (names) add_text(texts, "class_names", names);
    add_data(texts, trainer->dataset);
    return add_config(texts, trainer->experiment, status);
}

bool checkpoint_write(const char *path, struct trainer *trainer, const struct run_result *result, struct status *status)
{
    struct collection collection = {.backend = trainer->backend, .path = path, .status = status};
    struct texts texts = {0};
    const struct optimizer *optimizer = trainer_whole_optimizer(trainer, status);
    bool written = optimizer && checkpoint_each_trained(trainer, collect, &collection) &&
                   checkpoint_each_moment(optimizer, collect, &collection) &&
                   add_texts(&texts, trainer, result, status);
    trainer_release_whole(trainer);
    collect_input(&collection, trainer->dataset);
    written =
        written && safetensors_write(path, collection.tensors, collection.count, texts.entries, texts.count, status);
    for (int i = 0; i < texts.count; i++) free((char *)texts.entries[i].value);
    free_collection(&collection);
    return written;
}
