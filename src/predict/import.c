/* Makes a run from the weights of another program: the first checkpoint of a run that never trained. */
#include "predict/import.h"

#include <stdlib.h>

#include "build/build.h"
#include "config/experiment_read.h"
#include "train/checkpoint.h"
#include "train/metrics_csv.h"
#include "train/run_folder.h"
#include "train/weights_file.h"
#include "util/file_atomic.h"
#include "util/memory.h"

struct import {
    struct experiment experiment; /* with train.max_steps as train.epochs gives it */
    struct dataset dataset;
    struct backend *backend;
    struct trainer trainer;
    struct run_result result;
};

/* Refuses a file whose pixels are normalized otherwise than the data set's: its weights would be of no use. */
static bool check_values(const struct weights_file *weights, const char *name, const float *expected, int64_t count,
                         struct status *status)
{
    if (weights_file_agrees(weights, name, expected, count)) return true;
    return status_fail(status, STATUS_RUNTIME, "%s: tensor %s: not the normalization of this config's data",
                       weights->file.path, name);
}

/* Loads the weights before anything is written: with --overwrite a run would be lost for useless ones. */
static bool load(struct import *import, const char *path, struct status *status)
{
    const struct dataset *dataset = &import->dataset;
    int64_t pixels = dataset->channels * dataset->height * dataset->width;
    struct network *network = import->trainer.network;
    struct weights_file weights;
    bool good = weights_file_open(&weights, path, network, NULL, import->experiment.model.init_names, status) &&
                check_values(&weights, "input.offset", dataset->offset, pixels, status) &&
                check_values(&weights, "input.scale", dataset->scale, dataset->channels, status) &&
                weights_file_load(&weights, network, NULL, status);
    if (good) ema_restart(&import->trainer.ema);
    weights_file_close(&weights);
    return good;
}

static bool open_session(struct import *import, struct status *status)
{
    return dataset_from_experiment(&import->dataset, &import->experiment, NULL, status) &&
           experiment_count_steps(&import->experiment, import->dataset.train.count, status) &&
           backend_from_experiment(&import->backend, &import->experiment, status) &&
           trainer_create(&import->trainer, &import->experiment, &import->dataset, import->backend, NULL, status);
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
