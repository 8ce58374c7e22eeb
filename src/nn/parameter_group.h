/* Groups of a network's parameters, named by the user (model.freeze, optimizer.rates, optimizer.decays). */
#ifndef NN_PARAMETER_GROUP_H
#define NN_PARAMETER_GROUP_H

#include <stdbool.h>

#include "nn/network.h"

/* A group is one of
 *   features    the layers before the first linear layer
 *   head        the last layer that has parameters
 *   gamma, beta those of all batch normalizations
 *   N           the first N layers, as the names of a checkpoint count them: layers.0 to layers.N-1
 *   PATTERN     the parameters whose names in a checkpoint match, with * ? and [...] as in a shell: "layers.3.*",
 *               "layers.*.bias" */
bool parameter_group_has(const char *group, const struct network *network, const struct layer *layer, int parameter);

/* The layer that gives the classes their scores: the last one with parameters. */
const struct layer *network_head(const struct network *network);

/* Takes the next group from a list with commas: copies it to `group` without blanks around it, and returns what is left
 * of the list, or NULL where the list is at its end. A longer group than fits is cut. */
const char *parameter_group_next(const char *list, char *group, size_t size);

/* Gives the parameters of groups other learning rates: a list with commas of a group and a factor each, "features 0.1,
 * layers.*.bias 2". A parameter of several groups has the factor of the last one. Call it before the optimizer is
 * created. Errors are STATUS_USAGE, without the place of the text. */
bool network_set_rates(struct network *network, const char *rates, struct status *status);

/* Gives the parameters of groups other weight decays, in the same way. */
bool network_set_decays(struct network *network, const char *decays, struct status *status);

/* Freezes the parameters of these groups, which a list with commas names: programs that are written from then on leave
 * them as they are. A batch normalization all of whose parameters are frozen normalises by its running statistics in
 * training too, and leaves them as they are. Call it before a program of training is written. Errors (STATUS_USAGE):
 * a group without parameters, or nothing left to train. */
bool network_freeze(struct network *network, const char *groups, struct status *status);

#endif
