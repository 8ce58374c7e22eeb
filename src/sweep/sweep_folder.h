/* The folder of a sweep: its sweep.ini describes the sweep that the results beside it belong to. */
#ifndef SWEEP_FOLDER_H
#define SWEEP_FOLDER_H

#include "sweep/sweep.h"

/* Makes and opens the folder, and locks it for the whole sweep; *descriptor is for folder_check and folder_unlock, after an
 * error too. Writes sweep.ini. Where the folder has results, a sweep that would give other ones than the stored sweep.ini
 * describes is refused (STATUS_USAGE). The name of the experiment and the number of jobs may change; without halving
 * also order and limit. */
bool sweep_folder_open(const struct sweep *sweep, const char *folder, const struct sweep_shard *shard, int *descriptor,
                       struct status *status);

/* Compares sweep.ini again. A folder without results is anybody's: between the start of a shard and its first result
 * another sweep may have written its own there. */
bool sweep_folder_check(const struct sweep *sweep, const char *folder, struct status *status);

/* Writes the sweep as a config that sweep_load reads back. Defaults are comments in it. */
void sweep_write(const struct sweep *sweep, FILE *out);

#endif
