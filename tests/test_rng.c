/* Tests Philox4x32-10 against the published vectors, and the sequences that are drawn from it. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util/memory.h"
#include "util/philox.h"
#include "util/rng.h"

/* A line holds counter, key and result: the philox4x32 10 lines of kat_vectors in Random123 (Salmon et al.). */
static const uint32_t known_answers[][10] = {
    {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
    {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e, 0xa20bc7c6,
     0x6d5451fd},
    {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420,
     0x24126ea1},
};

Test(rng, philox_known_answers)
{
    for (size_t i = 0; i < sizeof known_answers / sizeof known_answers[0]; i++) {
        const uint32_t *v = known_answers[i];
        struct philox_words words = philox_draw((uint64_t)v[5] << 32 | v[4], v[3], v[2], (uint64_t)v[1] << 32 | v[0]);
        for (int k = 0; k < 4; k++) cr_expect_eq(words.word[k], v[6 + k], "vector %zu, word %d", i, k);
    }
}

Test(rng, philox_uniform_is_in_its_interval)
{
    cr_expect_eq(philox_uniform(0), 0.0f);
    cr_expect_eq(philox_uniform(0xff), 0.0f, "the lower eight bits do not count");
    cr_expect_eq(philox_uniform(0x100), 0x1p-24f);
    cr_expect_eq(philox_uniform(0x80000000), 0.5f);
    cr_expect_eq(philox_uniform(0xffffffff), 1 - 0x1p-24f);
}

Test(rng, sequence_is_the_words_in_order)
{
    struct rng rng = rng_create(0x123456789abcdef0, 3, 5);
    for (uint64_t i = 0; i < 10; i++) {
        uint32_t expected = philox_draw(0x123456789abcdef0, 3, 5, i / 4).word[i % 4];
        cr_expect_eq(rng_next(&rng), expected, "word %d", (int)i);
    }
}

/* Any of seed (either half), stream and step changes the sequence; nothing else does. */
Test(rng, sequences_are_named_by_seed_stream_and_step)
{
    struct rng base = rng_create(42, 1, 0), again = rng_create(42, 1, 0);
    struct rng others[] = {rng_create(43, 1, 0), rng_create(42 + (1ull << 32), 1, 0), rng_create(42, 2, 0),
                           rng_create(42, 1, 1)};
    int same[4] = {0};
    for (int i = 0; i < 100; i++) {
        uint32_t word = rng_next(&base);
        cr_assert_eq(rng_next(&again), word);
        for (int k = 0; k < 4; k++) same[k] += rng_next(&others[k]) == word;
    }
    for (int k = 0; k < 4; k++) cr_expect_leq(same[k], 1, "sequence %d repeats the first", k);
}

enum { DRAWS = 100000 };

/* Checks mean and variance of the draws. They are off by more than five standard errors for one seed in a million, and
 * the seed is fixed. */
static void expect_moments(const double *values, double mean, double variance, double fourth_moment)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < DRAWS; i++) sum += values[i], squares += (values[i] - mean) * (values[i] - mean);
    double mean_error = 5 * sqrt(variance / DRAWS);
    double variance_error = 5 * sqrt((fourth_moment - variance * variance) / DRAWS);
    cr_expect_lt(fabs(sum / DRAWS - mean), mean_error, "mean %g, expected %g", sum / DRAWS, mean);
    cr_expect_lt(fabs(squares / DRAWS - variance), variance_error, "variance %g, expected %g", squares / DRAWS,
                 variance);
}

Test(rng, uniform_range_and_moments)
{
    struct rng rng = rng_create(42, RNG_STREAM_GRADCHECK, 0);
    double *values = memory_alloc(DRAWS, sizeof(double));
    for (int i = 0; i < DRAWS; i++) {
        values[i] = rng_uniform(&rng);
        cr_assert(values[i] > 0 && values[i] < 1);
    }
    expect_moments(values, 0.5, 1.0 / 12, 1.0 / 80);
    free(values);
}

Test(rng, normal_moments_and_tails)
{
    struct rng rng = rng_create(42, RNG_STREAM_GRADCHECK, 1);
    double *values = memory_alloc(DRAWS, sizeof(double)), cubes = 0;
    int beyond_two = 0;
    for (int i = 0; i < DRAWS; i++) {
        values[i] = rng_normal(&rng);
        cr_assert(isfinite(values[i]));
        cubes += values[i] * values[i] * values[i];
        beyond_two += fabs(values[i]) > 2;
    }
    expect_moments(values, 0, 1, 3);
    cr_expect_lt(fabs(cubes / DRAWS), 5 * sqrt(15.0 / DRAWS), "third moment %g", cubes / DRAWS);
    const double p = 0.04550026389635842; /* P(|Z| > 2) */
    cr_expect_lt(fabs(beyond_two - p * DRAWS), 5 * sqrt(p * (1 - p) * DRAWS), "%d beyond 2 sigma", beyond_two);
    free(values);
}

Test(rng, below_is_in_range_and_even)
{
    static const uint32_t bounds[] = {1, 2, 3, 7, 10, 384};
    for (size_t b = 0; b < sizeof bounds / sizeof bounds[0]; b++) {
        uint32_t bound = bounds[b];
        int counts[384] = {0};
        struct rng rng = rng_create(42, RNG_STREAM_GRADCHECK, bound);
        for (int i = 0; i < DRAWS; i++) {
            uint32_t value = rng_below(&rng, bound);
            cr_assert_lt(value, bound);
            counts[value]++;
        }
        double p = 1.0 / bound, error = 5 * sqrt(DRAWS * p * (1 - p));
        for (uint32_t k = 0; k < bound; k++) {
            cr_expect(fabs(counts[k] - DRAWS * p) <= error, "%u of %u: %d times", k, bound, counts[k]);
        }
    }
}

/* With the largest bounds a word in two is rejected; a result out of range or a hang would show here. */
Test(rng, below_large_bounds)
{
    struct rng rng = rng_create(42, RNG_STREAM_GRADCHECK, 2);
    for (int i = 0; i < 1000; i++) {
        cr_assert_lt(rng_below(&rng, 0x80000001u), 0x80000001u);
        cr_assert_lt(rng_below(&rng, 0xffffffffu), 0xffffffffu);
    }
}

Test(rng, permutation_holds_every_number_once)
{
    static const int32_t counts[] = {0, 1, 2, 3, 17, 1000};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        int32_t permutation[1000], seen[1000] = {0}, count = counts[c];
        struct rng rng = rng_create(42, RNG_STREAM_SHUFFLE, (uint32_t)count);
        rng_permutation(&rng, permutation, count);
        for (int32_t i = 0; i < count; i++) {
            cr_assert(permutation[i] >= 0 && permutation[i] < count);
            seen[permutation[i]]++;
        }
        for (int32_t i = 0; i < count; i++) cr_expect_eq(seen[i], 1);
    }
}

/* Each of the 24 orders of four things comes up equally often. */
Test(rng, permutations_are_equally_likely)
{
    int counts[256] = {0}, orders = 0;
    const int trials = 24000;
    struct rng rng = rng_create(42, RNG_STREAM_SHUFFLE, 0);
    for (int i = 0; i < trials; i++) {
        int32_t p[4];
        rng_permutation(&rng, p, 4);
        counts[p[0] * 64 + p[1] * 16 + p[2] * 4 + p[3]]++;
    }
    double expected = trials / 24.0, error = 5 * sqrt(expected);
    for (int code = 0; code < 256; code++) {
        if (counts[code] == 0) continue;
        orders++;
        cr_expect(fabs(counts[code] - expected) <= error, "order %d: %d times", code, counts[code]);
    }
    cr_expect_eq(orders, 24);
}
