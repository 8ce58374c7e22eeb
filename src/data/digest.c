/* Computes and compares the identity of a data set: the SHA-256 of the pixels and of the labels of each of its sets. */
#include "data_private.h"

#include <stdlib.h>
#include <string.h>

#include "util/memory.h"
#include "util/sha256.h"

_Static_assert((int)DIGEST_DIGITS == (int)SHA256_DIGITS, "the digits of a SHA-256");

/* The images are digested one after another. Where the format has a digest of each already, those are digested: the
 * images may be on a disk and more than fit into memory. */
static bool digest_images(char digits[DIGEST_DIGITS + 1], const struct image_set *set, int64_t sample,
                          struct status *status)
{
    struct sha256 hash = sha256_start();
    for (int64_t i = 0; i < set->count; i++)
        if (set->row_digests)
            sha256_add(&hash, set->row_digests[image_set_row(set, i)], sizeof *set->row_digests);
        else
            sha256_add(&hash, image_set_pixels(set, i, sample), (size_t)sample);
    return sha256_finish(&hash, digits, status);
}

static bool digest_bytes(char digits[DIGEST_DIGITS + 1], const uint8_t *bytes, int64_t size, struct status *status)
{
    struct sha256 hash = sha256_start();
    sha256_add(&hash, bytes, (size_t)size);
    return sha256_finish(&hash, digits, status);
}

enum { BYTE_CLASSES = 256 }; /* labels of as many classes are taken as bytes */

static bool digest_labels(char digits[DIGEST_DIGITS + 1], const struct image_set *set, int64_t classes,
                          struct status *status)
{
    int64_t width = classes <= BYTE_CLASSES ? 1 : 2;
    uint8_t *bytes = memory_alloc((size_t)set->count, (size_t)width);
    for (int64_t i = 0; i < set->count; i++)
        for (int64_t b = 0; b < width; b++) bytes[i * width + b] = (uint8_t)(set->labels[i] >> (8 * b));
    bool good = digest_bytes(digits, bytes, set->count * width, status);
    free(bytes);
    return good;
}

static bool digest_set(struct image_digest *digest, const struct dataset *dataset, const struct image_set *set,
                       struct status *status)
{
    int64_t sample = dataset->channels * dataset->height * dataset->width;
    *digest = (struct image_digest){.count = set->count};
    return set->count == 0 || (digest_images(digest->images, set, sample, status) &&
                               digest_labels(digest->labels, set, dataset->classes, status));
}

bool dataset_digest_compute(struct dataset *dataset, struct status *status)
{
    struct dataset_digest *digest = &dataset->digest;
    return digest_set(&digest->train, dataset, &dataset->train, status) &&
           digest_set(&digest->validation, dataset, &dataset->validation, status) &&
           digest_set(&digest->test, dataset, &dataset->test, status);
}

char *image_digest_difference(const struct image_digest *before, const struct image_digest *now, const char *name)
{
    bool images = strcmp(before->images, now->images) != 0, labels = strcmp(before->labels, now->labels) != 0;
    if (before->count != now->count)
        return memory_format("the %s set has %lld images, not %lld", name, (long long)now->count,
                             (long long)before->count);
    if (!images && !labels) return NULL;
    return memory_format("the %s of the %s set are other ones%s",
                         images && labels ? "images and labels"
                         : images         ? "images"
                                          : "labels",
                         name,
                         images && labels ? ""
                         : images         ? ", the labels are the same"
                                          : ", the images are the same");
}

char *dataset_digest_difference(const struct dataset_digest *before, const struct dataset_digest *now)
{
    char *difference = image_digest_difference(&before->train, &now->train, "training");
    if (!difference) difference = image_digest_difference(&before->validation, &now->validation, "validation");
    return difference ? difference : image_digest_difference(&before->test, &now->test, "test");
}
