/* Prints the warnings about its data at the head of a run. */
#include "data_private.h"

#include <math.h>
#include <stdlib.h>

#include "util/memory.h"
#include "util/text.h"
#include "util/warning.h"

enum { LISTED = 5 }; /* classes that a line names */

static void print_class(const struct dataset *dataset, int64_t label, FILE *out)
{
    if (dataset->class_names)
        fprintf(out, "%s", dataset->class_names[label]);
    else
        fprintf(out, "%lld", (long long)label);
}

static void print_uncounted(const struct dataset *dataset, const int64_t *count, const char *name, FILE *out)
{
    int64_t missing = 0;
    for (int64_t c = 0; c < dataset->classes; c++) missing += count[c] == 0;
    if (missing == 0) return;
    fprintf(out, "warning: the %s has no image of %lld of the %lld classes: ", name, (long long)missing,
            (long long)dataset->classes);
    for (int64_t c = 0, listed = 0; c < dataset->classes && listed < LISTED; c++) {
        if (count[c] > 0) continue;
        fprintf(out, "%s", listed++ > 0 ? ", " : "");
        print_class(dataset, c, out);
    }
    fprintf(out, "%s\n", missing > LISTED ? ", ..." : "");
}

static void print_missing(const struct dataset *dataset, const struct image_set *set, const char *name, FILE *out)
{
    if (set->count == 0) return;
    int64_t *count = image_set_count_labels(set, dataset->classes);
    print_uncounted(dataset, count, name, out);
    free(count);
}

static bool is_uniform(const uint16_t *labels, int64_t size)
{
    for (int64_t i = 1; i < size; i++)
        if (labels[i] != labels[0]) return false;
    return true;
}

/* Returns the mean number of batches of one class in a random order, as if samples were drawn with replacement. */
static double uniform_by_chance(const struct image_set *train, int64_t classes, int64_t batch_size)
{
    double chance = 0;
    int64_t *count = image_set_count_labels(train, classes);
    for (int64_t c = 0; c < classes; c++) chance += pow((double)count[c] / (double)train->count, (double)batch_size);
    free(count);
    return chance * (double)(train->count / batch_size);
}

/* Warns of batches of one class, unless a random order would have about as many. */
static void print_uniform_batches(const struct dataset *dataset, int64_t batch_size, FILE *out)
{
    const struct image_set *train = &dataset->train;
    int64_t batches = train->count / batch_size, uniform = 0, first = -1;
    for (int64_t b = 0; b < batches; b++) {
        if (!is_uniform(train->labels + b * batch_size, batch_size)) continue;
        if (uniform++ == 0) first = b;
    }
    if (uniform == 0 || uniform_by_chance(train, dataset->classes, batch_size) * 2 > (double)uniform) return;
    fprintf(out,
            "warning: %lld of the %lld batches of the first epoch hold one class only, batch %lld for instance only ",
            (long long)uniform, (long long)batches, (long long)first + 1);
    print_class(dataset, train->labels[first * batch_size], out);
    fprintf(out, ": data.first_epoch = shuffled mixes them\n");
}

/* Describes the pictures that could not be read in a new string, or returns NULL: there is none. */
static char *describe_skipped(const struct dataset *dataset)
{
    int64_t count = 0, first = -1;
    for (int64_t i = 0; i < dataset->skipped_count; i++)
        if (dataset->skipped[i].picture && count++ == 0) first = i;
    if (count == 0) return NULL;
    char *path = text_escape(dataset->skipped[first].path);
    char *text = memory_format("%lld picture%s cannot be read and %s left out, the first: %s: %s", (long long)count,
                               count == 1 ? "" : "s", count == 1 ? "is" : "are", path, dataset->skipped[first].reason);
    free(path);
    return text;
}

void dataset_warn_of_skipped(const struct dataset *dataset)
{
    char *text = describe_skipped(dataset);
    if (text) warning_print("%s", text);
    free(text);
}

/* Prints how many pictures could not be read, and how many files are none. */
static void print_skipped(const struct dataset *dataset, FILE *out)
{
    int64_t others = 0;
    char *text = describe_skipped(dataset);
    for (int64_t i = 0; i < dataset->skipped_count; i++) others += !dataset->skipped[i].picture;
    if (text) fprintf(out, "warning: %s\n", text);
    if (others > 0)
        fprintf(out, "%lld %s left out, as %s\n", (long long)others, others == 1 ? "other file is" : "other files are",
                others == 1 ? "it is no picture" : "they are no pictures");
    free(text);
}

/* Prints a sample's name, or its number from 1. */
static void print_sample(const struct image_set *set, int64_t sample, FILE *out)
{
    const char *name = image_set_name(set, sample);
    char *text = name ? text_escape(name) : memory_format("image %lld", (long long)sample + 1);
    fputs(text, out);
    free(text);
}

/* Prints how many images of a held-out set training sees. */
static void print_duplicates(const struct dataset *dataset, const struct image_set *set, const char *name, FILE *out)
{
    struct image_duplicates duplicates = image_set_find_duplicates(set, &dataset->train);
    if (duplicates.count == 0) return;
    fprintf(out, "warning: %lld of the %lld images of the %s have the pixels of a training image, for instance ",
            (long long)duplicates.count, (long long)set->count, name);
    print_sample(set, duplicates.sample, out);
    fprintf(out, " those of ");
    print_sample(&dataset->train, duplicates.other, out);
    fprintf(out, "\n");
}

void dataset_print_notes(const struct dataset *dataset, enum first_epoch first, int64_t batch_size, FILE *out)
{
    print_skipped(dataset, out);
    print_missing(dataset, &dataset->train, "training set", out);
    print_missing(dataset, &dataset->validation, "validation set", out);
    print_missing(dataset, &dataset->test, "test set", out);
    print_duplicates(dataset, &dataset->validation, "validation set", out);
    print_duplicates(dataset, &dataset->test, "test set", out);
    if (first == FIRST_EPOCH_FILE) print_uniform_batches(dataset, batch_size, out);
}
