/* The learning rate of each step (formulas: schedule.h). */
#include "optim/schedule.h"

#include <math.h>

#include "util/check.h"

double schedule_learning_rate(const struct schedule_params *schedule, int64_t step)
{
    const double pi = 3.14159265358979323846;
    double base = schedule->learning_rate, minimum = schedule->minimum;
    int64_t warmup = schedule->warmup_steps;
    if (step < warmup) return base * (double)(step + 1) / (double)warmup;
    int64_t done = step - warmup, rest = schedule->max_steps - warmup;
    switch (schedule->kind) {
    case SCHEDULE_CONSTANT:
        return base;
    case SCHEDULE_STEP:
        return base * pow(schedule->gamma, (double)(done / schedule->step_size));
    case SCHEDULE_COSINE:
        if (done >= rest) return minimum; /* past the last step, for a run that goes on */
        return minimum + (base - minimum) * (1 + cos(pi * (double)done / (double)rest)) / 2;
    case SCHEDULE_LINEAR:
        if (done >= rest) return minimum;
        return base + (minimum - base) * (double)done / (double)rest;
    }
    CHECK(!"a known schedule");
}
