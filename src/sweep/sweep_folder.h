/* The folder of a sweep: its sweep.ini describes the sweep that the results beside it belong to. */
#ifndef SWEEP_FOLDER_H
#define SWEEP_FOLDER_H

#include "sweep/sweep.h"

/* Writes sweep.ini. Where the folder has results, a sweep that would give other ones than the stored sweep.ini
 * describes is refused (STATUS_USAGE). The name of the experiment and the number of jobs may change; without halving
 * also order and limit. */
bool sweep_folder_claim(const struct sweep *sweep, const char *folder, struct status *status);

/* Returns true for an entry that a sweep writes first; for folder_check_marks. */
bool sweep_folder_is_mark(const char *folder, const char *name);

/* Writes the sweep as a config that sweep_load reads back. Defaults are comments in it. */
void sweep_write(const struct sweep *sweep, FILE *out);

#endif
