/* Losses and weights that are no numbers any more. */
#ifndef TRAIN_DIVERGED_H
#define TRAIN_DIVERGED_H

#include "trainer/train.h"

/* Whether a loss, which `what` names ("the training loss"), is finite. If not, the error (STATUS_DIVERGED) tells step,
 * learning rate, layer, and the run's last checkpoint, which is from before. */
bool diverged_check_loss(struct trainer *trainer, const char *run, const char *what, double loss,
                         struct status *status);

/* The same of every parameter of the network; reads them once, on the device. */
bool diverged_check_weights(struct trainer *trainer, const char *run, struct status *status);

#endif
