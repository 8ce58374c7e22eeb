/* The configurations that earlier runs chose, in a small text file per GPU in the program's cache (cache_folder.h), so
 * that a run need not ask and time again. A line has all that the choice depends on (GPU, versions of driver and
 * libraries, task), and the configuration in numbers. Lines that are damaged or of other versions are passed over. A
 * cache that cannot be read or written is as good as none. */
#ifndef CUDNN_CACHE_H
#define CUDNN_CACHE_H

#include <stdio.h>

#include "cudnn_plan.h"

/* A configuration as it stands in a line behind the key. To read it fails where any other text stands there. */
void cudnn_configuration_print(const struct cudnn_configuration *configuration, FILE *out);
bool cudnn_configuration_parse(const char *text, struct cudnn_configuration *configuration);

/* Returns the path of the file for the current GPU in a new string, or NULL where there is no place for it. */
char *cudnn_cache_path(void);

/* Finds the configuration of an earlier run on the current GPU. It may still make no plan. */
bool cudnn_cache_find(const struct cudnn_task *task, struct cudnn_configuration *configuration);

/* Keeps a configuration for later runs. Processes and threads take turns. */
void cudnn_cache_keep(const struct cudnn_task *task, const struct cudnn_configuration *configuration);

#endif
