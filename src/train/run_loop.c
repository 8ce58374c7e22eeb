/* The loop of steps, with its evaluations and checks. */
#include "train/run_loop.h"

#include "train/diverged.h"
#include "util/clock.h"

/* --- checks --- */

static bool check_loss(struct run_loop *loop, const char *what, double loss, struct status *status)
{
    return loop->checks == RUN_LOOP_CHECK_NOTHING ||
           diverged_check_loss(loop->trainer, loop->folder, what, loss, status);
}

static bool check_sums(struct run_loop *loop, struct status *status)
{
    return check_loss(loop, "the training loss", loop->sums.loss, status) &&
           (loop->checks != RUN_LOOP_CHECK_WEIGHTS || diverged_check_weights(loop->trainer, loop->folder, status));
}

static bool check_set(struct run_loop *loop, const char *what, const struct evaluation *evaluation,
                      struct status *status)
{
    return !evaluation_exists(evaluation) || check_loss(loop, what, evaluation->loss, status);
}

static bool check_row(struct run_loop *loop, struct status *status)
{
    return check_set(loop, "the loss of the train set", &loop->row.train, status) &&
           check_set(loop, "the loss of the validation set", &loop->row.validation, status) &&
           check_set(loop, "the loss of the test set", &loop->row.test, status);
}

bool run_loop_check(struct run_loop *loop, struct status *status)
{
    loop->sums = network_metrics(loop->trainer->network);
    return check_sums(loop, status);
}

/* --- a step --- */

static int64_t images_seen(const struct run_loop *loop)
{
    return (loop->trainer->step - loop->first_step) * loop->trainer->experiment->train.batch_size;
}

double run_loop_speed(const struct run_loop *loop)
{
    double seconds = loop->result.train_seconds + clock_seconds() - loop->resumed;
    return seconds > 0 ? (double)images_seen(loop) / seconds : 0;
}

bool run_loop_is_finished(const struct run_loop *loop)
{
    return loop->trainer->step >= loop->last_step || run_result_is_exhausted(&loop->result, loop->patience);
}

bool run_loop_is_evaluated(const struct run_loop *loop)
{
    int64_t step = loop->trainer->step;
    return loop->eval_freq > 0 && (step % loop->eval_freq == 0 || step == loop->last_step);
}

static const struct evaluation_set *judging_set(const struct run_loop *loop)
{
    const struct trainer *trainer = loop->trainer;
    return loop->result.best_by == BEST_BY_VALIDATION ? &trainer->validation_set : &trainer->test_set;
}

bool run_loop_evaluate(struct run_loop *loop, struct status *status)
{
    const struct evaluation_set *only = loop->judging_set_only ? judging_set(loop) : NULL;
    const struct evaluation_watch watch = {loop->progress, loop->calls.stop, loop->argument};
    loop->sums = network_metrics(loop->trainer->network); /* waits for the device; then no time is training's */
    loop->result.train_seconds += clock_seconds() - loop->resumed;
    loop->result.images = images_seen(loop);
    if (!check_sums(loop, status)) return false;
    loop->abandoned = !trainer_evaluate_row(loop->trainer, only, &watch, &loop->row);
    if (!ranks_good(&loop->trainer->ranks, status)) return false;
    if (loop->abandoned) return true;
    if (!check_row(loop, status)) return false;
    loop->row.elapsed_seconds = clock_seconds() - loop->started;
    run_result_add(&loop->result, &loop->row);
    if (loop->calls.evaluated && !loop->calls.evaluated(loop->argument, status)) return false;
    loop->resumed = clock_seconds();
    return true;
}

/* Reads the sums of training for the caller. The weights wait for the next evaluation, as this is done at any step. */
static bool look(struct run_loop *loop, struct status *status)
{
    loop->sums = network_metrics(loop->trainer->network);
    if (!check_loss(loop, "the training loss", loop->sums.loss, status)) return false;
    if (loop->calls.looked) loop->calls.looked(loop->argument);
    return true;
}

static bool finish_step(struct run_loop *loop, struct status *status)
{
    const struct run_loop_calls *calls = &loop->calls;
    if (run_loop_is_evaluated(loop)) {
        if (!run_loop_evaluate(loop, status)) return false;
    } else if (calls->is_look_due && calls->is_look_due(loop->argument) && !look(loop, status)) {
        return false;
    }
    return loop->abandoned || !calls->finished || calls->finished(loop->argument, status);
}

static bool step(struct run_loop *loop, struct status *status)
{
    const struct run_loop_calls *calls = &loop->calls;
    const struct step_watch watch = {calls->op_done, calls->summed, calls->exchanged, loop->argument};
    if (calls->op_done)
        trainer_watch_step(loop->trainer, &watch);
    else
        trainer_step(loop->trainer);
    if (!ranks_good(&loop->trainer->ranks, status)) return false;
    return (!calls->stepped || calls->stepped(loop->argument, status)) && finish_step(loop, status);
}

static bool is_to_stop(const struct run_loop *loop)
{
    return loop->abandoned || (loop->calls.stop && loop->calls.stop(loop->argument));
}

enum run_loop_end run_loop_run(struct run_loop *loop, struct status *status)
{
    loop->resumed = clock_seconds();
    loop->started = loop->resumed - loop->result.final.elapsed_seconds;
    bool good = !loop->evaluation_due || finish_step(loop, status);
    while (good && !run_loop_is_finished(loop) && !is_to_stop(loop)) good = step(loop, status);
    if (!good) return RUN_LOOP_FAILED;
    return run_loop_is_finished(loop) && !loop->abandoned ? RUN_LOOP_DONE : RUN_LOOP_STOPPED;
}
