/* Makes a run from the weights of another program: the first checkpoint of a run that never trained. */
#include "predict/import.h"

#include <math.h>
#include <stdlib.h>

#include "build/build.h"
#include "config/experiment_read.h"
#include "predict/import_names.h"
#include "train/checkpoint.h"
#include "train/checkpoint_private.h"
#include "train/metrics_csv.h"
#include "train/run_folder.h"
#include "util/file_atomic.h"
#include "util/memory.h"
#include "util/warning.h"

struct import {
    struct experiment experiment; /* with train.max_steps as train.epochs gives it */
    struct dataset dataset;
    struct backend *backend;
    struct trainer trainer;
    struct run_result result;
};

/* Returns the largest relative error of a value that was rounded to the dtype. */
static double rounding(enum safetensors_dtype dtype)
{
    return dtype == SAFETENSORS_F16 ? 0x1p-11 : dtype == SAFETENSORS_BF16 ? 0x1p-8 : 0;
}

static bool are_same(const struct safetensors_tensor *tensor, const float *expected, int64_t count)
{
    const double smallest_half = 0x1p-24;
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

/* Refuses a file whose pixels are normalized otherwise than the data set's: its weights would be of no use. */
static bool check_values(const struct safetensors_file *file, const char *name, const float *expected, int64_t count,
                         struct status *status)
{
    const struct safetensors_tensor *tensor = safetensors_find(file, name);
    if (!tensor || are_same(tensor, expected, count)) return true;
    return status_fail(status, STATUS_RUNTIME, "%s: tensor %s: not the normalization of this config's data", file->path,
                       name);
}

static bool load_file(struct import *import, struct safetensors_file *file, struct status *status)
{
    const struct dataset *dataset = &import->dataset;
    int64_t pixels = dataset->channels * dataset->height * dataset->width;
    bool good = check_values(file, "input.offset", dataset->offset, pixels, status) &&
                check_values(file, "input.scale", dataset->scale, dataset->channels, status) &&
                checkpoint_load_weights(file, import->trainer.network, status);
    if (good) ema_restart(&import->trainer.ema);
    return good;
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

/* Checks the weights before anything is written: with --overwrite a run would be lost for useless weights. */
static bool check_weights(struct import *import, const char *path, struct status *status)
{
    struct finite_check check = {path, import->backend, status};
    return checkpoint_each_weight(import->trainer.network, check_finite, &check);
}

static bool load(struct import *import, const char *weights, struct status *status)
{
    struct safetensors_file file;
    struct import_names names;
    if (!safetensors_read(&file, weights, SAFETENSORS_DIGEST_OPTIONAL, status)) return false;
    bool good = import_names_match(&names, &file, import->trainer.network, status) &&
                load_file(import, &file, status) && check_weights(import, weights, status);
    for (int i = 0; good && i < names.note_count; i++) warning_print("%s", names.notes[i]);
    safetensors_free(&file);
    import_names_free(&names);
    return good;
}

static bool open_session(struct import *import, struct status *status)
{
    return dataset_from_experiment(&import->dataset, &import->experiment, NULL, status) &&
           experiment_count_steps(&import->experiment, import->dataset.train.count, status) &&
           backend_from_experiment(&import->backend, &import->experiment, status) &&
           trainer_create(&import->trainer, &import->experiment, &import->dataset, import->backend, status);
}

static void close_session(struct import *import)
{
    trainer_destroy(&import->trainer);
    backend_destroy(import->backend);
    dataset_free(&import->dataset);
    experiment_free(&import->experiment);
}

static void print_config(const void *experiment, FILE *out)
{
    experiment_write(experiment, out);
}

static bool write_config(const struct import *import, const char *folder, struct status *status)
{
    char *path = memory_format("%s/resolved.ini", folder);
    bool written = file_atomic_print(path, print_config, &import->experiment, status);
    free(path);
    return written;
}

static bool write_metrics(const struct import *import, const char *folder, struct status *status)
{
    struct metrics_csv csv;
    char *path = memory_format("%s/metrics.csv", folder);
    bool written = metrics_csv_open(&csv, path, trainer_columns(&import->trainer), status) &&
                   metrics_csv_append(&csv, &import->result.final, status);
    metrics_csv_close(&csv);
    free(path);
    return written;
}

/* Writes the weights first, and last the config, which makes the folder a run that can be resumed. A killed import
 * therefore leaves no run that would train from random weights. */
static bool write_run(struct import *import, const struct run_folder *folder, struct status *status)
{
    return run_folder_check(folder, status) && run_folder_clear(folder, status) &&
           run_folder_save_best(folder, &import->trainer, &import->result, status) &&
           run_folder_save(folder, &import->trainer, &import->result, status) &&
           write_metrics(import, folder->path, status) && write_config(import, folder->path, status);
}

static void evaluate(struct import *import)
{
    struct metrics_row row;
    trainer_evaluate_row(&import->trainer, NULL, NULL, &row);
    import->result.columns = trainer_columns(&import->trainer);
    import->result.best_by = trainer_best_by(import->experiment.checkpoint.best_by, import->result.columns);
    run_result_add(&import->result, &row);
}

bool import_weights(const struct experiment *experiment, const char *weights, const char *folder,
                    enum train_start start, struct metrics_row *row, struct status *status)
{
    struct import *import = memory_alloc(1, sizeof *import);
    experiment_copy(&import->experiment, experiment);
    bool good = open_session(import, status) && load(import, weights, status);
    if (good) {
        struct run_folder place;
        good = run_folder_open(&place, folder, start, status);
        if (good) {
            evaluate(import);
            *row = import->result.final;
            good = write_run(import, &place, status);
            if (!good) run_folder_abandon(&place);
        }
        run_folder_close(&place);
    }
    close_session(import);
    free(import);
    return good;
}
