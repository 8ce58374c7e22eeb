/* Trains one trial of a sweep. */
#include "sweep/sweep_train.h"

#include <math.h>
#include <stdlib.h>

#include "sweep/sweep_row.h"
#include "train/diverged.h"
#include "train/init_from.h"
#include "train/run_loop.h"
#include "util/check.h"
#include "util/clock.h"

/* Steps between two looks at the loss; each look waits for the device. */
enum { LOOK_STEPS = 25 };

static const struct evaluation not_measured = {NAN, NAN};

/* A trial, as the calls of its loop see it. */
struct trial {
    struct trainer *trainer;
    struct run_loop loop;
    struct sweep_result *result;
    struct sweep_best *best; /* NULL: nobody asks for weights */
    const atomic_bool *stop;
    bool cannot_save;
};

static bool is_stopped(void *argument)
{
    const struct trial *trial = argument;
    return atomic_load(trial->stop);
}

static bool is_look_due(void *argument)
{
    const struct trial *trial = argument;
    return trial->trainer->step % LOOK_STEPS == 0;
}

/* The trial as if it ended well with its best evaluation. */
static bool offer_best(void *argument, struct status *status)
{
    struct trial *trial = argument;
    const struct run_result *run = &trial->loop.result;
    struct sweep_result result = *trial->result;
    if (!trial->best || run->since_best > 0) return true;
    result.outcome = SWEEP_OK;
    result.best_accuracy = best_by_accuracy(run->best_by, &run->best);
    sweep_row_round(&result);
    trial->cannot_save = !sweep_best_offer(trial->best, &result, trial->trainer, run, status);
    return !trial->cannot_save;
}

/* Takes the figures of a trial from its loop. */
static void take_figures(const struct run_loop *loop, struct sweep_result *result)
{
    const struct run_result *run = &loop->result;
    result->train = evaluation_mean(loop->sums);
    if (run->best_by == BEST_BY_VALIDATION)
        result->validation = loop->row.validation;
    else
        result->test = loop->row.test;
    if (run->row_count == 0) return;
    result->best_accuracy = best_by_accuracy(run->best_by, &run->best);
    result->best_step = run->best.step;
}

/* Trains a trial. It is there to be ranked, so only the set that ranks is evaluated. On the way only losses are checked,
 * which most that is not finite shows in. The rest, as a running variance that overflowed, is found at the end: what a
 * run would refuse to save is not ranked. */
static enum sweep_outcome train(struct trial *trial, int64_t steps, struct status *problem)
{
    struct trainer *trainer = trial->trainer;
    struct sweep_result *result = trial->result;
    const struct experiment *experiment = trainer->experiment;
    trial->loop = (struct run_loop){.trainer = trainer,
                                    .last_step = steps,
                                    .eval_freq = experiment->train.eval_freq,
                                    .patience = experiment->train.patience,
                                    .judging_set_only = true,
                                    .checks = RUN_LOOP_CHECK_LOSSES,
                                    .calls = {.stop = is_stopped, .is_look_due = is_look_due, .evaluated = offer_best},
                                    .argument = trial,
                                    .row = {.validation = not_measured, .test = not_measured}};
    struct run_loop *loop = &trial->loop;
    loop->result.best_by = trainer_best_by(experiment->checkpoint.best_by, trainer_columns(trainer));
    enum run_loop_end end = run_loop_run(loop, problem);
    take_figures(loop, result);
    if (trial->cannot_save) return SWEEP_STOPPED;
    if (end != RUN_LOOP_DONE) return end == RUN_LOOP_STOPPED ? SWEEP_STOPPED : SWEEP_NAN;
    if (!diverged_check_weights(trainer, NULL, problem)) return SWEEP_NAN;
    if (loop->result.best_by != BEST_BY_TEST && trainer->test_set.count > 0)
        result->test = trainer_evaluate(trainer, &trainer->test_set);
    return SWEEP_OK;
}

/* Tells whether a trial that could not be made ready failed for its values, as it would on every machine. A trial whose file
 * of weights is missing or damaged here failed for the machine; one that the weights do not fit, for its values. */
static bool is_own_failure(const struct experiment *experiment, bool created, struct status *problem)
{
    struct status missing;
    if (!created) return problem->code == STATUS_USAGE;
    if (init_from_check(experiment, &missing)) return true;
    *problem = missing;
    return false;
}

struct sweep_result sweep_train(const struct sweep *sweep, int32_t trial, int rung, const struct dataset *dataset,
                                struct backend *backend, struct sweep_best *best, const atomic_bool *stop,
                                struct status *problem)
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
    char *start = NULL;
    bool created = trainer_create(&trainer, &experiment, dataset, backend, NULL, problem);
    if (created && init_from_load(&trainer, &start, problem)) {
        int64_t steps = sweep_rung_steps(sweep, experiment.train.max_steps, rung);
        struct trial of = {.trainer = &trainer, .result = &result, .best = best, .stop = stop};
        result.outcome = train(&of, steps, problem);
        result.steps = trainer.step;
    } else if (!is_own_failure(&experiment, created, problem)) {
        result.outcome = SWEEP_PREVENTED;
    }
    free(start);
    trainer_destroy(&trainer);
    experiment_free(&experiment);
    result.seconds = clock_seconds() - started;
    sweep_row_round(&result);
    return result;
}
