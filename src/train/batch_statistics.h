/* The batches of which a trainer's batch normalization takes its statistics. */
#ifndef TRAIN_BATCH_STATISTICS_H
#define TRAIN_BATCH_STATISTICS_H

#include "trainer/train.h"

/* STATUS_USAGE where a batch normalization would see one value per channel, in a training step or, without running
 * statistics, in an evaluation of one of the sets: it would put out its bias whatever it is given. */
bool batch_statistics_check(const struct trainer *trainer, struct status *status);

/* One line: which batches an evaluation normalises by. Nothing where it uses running statistics. */
void batch_statistics_print(const struct trainer *trainer, FILE *out);

#endif
