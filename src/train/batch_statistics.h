/* The batches from which a trainer's batch normalization takes its statistics. */
#ifndef TRAIN_BATCH_STATISTICS_H
#define TRAIN_BATCH_STATISTICS_H

#include "train/train.h"

/* Refuses (STATUS_USAGE) a trainer in which a batch normalization would see one value per channel, in a training step
 * or, without running statistics, in an evaluation. Its output would be its bias for any input. */
bool batch_statistics_check(const struct trainer *trainer, struct status *status);

/* Prints one line: the batches that an evaluation normalises by. Prints nothing where it uses running statistics. */
void batch_statistics_print(const struct trainer *trainer, FILE *out);

#endif
