/* Keeps the best of a run's evaluations. */
#include "metrics/metrics.h"

#include "util/check.h"

bool evaluation_exists(const struct evaluation *evaluation)
{
    return !isnan(evaluation->accuracy);
}

struct evaluation evaluation_mean(struct metrics sums)
{
    if (sums.count == 0) return (struct evaluation)EVALUATION_NONE;
    return (struct evaluation){sums.loss / (double)sums.count, (double)sums.correct / (double)sums.count};
}

const char *best_by_name(enum best_by by)
{
    switch (by) {
    case BEST_BY_TEST:
        return "test";
    case BEST_BY_VALIDATION:
        return "validation";
    case BEST_BY_NONE:
        return "none";
    }
    check_failed("a set to choose by", __FILE__, __LINE__);
}

double best_by_accuracy(enum best_by by, const struct metrics_row *row)
{
    return by == BEST_BY_TEST ? row->test.accuracy : by == BEST_BY_VALIDATION ? row->validation.accuracy : NAN;
}

/* Compares a row with the best one. A row without the judging set (from a program that knew no validation set) is worse
 * than any row with it. */
static bool is_better(const struct run_result *result, const struct metrics_row *row)
{
    if (result->row_count == 0 || result->best_by == BEST_BY_NONE) return true;
    double now = best_by_accuracy(result->best_by, row), before = best_by_accuracy(result->best_by, &result->best);
    return now > before || (isnan(before) && !isnan(now));
}

void run_result_add(struct run_result *result, const struct metrics_row *row)
{
    bool better = is_better(result, row);
    result->final = *row;
    if (better) result->best = *row;
    result->since_best = better ? 0 : result->since_best + 1;
    result->row_count++;
}

bool run_result_is_exhausted(const struct run_result *result, int64_t patience)
{
    return patience > 0 && result->since_best >= patience;
}
