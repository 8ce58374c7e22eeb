/* An experiment: the data, the network and the training that an INI file describes. `trainer help config` and
 * docs/reference list its keys. */
#ifndef TRAINER_EXPERIMENT_H
#define TRAINER_EXPERIMENT_H

#include <trainer/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct trainer_experiment;

/* Reads the file and sets keys as --set does: each of the `set_count` texts is "section.key=value". Errors are
 * TRAINER_USAGE and name file, line and key. Returns NULL after an error; free with trainer_experiment_free. */
struct trainer_experiment *trainer_experiment_load(const char *path, const char *const *set, int set_count,
                                                   struct trainer_status *status);
void trainer_experiment_free(struct trainer_experiment *experiment); /* NULL is allowed */

#ifdef __cplusplus
}
#endif

#endif
