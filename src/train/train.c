/* A whole run: data, backend, network, steps, evaluations, files. */
#include "trainer/train.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "report/csv.h"
#include "train/curves.h"
#include "train/run_tensorboard.h"
#include "trainer/memory.h"
#include "util/clock.h"
#include "util/folder.h"
#include "util/thousands.h"

struct run {
    const struct experiment *experiment;
    const char *folder;
    const struct run_output *output; /* NULL: quiet */
    FILE *out;                       /* its file */
    struct dataset dataset;
    struct backend *backend;
    struct trainer trainer;
    struct metrics_csv csv;
    struct run_curves curves;
    struct run_tensorboard tensorboard;
    struct progress progress;
    struct run_result result;
    double started; /* seconds of the clock */
    double resumed; /* when training went on after the last evaluation */
};

/* --- before the first step --- */

static bool write_resolved(const struct run *run, struct status *status)
{
    char *path = memory_format("%s/resolved.ini", run->folder);
    FILE *file = fopen(path, "w");
    bool written = file != NULL;
    if (file) {
        experiment_write(run->experiment, file);
        written = fflush(file) == 0 && !ferror(file);
        int cause = errno;
        if (fclose(file) != 0 && written) written = false, cause = errno;
        errno = cause;
    }
    if (!written) status_fail(status, STATUS_RUNTIME, "%s: cannot write: %s", path, strerror(errno));
    free(path);
    return written;
}

static bool open_files(struct run *run, struct status *status)
{
    if (!run_tensorboard_start(&run->tensorboard, run->experiment, run->folder, run->trainer.step, status))
        return false;
    if (!folder_create(run->folder, status) || !write_resolved(run, status)) return false;
    char *path = memory_format("%s/metrics.csv", run->folder);
    bool opened = metrics_csv_open(&run->csv, path, status);
    free(path);
    if (opened) run_curves_start(&run->curves, run->experiment, run->folder);
    return opened;
}

static void print_head(const struct run *run)
{
    const struct dataset *dataset = &run->dataset;
    if (!run->out) return;
    fprintf(run->out,
            "%s: %s training and %s test images of %" PRId64 "x%" PRId64 "x%" PRId64 ", %" PRId64 " classes\n",
            run->experiment->experiment.name, thousands_format(dataset->train.count).text,
            thousands_format(dataset->test.count).text, dataset->channels, dataset->height, dataset->width,
            dataset->classes);
    fprintf(run->out, "backend: %s\n\n", run->backend->description);
    network_print_summary(run->trainer.network, run->out);
    experiment_print_extras(run->experiment, run->out);
    fputc('\n', run->out);
    fflush(run->out);
}

static bool open_run(struct run *run, struct status *status)
{
    const struct experiment *experiment = run->experiment;
    if (!experiment_backend_create(&run->backend, experiment, status)) return false;
    if (!dataset_load(&run->dataset, experiment, status)) return false;
    if (!trainer_create(&run->trainer, experiment, &run->dataset, run->backend, status)) return false;
    if (!open_files(run, status)) return false;
    print_head(run);
    return true;
}

/* --- steps and evaluations --- */

static double speed(const struct run *run, double train_seconds)
{
    double images = (double)(run->trainer.step * run->experiment->train.batch_size);
    return train_seconds > 0 ? images / train_seconds : 0;
}

static void refresh_progress(struct run *run)
{
    struct backend *backend = run->backend;
    struct metrics sums = backend->ops->metrics_read(backend);
    backend->ops->metrics_reset(backend);
    double train_seconds = run->result.train_seconds + clock_seconds() - run->resumed;
    progress_training(&run->progress, run->trainer.step, sums.loss / (double)sums.count,
                      (double)sums.correct / (double)sums.count, speed(run, train_seconds));
}

static bool evaluate_and_record(struct run *run, struct status *status)
{
    struct trainer *trainer = &run->trainer;
    run->backend->ops->metrics_read(run->backend); /* waits for the device: what follows is not training time */
    run->result.train_seconds += clock_seconds() - run->resumed;
    run->result.images = trainer->step * run->experiment->train.batch_size;
    struct metrics_row row = {.step = trainer->step, .epoch = trainer->step / trainer->batches_per_epoch};
    row.train = trainer_evaluate(trainer, &trainer->train_set, &run->progress);
    row.test = trainer_evaluate(trainer, &trainer->test_set, &run->progress);
    row.learning_rate = schedule_learning_rate(run->experiment, trainer->step - 1);
    row.elapsed_seconds = clock_seconds() - run->started;
    run_result_add(&run->result, &row);
    progress_row(&run->progress, &row);
    if (!metrics_csv_append(&run->csv, &row, status)) return false;
    run_curves_add(&run->curves, &row);
    if (!run_tensorboard_add(&run->tensorboard, trainer->network, &run->result, status)) return false;
    run->resumed = clock_seconds();
    return true;
}

/* A run without pictures is a good run: it only says why there are none. */
static void draw_curves(struct run *run)
{
    struct status status;
    if (run_curves_finish(&run->curves, &status)) return;
    progress_clear(&run->progress);
    fprintf(stderr, "trainer: no picture of the curves: %s\n", status.message);
}

static bool run_steps(struct run *run, struct status *status)
{
    struct trainer *trainer = &run->trainer;
    int64_t max_steps = run->experiment->train.max_steps, eval_freq = run->experiment->train.eval_freq;
    progress_start(&run->progress, run->output, trainer->step, max_steps);
    usage_start(&run->progress.usage, run->backend->pci_bus_id);
    run->started = run->resumed = clock_seconds();
    while (trainer->step < max_steps) {
        trainer_step(trainer);
        if (trainer->step % eval_freq == 0 || trainer->step == max_steps) {
            if (!evaluate_and_record(run, status)) return false;
        } else if (progress_due(&run->progress)) {
            refresh_progress(run);
        }
    }
    draw_curves(run);
    progress_finish(&run->progress, &run->result, run->folder);
    return true;
}

/* Whatever of it there is. */
static void close_run(struct run *run)
{
    progress_close(&run->progress);
    metrics_csv_close(&run->csv);
    run_curves_free(&run->curves);
    run_tensorboard_close(&run->tensorboard);
    trainer_destroy(&run->trainer);
    dataset_free(&run->dataset);
    backend_destroy(run->backend);
}

bool train_run(const struct experiment *experiment, const char *folder, const struct run_output *output,
               struct run_result *result, struct status *status)
{
    struct run *run = memory_alloc(1, sizeof *run); /* its trainer must not move */
    run->experiment = experiment;
    run->folder = folder;
    run->output = output;
    run->out = output ? output->file : NULL;
    bool done = open_run(run, status) && run_steps(run, status);
    if (result) *result = run->result;
    close_run(run);
    free(run);
    return done;
}
