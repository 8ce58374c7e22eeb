#ifndef TRAINER_CONFIG_EXPERIMENT_CHECK_H
#define TRAINER_CONFIG_EXPERIMENT_CHECK_H

#include <stdbool.h>

#include "trainer/experiment.h"

/* Sets the defaults that depend on other keys (name, hidden, activation_slope), then checks the rules between keys. A
 * value that another key makes meaningless is an error. */
bool experiment_check(struct experiment *experiment, struct status *status);

#endif
