/* Detects losses, weights and running statistics that are not finite. */
#ifndef TRAIN_DIVERGED_H
#define TRAIN_DIVERGED_H

#include "train/train.h"

/* Checks a loss, which `what` names ("the training loss"). The error (STATUS_DIVERGED) tells step, learning rate,
 * layer, and the last checkpoint in the folder `run`, which is older. NULL: training has no folder. */
bool diverged_check_loss(struct trainer *trainer, const char *run, const char *what, double loss,
                         struct status *status);

/* Checks every parameter and running statistic of the network, in a pass over each arena on the device. A running variance
 * can overflow while every loss is finite. */
bool diverged_check_weights(struct trainer *trainer, const char *run, struct status *status);

#endif
