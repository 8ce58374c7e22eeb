/* Gradient checks: the derivative that each layer computes against central differences of its own forward pass, in
 * double precision, as the assignment behind the report has it:
 *
 *   numeric = (L(v + h) - L(v - h)) / 2h,  h = 1e-5,  L = sum r*y with fixed random r  (for a loss: L itself)
 *   relative error = max |analytic - numeric| / max(1e-8, |analytic| + |numeric|)
 *
 * over values v drawn from the layer's input and from each of its parameters. The bound is 1e-5; for the layers that
 * are linear but for a kink (ReLU, leaky ReLU) 1e-6. Inputs keep away from kinks: a derivative does not exist there. */
#ifndef TRAINER_GRADCHECK_H
#define TRAINER_GRADCHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "trainer/network.h"

/* One tensor of one layer. */
struct gradcheck_result {
    const char *layer;  /* as in the summary; the loss has a row of its own */
    const char *tensor; /* "input", "weight", ... */
    int64_t values;     /* how many were checked */
    double error, bound;
    bool passed;
};

/* Samples of a batch that the checks want of a network. */
enum { GRADCHECK_BATCH = 5 };

/* Checks every layer and the loss of a network on a backend with fp64 precision, built for GRADCHECK_BATCH samples;
 * calls `report` for each tensor. True if all passed. Parameters are as before afterwards, running statistics are not.
 */
bool gradcheck_network(struct network *network, uint64_t seed,
                       void (*report)(void *argument, const struct gradcheck_result *result), void *argument);

#endif
