/* Loads the images that the [data] section of an experiment describes. */
#include "data_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trainer/check.h"
#include "trainer/memory.h"
#include "util/mapped_file.h"

void dataset_keep(struct dataset *dataset, void *address, size_t mapped)
{
    size_t count = (size_t)dataset->memory_count;
    dataset->memory = memory_resize(dataset->memory, count + 1, sizeof *dataset->memory);
    dataset->memory[dataset->memory_count++] = (struct dataset_memory){address, mapped};
}

void image_set_alloc_labels(struct dataset *dataset, struct image_set *set, int64_t count)
{
    CHECK(count >= 1);
    *set = (struct image_set){.count = count, .labels = memory_alloc((size_t)count, sizeof *set->labels)};
    dataset_keep(dataset, set->labels, 0);
}

void image_set_alloc(struct dataset *dataset, struct image_set *set, int64_t count, int64_t sample_size)
{
    CHECK(count >= 1 && sample_size >= 1);
    image_set_alloc_labels(dataset, set, count);
    set->pixels =
        memory_alloc_aligned((size_t)(count * sample_size)); /* in huge pages: batches pick samples at random */
    dataset_keep(dataset, set->pixels, 0);
}

int64_t *image_set_count_labels(const struct image_set *set, int64_t classes)
{
    int64_t *count = memory_alloc((size_t)classes, sizeof *count);
    for (int64_t i = 0; i < set->count; i++) count[set->labels[i]]++;
    return count;
}

void dataset_take_names(struct dataset *dataset, struct class_names names)
{
    struct class_names before = {dataset->class_names ? dataset->classes : 0, dataset->class_names};
    class_names_free(&before);
    dataset->class_names = names.name;
    dataset->classes = names.count;
}

static void free_memory(struct dataset *dataset)
{
    for (int i = 0; i < dataset->memory_count; i++) {
        const struct dataset_memory *memory = &dataset->memory[i];
        if (memory->mapped == 0)
            free(memory->address);
        else
            mapped_file_close(memory->address, memory->mapped);
    }
    free(dataset->memory);
}

void skipped_files_free(struct skipped_file *skipped, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        free(skipped[i].path);
        free(skipped[i].reason);
    }
    free(skipped);
}

void dataset_free(struct dataset *dataset)
{
    dataset_take_names(dataset, (struct class_names){0});
    free_memory(dataset);
    skipped_files_free(dataset->skipped, dataset->skipped_count);
    free(dataset->offset);
    free(dataset->scale);
    *dataset = (struct dataset){0};
}

struct dataset_view dataset_view(const struct dataset *dataset, const struct image_set *set)
{
    return (struct dataset_view){
        .count = set->count,
        .channels = dataset->channels,
        .height = dataset->height,
        .width = dataset->width,
        .pixels = set->pixels,
        .labels = set->labels,
        .rows = set->rows,
        .mapped = image_set_is_mapped(dataset, set),
        .offset = dataset->offset,
        .scale = dataset->scale,
    };
}

struct dataset_description dataset_description_of(const struct dataset *dataset)
{
    return (struct dataset_description){dataset->channels, dataset->height, dataset->width, dataset->classes};
}

static void set_picture_source(struct dataset_source *source, const struct experiment *experiment)
{
    struct image_format format = experiment_image_format(experiment, 0, 0, 0);
    source->pictures.height = experiment->data.image_size.height;
    source->pictures.width = experiment->data.image_size.width;
    source->pictures.channels = experiment->data.channels == DATA_CHANNELS_AUTO   ? 0
                                : experiment->data.channels == DATA_CHANNELS_GREY ? 1
                                                                                  : 3;
    source->pictures.fit = format.fit;
    memcpy(source->pictures.background, format.background, sizeof format.background);
    source->pictures.max_skipped = experiment->data.max_skipped;
    source->pictures.test_size = experiment->data.test_size;
    source->pictures.cache = experiment->data.cache;
    source->pictures.folder = experiment->data.images;
    source->pictures.image_column = experiment->data.image_column;
    source->pictures.label_column = experiment->data.label_column;
}

struct dataset_source dataset_source_of(const struct experiment *experiment)
{
    struct dataset_source source = {.path = experiment->data.path,
                                    .class_names = experiment->data.class_names,
                                    .classes = experiment->data.classes,
                                    .first_label = experiment->data.first_label,
                                    .coarse_labels = experiment->data.labels == DATA_LABELS_COARSE,
                                    .seed = (uint64_t)experiment->experiment.seed,
                                    .transpose = experiment->data.transpose};
    source.synthetic.train = experiment->data.synthetic_train;
    source.synthetic.test = experiment->data.synthetic_test;
    source.synthetic.classes = experiment->data.synthetic_classes;
    source.synthetic.channels = experiment->data.synthetic_channels;
    source.synthetic.size = experiment->data.synthetic_size;
    set_picture_source(&source, experiment);
    return source;
}

/* Checks a number of training samples that are to become the set `own`, which the files must not have themselves. */
static bool check_held_out(const struct dataset *dataset, const struct image_set *own, const char *name,
                           const char *key, int64_t held_out, const struct experiment *experiment,
                           struct status *status)
{
    int64_t count = dataset->train.count;
    if (held_out > 0 && own->count > 0)
        return experiment_fail(experiment, key, status, "expected 0, as %s has a %s set of its own, found %lld",
                               experiment->data.path, name, (long long)held_out);
    if (held_out < count) return true;
    return experiment_fail(experiment, key, status, "expected less than the %lld training samples, found %lld",
                           (long long)count, (long long)held_out);
}

static bool check_test_size(const struct dataset *dataset, const struct experiment *experiment, struct status *status)
{
    return check_held_out(dataset, &dataset->test, "test", "data.test_size", experiment->data.test_size, experiment,
                          status);
}

bool dataset_load_files(struct dataset *dataset, const struct experiment *experiment, const struct dataset_watch *watch,
                        struct status *status)
{
    struct status problem;
    struct dataset_source source = dataset_source_of(experiment);
    source.watch = watch;
    if (!data_format_of(experiment->data.dataset)->load(dataset, &source, &problem))
        return experiment_fail_placed(experiment, &problem, status);
    if (source.transpose) dataset_transpose(dataset);
    data_format_warn_of_keys(experiment);
    if (check_test_size(dataset, experiment, status)) {
        dataset_split(dataset, &dataset->test, SPLIT_TEST, source.pictures.test_size, source.seed);
        return true;
    }
    dataset_free(dataset);
    return false;
}

/* Describes a data set by its labels and what is known of its images without reading them. */
static bool describe_by_labels(struct dataset_description *description, struct dataset_source source,
                               const struct data_format *format, struct status *status)
{
    struct dataset dataset;
    source.labels_only = true;
    if (!format->load(&dataset, &source, status)) return false;
    *description = dataset_description_of(&dataset);
    dataset_free(&dataset);
    return true;
}

bool dataset_describe(struct dataset_description *description, const struct experiment *experiment,
                      struct status *status)
{
    struct status problem;
    struct dataset_source source = dataset_source_of(experiment);
    const struct data_format *format = data_format_of(experiment->data.dataset);
    if (!(format->describe ? format->describe(description, &source, &problem)
                           : describe_by_labels(description, source, format, &problem)))
        return experiment_fail_placed(experiment, &problem, status);
    int64_t height = description->height;
    if (source.transpose) description->height = description->width, description->width = height;
    return true;
}

/* Gives the number of classes that the [data] section itself sets, by names or by a number; 0: it sets none. */
static bool find_classes_said(const struct experiment *experiment, int64_t *classes, struct status *status)
{
    struct class_names names;
    struct status problem;
    if (!class_names_read(&names, experiment->data.class_names, &problem))
        return experiment_fail_placed(experiment, &problem, status);
    *classes = names.count > 0 ? names.count : experiment->data.classes;
    class_names_free(&names);
    return true;
}

bool dataset_assume(struct dataset_description *description, const struct experiment *experiment, struct status *status)
{
    int64_t classes;
    struct dataset_source source = dataset_source_of(experiment);
    const struct data_format *format = data_format_of(experiment->data.dataset);
    *description = format->fixed;
    if (source.coarse_labels && format->coarse_classes > 0) description->classes = format->coarse_classes;
    if (!find_classes_said(experiment, &classes, status)) return false;
    if (classes > 0) description->classes = classes;
    if (description->channels == 0) description->channels = source.pictures.channels;
    if (description->height == 0)
        description->height = source.pictures.height, description->width = source.pictures.width;
    const char *missing = description->height == 0     ? "data.image_size"
                          : description->channels == 0 ? "data.channels"
                          : description->classes == 0  ? "data.classes"
                                                       : NULL;
    return !missing || experiment_fail(experiment, missing, status,
                                       "expected a value, as the data that would tell it cannot be read");
}

static bool check_classes(const struct dataset *dataset, const struct experiment *experiment, struct status *status)
{
    if (dataset->classes >= 2) return true;
    return status_fail(status, STATUS_RUNTIME, "%s: every label is 0, expected at least 2 classes",
                       experiment->data.path);
}

static bool check_validation_size(const struct dataset *dataset, const struct experiment *experiment,
                                  struct status *status)
{
    return check_held_out(dataset, &dataset->validation, "validation", "data.validation_size",
                          experiment->data.validation_size, experiment, status);
}

/* Adds the current folder to a message on a relative path. A run may be evaluated from another folder than it was
 * trained from, where the path leads elsewhere. */
static bool fail_load(const struct experiment *experiment, struct status *status)
{
    struct stat info;
    char *here = getcwd(NULL, 0);
    const char *path = experiment->data.path;
    /* The path may be no folder but the beginning of the files' paths. So the message's beginning shows its subject. */
    size_t length = strlen(path);
    bool about_path = strncmp(status->message, path, length) == 0 && status->message[length] == ':';
    if (here && *path != '/' && about_path && experiment->data.dataset != DATASET_SYNTHETIC && stat(path, &info) != 0) {
        char *problem = memory_copy_string(status->message);
        status_fail(status, status->code, "%s (data.path is relative, and was looked for in %s)", problem, here);
        free(problem);
    }
    free(here);
    return false;
}

bool dataset_load_watched(struct dataset *dataset, const struct experiment *experiment,
                          const struct dataset_watch *watch, struct status *status)
{
    if (!dataset_load_files(dataset, experiment, watch, status)) return fail_load(experiment, status);
    if (!check_classes(dataset, experiment, status) || !check_validation_size(dataset, experiment, status)) {
        dataset_free(dataset);
        return false;
    }
    dataset_split(dataset, &dataset->validation, SPLIT_VALIDATION, experiment->data.validation_size,
                  (uint64_t)experiment->experiment.seed);
    dataset_normalize(dataset, experiment->data.normalization);
    dataset_measure_border(dataset);
    if (dataset_digest_compute(dataset, status)) return true;
    dataset_free(dataset);
    return false;
}

bool dataset_load(struct dataset *dataset, const struct experiment *experiment, struct status *status)
{
    return dataset_load_watched(dataset, experiment, NULL, status);
}
