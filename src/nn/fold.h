/* Folds batch normalization into the weights before it, while a network evaluates (network_fold in network.h). */
#ifndef NN_FOLD_H
#define NN_FOLD_H

#include "trainer/network.h"

/* The memory of the folded weights: fold_bytes tells how much of it layer i adds, fold_create takes it when the network
 * is built. */
int64_t fold_bytes(const struct network *network, int i);
void fold_create(struct network *network);
void fold_destroy(struct network *network);

/* True where a folded layer has nothing left to compute in evaluation. */
bool fold_leaves_nothing(const struct layer *layer);

#endif
