/* Trains at growing rates (lr_find.h). */
#include "train/lr_find.h"

#include <math.h>
#include <stdlib.h>

#include "util/check.h"
#include "util/memory.h"
#include "util/number.h"

static const double too_large = 4; /* times the lowest smoothed loss: training has come apart */

/* Rate of a step: from (to / from)^(step / (steps - 1)). */
static double rate_of(struct lr_range range, int step)
{
    return range.from * pow(range.to / range.from, (double)step / (range.steps - 1));
}

static double train_step(struct trainer *trainer, double rate)
{
    trainer->learning_rate = rate;
    network_set_metrics(trainer->network, (struct metrics){0});
    trainer_step(trainer);
    struct metrics sums = network_metrics(trainer->network);
    return sums.loss / (double)sums.count;
}

/* The weight that the average of losses keeps from step to step: it forgets within a twenty-fifth of the range. */
static double kept_share(struct lr_range range)
{
    return 1 - 1 / fmax(1, range.steps / 25.0);
}

/* The index of the lowest smoothed loss; -1: there is no point. */
static int find_lowest(const struct lr_find *found)
{
    int lowest = -1;
    for (int i = 0; i < found->count; i++)
        if (isfinite(found->points[i].smoothed) &&
            (lowest < 0 || found->points[i].smoothed < found->points[lowest].smoothed))
            lowest = i;
    return lowest;
}

/* The point up to the lowest one at which the loss falls most over an eighth of the range. */
static int find_steepest(const struct lr_find *found, struct lr_range range)
{
    int half = range.steps / 16 > 1 ? range.steps / 16 : 1, steepest = -1;
    double most = 0;
    for (int i = half; i + half < found->count && i <= found->lowest; i++) {
        double fall = found->points[i - half].smoothed - found->points[i + half].smoothed;
        if (fall > most) most = fall, steepest = i;
    }
    return steepest;
}

struct lr_find lr_find_run(struct trainer *trainer, struct lr_range range,
                           void (*watch)(void *argument, const struct lr_point *point, int step), void *argument)
{
    CHECK(range.steps >= LR_FIND_LEAST_STEPS && range.from > 0 && range.from < range.to);
    struct lr_find found = {.points = memory_alloc((size_t)range.steps, sizeof *found.points)};
    double kept = kept_share(range), sum = 0, weight = 0, lowest = INFINITY;
    while (found.count < range.steps && !found.diverged) {
        struct lr_point *point = &found.points[found.count];
        point->rate = rate_of(range, found.count);
        point->loss = train_step(trainer, point->rate);
        sum = kept * sum + (1 - kept) * point->loss, weight = kept * weight + (1 - kept);
        point->smoothed = sum / weight;
        lowest = fmin(lowest, point->smoothed);
        found.diverged = !isfinite(point->loss) || point->smoothed > too_large * lowest;
        if (watch) watch(argument, point, found.count);
        found.count++;
    }
    found.lowest = find_lowest(&found);
    found.steepest = find_steepest(&found, range);
    return found;
}

void lr_find_free(struct lr_find *found)
{
    free(found->points);
    *found = (struct lr_find){0};
}

void lr_find_write(const struct lr_find *found, FILE *out)
{
    fputs("learning_rate,loss,smoothed_loss\n", out);
    for (int i = 0; i < found->count; i++) {
        const struct lr_point *point = &found->points[i];
        char rate[32], loss[32], smoothed[32];
        number_format_real(point->rate, rate, sizeof rate);
        number_format_real(point->loss, loss, sizeof loss);
        number_format_real(point->smoothed, smoothed, sizeof smoothed);
        fprintf(out, "%s,%s,%s\n", rate, loss, smoothed);
    }
}
