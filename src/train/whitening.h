/* The weights of a whitening layer: the first convolution of a network, whose filters take the correlation between the
 * pixels of a patch away (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", section 3.2). */
#ifndef WHITENING_H
#define WHITENING_H

#include "data/dataset.h"
#include "nn/network.h"

enum { WHITENING_IMAGES = 5000 };

/* Sets the weights (2n,C,K,K) of the network's whitening layer, n = C*K*K at most WHITENING_VALUES, from all patches p of
 * the first WHITENING_IMAGES training images, as the network sees them unchanged. With the eigenvalues e_1 >= e_2 >= ...
 * of the mean of p p^T and its eigenvectors v_i of length 1, whose largest component is positive,
 *   filter i = v_i / sqrt(e_i + 5e-4),   filter n + i = -filter i.
 * Does nothing where the network has no such layer. */
void whitening_compute(struct network *network, const struct dataset *dataset);

#endif
