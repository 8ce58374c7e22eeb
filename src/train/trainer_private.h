/* What the files of a training session share. */
#ifndef TRAINER_PRIVATE_H
#define TRAINER_PRIVATE_H

#include "train/train.h"

/* Takes a step in this process, with its part of the slices. watch may be NULL. */
void trainer_take_step(struct trainer *trainer, const struct step_watch *watch);

/* Rank 0: lets the other ranks take the same step. True in a process that trains alone; false where an exchange failed. */
bool trainer_lead_step(struct trainer *trainer);

/* trainer_slices.c: takes a step in slices, with the other ranks where there are some. */
void trainer_run_slices(struct trainer *trainer, struct run_input *input, const struct step_watch *watch);

/* Has the slices tell of gradients that other ranks can have, where these are sent in several buckets. */
void trainer_listen(struct trainer *trainer);

#endif
