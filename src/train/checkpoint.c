/* Reads checkpoints, and finds them in the folder of a run. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "train/checkpoint_private.h"
#include "util/check.h"
#include "util/memory.h"
#include "util/number.h"
#include "util/sha256.h"

/* --- texts --- */

static bool fail_text(const struct checkpoint *checkpoint, const char *key, const char *expected, struct status *status)
{
    const char *found = safetensors_metadata_find(&checkpoint->file, key);
    return status_fail(status, STATUS_RUNTIME, "%s: not a good checkpoint: %s: expected %s, found %s",
                       checkpoint->file.path, key, expected, found ? found : "nothing");
}

static bool parse_integer(const struct checkpoint *checkpoint, const char *key, int64_t *value, struct status *status)
{
    const char *text = safetensors_metadata_find(&checkpoint->file, key);
    if (text && number_parse_integer(text, value) && *value >= 0) return true;
    return fail_text(checkpoint, key, "a whole number", status);
}

static bool parse_best_column(struct checkpoint *checkpoint, const struct checkpoint_column *column,
                              struct status *status)
{
    const struct safetensors_file *file = &checkpoint->file;
    void *place = (char *)&checkpoint->best + column->offset;
    const char *text = safetensors_metadata_find(file, column->name);
    if (column->count) return parse_integer(checkpoint, column->name, place, status);
    if (!text && column->partner && !safetensors_metadata_find(file, column->partner)) {
        *(double *)place = NAN;
        return true;
    }
    return (text && number_parse_real(text, place)) || fail_text(checkpoint, column->name, "a number", status);
}

static bool parse_best(struct checkpoint *checkpoint, struct status *status)
{
    for (int i = 0; i < CHECKPOINT_COLUMNS; i++)
        if (!parse_best_column(checkpoint, &checkpoint_columns[i], status)) return false;
    return true;
}

static bool parse_config(struct checkpoint *checkpoint, struct status *status)
{
    char digits[SHA256_DIGITS + 1];
    checkpoint->config = safetensors_metadata_find(&checkpoint->file, "config");
    if (!checkpoint->config) return fail_text(checkpoint, "config", "the text of a config", status);
    struct sha256 hash = sha256_start();
    sha256_add(&hash, checkpoint->config, strlen(checkpoint->config));
    if (!sha256_finish(&hash, digits, status)) return false;
    const char *found = safetensors_metadata_find(&checkpoint->file, "config_sha256");
    return (found && strcmp(found, digits) == 0) || fail_text(checkpoint, "config_sha256", digits, status);
}

static bool parse_texts(struct checkpoint *checkpoint, struct status *status)
{
    const char *version = safetensors_metadata_find(&checkpoint->file, "trainer_checkpoint");
    if (!version || strcmp(version, checkpoint_version) != 0)
        return fail_text(checkpoint, "trainer_checkpoint", checkpoint_version, status);
    if (!parse_integer(checkpoint, "step", &checkpoint->step, status) ||
        !parse_integer(checkpoint, "metrics_rows", &checkpoint->row_count, status))
        return false;
    if (checkpoint->row_count > 0 && !parse_best(checkpoint, status)) return false;
    return parse_config(checkpoint, status);
}

bool checkpoint_read(struct checkpoint *checkpoint, const char *path, struct status *status)
{
    *checkpoint = (struct checkpoint){0};
    if (!safetensors_read(&checkpoint->file, path, SAFETENSORS_DIGEST_REQUIRED, status)) return false;
    if (parse_texts(checkpoint, status)) return true;
    checkpoint_free(checkpoint);
    return false;
}

void checkpoint_free(struct checkpoint *checkpoint)
{
    safetensors_free(&checkpoint->file);
    *checkpoint = (struct checkpoint){0};
}

bool checkpoint_is_before_shuffling(const struct checkpoint *checkpoint)
{
    /* The config of a newer version has every key. */
    return strstr(checkpoint->config, "\nfirst_epoch = ") == NULL;
}

bool checkpoint_experiment(const struct checkpoint *checkpoint, const struct experiment_override *overrides,
                           int override_count, struct experiment *experiment, struct status *status)
{
    return experiment_load_saved(experiment, checkpoint->file.path, checkpoint->config, overrides, override_count,
                                 status);
}

/* --- tensors --- */

struct loading {
    const struct safetensors_file *file;
    struct backend *backend;
    bool *taken;   /* [file->tensor_count] */
    char kept[32]; /* what the names of the tensors begin with that stay as they are; empty: there are none */
    struct status *status;
};

void checkpoint_format_shape(int rank, const int64_t *shape, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "(");
    for (int i = 0; i < rank && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, i ? "," : "", shape[i]);
    if (used < size) snprintf(text + used, size - used, ")");
}

static bool check_shape(const struct loading *loading, const struct checkpoint_item *item,
                        const struct safetensors_tensor *tensor)
{
    char expected[128], found[256];
    if (tensor->rank == item->rank && memcmp(tensor->shape, item->shape, (size_t)item->rank * sizeof *item->shape) == 0)
        return true;
    checkpoint_format_shape(item->rank, item->shape, expected, sizeof expected);
    checkpoint_format_shape(tensor->rank, tensor->shape, found, sizeof found);
    return status_fail(loading->status, STATUS_RUNTIME, "%s: tensor %s: expected the shape %s, found %s",
                       loading->file->path, item->name, expected, found);
}

static bool load(void *argument, const struct checkpoint_item *item)
{
    struct loading *loading = argument;
    const struct safetensors_tensor *tensor = safetensors_find(loading->file, item->name);
    if (*loading->kept && strncmp(item->name, loading->kept, strlen(loading->kept)) == 0) {
        if (tensor) loading->taken[tensor - loading->file->tensors] = true;
        return true;
    }
    if (!tensor)
        return status_fail(loading->status, STATUS_RUNTIME, "%s: no tensor %s, which the network has",
                           loading->file->path, item->name);
    if (!check_shape(loading, item, tensor)) return false;
    if (!safetensors_dtype_is_real(tensor->dtype))
        return status_fail(loading->status, STATUS_RUNTIME, "%s: tensor %s: expected F32, F64, F16 or BF16, found %s",
                           loading->file->path, item->name, safetensors_dtype_name(tensor->dtype));
    double *values = memory_alloc((size_t)tensor->count, sizeof *values);
    safetensors_values(tensor, values);
    loading->backend->table->tensor_write(loading->backend, &item->tensor, values);
    free(values);
    loading->taken[tensor - loading->file->tensors] = true;
    return true;
}

/* Returns true for a tensor that holds no weights: whole numbers, and PyTorch's count of batches, which a batch
 * normalization uses only where its momentum is none. */
static bool is_without_meaning(const struct safetensors_tensor *tensor)
{
    const char ending[] = ".num_batches_tracked";
    size_t length = strlen(tensor->name), rest = strlen(ending);
    return safetensors_dtype_is_whole(tensor->dtype) ||
           (length > rest && strcmp(tensor->name + length - rest, ending) == 0);
}

/* Fails where a tensor under the prefix is left over: it belongs to another network or optimizer. */
static bool check_all_taken(const struct loading *loading, const char *prefix)
{
    for (int i = 0; i < loading->file->tensor_count; i++) {
        const struct safetensors_tensor *tensor = &loading->file->tensors[i];
        const char *name = tensor->name;
        if (loading->taken[i] || strncmp(name, prefix, strlen(prefix)) != 0 || is_without_meaning(tensor)) continue;
        return status_fail(loading->status, STATUS_RUNTIME, "%s: tensor %s, which the network has not",
                           loading->file->path, name);
    }
    return true;
}

static struct loading start_loading(const struct safetensors_file *file, struct backend *backend, struct status *status)
{
    return (struct loading){.file = file,
                            .backend = backend,
                            .taken = memory_alloc((size_t)file->tensor_count, sizeof(bool)),
                            .status = status};
}

bool checkpoint_load_weights(const struct safetensors_file *file, struct network *network, const struct layer *kept,
                             struct status *status)
{
    struct loading loading = start_loading(file, network->backend, status);
    if (kept) snprintf(loading.kept, sizeof loading.kept, "layers.%d.", kept->index);
    bool loaded = checkpoint_each_weight(network, load, &loading) && check_all_taken(&loading, "layers.");
    free(loading.taken);
    return loaded;
}

/* Checks that the run goes on with the data that it began with, by format and normalization. */
static bool check_input(struct loading *loading, const struct dataset *dataset)
{
    struct checkpoint_input input;
    if (!checkpoint_input_read(&input, loading->file, loading->status)) return false;
    size_t channels = (size_t)input.channels, pixels = (size_t)(input.channels * input.height * input.width);
    bool same = input.channels == dataset->channels && input.height == dataset->height &&
                input.width == dataset->width && input.classes == dataset->classes &&
                memcmp(input.offset, dataset->offset, pixels * sizeof(float)) == 0 &&
                memcmp(input.scale, dataset->scale, channels * sizeof(float)) == 0;
    checkpoint_input_free(&input);
    for (int i = 0; i < loading->file->tensor_count; i++)
        if (strncmp(loading->file->tensors[i].name, "input.", 6) == 0) loading->taken[i] = true;
    return same || status_fail(loading->status, STATUS_RUNTIME,
                               "%s: the data set is another one than that of this run: its images, classes or "
                               "normalization differ",
                               loading->file->path);
}

static bool check_number(const struct checkpoint *checkpoint, const char *key, int64_t expected, struct status *status)
{
    char text[32];
    int64_t found;
    if (!parse_integer(checkpoint, key, &found, status)) return false;
    snprintf(text, sizeof text, "%" PRId64, expected);
    return found == expected || fail_text(checkpoint, key, text, status);
}

/* Checks that the step alone tells which samples and random numbers come next. That is so only where an epoch has the
 * same batches and the numbers are drawn in the same way. */
static bool check_position(const struct checkpoint *checkpoint, const struct trainer *trainer, struct status *status)
{
    const char *rng = safetensors_metadata_find(&checkpoint->file, "rng");
    if (!rng || strcmp(rng, checkpoint_rng) != 0) return fail_text(checkpoint, "rng", checkpoint_rng, status);
    return check_number(checkpoint, "epoch", checkpoint->step / trainer->batches_per_epoch, status) &&
           check_number(checkpoint, "batch", checkpoint->step % trainer->batches_per_epoch, status) &&
           check_number(checkpoint, "seed", trainer->experiment->experiment.seed, status);
}

static bool restore_running(const struct checkpoint *checkpoint, struct trainer *trainer, struct status *status)
{
    struct metrics sums;
    if (trainer->experiment->train.eval_train != EVAL_TRAIN_OFF) return true;
    const char *loss = safetensors_metadata_find(&checkpoint->file, "running_loss");
    if (!loss || !number_parse_real(loss, &sums.loss)) return fail_text(checkpoint, "running_loss", "a number", status);
    if (!parse_integer(checkpoint, "running_correct", &sums.correct, status) ||
        !parse_integer(checkpoint, "running_count", &sums.count, status))
        return false;
    network_set_metrics(trainer->network, sums);
    return true;
}

bool checkpoint_restore(const struct checkpoint *checkpoint, struct trainer *trainer, struct status *status)
{
    if (!checkpoint_data_check(&checkpoint->file, trainer->dataset, status) ||
        !check_position(checkpoint, trainer, status))
        return false;
    struct loading loading = start_loading(&checkpoint->file, trainer->backend, status);
    bool loaded = checkpoint_each_trained(trainer, load, &loading) &&
                  checkpoint_each_moment(trainer_empty_optimizer(trainer), load, &loading) &&
                  check_input(&loading, trainer->dataset) && check_all_taken(&loading, "");
    free(loading.taken);
    if (!loaded || !restore_running(checkpoint, trainer, status)) return false;
    trainer->step = checkpoint->step;
    trainer->epoch = -1; /* the order of the epoch is drawn anew */
    trainer->refresh = true;
    return true;
}

/* --- the folder of a run --- */

bool checkpoint_step_of(const char *name, int64_t *step)
{
    const char ending[] = ".safetensors";
    size_t length = strlen(name), prefix = strlen("step_"), rest = strlen(ending);
    if (length <= prefix + rest || length > prefix + rest + 18 || strncmp(name, "step_", prefix) != 0 ||
        strcmp(name + length - rest, ending) != 0)
        return false;
    char digits[20] = "";
    memcpy(digits, name + prefix, length - prefix - rest);
    return strspn(digits, "0123456789") == strlen(digits) && number_parse_integer(digits, step);
}

int64_t checkpoint_last_step(const char *run, int64_t before)
{
    int64_t last = -1, step;
    char *folder = memory_format("%s/checkpoints", run);
    DIR *entries = opendir(folder);
    for (const struct dirent *entry; entries && (entry = readdir(entries));)
        if (checkpoint_step_of(entry->d_name, &step) && step > last && step < before) last = step;
    if (entries) closedir(entries);
    free(folder);
    return last;
}

char *checkpoint_step_path(const char *run, int64_t step)
{
    return memory_format("%s/checkpoints/step_%08" PRId64 ".safetensors", run, step);
}

static char *find_last(const char *run, struct status *status)
{
    int64_t last = checkpoint_last_step(run, INT64_MAX);
    if (last >= 0) return checkpoint_step_path(run, last);
    status_fail(status, STATUS_RUNTIME, "%s: no checkpoint is in %s/checkpoints", run, run);
    return NULL;
}

/* Finds the best checkpoint. Where the run has only another one, the message says how to use that. */
static char *find_best(const char *run, struct status *status)
{
    struct stat info;
    char *path = memory_format("%s/checkpoints/best.safetensors", run);
    if (stat(path, &info) == 0) return path;
    int cause = errno;
    char *last = find_last(run, status);
    if (last)
        status_fail(status, STATUS_RUNTIME, "%s: cannot open: %s; --checkpoint last takes %s", path, strerror(cause),
                    last);
    free(last);
    free(path);
    return NULL;
}

char *checkpoint_find(const char *run, enum checkpoint_choice choice, struct status *status)
{
    struct stat info;
    if (stat(run, &info) != 0) {
        status_fail(status, STATUS_RUNTIME, "%s: cannot open: %s", run, strerror(errno));
        return NULL;
    }
    if (!S_ISDIR(info.st_mode)) return memory_copy_string(run);
    return choice == CHECKPOINT_BEST ? find_best(run, status) : find_last(run, status);
}

bool checkpoint_open(struct checkpoint *checkpoint, const char *run, enum checkpoint_choice choice,
                     struct status *status)
{
    char *path = checkpoint_find(run, choice, status);
    *checkpoint = (struct checkpoint){0};
    bool opened = path && checkpoint_read(checkpoint, path, status);
    free(path);
    return opened;
}
