/* Shows the progress of a sweep, and estimates the time that is left. */
#include "sweep/sweep_progress.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "config/experiment_keys.h"
#include "util/check.h"
#include "util/clock.h"
#include "util/duration.h"
#include "util/streams.h"
#include "util/thousands.h"

int32_t sweep_rung_trials(const struct sweep *sweep, int rung)
{
    int64_t trials = sweep->trial_count, eta = sweep->settings.eta;
    for (int r = 1; r < rung; r++) trials = (trials + eta - 1) / eta;
    return (int32_t)trials;
}

/* --- time left --- */

/* Returns the work for a sample. For a perceptron it is its weights, and 45 more per pixel for fetching the image, as
 * measured. The cost of a convnet is not known before it is built, so each counts 1. */
static double sample_work(const struct experiment *experiment, const struct dataset *dataset)
{
    if (experiment->model.kind != MODEL_MLP) return 1;
    double inputs = (double)(dataset->channels * dataset->height * dataset->width), work = 45 * inputs;
    for (int64_t i = 0; i < experiment->model.hidden.count; i++) {
        double units = (double)experiment->model.hidden.value[i];
        work += inputs * units;
        inputs = units;
    }
    return work + inputs * (double)dataset->classes;
}

/* Returns the work of a trial, about in multiply-adds. Trials differ tenfold and the small ones come first, so a count
 * of trials would mislead. A training sample costs three times an evaluated one. */
static double trial_work(const struct sweep *sweep, const struct dataset *dataset, int32_t trial, int rung)
{
    struct experiment experiment;
    struct status status;
    CHECK(sweep_trial(sweep, trial, &experiment, &status));                    /* sweep_load checked the trial */
    CHECK(experiment_count_steps(&experiment, dataset->train.count, &status)); /* sweep_run checked that */
    int64_t steps = sweep_rung_steps(sweep, experiment.train.max_steps, rung);
    const struct image_set *ranked =
        sweep->settings.rank_by == SWEEP_RANK_VALIDATION ? &dataset->validation : &dataset->test;
    double samples = 3.0 * (double)(steps * experiment.train.batch_size) +
                     (double)(ranked->count * (steps / experiment.train.eval_freq + 1));
    double work = samples * sample_work(&experiment, dataset);
    experiment_free(&experiment);
    return work;
}

/* Returns the work of all rungs. A later rung's trials are not known yet, so it counts as many trials of mean cost. */
static double total_work(const struct sweep *sweep, const struct dataset *dataset)
{
    double total = 0;
    for (int rung = 1; rung <= sweep_rung_count(sweep); rung++) {
        double work = 0;
        for (int32_t i = 0; i < sweep->trial_count; i++) work += trial_work(sweep, dataset, sweep->order[i], rung);
        total += work / sweep->trial_count * sweep_rung_trials(sweep, rung);
    }
    return total;
}

static double seconds_left(const struct sweep_progress *progress)
{
    double elapsed = clock_seconds() - progress->started;
    return progress->work > 0 && progress->work_left > 0 ? elapsed / progress->work * progress->work_left : 0;
}

/* --- lines --- */

static void take_best(struct sweep_progress *progress, const struct sweep_result *result)
{
    if (result->outcome != SWEEP_OK || result->best_accuracy <= progress->best_accuracy) return;
    progress->best_accuracy = result->best_accuracy;
    progress->best_trial = result->trial;
}

/* Counts those of the trials that are done. */
static void count_done(struct sweep_progress *progress, const struct sweep_part *part, const struct dataset *dataset,
                       const struct sweep_results *results)
{
    for (int32_t i = 0; i < part->count; i++) {
        const struct sweep_result *row = sweep_results_find(results, part->trials[i], part->rung);
        if (!row) continue;
        progress->done++;
        progress->work_left -= trial_work(progress->sweep, dataset, row->trial, part->rung);
        take_best(progress, row);
    }
}

/* Counts the trials of all rungs. A result of a trial outside this sweep's list (the sweep had another limit) does not
 * count. */
static void count_whole(struct sweep_progress *progress, const struct dataset *dataset,
                        const struct sweep_results *results)
{
    const struct sweep *sweep = progress->sweep;
    progress->work_left = total_work(sweep, dataset);
    for (int rung = 1; rung <= sweep_rung_count(sweep); rung++) {
        const struct sweep_part part = {rung, sweep->order, sweep->trial_count};
        count_done(progress, &part, dataset, results);
    }
}

/* Counts a shard's trials of a rung. Those of the rungs after it are not known yet. */
static void count_part(struct sweep_progress *progress, const struct sweep_part *part, const struct dataset *dataset,
                       const struct sweep_results *results)
{
    progress->rung = part->rung;
    progress->total += part->count;
    for (int32_t i = 0; i < part->count; i++)
        progress->work_left += trial_work(progress->sweep, dataset, part->trials[i], part->rung);
    count_done(progress, part, dataset, results);
}

/* Returns true where anything is printed between the first line and the ranking. */
static bool shows_progress(const struct sweep_progress *progress)
{
    return progress->line.out && progress->line.mode != PROGRESS_NONE;
}

static const char *rank_name(const struct sweep *sweep)
{
    return sweep->settings.rank_by == SWEEP_RANK_VALIDATION ? "validation" : "test";
}

static void print_head(const struct sweep_progress *progress, const struct dataset *dataset, const char *backend)
{
    const struct sweep *sweep = progress->sweep;
    FILE *out = progress->line.out;
    fprintf(out, "%s: ", sweep->name);
    if (!sweep_shard_is_whole(&progress->shard))
        fprintf(out, "shard %d/%d, ", progress->shard.index, progress->shard.count);
    fprintf(out, "%s trials, %s of them done; %d side by side (%s), ranked by best %s accuracy\n",
            thousands_format(progress->total).text, thousands_format(progress->done).text, progress->jobs, backend,
            rank_name(sweep));
    dataset_print_notes(dataset, sweep->base.data.first_epoch, sweep->base.train.batch_size, out);
    streams_flush(out);
}

void sweep_progress_start(struct sweep_progress *progress, const struct sweep *sweep, const struct sweep_shard *shard,
                          const struct sweep_part *first, const struct dataset *dataset,
                          const struct sweep_results *results, const char *backend, int jobs,
                          const struct run_output *output)
{
    *progress = (struct sweep_progress){
        .sweep = sweep, .shard = *shard, .jobs = jobs, .best_accuracy = NAN, .started = clock_seconds()};
    bool whole = sweep_shard_is_whole(shard);
    for (int rung = 1; whole && rung <= sweep_rung_count(sweep); rung++)
        progress->total += sweep_rung_trials(sweep, rung);
    progress_start(&progress->line, output, 0, progress->total);
    if (!progress->line.out) return;
    if (whole)
        count_whole(progress, dataset, results);
    else
        count_part(progress, first, dataset, results);
    print_head(progress, dataset, backend);
}

void sweep_progress_rung(struct sweep_progress *progress, const struct sweep_part *part, const struct dataset *dataset,
                         const struct sweep_results *results)
{
    const struct sweep *sweep = progress->sweep;
    bool counted = sweep_shard_is_whole(&progress->shard) || progress->rung == part->rung;
    if (progress->line.out && !counted) count_part(progress, part, dataset, results);
    if (!shows_progress(progress) || sweep_rung_count(sweep) == 1) return;
    progress_clear(&progress->line);
    fprintf(progress->line.out, "rung %d of %d: %s trials of %s steps\n", part->rung, sweep_rung_count(sweep),
            thousands_format(part->count).text,
            thousands_format(sweep_rung_steps(sweep, sweep->base.train.max_steps, part->rung)).text);
    streams_flush(progress->line.out);
}

static void print_trial(const struct sweep_progress *progress, const struct sweep_result *result)
{
    const struct sweep *sweep = progress->sweep;
    FILE *out = progress->line.out;
    fprintf(out, "%" PRId64 "/%" PRId64 "  trial %" PRId32 ": ", progress->done, progress->total, result->trial + 1);
    for (int f = 0; f < sweep->factor_count; f++) {
        const struct experiment_key *key = &experiment_keys[sweep->factors[f].key];
        fprintf(out, "%s%s.%s = %s", f ? "; " : "", key->section, key->name, sweep_value(sweep, result->trial, f));
    }
    if (result->outcome == SWEEP_OK)
        fprintf(out, "  %.2f%% at step %" PRId64, 100 * result->best_accuracy, result->best_step);
    else if (result->outcome == SWEEP_NAN)
        fprintf(out, "  loss not finite at step %" PRId64, result->steps);
    else
        fprintf(out, "  failed");
    fprintf(out, "  %.1f s  %s left\n", result->seconds, duration_format(seconds_left(progress)).text);
    streams_flush(out);
}

/* Prints the first estimate once as many trials are done as there are threads. */
static void print_estimate(struct sweep_progress *progress)
{
    int64_t left = progress->total - progress->done;
    if (progress->estimated || progress->session < progress->jobs || left <= 0) return;
    progress->estimated = true;
    progress_clear(&progress->line);
    fprintf(progress->line.out, "estimate: %s for the other %s trials\n", duration_format(seconds_left(progress)).text,
            thousands_format(left).text);
    streams_flush(progress->line.out);
}

void sweep_progress_problem(struct sweep_progress *progress, const struct sweep_result *result,
                            const struct status *problem)
{
    progress_clear(&progress->line);
    fprintf(stderr, "trainer: trial %" PRId32 ": %s\n", result->trial + 1, problem->message);
}

void sweep_progress_trial(struct sweep_progress *progress, const struct dataset *dataset,
                          const struct sweep_result *result, const struct status *problem)
{
    progress->done++;
    progress->session++;
    take_best(progress, result);
    if (result->outcome == SWEEP_FAILED) sweep_progress_problem(progress, result, problem);
    if (!progress->line.out) return;
    double work = trial_work(progress->sweep, dataset, result->trial, result->rung);
    progress->work += work;
    progress->work_left -= work;
    if (!shows_progress(progress)) return;
    if (!progress->line.terminal) print_trial(progress, result);
    print_estimate(progress);
}

void sweep_progress_refresh(struct sweep_progress *progress)
{
    if (!progress_due(&progress->line)) return;
    char text[160], best[64] = "", left[64] = "";
    if (!isnan(progress->best_accuracy))
        snprintf(best, sizeof best, "  best %.2f%% (trial %" PRId32 ")", 100 * progress->best_accuracy,
                 progress->best_trial + 1);
    if (progress->session >= progress->jobs)
        snprintf(left, sizeof left, "  %s left", duration_format(seconds_left(progress)).text);
    snprintf(text, sizeof text, "%" PRId64 "/%" PRId64 " trials%s%s", progress->done, progress->total, best, left);
    progress_show(&progress->line, (double)progress->done / (double)progress->total, text);
}

void sweep_progress_finish(struct sweep_progress *progress)
{
    progress_clear(&progress->line);
}
