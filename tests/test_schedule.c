/* Tests the schedules of the learning rate. */
#include <math.h>
#include <criterion/criterion.h>

#include "optim/schedule.h"

static struct schedule_params with_schedule(enum schedule_kind kind, int64_t warmup_steps)
{
    return (struct schedule_params){.kind = kind,
                                    .learning_rate = 0.1,
                                    .warmup_steps = warmup_steps,
                                    .step_size = 30,
                                    .gamma = 0.5,
                                    .minimum = 0.02,
                                    .max_steps = 100};
}

static void assert_rate(const struct schedule_params *schedule, int64_t step, double expected)
{
    double rate = schedule_learning_rate(schedule, step);
    /* The tolerance allows a few roundings of cos and pow. */
    cr_assert(fabs(rate - expected) <= 1e-15, "step %ld: %.17g, expected %.17g", (long)step, rate, expected);
}

Test(schedule, constant)
{
    struct schedule_params schedule = with_schedule(SCHEDULE_CONSTANT, 0);
    assert_rate(&schedule, 0, 0.1);
    assert_rate(&schedule, 99, 0.1);
}

Test(schedule, warmup_reaches_the_base_with_its_last_step)
{
    struct schedule_params schedule = with_schedule(SCHEDULE_CONSTANT, 4);
    assert_rate(&schedule, 0, 0.025);
    assert_rate(&schedule, 1, 0.05);
    assert_rate(&schedule, 2, 0.075);
    assert_rate(&schedule, 3, 0.1);
    assert_rate(&schedule, 4, 0.1);
}

Test(schedule, step)
{
    struct schedule_params schedule = with_schedule(SCHEDULE_STEP, 0);
    assert_rate(&schedule, 0, 0.1);
    assert_rate(&schedule, 29, 0.1);
    assert_rate(&schedule, 30, 0.05);
    assert_rate(&schedule, 59, 0.05);
    assert_rate(&schedule, 60, 0.025);
    assert_rate(&schedule, 99, 0.0125);
}

Test(schedule, step_counts_from_the_end_of_the_warmup)
{
    struct schedule_params schedule = with_schedule(SCHEDULE_STEP, 10);
    assert_rate(&schedule, 4, 0.05);
    assert_rate(&schedule, 39, 0.1);
    assert_rate(&schedule, 40, 0.05);
}

/* minimum + (base - minimum) * (1 + cos(pi * t)) / 2 at t = 0, 1/4, 1/3, 1/2, 2/3. */
Test(schedule, cosine)
{
    struct schedule_params schedule = with_schedule(SCHEDULE_COSINE, 0);
    assert_rate(&schedule, 0, 0.1);
    assert_rate(&schedule, 25, 0.02 + 0.08 * (1 + sqrt(0.5)) / 2);
    assert_rate(&schedule, 50, 0.06);
    assert_rate(&schedule, 100, 0.02);
    assert_rate(&schedule, 1000, 0.02);
}

Test(schedule, cosine_after_warmup)
{
    struct schedule_params schedule = with_schedule(SCHEDULE_COSINE, 10);
    assert_rate(&schedule, 9, 0.1);
    assert_rate(&schedule, 10, 0.1);
    assert_rate(&schedule, 40, 0.08);
    assert_rate(&schedule, 55, 0.06);
    assert_rate(&schedule, 70, 0.04);
}

Test(schedule, linear_after_warmup_is_a_triangle)
{
    struct schedule_params schedule = with_schedule(SCHEDULE_LINEAR, 20);
    assert_rate(&schedule, 9, 0.05);
    assert_rate(&schedule, 19, 0.1);
    assert_rate(&schedule, 20, 0.1);
    assert_rate(&schedule, 40, 0.08);
    assert_rate(&schedule, 60, 0.06);
    assert_rate(&schedule, 100, 0.02);
    assert_rate(&schedule, 1000, 0.02);
}
