/* Runs a sweep: threads take trials from a queue, rung after rung. */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "build/build.h"
#include "config/experiment_read.h"
#include "sweep/sweep_best.h"
#include "sweep/sweep_data.h"
#include "sweep/sweep_folder.h"
#include "sweep/sweep_keys.h"
#include "sweep/sweep_progress.h"
#include "sweep/sweep_report.h"
#include "sweep/sweep_results.h"
#include "sweep/sweep_shard.h"
#include "sweep/sweep_train.h"
#include "train/train.h"
#include "util/check.h"
#include "util/folder.h"
#include "util/machine.h"
#include "util/memory.h"
#include "util/streams.h"
#include "util/thousands.h"

struct runner {
    const struct sweep *sweep;
    const struct run_output *output; /* NULL: nothing is printed */
    const char *folder;
    struct sweep_shard shard;
    int lock;     /* descriptor of the folder */
    bool checked; /* sweep.ini was compared again (sweep_folder_check) */
    struct sweep_results results;
    struct sweep_best best;

    bool prepared; /* the next four are set */
    struct dataset dataset;
    int jobs;
    struct backend **backends; /* [jobs] */
    struct sweep_progress progress;

    /* The fields of the present rung. `mutex` guards them, and results and progress while threads run. */
    pthread_mutex_t mutex;
    pthread_cond_t ended; /* a thread has nothing more to do */
    int rung;
    const int32_t *queue; /* the trials to run */
    int32_t queue_count, next;
    int threads_left;
    int prevented, prevented_in_row; /* trials that this machine could not train; in a row, up to now */
    atomic_bool stop;                /* set after an error */
    struct status status;            /* the first error */
};

struct worker {
    struct runner *runner;
    struct backend *backend;
    pthread_t thread;
};

/* --- before the first trial --- */

static int job_count(const struct runner *runner)
{
    const struct sweep *sweep = runner->sweep;
    int64_t jobs = sweep->settings.jobs > 0 ? sweep->settings.jobs : machine_read("").cores;
    int32_t trials = sweep_shard_most(&runner->shard, sweep->trial_count);
    return (int)(jobs < trials ? jobs : trials);
}

static bool create_backends(struct runner *runner, struct status *status)
{
    struct experiment single;
    experiment_copy(&single, &runner->sweep->base);
    single.backend.threads = 1;
    runner->jobs = job_count(runner);
    runner->backends = memory_alloc((size_t)runner->jobs, sizeof *runner->backends);
    bool good = true;
    for (int i = 0; i < runner->jobs && good; i++)
        good = backend_from_experiment(&runner->backends[i], &single, status);
    experiment_free(&single);
    return good;
}

/* Prepares what a sweep without trials left does not need: data, backends and progress. */
static bool prepare(struct runner *runner, const struct sweep_part *part, struct status *status)
{
    if (runner->prepared) return true;
    if (!create_backends(runner, status) ||
        !progress_load_data(&runner->dataset, &runner->sweep->base, runner->output, status))
        return false;
    if (!sweep_data_check(runner->sweep, &runner->dataset, status) ||
        !folder_check(runner->folder, "sweep", runner->lock, status) ||
        !sweep_data_claim(runner->folder, &runner->dataset.digest, runner->results.count > 0, status))
        return false;
    sweep_progress_start(&runner->progress, runner->sweep, &runner->shard, part, &runner->dataset, &runner->results,
                         runner->backends[0]->description, runner->jobs, runner->output);
    return runner->prepared = true;
}

/* --- threads --- */

/* Takes the next trial from the queue; returns false where there is none to take. */
static bool take_trial(struct runner *runner, int32_t *trial)
{
    pthread_mutex_lock(&runner->mutex);
    bool found = runner->next < runner->queue_count && !atomic_load(&runner->stop);
    if (found) *trial = runner->queue[runner->next++];
    pthread_mutex_unlock(&runner->mutex);
    return found;
}

/* Asks before the first result of a shard whether the folder is still this sweep's and this data set's. */
static bool check_folder(struct runner *runner, struct status *status)
{
    if (!folder_check(runner->folder, "sweep", runner->lock, status)) return false;
    if (sweep_shard_is_whole(&runner->shard) || runner->checked) return true;
    return runner->checked = sweep_folder_check(runner->sweep, runner->folder, status) &&
                             sweep_data_claim(runner->folder, &runner->dataset.digest, false, status);
}

/* Keeps the result and shows it; returns false where the sweep cannot go on. */
static bool record_result(struct runner *runner, const struct sweep_result *result, const struct status *problem,
                          struct status *status)
{
    if (!check_folder(runner, status)) return false;
    runner->prevented_in_row = 0;
    if (!sweep_results_append(&runner->results, result, status) || !sweep_best_settle(&runner->best, result, status))
        return false;
    sweep_progress_trial(&runner->progress, &runner->dataset, result, problem);
    return !streams_reader_is_gone() ||
           status_fail(status, STATUS_RUNTIME,
                       "stopped, since nothing reads the standard output any more; the results so far are in %s, and "
                       "the same command goes on with the sweep",
                       runner->results.paths[0]);
}

/* Handles a trial without a row: the sweep is at its end, or the trial's weights could not be written, which ends it. */
static void drop(struct runner *runner, const struct sweep_result *result, const struct status *problem)
{
    struct status ignored;
    struct sweep_result dropped = *result;
    dropped.outcome = SWEEP_STOPPED;
    sweep_best_settle(&runner->best, &dropped, &ignored);
    if (atomic_load(&runner->stop)) return;
    runner->status = *problem;
    atomic_store(&runner->stop, true);
}

/* Handles a trial that this machine could not train. Where all trials fail so, the machine would only use them up. */
static bool prevent(struct runner *runner, const struct sweep_result *result, const struct status *problem,
                    struct status *status)
{
    enum { IN_ROW_MAX = 3 };
    runner->prevented++;
    sweep_progress_problem(&runner->progress, result, problem);
    return ++runner->prevented_in_row < IN_ROW_MAX ||
           status_fail(status, STATUS_USAGE,
                       "%d trials in a row could not be trained on this machine, so it ends here, without results of "
                       "them; the last, trial %" PRId32 ": %s",
                       IN_ROW_MAX, result->trial + 1, problem->message);
}

static void record(struct runner *runner, const struct sweep_result *result, const struct status *problem)
{
    pthread_mutex_lock(&runner->mutex);
    /* After an error part of a row may end the file: a further row behind it would make a line that is neither. */
    if (atomic_load(&runner->stop) || result->outcome == SWEEP_STOPPED) {
        drop(runner, result, problem);
    } else if (result->outcome == SWEEP_PREVENTED) {
        if (!prevent(runner, result, problem, &runner->status)) atomic_store(&runner->stop, true);
    } else if (!record_result(runner, result, problem, &runner->status)) {
        atomic_store(&runner->stop, true);
    }
    pthread_mutex_unlock(&runner->mutex);
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct runner *runner = worker->runner;
    int32_t trial;
    while (take_trial(runner, &trial)) {
        struct status problem;
        struct sweep_result result = sweep_train(runner->sweep, trial, runner->rung, &runner->dataset, worker->backend,
                                                 &runner->best, &runner->stop, &problem);
        record(runner, &result, &problem);
    }
    pthread_mutex_lock(&runner->mutex);
    runner->threads_left--;
    pthread_cond_signal(&runner->ended);
    pthread_mutex_unlock(&runner->mutex);
    return NULL;
}

/* Waits for the threads, and keeps the line of the terminal up to date meanwhile. */
static void wait_for_threads(struct runner *runner)
{
    const long pause = 200000000; /* nanoseconds */
    pthread_mutex_lock(&runner->mutex);
    while (runner->threads_left > 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += pause;
        if (until.tv_nsec >= 1000000000) until.tv_nsec -= 1000000000, until.tv_sec++;
        pthread_cond_timedwait(&runner->ended, &runner->mutex, &until);
        sweep_progress_refresh(&runner->progress);
    }
    pthread_mutex_unlock(&runner->mutex);
}

/* Handles a thread that the system did not start: the running threads end their trials, and the sweep ends with the
 * error. */
static void stop_starting(struct runner *runner, int missing, int error)
{
    pthread_mutex_lock(&runner->mutex);
    runner->threads_left -= missing;
    if (!atomic_load(&runner->stop))
        status_fail(&runner->status, STATUS_RUNTIME, "cannot start a thread for the trials: %s", strerror(error));
    atomic_store(&runner->stop, true);
    pthread_mutex_unlock(&runner->mutex);
}

static bool run_queue(struct runner *runner, struct status *status)
{
    int threads = runner->jobs < runner->queue_count ? runner->jobs : runner->queue_count;
    struct worker *workers = memory_alloc((size_t)threads, sizeof *workers);
    runner->next = 0;
    runner->threads_left = threads;
    for (int i = 0; i < threads; i++) {
        workers[i] = (struct worker){.runner = runner, .backend = runner->backends[i]};
        int error = pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]);
        if (error == 0) continue;
        stop_starting(runner, threads - i, error);
        threads = i;
    }
    wait_for_threads(runner);
    for (int i = 0; i < threads; i++) CHECK(pthread_join(workers[i].thread, NULL) == 0);
    free(workers);
    if (!atomic_load(&runner->stop)) return true;
    *status = runner->status;
    return false;
}

/* --- rungs --- */

/* Runs those of the trials that have no result. */
static bool run_part(struct runner *runner, const struct sweep_part *part, struct status *status)
{
    int32_t *queue = memory_alloc((size_t)part->count + 1, sizeof *queue);
    runner->queue_count = 0;
    for (int32_t i = 0; i < part->count; i++)
        if (!sweep_results_find(&runner->results, part->trials[i], part->rung))
            queue[runner->queue_count++] = part->trials[i];
    runner->queue = queue;
    bool good = true;
    if (runner->queue_count > 0) {
        good = prepare(runner, part, status);
        if (good) sweep_progress_rung(&runner->progress, part, &runner->dataset, &runner->results);
        good = good && run_queue(runner, status);
    }
    free(queue);
    return good;
}

static bool run_rung(struct runner *runner, const int32_t *trials, int32_t count, struct status *status)
{
    int32_t *own = memory_alloc((size_t)count, sizeof *own);
    int32_t owned = sweep_shard_choose(&runner->shard, runner->sweep, trials, count, own);
    const struct sweep_part part = {runner->rung, own, owned};
    bool good = run_part(runner, &part, status);
    free(own);
    if (!good || runner->prevented == 0) return good;
    return status_fail(status, STATUS_RUNTIME,
                       "%d trials could not be trained on this machine and have no result; the same command tries them "
                       "again",
                       runner->prevented);
}

static int32_t count_missing(const struct runner *runner, const int32_t *trials, int32_t count)
{
    int32_t missing = 0;
    for (int32_t i = 0; i < count; i++) missing += !sweep_results_find(&runner->results, trials[i], runner->rung);
    return missing;
}

/* Says what a shard's end leaves to do. */
static void print_end(struct runner *runner, int32_t missing, int32_t count)
{
    FILE *out = runner->output ? runner->output->file : NULL;
    int rungs = sweep_rung_count(runner->sweep);
    if (runner->prepared) sweep_progress_finish(&runner->progress);
    if (!out) return;
    if (rungs > 1) fprintf(out, "rung %d of %d: ", runner->rung, rungs);
    fprintf(out, "shard %d/%d is done; trials without a result: %s of %s; %sgive the same command ",
            runner->shard.index, runner->shard.count, thousands_format(missing).text, thousands_format(count).text,
            missing > 0 ? "when the other shards have ended, " : "");
    if (runner->rung < rungs)
        fprintf(out, "again for rung %d\n", runner->rung + 1);
    else
        fprintf(out, "as one process, without --shard, for the ranking\n");
    streams_flush(out);
}

/* Reads what the other shards have of the rung; returns true where the next rung, or the ranking, may follow. */
static bool meet_others(struct runner *runner, const int32_t *trials, int32_t count, bool *complete,
                        struct status *status)
{
    *complete = true;
    if (sweep_shard_is_whole(&runner->shard)) return true;
    if (!sweep_results_read_others(&runner->results, runner->folder, status)) return false;
    int32_t missing = count_missing(runner, trials, count);
    *complete = missing == 0;
    if (!*complete || runner->rung == sweep_rung_count(runner->sweep)) print_end(runner, missing, count);
    return true;
}

/* Keeps the best of the trials in `trials`; returns their number. */
static int32_t select_best(const struct runner *runner, int32_t *trials, int32_t count)
{
    struct sweep_result *rows = memory_alloc((size_t)count, sizeof *rows);
    for (int32_t i = 0; i < count; i++) rows[i] = *sweep_results_find(&runner->results, trials[i], runner->rung);
    qsort(rows, (size_t)count, sizeof *rows, sweep_results_compare);
    int32_t places = sweep_rung_trials(runner->sweep, runner->rung + 1), kept = 0;
    while (kept < places && kept < count && rows[kept].outcome == SWEEP_OK) trials[kept] = rows[kept].trial, kept++;
    free(rows);
    return kept;
}

static bool run_trials(struct runner *runner, struct status *status)
{
    const struct sweep *sweep = runner->sweep;
    int32_t count = sweep->trial_count;
    int32_t *trials = memory_alloc((size_t)count, sizeof *trials);
    memcpy(trials, sweep->order, (size_t)count * sizeof *trials);
    bool good = true, complete = true;
    for (runner->rung = 1; good; runner->rung++) {
        good = run_rung(runner, trials, count, status) && meet_others(runner, trials, count, &complete, status);
        if (!good || !complete || runner->rung == sweep_rung_count(sweep)) break;
        count = select_best(runner, trials, count);
    }
    free(trials);
    return good;
}

static void close_runner(struct runner *runner)
{
    if (runner->prepared) sweep_progress_finish(&runner->progress);
    for (int i = 0; runner->backends && i < runner->jobs; i++) backend_destroy(runner->backends[i]);
    free(runner->backends);
    dataset_free(&runner->dataset);
    sweep_best_close(&runner->best);
    sweep_results_close(&runner->results);
    folder_unlock(&runner->lock);
    CHECK(pthread_mutex_destroy(&runner->mutex) == 0);
    CHECK(pthread_cond_destroy(&runner->ended) == 0);
}

/* Opens the folder with its results and weights. */
static bool open_folder(struct runner *runner, struct status *status)
{
    const struct sweep *sweep = runner->sweep;
    const char *folder = runner->folder;
    char *path = sweep_shard_path(&runner->shard, folder, "results", "csv");
    bool good = sweep_folder_open(sweep, folder, &runner->shard, &runner->lock, status) &&
                sweep_results_open(&runner->results, sweep, path, status) &&
                sweep_results_read_others(&runner->results, folder, status) &&
                sweep_best_open(&runner->best, sweep, &runner->shard, &runner->results, folder, runner->lock, status);
    free(path);
    return good;
}

bool sweep_run(const struct sweep *sweep, const char *folder, const struct sweep_shard *shard,
               const struct run_output *output, struct status *status)
{
    struct runner runner = {.sweep = sweep, .output = output, .folder = folder, .lock = -1, .results = {.file = -1}};
    if (shard) runner.shard = *shard;
    CHECK(pthread_mutex_init(&runner.mutex, NULL) == 0);
    CHECK(pthread_cond_init(&runner.ended, NULL) == 0);
    bool good = open_folder(&runner, status) && run_trials(&runner, status);
    if (good && runner.prepared) sweep_progress_finish(&runner.progress);
    good = good && folder_check(folder, "sweep", runner.lock, status);
    if (good && sweep_shard_is_whole(&runner.shard))
        good = sweep_report(sweep, &runner.results, folder, output ? output->file : NULL, status);
    close_runner(&runner);
    return good;
}
