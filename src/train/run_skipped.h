/* The files of a data set that were left out, in the folder of a run. */
#ifndef TRAIN_RUN_SKIPPED_H
#define TRAIN_RUN_SKIPPED_H

#include <stdio.h>

#include "data/dataset.h"

/* Writes skipped.txt into the folder: a line for each file with its path, a tab and the reason, whole or not at all.
 * Where no file was left out, one of an earlier run is removed. */
bool run_skipped_write(const struct dataset *dataset, const char *folder, struct status *status);

/* Prints where the list is; prints nothing where no file was left out. */
void run_skipped_print(const struct dataset *dataset, const char *folder, FILE *out);

#endif
