/* The folder of a sweep: its lock, sweep.ini, and files that appear whole or not at all. */
#ifndef SWEEP_FOLDER_H
#define SWEEP_FOLDER_H

#include "trainer/sweep.h"

/* Makes the folder and locks it until the descriptor `lock` is closed or the process ends. */
bool sweep_folder_lock(const char *folder, int *lock, struct status *status);

/* Writes sweep.ini, or where the folder has results refuses (STATUS_USAGE) a sweep that would give other ones than that
 * sweep.ini describes. The name of the experiment and the number of jobs may change; without halving also order and
 * limit. */
bool sweep_folder_claim(const struct sweep *sweep, const char *folder, struct status *status);

/* Writes the sweep as a config that sweep_load reads back. Defaults are comments. */
void sweep_write(const struct sweep *sweep, FILE *out);

/* Writes a file beside `path`, which it replaces when it is complete. */
bool sweep_file_write(const char *path, void (*write_body)(const void *body, FILE *out), const void *body,
                      struct status *status);

#endif
