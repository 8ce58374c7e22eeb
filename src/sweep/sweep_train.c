/* Trains one trial of a sweep. */
#include "sweep/sweep_train.h"

#include <math.h>

#include "train/train.h"
#include "util/check.h"
#include "util/clock.h"

/* Steps between two looks at the loss; each look waits for the device. */
enum { LOOK_STEPS = 25 };

static const struct evaluation not_measured = {NAN, NAN};

/* Evaluates the set that ranks, as a row of the run of the trial; returns false where its loss is not finite. */
static bool evaluate(struct trainer *trainer, struct run_result *run, struct sweep_result *result)
{
    bool validation = run->best_by == BEST_BY_VALIDATION;
    const struct evaluation_set *set = validation ? &trainer->validation_set : &trainer->test_set;
    struct evaluation *place = validation ? &result->validation : &result->test;
    *place = trainer_evaluate(trainer, set);
    if (!isfinite(place->loss)) return false;
    struct metrics_row row = {.step = trainer->step, .validation = result->validation, .test = result->test};
    run_result_add(run, &row);
    result->best_accuracy = best_by_accuracy(run->best_by, &run->best), result->best_step = run->best.step;
    return true;
}

/* Reads the loss of the batches since the last evaluation; returns false where it is not finite, which it then
 * stays. */
static bool look(struct trainer *trainer, struct sweep_result *result)
{
    result->train = evaluation_mean(network_metrics(trainer->network));
    return isfinite(result->train.loss);
}

static enum sweep_outcome train(struct trainer *trainer, int64_t steps, const atomic_bool *stop,
                                struct sweep_result *result)
{
    const struct experiment *experiment = trainer->experiment;
    int64_t eval_freq = experiment->train.eval_freq;
    struct run_result run = {.best_by = trainer_best_by(experiment->checkpoint.best_by, trainer_columns(trainer))};
    while (trainer->step < steps && !run_result_is_exhausted(&run, experiment->train.patience)) {
        trainer_step(trainer);
        bool evaluation = trainer->step % eval_freq == 0 || trainer->step == steps;
        if (!evaluation && trainer->step % LOOK_STEPS != 0) continue;
        if (atomic_load(stop)) return SWEEP_STOPPED;
        if (!look(trainer, result)) return SWEEP_NAN;
        if (evaluation && !evaluate(trainer, &run, result)) return SWEEP_NAN;
    }
    if (run.best_by != BEST_BY_TEST && trainer->test_set.count > 0)
        result->test = trainer_evaluate(trainer, &trainer->test_set);
    return SWEEP_OK;
}

struct sweep_result sweep_train(const struct sweep *sweep, int32_t trial, int rung, const struct dataset *dataset,
                                struct backend *backend, const atomic_bool *stop, struct status *problem)
{
    struct sweep_result result = {.trial = trial,
                                  .rung = rung,
                                  .outcome = SWEEP_FAILED,
                                  .best_accuracy = NAN,
                                  .validation = not_measured,
                                  .test = not_measured,
                                  .train = not_measured};
    struct experiment experiment;
    struct trainer trainer;
    double started = clock_seconds();
    CHECK(sweep_trial(sweep, trial, &experiment, problem));                    /* sweep_load checked the trial */
    CHECK(experiment_count_steps(&experiment, dataset->train.count, problem)); /* sweep_run checked that */
    if (trainer_create(&trainer, &experiment, dataset, backend, problem)) {
        int64_t steps = sweep_rung_steps(sweep, experiment.train.max_steps, rung);
        result.outcome = train(&trainer, steps, stop, &result);
        result.steps = trainer.step;
    }
    trainer_destroy(&trainer);
    experiment_free(&experiment);
    result.seconds = clock_seconds() - started;
    return result;
}
