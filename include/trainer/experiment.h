/* An experiment: the data, the network and the training that an INI file describes. `trainer help config` and
 * docs/reference list its keys.
 *
 * A `set` is an array of `set_count` texts "section.key=value", which change keys whatever the file says, as --set of
 * the program does; it may be NULL where set_count is 0. Errors are TRAINER_USAGE and name file, line and key. */
#ifndef TRAINER_EXPERIMENT_H
#define TRAINER_EXPERIMENT_H

#include <stdbool.h>

#include <trainer/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct trainer_experiment;

/* Reads a file, then sets keys. Returns NULL after an error; free with trainer_experiment_free. */
struct trainer_experiment *trainer_experiment_load(const char *path, const char *const *set, int set_count,
                                                   struct trainer_status *status);

/* The same from the text of such a file; `name` stands for its path, in messages and in experiment.name. */
struct trainer_experiment *trainer_experiment_parse(const char *text, const char *name, const char *const *set,
                                                    int set_count, struct trainer_status *status);
void trainer_experiment_free(struct trainer_experiment *experiment); /* NULL is allowed */

/* Sets further keys. The rules between keys are checked when all of them are set, and defaults that depend on other keys
 * follow. After an error the experiment is what it was. */
bool trainer_experiment_set(struct trainer_experiment *experiment, const char *const *set, int set_count,
                            struct trainer_status *status);

/* Returns the value of a key, "section.key", as an INI file has it, in a new string; free it with free(). NULL: there is
 * no such key. */
char *trainer_experiment_get(const struct trainer_experiment *experiment, const char *key,
                             struct trainer_status *status);

/* Returns every key with its value as the text of an INI file, in a new string; free it with free(). */
char *trainer_experiment_text(const struct trainer_experiment *experiment);

#ifdef __cplusplus
}
#endif

#endif
