/* Random numbers for host code, from one Philox stream (rng.h). */
#include "util/rng.h"

#include <math.h>

#include "util/check.h"

struct rng rng_create(uint64_t seed, uint32_t stream, uint32_t step)
{
    return (struct rng){.seed = seed, .stream = stream, .step = step};
}

uint32_t rng_next(struct rng *rng)
{
    uint64_t index = rng->next++;
    return philox_draw(rng->seed, rng->stream, rng->step, index / 4).word[index % 4];
}

double rng_uniform(struct rng *rng)
{
    return (rng_next(rng) + 0.5) * 0x1p-32;
}

double rng_normal(struct rng *rng)
{
    const double two_pi = 6.283185307179586;
    double radius = sqrt(-2 * log(rng_uniform(rng)));
    return radius * cos(two_pi * rng_uniform(rng));
}

/* Returns the logarithm of a number with the Gamma distribution. A shape below 1 is that of shape + 1 times u^(1/shape). */
static double log_gamma(struct rng *rng, double shape)
{
    if (shape < 1) {
        double factor = log(rng_uniform(rng)) / shape;
        return log_gamma(rng, shape + 1) + factor;
    }
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = rng_normal(rng), root = 1 + c * x, v = root * root * root, u = rng_uniform(rng);
        if (root > 0 && log(u) < x * x / 2 + d - d * v + d * log(v)) return log(d * v);
    }
}

double rng_beta(struct rng *rng, double a)
{
    CHECK(a > 0);
    double x = log_gamma(rng, a), y = log_gamma(rng, a);
    return 1 / (1 + exp(y - x));
}

uint32_t rng_below(struct rng *rng, uint32_t bound)
{
    CHECK(bound > 0);
    uint32_t rejected = (0u - bound) % bound; /* 2^32 mod bound: below it a word would favour small results */
    uint32_t word;
    do {
        word = rng_next(rng);
    } while (word < rejected);
    return word % bound;
}

void rng_permutation(struct rng *rng, int32_t *permutation, int32_t count)
{
    for (int32_t i = 0; i < count; i++) permutation[i] = i;
    for (int32_t i = count - 1; i > 0; i--) {
        int32_t j = (int32_t)rng_below(rng, (uint32_t)i + 1);
        int32_t swap = permutation[i];
        permutation[i] = permutation[j], permutation[j] = swap;
    }
}
