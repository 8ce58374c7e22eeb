#ifndef TRAINER_CONFIG_EXPERIMENT_CHECK_H
#define TRAINER_CONFIG_EXPERIMENT_CHECK_H

#include <stdbool.h>

#include "trainer/experiment.h"

/* What depends on several keys: first the defaults that do (name, hidden, activation_slope), then the rules. A value
 * that another key makes meaningless is an error, not a surprise. */
bool experiment_check(struct experiment *experiment, struct status *status);

#endif
