/* Gradient checks: the derivative that each layer computes against central differences of its own forward pass, in
 * double precision:
 *
 *   numeric = (4*D(h/2) - D(h)) / 3,  D(s) = (L(v + s) - L(v - s)) / 2s,  h = 2^-13
 *   L = sum r*y with fixed random r  (for a loss: L itself)
 *   relative error = max |analytic - numeric| / max(e / bound, |analytic| + |numeric|)
 *
 * over values v drawn from the layer's input and from each of its trained parameters; e is an estimate of the error of
 * the numeric derivative, by truncation, rounding and kinks (derived at the head of src/nn/gradcheck.c). The bound is 1e-5;
 * for the layers that are linear but for a kink (ReLU, leaky ReLU) 1e-6. Inputs keep away from kinks: a derivative does
 * not exist there. A tensor also fails if e is too large at more than half of the values for the bound to mean
 * anything. */
#ifndef GRADCHECK_H
#define GRADCHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "nn/network.h"

/* The result for one tensor of one layer. */
struct gradcheck_result {
    const char *layer;   /* as in the summary; the loss has a row of its own */
    const char *tensor;  /* "input", "weight", ... */
    int64_t values;      /* number of values that were checked */
    double error, bound; /* error: NaN where the outputs have no derivative that can be measured */
    bool passed;
};

/* The batch size that the checks need in a network. */
enum { GRADCHECK_BATCH = 5 };

/* Checks that the backend computes all that the checks run (network_check_support). */
bool gradcheck_check_support(const struct network *network, struct status *status);

/* Checks every layer and the loss of a network on a backend with fp64 precision, built for GRADCHECK_BATCH samples.
 * Calls `report` for each tensor. Returns true if all passed. Afterwards parameters are as before; running statistics
 * are not. */
bool gradcheck_network(struct network *network, uint64_t seed,
                       void (*report)(void *argument, const struct gradcheck_result *result), void *argument);

#endif
