/* Finds the number of classes of a data set, from its names, from data.classes, or from the labels of the training set.
 * With labels alone a damaged byte could make a class, so doubtful labels are refused. */
#include "data_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "util/memory.h"

enum {
    COMMON = 10, /* least count of every other class that makes a last class of one image doubtful */
    WORDS_SIZE = 512,
};

/* What may be damaged where a label is odd. */
static const char *suspect_of(const struct label_file *file)
{
    return file->stride > 0 ? "byte" : "label";
}

struct settling {
    struct dataset *dataset;
    const struct dataset_source *source;
    const struct label_file *files;
    int file_count;
    struct status *status;
};

static const uint16_t *labels_of(const struct label_file *file)
{
    return file->set->labels + file->first;
}

/* Calls status_fail with the place of the file's label `i`, whose value is `label`, before the words. */
static bool fail_label(const struct settling *settling, const struct label_file *file, int64_t i, int64_t label,
                       const char *format, ...) __attribute__((format(printf, 5, 6)));
static bool fail_label(const struct settling *settling, const struct label_file *file, int64_t i, int64_t label,
                       const char *format, ...)
{
    char words[WORDS_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    char *place = file->stride > 0 ? memory_format("%s: byte %" PRId64, file->path, file->byte + i * file->stride)
                                   : memory_format("%s[%" PRId64 "]", file->path, i);
    status_fail(settling->status, STATUS_RUNTIME, "%s: label %" PRId64 "%s", place, label, words);
    free(place);
    return false;
}

/* Subtracts data.first_label from every label, so that classes count from 0. */
static bool shift_labels(const struct settling *settling)
{
    int first = (int)settling->source->first_label;
    for (int f = 0; f < settling->file_count; f++) {
        const struct label_file *file = &settling->files[f];
        uint16_t *labels = file->set->labels + file->first;
        for (int64_t i = 0; i < file->count; i++) {
            if (labels[i] < first)
                return fail_label(settling, file, i, labels[i], ", expected at least the %d of data.first_label",
                                  first);
            labels[i] = (uint16_t)(labels[i] - first);
        }
    }
    return true;
}

/* Checks that no label is beyond the classes; `because` names the source of their number in the message. */
static bool check_range(const struct settling *settling, bool but_train, const char *because)
{
    int64_t classes = settling->dataset->classes, first = settling->source->first_label;
    for (int f = 0; f < settling->file_count; f++) {
        const struct label_file *file = &settling->files[f];
        if (but_train && file->set == &settling->dataset->train) continue;
        for (int64_t i = 0; i < file->count; i++)
            if (labels_of(file)[i] >= classes)
                return fail_label(settling, file, i, labels_of(file)[i] + first, ", expected %lld to %lld%s",
                                  (long long)first, (long long)(first + classes - 1), because);
    }
    return true;
}

/* Returns the file and the place of the first training sample with that label. */
static const struct label_file *find_label(const struct settling *settling, int label, int64_t *place)
{
    for (int f = 0; f < settling->file_count; f++) {
        const struct label_file *file = &settling->files[f];
        if (file->set != &settling->dataset->train) continue;
        for (int64_t i = 0; i < file->count; i++)
            if (labels_of(file)[i] == label) return *place = i, file;
    }
    return NULL;
}

static bool fail_gap(const struct settling *settling, int gap, int label)
{
    int64_t i = 0;
    int first = (int)settling->source->first_label;
    const struct label_file *file = find_label(settling, label, &i);
    if (gap == 0)
        return fail_label(
            settling, file, i, label + first,
            " is the smallest of the training set, expected %d: set data.first_label = %d if labels begin "
            "there, or data.classes (or data.class_names) if some classes have no image",
            first, label + first);
    return fail_label(settling, file, i, label + first,
                      ", but no training image has label %d: expected labels without a gap; the %s may be damaged; set "
                      "data.classes (or data.class_names) if some classes have no image",
                      gap + first, suspect_of(file));
}

/* Refuses a single image of the last class beside many of each other one. */
static bool check_last_class(const struct settling *settling, const int64_t *count, int last)
{
    int64_t i = 0;
    if (count[last] > 1 || last < 2) return true;
    for (int c = 0; c < last; c++)
        if (count[c] < COMMON) return true;
    const struct label_file *file = find_label(settling, last, &i);
    return fail_label(
        settling, file, i, last + settling->source->first_label,
        " occurs once, and every other label at least %d times: the %s may be damaged; set data.classes (or "
        "data.class_names) if this is a class",
        COMMON, suspect_of(file));
}

/* Sets the number of classes to the largest label, `last`, + 1, where the counts show that label to be a class. */
static bool check_counts(const struct settling *settling, const int64_t *count, int last)
{
    int gap = 0;
    while (gap < last && count[gap] > 0) gap++;
    settling->dataset->classes = last + 1;
    if (gap == last) return check_last_class(settling, count, last);
    int above = gap;
    while (count[above] == 0) above++;
    return fail_gap(settling, gap, above);
}

static bool count_labels(const struct settling *settling)
{
    const struct image_set *train = &settling->dataset->train;
    int last = 0;
    for (int64_t i = 0; i < train->count; i++) last = train->labels[i] > last ? train->labels[i] : last;
    int64_t *count = image_set_count_labels(train, last + 1);
    bool good = check_counts(settling, count, last);
    free(count);
    return good;
}

/* Takes the names of the config, if there are any, in place of the format's. */
static bool settle_names(const struct settling *settling)
{
    struct class_names names;
    struct dataset *dataset = settling->dataset;
    if (!class_names_read(&names, settling->source->class_names, settling->status)) return false;
    if (names.count == 0) return true;
    dataset_take_names(dataset, names);
    return true;
}

static bool check_count(const struct settling *settling)
{
    int64_t classes = settling->source->classes;
    if (!settling->dataset->class_names || classes == 0 || classes == settling->dataset->classes) return true;
    return status_fail(settling->status, STATUS_USAGE,
                       "data.classes: expected %lld, as there are so many class names, found %lld",
                       (long long)settling->dataset->classes, (long long)classes);
}

bool classes_settle(struct dataset *dataset, const struct dataset_source *source, const struct label_file *files,
                    int file_count, struct status *status)
{
    const struct settling settling = {dataset, source, files, file_count, status};
    if (!shift_labels(&settling) || !settle_names(&settling) || !check_count(&settling)) return false;
    if (dataset->class_names) return check_range(&settling, false, ", as many as there are class names");
    dataset->classes = source->classes;
    if (dataset->classes > 0) return check_range(&settling, false, " by data.classes");
    return count_labels(&settling) && check_range(&settling, true, " as in the train set");
}
