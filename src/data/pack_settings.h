/* The settings that the pictures of a packed file were made with. `predict` must make its pictures in the same way, and
 * does it by the config. So a config that says otherwise than the file is refused. */
#ifndef DATA_PACK_SETTINGS_H
#define DATA_PACK_SETTINGS_H

#include "pack.h"

/* Returns lines "key = value" in a new string. */
char *pack_settings_text(const struct dataset_source *source);

/* Compares the settings with those of the file, if it has any; the error (STATUS_USAGE) names the key. */
bool pack_settings_check(const struct pack *pack, const struct dataset_source *source, struct status *status);

#endif
