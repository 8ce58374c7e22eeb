/* Finds images of one set that are in another one too, by the digests of their pixels. */
#include "data_private.h"

#include <stdlib.h>
#include <string.h>

#include "util/memory.h"

enum { DIGEST_BYTES = 32 };

static int compare_digests(const void *a, const void *b)
{
    return memcmp(a, b, DIGEST_BYTES);
}

struct known {
    uint8_t digest[DIGEST_BYTES];
    int64_t sample;
};

/* Sorts equal digests by their samples too, so that the example is the same each time. */
static int compare_known(const void *a, const void *b)
{
    const struct known *left = a, *right = b;
    int difference = compare_digests(left->digest, right->digest);
    return difference != 0 ? difference : (left->sample > right->sample) - (left->sample < right->sample);
}

/* Returns the digests of a set in rising order, in a new array. */
static struct known *sort_digests(const struct image_set *set)
{
    struct known *sorted = memory_alloc((size_t)set->count, sizeof *sorted);
    for (int64_t i = 0; i < set->count; i++) {
        memcpy(sorted[i].digest, set->row_digests[image_set_row(set, i)], DIGEST_BYTES);
        sorted[i].sample = i;
    }
    qsort(sorted, (size_t)set->count, sizeof *sorted, compare_known);
    return sorted;
}

/* Returns the first element with that digest, or NULL. */
static const struct known *find(const struct known *sorted, int64_t count, const uint8_t *digest)
{
    int64_t low = 0, high = count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (compare_digests(sorted[middle].digest, digest) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && compare_digests(sorted[low].digest, digest) == 0 ? &sorted[low] : NULL;
}

struct image_duplicates image_set_find_duplicates(const struct image_set *set, const struct image_set *other)
{
    struct image_duplicates duplicates = {0};
    if (set->count == 0 || other->count == 0 || !set->row_digests || !other->row_digests) return duplicates;
    struct known *sorted = sort_digests(other);
    for (int64_t i = 0; i < set->count; i++) {
        const struct known *same = find(sorted, other->count, set->row_digests[image_set_row(set, i)]);
        if (same && duplicates.count++ == 0) duplicates.sample = i, duplicates.other = same->sample;
    }
    free(sorted);
    return duplicates;
}
