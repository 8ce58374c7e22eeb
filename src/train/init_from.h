/* Training that starts from the weights of another run (model.init_from). */
#ifndef TRAIN_INIT_FROM_H
#define TRAIN_INIT_FROM_H

#include "train/train.h"

/* Gives the network of a new trainer the weights that model.init_from names, a run, whose best checkpoint counts, or a
 * file (weights_file.h). The last layer with parameters keeps its own starting values where the file's has another number
 * of classes or of inputs, or where both name their classes and the names differ. `text` gets a line about it in a new string, or NULL
 * where the experiment names nothing. Errors (STATUS_RUNTIME) name the file. */
bool init_from_load(struct trainer *trainer, char **text, struct status *status);

/* Checks that the file which the experiment starts from is there and undamaged, whatever network it is for. */
bool init_from_check(const struct experiment *experiment, struct status *status);

#endif
