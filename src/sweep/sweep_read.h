/* The first part of sweep_load, for a caller that needs the number of trials before each of them is checked. */
#ifndef SWEEP_READ_H
#define SWEEP_READ_H

#include "config/ini.h"
#include "sweep/sweep.h"

/* Reads a sweep whose memory is zero. It does not check the trials, and sets neither sweep.name nor sweep.order. Free
 * with sweep_free, after an error too. */
bool sweep_read(struct sweep *sweep, const struct ini_file *ini, const char *path,
                const struct experiment_override *overrides, int override_count, struct status *status);

#endif
