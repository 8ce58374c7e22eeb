/* A sequence of random numbers drawn from one Philox stream, for host code (see philox.h). */
#ifndef RNG_H
#define RNG_H

#include <stdint.h>

#include "util/philox.h"

struct rng {
    uint64_t seed;
    uint32_t stream, step;
    uint64_t next; /* index of the next word in the stream */
};

/* The start of the sequence that (seed, stream, step) names. */
struct rng rng_create(uint64_t seed, uint32_t stream, uint32_t step);

uint32_t rng_next(struct rng *rng);

/* Uniform in (0, 1): 32 random bits, centred in their interval, so that neither end is met. */
double rng_uniform(struct rng *rng);

/* Standard normal (Box-Muller, one of the pair). */
double rng_normal(struct rng *rng);

/* Beta(a,a), in 0..1 and symmetric about 1/2; a > 0. It is X/(X+Y) of two numbers with the Gamma distribution of shape a
 * (Marsaglia and Tsang 2000), computed with logarithms, so that a may be small. */
double rng_beta(struct rng *rng, double a);

/* Uniform in 0..bound-1 without bias (rejection); bound > 0. */
uint32_t rng_below(struct rng *rng, uint32_t bound);

/* Fills permutation[0..count-1] with 0..count-1 in random order (Fisher-Yates). */
void rng_permutation(struct rng *rng, int32_t *permutation, int32_t count);

#endif
