/* The data set of a sweep's results. */
#ifndef SWEEP_DATA_H
#define SWEEP_DATA_H

#include <stdbool.h>

#include "data/dataset.h"
#include "sweep/sweep.h"

/* Writes FOLDER/data.ini, the digests of the data set. Where the file is there, a data set with other digests is
 * refused (STATUS_RUNTIME). Results without that file are those of an older program. They are refused where there is a
 * validation set, since that program held out other samples. */
bool sweep_data_claim(const char *folder, const struct dataset_digest *digest, bool has_results, struct status *status);

/* Checks that the data has the set that ranks, and fits each trial (STATUS_USAGE). */
bool sweep_data_check(const struct sweep *sweep, const struct dataset *dataset, struct status *status);

#endif
