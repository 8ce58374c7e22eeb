/* What the files of src/bench share. */
#ifndef BENCH_PRIVATE_H
#define BENCH_PRIVATE_H

#include "bench/bench.h"
#include "train/train.h"

/* Sorts the values, and returns the middle one. */
double bench_median(double *values, int count);

/* Fills result->ops. The trainer has done steps: the operations run with the batch of the last one, and change the weights
 * further. */
void bench_measure_ops(struct bench_result *result, struct trainer *trainer);

#endif
