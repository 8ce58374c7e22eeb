#ifndef TRAINER_CONFIG_EXPERIMENT_CHECK_H
#define TRAINER_CONFIG_EXPERIMENT_CHECK_H

#include <stdbool.h>

#include "config/experiment.h"

/* Sets the defaults that depend on other keys (name, hidden, activation_slope, those of the optimizer), then checks the rules between keys. A
 * value that another key makes meaningless is an error. */
bool experiment_check(struct experiment *experiment, struct status *status);

/* Sets the keys of [optimizer] that nothing set to the chosen optimizer's own defaults. */
void experiment_set_optimizer_defaults(struct experiment *experiment);

/* Refuses values of keys that the optimizer does not read. A config that a run saved is free of this rule: the program
 * that wrote it may have taken such a value, and passed over it. */
bool experiment_check_read(const struct experiment *experiment, struct status *status);

/* Tells whether there may be a validation set: samples are held out, or a data set of this format may have one. */
bool experiment_may_validate(const struct experiment *experiment);

/* Lets a --set of train.epochs or train.max_steps alone win over the other key in the file. */
void experiment_choose_length(struct experiment *experiment);

/* Checks that the warm-up ends before the last of train.max_steps. */
bool experiment_check_warmup(const struct experiment *experiment, struct status *status);

/* Returns true where the command line set the key. */
bool experiment_is_override(const struct experiment *experiment, const char *section_key);

/* Makes the key's value count as the default. */
void experiment_forget_origin(struct experiment *experiment, const char *section_key);

#endif
