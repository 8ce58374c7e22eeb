/* Draws the order in which an epoch visits the samples. */
#include "data/dataset.h"
#include "util/check.h"
#include "util/rng.h"

void epoch_order(int32_t *order, int32_t count, enum first_epoch first, uint64_t seed, int64_t epoch)
{
    CHECK(count >= 0 && epoch >= 0 && epoch <= UINT32_MAX);
    if (epoch == 0 && first == FIRST_EPOCH_FILE) {
        for (int32_t i = 0; i < count; i++) order[i] = i;
        return;
    }
    struct rng rng = rng_create(seed, RNG_STREAM_SHUFFLE, (uint32_t)epoch);
    rng_permutation(&rng, order, count);
}
