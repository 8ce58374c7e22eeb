/* Tests the loop of steps: the order of its calls, its end, and what it makes of figures that are not finite. */
#include <math.h>
#include <string.h>
#include <criterion/criterion.h>

#include "session_support.h"
#include "train/run_loop.h"

static const char text[] = "[data]\ndataset = synthetic\nsynthetic_train = 50\nsynthetic_test = 23\n"
                           "synthetic_classes = 5\nsynthetic_size = 7\nvalidation_size = 9\nnormalization = channel\n"
                           "[model]\nhidden = 9\n[optimizer]\nlearning_rate = 1e-3\n[train]\nbatch_size = 16\n"
                           "[backend]\ndevice = cpu\n";

/* A loop that writes down its calls: a letter for each, and the step after those that end one. */
struct diary {
    struct run_loop loop;
    struct session *session;
    char calls[256];
    int64_t stop_at;   /* the step after which stop() is true; -1: none */
    int64_t stop_asks; /* stop() is true from this question on; -1: never */
    bool fails;        /* the call `stepped` fails */
    struct status status;
};

static void note(struct diary *diary, const char *call)
{
    strncat(diary->calls, call, sizeof diary->calls - strlen(diary->calls) - 1);
}

static bool stop(void *argument)
{
    struct diary *diary = argument;
    if (diary->stop_asks > 0) diary->stop_asks--;
    return diary->stop_asks == 0 || diary->session->trainer.step == diary->stop_at;
}

static bool stepped(void *argument, struct status *status)
{
    struct diary *diary = argument;
    note(diary, " s");
    return !diary->fails || status_fail(status, STATUS_RUNTIME, "failed");
}

static bool is_look_due(void *argument)
{
    const struct diary *diary = argument;
    return diary->session->trainer.step % 2 == 0;
}

static void looked(void *argument)
{
    struct diary *diary = argument;
    note(diary, "l");
    cr_expect_gt(diary->loop.sums.count, 0);
}

static bool evaluated(void *argument, struct status *status)
{
    struct diary *diary = argument;
    (void)status;
    note(diary, "e");
    cr_expect_eq(diary->loop.result.final.step, diary->session->trainer.step);
    return true;
}

static bool finished(void *argument, struct status *status)
{
    struct diary *diary = argument;
    (void)status;
    note(diary, "f");
    return true;
}

static struct diary *open_diary(void)
{
    struct diary *diary = memory_alloc(1, sizeof *diary);
    diary->session = session_open(text, 1);
    diary->stop_at = diary->stop_asks = -1;
    diary->loop = (struct run_loop){.trainer = &diary->session->trainer,
                                    .last_step = 7,
                                    .eval_freq = 3,
                                    .checks = RUN_LOOP_CHECK_WEIGHTS,
                                    .calls = {.stop = stop,
                                              .stepped = stepped,
                                              .is_look_due = is_look_due,
                                              .looked = looked,
                                              .evaluated = evaluated,
                                              .finished = finished},
                                    .argument = diary};
    diary->loop.result.best_by = BEST_BY_VALIDATION;
    return diary;
}

static void expect_end(struct diary *diary, enum run_loop_end end, int64_t step, const char *calls)
{
    cr_expect_eq(run_loop_run(&diary->loop, &diary->status), end);
    cr_expect_eq(diary->session->trainer.step, step);
    cr_expect_str_eq(diary->calls, calls, "\"%s\", not \"%s\"", diary->calls, calls);
}

static void close_diary(struct diary *diary)
{
    session_close(diary->session);
    free(diary);
}

Test(run_loop, calls_come_in_the_order_of_a_step)
{
    struct diary *diary = open_diary();
    expect_end(diary, RUN_LOOP_DONE, 7, " sf slf sef slf sf sef sef");
    cr_expect_eq(diary->loop.result.row_count, 3);
    cr_expect_eq(diary->loop.result.images, 7 * 16);
    cr_expect(run_loop_is_finished(&diary->loop) && run_loop_is_evaluated(&diary->loop));
    close_diary(diary);
}

/* The last step is evaluated too, but not where there are no evaluations at all. */
Test(run_loop, does_without_evaluations_and_calls)
{
    struct diary *diary = open_diary();
    diary->loop.eval_freq = 0;
    diary->loop.calls = (struct run_loop_calls){0};
    expect_end(diary, RUN_LOOP_DONE, 7, "");
    cr_expect_eq(diary->loop.result.row_count, 0);
    cr_expect_eq(network_metrics(diary->session->trainer.network).count, 7 * 16);
    close_diary(diary);
}

Test(run_loop, stops_before_a_step_and_goes_on)
{
    struct diary *diary = open_diary();
    diary->stop_at = 2;
    expect_end(diary, RUN_LOOP_STOPPED, 2, " sf slf");
    diary->stop_at = -1, diary->calls[0] = '\0';
    expect_end(diary, RUN_LOOP_DONE, 7, " sef slf sf sef sef");
    close_diary(diary);
}

/* Of an abandoned evaluation there is no row, and the sums of training are what they were. */
Test(run_loop, stops_within_an_evaluation_which_stays_due)
{
    struct diary *diary = open_diary();
    diary->stop_asks = 4; /* three times before a step, then in the evaluation of the third */
    expect_end(diary, RUN_LOOP_STOPPED, 3, " sf slf s");
    cr_expect(diary->loop.abandoned && diary->loop.result.row_count == 0);
    cr_expect_eq(network_metrics(diary->session->trainer.network).count, 3 * 16);
    diary->stop_asks = -1, diary->calls[0] = '\0';
    diary->loop.evaluation_due = true;
    expect_end(diary, RUN_LOOP_DONE, 7, "ef slf sf sef sef");
    close_diary(diary);
}

Test(run_loop, patience_ends_it)
{
    struct diary *diary = open_diary();
    diary->loop.eval_freq = 1, diary->loop.last_step = 1000, diary->loop.patience = 2;
    cr_expect_eq(run_loop_run(&diary->loop, &diary->status), RUN_LOOP_DONE);
    cr_expect_eq(diary->loop.result.since_best, 2);
    cr_expect_lt(diary->session->trainer.step, 1000);
    close_diary(diary);
}

Test(run_loop, a_failed_call_ends_it)
{
    struct diary *diary = open_diary();
    diary->fails = true;
    expect_end(diary, RUN_LOOP_FAILED, 1, " s");
    cr_expect_str_eq(diary->status.message, "failed");
    close_diary(diary);
}

Test(run_loop, may_evaluate_the_judging_set_alone)
{
    struct diary *diary = open_diary();
    diary->loop.judging_set_only = true;
    expect_end(diary, RUN_LOOP_DONE, 7, " sf slf sef slf sf sef sef");
    const struct metrics_row *row = &diary->loop.result.final;
    cr_expect(isfinite(row->validation.loss) && isnan(row->train.loss) && isnan(row->test.loss));
    close_diary(diary);
}

static void spoil(struct diary *diary, const struct tensor *tensor)
{
    struct backend *backend = diary->session->backend;
    double *values = support_read(backend, tensor);
    values[0] = NAN;
    backend->table->tensor_write(backend, tensor, values);
    free(values);
}

/* The first weight of the first layer makes every loss NaN. The gradient of a loss that is NaN spoils the others. */
static void expect_diverged(enum run_loop_checks checks, enum run_loop_end end, int64_t step, const char *message)
{
    struct diary *diary = open_diary();
    diary->loop.checks = checks;
    spoil(diary, &diary->session->trainer.network->layers[0].parameter[0].value);
    cr_expect_eq(run_loop_run(&diary->loop, &diary->status), end);
    cr_expect_eq(diary->session->trainer.step, step);
    cr_expect_eq(strncmp(diary->status.message, message, strlen(message)), 0, "%s", diary->status.message);
    close_diary(diary);
}

Test(run_loop, a_loss_that_is_not_finite_ends_it_where_losses_are_checked)
{
    const char message[] = "step 2: the training loss is not finite, at learning rate 0.001; it shows first in layer 0";
    expect_diverged(RUN_LOOP_CHECK_NOTHING, RUN_LOOP_DONE, 7, "");
    expect_diverged(RUN_LOOP_CHECK_LOSSES, RUN_LOOP_FAILED, 2, message);
    expect_diverged(RUN_LOOP_CHECK_WEIGHTS, RUN_LOOP_FAILED, 2, message);
}

/* Before the first step the training loss is good, so the weights are what is found, or else the next evaluation. */
Test(run_loop, weights_are_checked_before_an_evaluation)
{
    for (int i = 0; i < 2; i++) {
        struct diary *diary = open_diary();
        diary->loop.checks = i == 0 ? RUN_LOOP_CHECK_WEIGHTS : RUN_LOOP_CHECK_LOSSES;
        spoil(diary, &diary->session->trainer.network->layers[0].parameter[0].value);
        cr_expect_not(run_loop_evaluate(&diary->loop, &diary->status));
        const char *expected = i == 0 ? "step 0: a weight is not finite" : "step 0: the loss of the train set is not";
        cr_expect_eq(strncmp(diary->status.message, expected, strlen(expected)), 0, "%s", diary->status.message);
        cr_expect_eq(diary->loop.result.row_count, 0);
        close_diary(diary);
    }
}
