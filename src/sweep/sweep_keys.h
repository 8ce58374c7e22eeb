/* The sweep's own keys, and errors about anything in [sweep]. */
#ifndef SWEEP_KEYS_H
#define SWEEP_KEYS_H

#include "config/experiment_keys.h"
#include "sweep/sweep.h"

/* The sweep's keys as in experiment_keys, with offsets in struct sweep_settings. */
extern const struct experiment_key sweep_keys[SWEEP_KEY_COUNT];

/* Returns the help for users on how they write alternatives, and for which keys, in a new string. */
char *sweep_factors_help(void);

/* Returns the key's index in the table, or -1. */
int sweep_key_find(const char *name);

/* Writes the end of a sentence that helps after an unknown key of [sweep]; `name` may hold a dot. */
void sweep_suggest_key(const char *name, char *text, size_t size);

/* Calls status_fail(status, STATUS_USAGE, ...) with "file:line: sweep.key: " (or "--set sweep.key: ", or "file:
 * sweep.key (default): ") before the message. `file` is the config's, for defaults. */
bool sweep_fail(const char *file, struct key_origin origin, const char *key, struct status *status, const char *format,
                ...) __attribute__((format(printf, 5, 6)));

/* Calls sweep_fail about one of the settings. */
bool sweep_setting_fail(const struct sweep *sweep, const char *key, struct status *status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
