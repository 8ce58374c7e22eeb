/* A whole run: folder, data, backend, network, steps, evaluations, checkpoints. */
#include "train/train.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "build/build.h"
#include "config/experiment_read.h"
#include "train/batch_statistics.h"
#include "train/checkpoint_private.h"
#include "train/curves.h"
#include "train/diverged.h"
#include "train/init_from.h"
#include "train/metrics_csv.h"
#include "train/run_folder.h"
#include "train/run_loop.h"
#include "train/run_resume.h"
#include "train/run_skipped.h"
#include "train/run_tensorboard.h"
#include "util/clock.h"
#include "util/file_atomic.h"
#include "util/memory.h"
#include "util/shell.h"
#include "util/stop.h"
#include "util/streams.h"
#include "util/thousands.h"
#include "util/warning.h"

struct run {
    struct experiment own;               /* the experiment, with train.max_steps as train.epochs gives it */
    const struct experiment *experiment; /* points to it */
    struct run_folder folder;
    struct checkpoint checkpoint;    /* the one that the run goes on from; file.path NULL: the run starts anew */
    struct comm *comm;               /* the other ranks; NULL: the run is alone */
    const struct run_output *output; /* NULL: quiet */
    FILE *out;                       /* output's file */
    struct dataset dataset;
    struct backend *backend;
    struct trainer trainer;
    char *start; /* the line about weights that the run starts from; NULL: there are none */
    struct metrics_csv csv;
    struct run_curves curves;
    struct run_tensorboard tensorboard;
    struct progress progress;
    struct run_loop loop;
    struct metrics shown; /* sums since the last evaluation, as the progress line has shown them already */
    double checked;       /* clock when the folder was last compared with the locked one */
    bool leads;           /* other ranks wait for commands */
};

/* --- before the first step --- */

static void print_experiment(const void *experiment, FILE *out)
{
    experiment_write(experiment, out);
}

static bool write_resolved(const struct run *run, struct status *status)
{
    char *path = memory_format("%s/resolved.ini", run->folder.path);
    bool written = file_atomic_print(path, print_experiment, run->experiment, status);
    free(path);
    return written;
}

static bool is_resumed(const struct run *run)
{
    return run->checkpoint.file.path != NULL;
}

/* Opens metrics.csv of the run that goes on. The rows up to the checkpoint stay, and count as the run's. */
static bool continue_metrics(struct run *run, const char *path, struct status *status)
{
    struct metrics_row *rows;
    if (!metrics_csv_continue(&run->csv, path, trainer_columns(&run->trainer), run->checkpoint.row_count, &rows,
                              status))
        return false;
    run_resume_result(&run->checkpoint, rows, &run->loop.result);
    for (int64_t i = 0; i < run->checkpoint.row_count; i++) run_curves_add(&run->curves, &rows[i]);
    free(rows);
    return true;
}

static bool open_metrics(struct run *run, struct status *status)
{
    char *path = memory_format("%s/metrics.csv", run->folder.path);
    bool opened = is_resumed(run) ? continue_metrics(run, path, status)
                                  : metrics_csv_open(&run->csv, path, trainer_columns(&run->trainer), status);
    free(path);
    return opened;
}

static bool open_files(struct run *run, struct status *status)
{
    if (!run_folder_check(&run->folder, status)) return false;
    if (!is_resumed(run) && !run_folder_clear(&run->folder, status)) return false;
    /* It comes first because it marks the folder as a run's. */
    if (!write_resolved(run, status) || !run_skipped_write(&run->dataset, run->folder.path, status)) return false;
    if (!run_tensorboard_start(&run->tensorboard, run->experiment, run->folder.path, run->trainer.step, status))
        return false;
    run_curves_start(&run->curves, run->experiment, run->folder.path);
    return open_metrics(run, status);
}

/* Prints "50,000 training, 5,000 validation and 10,000 test images", without the sets that are empty. */
static void print_sets(const struct dataset *dataset, FILE *out)
{
    const struct {
        const char *name;
        int64_t count;
    } sets[] = {{"validation", dataset->validation.count}, {"test", dataset->test.count}};
    fprintf(out, "%s training", thousands_format(dataset->train.count).text);
    for (int i = 0; i < 2; i++) {
        if (sets[i].count == 0) continue;
        bool last = i == 1 || sets[1].count == 0;
        fprintf(out, "%s %s %s", last ? " and" : ",", thousands_format(sets[i].count).text, sets[i].name);
    }
    fprintf(out, " images");
}

/* What the training set's figures are, where they are not those of the whole set. */
static void print_train_figures(const struct run *run)
{
    int64_t covered = run->trainer.train_part.count, count = run->trainer.train_set.count;
    if (run->loop.result.columns.running)
        fprintf(run->out,
                "running: means over the training batches since the evaluation before, as training saw them\n");
    else if (covered < count)
        fprintf(run->out, "train figures: %s of the %s training images, the same ones each time\n",
                thousands_format(covered).text, thousands_format(count).text);
}

static void print_ranks(const struct run *run)
{
    const struct comm *comm = run->comm, *devices = run->trainer.ranks.devices;
    int64_t slices = run->experiment->train.slices;
    if (!comm) return;
    char *where = comm_describe(comm);
    fprintf(run->out, "%s: %" PRId64 " slices of %" PRId64 " samples, %" PRId64 " per rank; exchange by %s%s%s\n",
            where, slices, run->experiment->train.batch_size / slices, slices / comm->size,
            devices ? devices->name : "", devices ? " and " : "", comm->name);
    free(where);
}

static void print_head(const struct run *run)
{
    const struct dataset *dataset = &run->dataset;
    if (!run->out) return;
    fprintf(run->out, "%s: ", run->experiment->experiment.name);
    print_sets(dataset, run->out);
    fprintf(run->out, " of %" PRId64 "x%" PRId64 "x%" PRId64 ", %" PRId64 " classes\n", dataset->channels,
            dataset->height, dataset->width, dataset->classes);
    dataset_print_notes(dataset, run->experiment->data.first_epoch, run->experiment->train.batch_size, run->out);
    run_skipped_print(dataset, run->folder.path, run->out);
    fprintf(run->out, "backend: %s\n", run->backend->description);
    print_ranks(run);
    fputc('\n', run->out);
    network_print_summary(run->trainer.network, run->out);
    experiment_print_extras(run->experiment, run->out);
    batch_statistics_print(&run->trainer, run->out);
    trainer_print_memory(&run->trainer, run->out);
    print_train_figures(run);
    if (run->start) fprintf(run->out, "%s\n", run->start);
    fputc('\n', run->out);
    if (is_resumed(run)) fprintf(run->out, "going on after step %" PRId64 "\n\n", run->trainer.step);
    streams_flush(run->out);
}

/* Restores the trainer's state where the run goes on; else gives it the weights to start from. */
static bool restore(struct run *run, struct status *status)
{
    struct trainer *trainer = &run->trainer;
    if (!is_resumed(run)) return init_from_load(trainer, &run->start, status);
    if (!checkpoint_restore(&run->checkpoint, trainer, status)) return false;
    run->loop.first_step = trainer->step;
    return true;
}

/* Opens the checkpoint to go on from. A run that begins again although its folder holds one says so: a scheduler may
 * have killed it before its first save. */
static bool open_checkpoint(struct run *run, enum train_start start, struct status *status)
{
    if (start != TRAIN_RESUME && start != TRAIN_CONTINUE) return true;
    if (!run_resume_open(&run->checkpoint, run->folder.path, run->experiment, status)) return false;
    if (!is_resumed(run) && !run->folder.empty)
        warning_print("%s: no checkpoint to go on from is in its checkpoints/, so the run starts anew at step 0",
                      run->folder.path);
    return true;
}

static bool load_data(struct run *run, struct status *status)
{
    return progress_load_data(&run->dataset, run->experiment, run->output, status) &&
           experiment_count_steps(&run->own, run->dataset.train.count, status);
}

/* --- what a step is followed by --- */

/* Returns true where the run must end before its last step: after a signal, or when the reader of its output is gone. An
 * evaluation that is then abandoned runs again when the run is resumed. */
static bool is_to_end(void *argument)
{
    const struct run *run = argument;
    return stop_wanted() || run->trainer.ranks.signal[0] || streams_reader_is_gone();
}

/* A forgotten run whose folder is gone ends within a second, and not only before its next write. */
static bool check_folder(void *argument, struct status *status)
{
    const double interval_seconds = 1;
    struct run *run = argument;
    double now = clock_seconds();
    if (now - run->checked < interval_seconds) return true;
    run->checked = now;
    return run_folder_check(&run->folder, status);
}

static bool is_line_due(void *argument)
{
    const struct run *run = argument;
    return progress_due(&run->progress);
}

static void refresh_line(void *argument)
{
    struct run *run = argument;
    struct metrics all = run->loop.sums, shown = run->shown;
    struct metrics sums = {all.loss - shown.loss, all.correct - shown.correct, all.count - shown.count};
    run->shown = all;
    progress_training(&run->progress, run->trainer.step, sums.loss / (double)sums.count,
                      (double)sums.correct / (double)sums.count, run_loop_speed(&run->loop));
}

static bool record(void *argument, struct status *status)
{
    struct run *run = argument;
    const struct run_result *result = &run->loop.result;
    run->shown = (struct metrics){0};
    progress_row(&run->progress, result);
    if (!run_folder_check(&run->folder, status) || !metrics_csv_append(&run->csv, &result->final, status)) return false;
    run_curves_add(&run->curves, &result->final);
    if (!run_tensorboard_add(&run->tensorboard, run->trainer.network, result, status)) return false;
    bool best = result->since_best == 0 && run->experiment->checkpoint.best;
    return !best || run_folder_save_best(&run->folder, &run->trainer, result, status);
}

static bool save(struct run *run, struct status *status)
{
    return run_loop_check(&run->loop, status) && metrics_csv_sync(&run->csv, status) &&
           run_folder_save(&run->folder, &run->trainer, &run->loop.result, status);
}

static bool save_where_due(void *argument, struct status *status)
{
    struct run *run = argument;
    int64_t freq = run->experiment->checkpoint.freq;
    bool due = run_loop_is_finished(&run->loop) || (freq > 0 && run->trainer.step % freq == 0);
    return !due || save(run, status);
}

/* The weights are checked too, since a run must neither save nor go on with such that are not finite. */
static void prepare_loop(struct run *run)
{
    const struct experiment *experiment = run->experiment;
    run->loop = (struct run_loop){
        .trainer = &run->trainer,
        .last_step = experiment->train.max_steps,
        .eval_freq = experiment->train.eval_freq,
        .patience = experiment->train.patience,
        .checks = RUN_LOOP_CHECK_WEIGHTS,
        .folder = run->folder.path,
        .progress = &run->progress,
        .calls = {.stop = is_to_end,
                  .stepped = check_folder,
                  .is_look_due = is_line_due,
                  .looked = refresh_line,
                  .evaluated = record,
                  .finished = save_where_due},
        .argument = run,
    };
    run->loop.result.columns = trainer_columns(&run->trainer);
    run->loop.result.best_by = trainer_best_by(experiment->checkpoint.best_by, run->loop.result.columns);
}

/* --- the run --- */

/* Makes the session of a run. */
static bool create_trainer(struct run *run, struct status *status)
{
    return ranks_check(run->experiment, run->comm, status) &&
           trainer_create(&run->trainer, run->experiment, &run->dataset, run->backend, run->comm, status);
}

/* Makes everything ready that does not change the folder. */
static bool prepare_run(struct run *run, const char *folder, enum train_start start, struct status *status)
{
    const struct experiment *experiment = run->experiment;
    if (!run_folder_open(&run->folder, folder, start, status)) return false;
    bool counted = experiment->train.epochs == 0; /* else the data must be there before the keys can be compared */
    if (!counted && !load_data(run, status)) return false;
    if (!open_checkpoint(run, start, status)) return false;
    if (!ranks_create_backend(&run->backend, run->experiment, run->comm, status)) return false;
    if (counted && !load_data(run, status)) return false;
    if (!create_trainer(run, status)) return false;
    prepare_loop(run);
    return restore(run, status);
}

static bool open_run(struct run *run, const char *folder, enum train_start start, struct status *status)
{
    bool good = prepare_run(run, folder, start, status);
    if (run->comm) good = ranks_agree(run->comm, good, &run->dataset, run->backend, status);
    if (!good || !ranks_connect(&run->trainer.ranks, run->experiment, status)) return false;
    run->leads = run->comm != NULL;
    if (!open_files(run, status) || !trainer_lead_share(&run->trainer, status)) return false;
    print_head(run);
    return true;
}

/* Draws the last curves. A run without pictures is a good run: it only says why there are none. */
static void draw_curves(struct run *run)
{
    struct status status;
    if (run_curves_finish(&run->curves, &status)) return;
    progress_clear(&run->progress);
    fprintf(stderr, "trainer: no picture of the curves: %s\n", status.message);
}

/* Saves the run at the step where it was stopped, and returns an error, because the run is not finished. */
static bool stop(struct run *run, struct status *status)
{
    if (!save(run, status)) return false;
    const struct ranks *ranks = &run->trainer.ranks;
    bool asked = stop_wanted() || ranks->signal[0];
    char *cause = stop_wanted()      ? memory_format("stopped by %s", stop_signal_name())
                  : ranks->signal[0] ? memory_format("stopped by %s of rank %d", ranks->signal, ranks->stopped)
                                     : memory_copy_string("stopped, since nothing reads the standard output any more,");
    char *word = shell_quote_path(run->folder.path);
    status_fail(status, asked ? STATUS_STOPPED : STATUS_RUNTIME,
                "%s after step %" PRId64 ", which is saved; go on with: trainer resume %s", cause, run->trainer.step,
                word);
    free(word);
    free(cause);
    return false;
}

/* Says that train.patience ended the run. */
static void print_reason(struct run *run)
{
    if (!run->out || !run_result_is_exhausted(&run->loop.result, run->experiment->train.patience)) return;
    progress_clear(&run->progress);
    fprintf(run->out,
            "\nended after step %" PRId64 ": no better %s accuracy in %" PRId64 " evaluations (train.patience)\n",
            run->trainer.step, best_by_name(run->loop.result.best_by), run->loop.result.since_best);
}

static bool run_steps(struct run *run, struct status *status)
{
    struct run_loop *loop = &run->loop;
    progress_start(&run->progress, run->output, run->trainer.step, loop->last_step);
    usage_start(&run->progress.usage, run->backend->pci_bus_id);
    /* True where the run was stopped during the evaluation of the step that it goes on after. */
    loop->evaluation_due =
        is_resumed(run) && run_loop_is_evaluated(loop) && loop->result.final.step < run->trainer.step;
    enum run_loop_end end = run_loop_run(loop, status);
    if (end == RUN_LOOP_STOPPED) return stop(run, status);
    if (end == RUN_LOOP_FAILED || !run_folder_check(&run->folder, status)) return false;
    draw_curves(run);
    print_reason(run);
    progress_finish(&run->progress, &loop->result, run->folder.path);
    return true;
}

/* Closes the parts of the run that exist. */
static void close_run(struct run *run)
{
    progress_close(&run->progress);
    metrics_csv_close(&run->csv);
    run_curves_free(&run->curves);
    run_tensorboard_close(&run->tensorboard);
    trainer_destroy(&run->trainer);
    free(run->start);
    dataset_free(&run->dataset);
    backend_destroy(run->backend);
    checkpoint_free(&run->checkpoint);
    run_folder_close(&run->folder);
}

/* Adds where the run can go on to the failure of an exchange. Rank 0 alone knows what is saved. */
static void add_advice(const char *folder, bool knows, struct status *status)
{
    int64_t last = knows ? checkpoint_last_step(folder, INT64_MAX) : -1;
    char *word = shell_quote_path(folder);
    size_t used = strlen(status->message), left = sizeof status->message - used;
    char *text = status->message + used;
    if (last >= 0)
        snprintf(text, left, "; saved up to step %" PRId64 "; go on with: trainer resume %s", last, word);
    else if (knows)
        snprintf(text, left, "; nothing is saved yet");
    else
        snprintf(text, left, "; go on with: trainer resume %s", word);
    free(word);
}

/* Tells the other ranks how the run has ended. */
static bool lead_end(struct run *run, bool done, struct status *status)
{
    struct status broken;
    if (!run->leads) return done;
    if (!run->trainer.ranks.failed && !trainer_lead_end(&run->trainer, done ? STATUS_OK : (int)status->code, &broken) &&
        done) {
        *status = broken;
        done = false;
    }
    if (run->trainer.ranks.failed) add_advice(run->folder.path, true, status);
    return done;
}

/* The part of a rank behind the first: it computes what rank 0 tells it to, and touches no folder. Its status has no message
 * where rank 0 has one. */
static bool follow(struct run *run, const char *folder, struct status *status)
{
    int code = STATUS_OK;
    bool counted = load_data(run, status);
    bool good = counted && ranks_create_backend(&run->backend, run->experiment, run->comm, status) &&
                create_trainer(run, status);
    if (!ranks_agree(run->comm, good, &run->dataset, run->backend, status)) return false;
    if (!ranks_connect(&run->trainer.ranks, run->experiment, status)) return false;
    stop_install();
    good = trainer_follow(&run->trainer, &code, status);
    stop_uninstall();
    if (!good) add_advice(folder, false, status);
    if (!good || code == STATUS_OK) return good;
    *status = (struct status){.code = (enum status_code)code};
    return false;
}

static bool lead(struct run *run, const char *folder, enum train_start start, struct status *status)
{
    bool done = open_run(run, folder, start, status);
    if (done) {
        stop_install();
        done = run_steps(run, status);
        stop_uninstall();
    }
    return lead_end(run, done, status);
}

bool train_run(const struct experiment *experiment, const char *folder, enum train_start start, struct comm *comm,
               const struct run_output *output, struct run_result *result, struct status *status)
{
    struct run *run = memory_alloc(1, sizeof *run);
    bool leads = !comm || comm->rank == 0;
    experiment_copy(&run->own, experiment);
    run->experiment = &run->own;
    run->comm = comm;
    if (comm) comm->timeout = experiment->backend.exchange_timeout;
    run->output = leads ? output : NULL;
    run->out = run->output ? output->file : NULL;
    bool done = leads ? lead(run, folder, start, status) : follow(run, folder, status);
    if (result) *result = run->loop.result;
    close_run(run);
    experiment_free(&run->own);
    free(run);
    return done;
}
