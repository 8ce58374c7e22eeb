/* Tests the schedules of the learning rate. */
#include <math.h>
#include <criterion/criterion.h>

#include "trainer/optimizer.h"

static struct experiment with_schedule(enum schedule_kind kind, int64_t warmup_steps)
{
    struct experiment experiment = {0};
    experiment.optimizer.learning_rate = 0.1;
    experiment.train.max_steps = 100;
    experiment.schedule.name = kind;
    experiment.schedule.warmup_steps = warmup_steps;
    experiment.schedule.step_size = 30;
    experiment.schedule.gamma = 0.5;
    experiment.schedule.minimum = 0.02;
    return experiment;
}

static void assert_rate(const struct experiment *experiment, int64_t step, double expected)
{
    double rate = schedule_learning_rate(experiment, step);
    /* The tolerance allows a few roundings of cos and pow. */
    cr_assert(fabs(rate - expected) <= 1e-15, "step %ld: %.17g, expected %.17g", (long)step, rate, expected);
}

Test(schedule, constant)
{
    struct experiment experiment = with_schedule(SCHEDULE_CONSTANT, 0);
    assert_rate(&experiment, 0, 0.1);
    assert_rate(&experiment, 99, 0.1);
}

Test(schedule, warmup_reaches_the_base_with_its_last_step)
{
    struct experiment experiment = with_schedule(SCHEDULE_CONSTANT, 4);
    assert_rate(&experiment, 0, 0.025);
    assert_rate(&experiment, 1, 0.05);
    assert_rate(&experiment, 2, 0.075);
    assert_rate(&experiment, 3, 0.1);
    assert_rate(&experiment, 4, 0.1);
}

Test(schedule, step)
{
    struct experiment experiment = with_schedule(SCHEDULE_STEP, 0);
    assert_rate(&experiment, 0, 0.1);
    assert_rate(&experiment, 29, 0.1);
    assert_rate(&experiment, 30, 0.05);
    assert_rate(&experiment, 59, 0.05);
    assert_rate(&experiment, 60, 0.025);
    assert_rate(&experiment, 99, 0.0125);
}

Test(schedule, step_counts_from_the_end_of_the_warmup)
{
    struct experiment experiment = with_schedule(SCHEDULE_STEP, 10);
    assert_rate(&experiment, 4, 0.05);
    assert_rate(&experiment, 39, 0.1);
    assert_rate(&experiment, 40, 0.05);
}

/* minimum + (base - minimum) * (1 + cos(pi * t)) / 2 at t = 0, 1/4, 1/3, 1/2, 2/3. */
Test(schedule, cosine)
{
    struct experiment experiment = with_schedule(SCHEDULE_COSINE, 0);
    assert_rate(&experiment, 0, 0.1);
    assert_rate(&experiment, 25, 0.02 + 0.08 * (1 + sqrt(0.5)) / 2);
    assert_rate(&experiment, 50, 0.06);
    assert_rate(&experiment, 100, 0.02);
    assert_rate(&experiment, 1000, 0.02);
}

Test(schedule, cosine_after_warmup)
{
    struct experiment experiment = with_schedule(SCHEDULE_COSINE, 10);
    assert_rate(&experiment, 9, 0.1);
    assert_rate(&experiment, 10, 0.1);
    assert_rate(&experiment, 40, 0.08);
    assert_rate(&experiment, 55, 0.06);
    assert_rate(&experiment, 70, 0.04);
}

Test(schedule, linear_after_warmup_is_a_triangle)
{
    struct experiment experiment = with_schedule(SCHEDULE_LINEAR, 20);
    assert_rate(&experiment, 9, 0.05);
    assert_rate(&experiment, 19, 0.1);
    assert_rate(&experiment, 20, 0.1);
    assert_rate(&experiment, 40, 0.08);
    assert_rate(&experiment, 60, 0.06);
    assert_rate(&experiment, 100, 0.02);
    assert_rate(&experiment, 1000, 0.02);
}
