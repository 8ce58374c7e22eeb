/* The folder of a sweep: sweep.ini, which says what the results beside it are of. */
#ifndef SWEEP_FOLDER_H
#define SWEEP_FOLDER_H

#include "trainer/sweep.h"

/* Writes sweep.ini, or where the folder has results refuses (STATUS_USAGE) a sweep that would give other ones than that
 * sweep.ini describes. The name of the experiment and the number of jobs may change; without halving also order and
 * limit. */
bool sweep_folder_claim(const struct sweep *sweep, const char *folder, struct status *status);

/* Whether an entry of a folder is one that a sweep writes first; for folder_check_marks. */
bool sweep_folder_is_mark(const char *folder, const char *name);

/* Writes the sweep as a config that sweep_load reads back. Defaults are comments. */
void sweep_write(const struct sweep *sweep, FILE *out);

#endif
