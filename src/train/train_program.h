/* The programs of a run: a training step, and the evaluation of a batch. */
#ifndef TRAIN_PROGRAM_H
#define TRAIN_PROGRAM_H

#include "config/experiment.h"
#include "nn/network.h"
#include "optim/ema.h"
#include "optim/optimizer.h"

/* Writes a step of the experiment's training: gather, forward, loss, backward, clip, update, average; all tensors have
 * their places. With train.slices above 1 it is one of the step's slices instead, up to its gradients. An epoch has so many
 * steps. Free its program with program_free. */
struct network_program train_program_write(const struct experiment *experiment, const struct network *network,
                                           const struct optimizer *optimizer, const struct ema *ema,
                                           int64_t epoch_steps);

/* Write the end of a step in slices, once its gradient is there: clip, and the update of the optimizer's own part; and what
 * follows when all parameters are updated: average. NULL where a step has no slices, or no average. */
struct program *train_program_write_update(const struct experiment *experiment, const struct network *network,
                                           const struct optimizer *optimizer);
struct program *train_program_write_average(const struct experiment *experiment, const struct network *network,
                                            const struct ema *ema);

/* Writes the evaluation of a batch of up to n samples of a set. Both programs take a batch as the data set's own bytes,
 * or neither does, so that they agree to the bit. */
struct network_program train_program_write_evaluation(const struct experiment *experiment,
                                                      const struct network *network, int64_t n);

/* Prints both for people, as `trainer summary --ops` shows them, with an evaluation of n samples; no data is needed. */
void train_program_print(const struct experiment *experiment, struct network *network, int64_t n, FILE *out);

#endif
