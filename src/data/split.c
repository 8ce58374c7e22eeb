/* Holds out training samples for validation. A class of n among N samples gives size * n / N of them, rounded down. The
 * samples that then lack come from the classes with the largest remainders. A class gives its last sample only where no
 * other class can give one. */
#include "data_private.h"

#include <stdlib.h>
#include <string.h>

#include "util/check.h"
#include "util/memory.h"
#include "util/rng.h"

struct quota {
    int label;
    int64_t count, taken; /* samples of the class, and held-out ones */
    int64_t remainder;    /* size * count mod N */
};

/* Sorts classes in the order in which they give one more sample. */
static int compare_quotas(const void *a, const void *b)
{
    const struct quota *left = a, *right = b;
    bool left_ends = left->count - left->taken <= 1, right_ends = right->count - right->taken <= 1;
    if (left_ends != right_ends) return left_ends ? 1 : -1;
    if (left->remainder != right->remainder) return left->remainder > right->remainder ? -1 : 1;
    return left->label - right->label;
}

/* Returns the number of samples to hold out of each class, which sum to `size`, in a new array. */
static int64_t *share_out(const struct image_set *train, int64_t classes, int64_t size)
{
    struct quota *quotas = memory_alloc((size_t)classes, sizeof *quotas);
    int64_t *held_out = image_set_count_labels(train, classes), left = size;
    for (int64_t c = 0; c < classes; c++) {
        quotas[c] = (struct quota){.label = (int)c, .count = held_out[c]};
        quotas[c].taken = size * quotas[c].count / train->count;
        quotas[c].remainder = size * quotas[c].count % train->count;
        left -= quotas[c].taken;
    }
    qsort(quotas, (size_t)classes, sizeof *quotas, compare_quotas);
    for (int64_t c = 0; left > 0; c = (c + 1) % classes)
        if (quotas[c].taken < quotas[c].count) quotas[c].taken++, left--;
    for (int64_t c = 0; c < classes; c++) held_out[quotas[c].label] = quotas[c].taken;
    free(quotas);
    return held_out;
}

/* Sets chosen[i] for the samples that are held out: the first ones of each class in a random order of all. */
static void choose(bool *chosen, const struct image_set *train, int64_t classes, enum split_part part, int64_t size,
                   uint64_t seed)
{
    int64_t *held_out = share_out(train, classes, size);
    int32_t *order = memory_alloc((size_t)train->count, sizeof *order);
    struct rng rng = rng_create(seed, RNG_STREAM_SPLIT, (uint32_t)part);
    rng_permutation(&rng, order, (int32_t)train->count);
    for (int64_t i = 0; i < train->count; i++) {
        int64_t *left = &held_out[train->labels[order[i]]];
        chosen[order[i]] = *left > 0;
        *left -= *left > 0;
    }
    free(order);
    free(held_out);
}

/* Gives `set` the samples of `from` that are chosen, or the others, in their order. */
static void take(struct dataset *dataset, struct image_set *set, const struct image_set *from, const bool *chosen,
                 bool wanted, int64_t count)
{
    int32_t *rows = memory_alloc((size_t)count, sizeof *rows);
    uint16_t *labels = memory_alloc((size_t)count, sizeof *labels);
    int64_t place = 0;
    for (int64_t i = 0; i < from->count; i++) {
        if (chosen[i] != wanted) continue;
        rows[place] = (int32_t)image_set_row(from, i);
        labels[place++] = from->labels[i];
    }
    CHECK(place == count);
    dataset_keep(dataset, rows, 0);
    dataset_keep(dataset, labels, 0);
    *set = *from;
    set->count = count, set->rows = rows, set->labels = labels;
}

void dataset_split(struct dataset *dataset, struct image_set *to, enum split_part part, int64_t size, uint64_t seed)
{
    struct image_set all = dataset->train;
    if (size == 0) return;
    CHECK(size > 0 && size < all.count && all.count <= INT32_MAX && to->count == 0);
    bool *chosen = memory_alloc((size_t)all.count, sizeof *chosen);
    choose(chosen, &all, dataset->classes, part, size, seed);
    take(dataset, to, &all, chosen, true, size);
    take(dataset, &dataset->train, &all, chosen, false, all.count - size);
    free(chosen);
}
