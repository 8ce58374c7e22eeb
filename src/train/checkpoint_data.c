/* Writes and checks the texts about the data set of a run: for each set that is not empty "COUNT IMAGES LABELS". */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/checkpoint_private.h"
#include "util/memory.h"
#include "util/number.h"

static const char *const keys[CHECKPOINT_SETS] = {"data_train", "data_validation", "data_test"};

const char *checkpoint_data_key(int set)
{
    return keys[set];
}

static const size_t places[CHECKPOINT_SETS] = {offsetof(struct dataset_digest, train),
                                               offsetof(struct dataset_digest, validation),
                                               offsetof(struct dataset_digest, test)};

char *checkpoint_data_text(const struct dataset_digest *digest, int set)
{
    const struct image_digest *images = (const void *)((const char *)digest + places[set]);
    if (images->count == 0) return NULL;
    return memory_format("%" PRId64 " %s %s", images->count, images->images, images->labels);
}

static bool is_digest(const char *digits)
{
    return strlen(digits) == DIGEST_DIGITS && strspn(digits, "0123456789abcdef") == DIGEST_DIGITS;
}

bool checkpoint_data_parse(struct dataset_digest *whole, int set, const char *text)
{
    struct image_digest *digest = (void *)((char *)whole + places[set]);
    char count[20];
    int end = 0;
    return sscanf(text, "%19s %64s %64s%n", count, digest->images, digest->labels, &end) == 3 && text[end] == '\0' &&
           number_parse_integer(count, &digest->count) && digest->count > 0 && is_digest(digest->images) &&
           is_digest(digest->labels);
}

bool checkpoint_data_read(struct dataset_digest *digest, const struct safetensors_file *file, struct status *status)
{
    memset(digest, 0, sizeof *digest);
    for (int i = 0; i < CHECKPOINT_SETS; i++) {
        const char *text = safetensors_metadata_find(file, keys[i]);
        if (!text || checkpoint_data_parse(digest, i, text)) continue;
        return status_fail(status, STATUS_RUNTIME,
                           "%s: not a good checkpoint: %s: expected a number of images and two SHA-256, found %s",
                           file->path, keys[i], text);
    }
    return true;
}

static bool fail_difference(const struct safetensors_file *file, const char *difference, struct status *status)
{
    return status_fail(status, STATUS_RUNTIME, "%s: the data set is another one than that of this run: %s", file->path,
                       difference);
}

static bool check_format(const struct checkpoint_input *input, const struct dataset *dataset,
                         const struct safetensors_file *file, struct status *status)
{
    char difference[128];
    if (input->channels != dataset->channels || input->height != dataset->height || input->width != dataset->width)
        snprintf(difference, sizeof difference,
                 "its images are %" PRId64 "x%" PRId64 "x%" PRId64 ", not %" PRId64 "x%" PRId64 "x%" PRId64,
                 dataset->channels, dataset->height, dataset->width, input->channels, input->height, input->width);
    else if (input->classes != dataset->classes)
        snprintf(difference, sizeof difference, "it has %" PRId64 " classes, not %" PRId64, dataset->classes,
                 input->classes);
    else
        return true;
    return fail_difference(file, difference, status);
}

bool checkpoint_data_check(const struct safetensors_file *file, const struct dataset *dataset, struct status *status)
{
    struct checkpoint_input input;
    if (!checkpoint_input_read(&input, file, status)) return false;
    bool same = check_format(&input, dataset, file, status);
    bool known = input.data.train.count > 0; /* older checkpoints do not tell */
    char *difference = same && known ? dataset_digest_difference(&input.data, &dataset->digest) : NULL;
    checkpoint_input_free(&input);
    if (!difference) return same;
    fail_difference(file, difference, status);
    free(difference);
    return false;
}
