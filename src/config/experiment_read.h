/* The steps of experiment_load one by one: a sweep sets further values between reading and checking, and the public
 * interface sets them again and again. */
#ifndef TRAINER_CONFIG_EXPERIMENT_READ_H
#define TRAINER_CONFIG_EXPERIMENT_READ_H

#include <stdbool.h>

#include "config/experiment.h"
#include "config/ini.h"

/* The section that belongs to a sweep and that an experiment alone refuses. */
extern const char experiment_sweep_section[];

/* Sets the defaults, then the file's values, then the overrides. The [sweep] section and overrides of it are left to
 * the caller. Does not check the rules between keys: see experiment_check. On success free with experiment_free. */
bool experiment_read(struct experiment *experiment, const struct ini_file *ini, const char *path,
                     const struct experiment_override *overrides, int override_count, struct status *status);

/* Does what experiment_load does, with a file that is read already. */
bool experiment_load_ini(struct experiment *experiment, const struct ini_file *ini, const char *path,
                         const struct experiment_override *overrides, int override_count, struct status *status);

/* Makes `to` a copy that shares no memory with `from`; free with experiment_free. */
void experiment_copy(struct experiment *to, const struct experiment *from);

#endif
