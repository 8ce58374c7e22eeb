/* Batch normalization in the weights before it, while a network evaluates (network_fold in network.h). */
#ifndef NN_FOLD_H
#define NN_FOLD_H

#include "trainer/network.h"

/* The memory for it, planned and taken when the network is built; fold_bytes: what layer i adds. */
int64_t fold_bytes(const struct network *network, int i);
void fold_create(struct network *network);
void fold_destroy(struct network *network);

/* Whether nothing is left of the layer in evaluation. */
bool fold_leaves_nothing(const struct layer *layer);

#endif
