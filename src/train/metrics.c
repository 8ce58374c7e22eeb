#include "trainer/metrics.h"

void run_result_add(struct run_result *result, const struct metrics_row *row)
{
    result->final = *row;
    if (result->row_count == 0 || row->test.accuracy > result->best.test.accuracy) result->best = *row;
    result->row_count++;
}
