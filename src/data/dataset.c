/* Loads the images that the [data] section of an experiment describes. */
#include "data_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trainer/check.h"
#include "trainer/memory.h"

void image_set_alloc(struct image_set *set, int64_t count, int64_t sample_size)
{
    CHECK(count >= 1 && sample_size >= 1);
    *set = (struct image_set){
        .count = count,
        .pixels =
            memory_alloc_aligned((size_t)(count * sample_size)), /* in huge pages: batches pick samples at random */
        .labels = memory_alloc((size_t)count, sizeof *set->labels),
    };
}

int64_t *image_set_count_labels(const struct image_set *set, int64_t classes)
{
    int64_t *count = memory_alloc((size_t)classes, sizeof *count);
    for (int64_t i = 0; i < set->count; i++) count[set->labels[i]]++;
    return count;
}

static void image_set_free(struct image_set *set)
{
    free(set->pixels);
    free(set->labels);
}

void dataset_take_names(struct dataset *dataset, struct class_names names)
{
    struct class_names before = {dataset->class_names ? dataset->classes : 0, dataset->class_names};
    class_names_free(&before);
    dataset->class_names = names.name;
    dataset->classes = names.count;
}

void dataset_free(struct dataset *dataset)
{
    image_set_free(&dataset->train);
    image_set_free(&dataset->validation);
    image_set_free(&dataset->test);
    dataset_take_names(dataset, (struct class_names){0});
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
        .offset = dataset->offset,
        .scale = dataset->scale,
    };
}

/* Gives the synthetic set's classes the names of the config. */
static bool name_synthetic(struct dataset *dataset, const struct experiment *experiment, struct status *status)
{
    struct class_names names;
    if (!class_names_read(&names, experiment->data.class_names, status)) return false;
    if (names.count == dataset->classes) dataset_take_names(dataset, names);
    if (names.count == 0 || names.count == dataset->classes) return true;
    status_fail(status, STATUS_USAGE,
                "data.class_names: %lld class names, expected %lld: one for each of data.synthetic_classes",
                (long long)names.count, (long long)dataset->classes);
    class_names_free(&names);
    return false;
}

static bool read_files(struct dataset *dataset, const struct experiment *experiment, struct status *status)
{
    const struct dataset_source source = {.path = experiment->data.path,
                                          .class_names = experiment->data.class_names,
                                          .classes = experiment->data.classes,
                                          .first_label = experiment->data.first_label};
    switch (experiment->data.dataset) {
    case DATASET_CIFAR10:
        return cifar10_load(dataset, &source, status);
    case DATASET_IDX:
        return idx_load(dataset, &source, status);
    case DATASET_SYNTHETIC:
        synthetic_load(dataset, experiment->data.synthetic_train, experiment->data.synthetic_test,
                       experiment->data.synthetic_classes, experiment->data.synthetic_channels,
                       experiment->data.synthetic_size, (uint64_t)experiment->experiment.seed);
        if (name_synthetic(dataset, experiment, status)) return true;
        dataset_free(dataset);
        return false;
    }
    check_failed("data.dataset is one of its values", __FILE__, __LINE__);
}

bool dataset_load_files(struct dataset *dataset, const struct experiment *experiment, struct status *status)
{
    struct status problem;
    if (!read_files(dataset, experiment, &problem)) return experiment_fail_placed(experiment, &problem, status);
    if (experiment->data.transpose) dataset_transpose(dataset);
    return true;
}

bool dataset_classes_said(const struct experiment *experiment, int64_t *classes, struct status *status)
{
    struct class_names names;
    struct status problem;
    if (!class_names_read(&names, experiment->data.class_names, &problem))
        return experiment_fail_placed(experiment, &problem, status);
    *classes = names.count > 0 ? names.count : experiment->data.classes;
    class_names_free(&names);
    return true;
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
    int64_t held_out = experiment->data.validation_size, count = dataset->train.count;
    if (held_out < count) return true;
    return experiment_fail(experiment, "data.validation_size", status,
                           "expected less than the %lld training samples, found %lld", (long long)count,
                           (long long)held_out);
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

bool dataset_load(struct dataset *dataset, const struct experiment *experiment, struct status *status)
{
    if (!dataset_load_files(dataset, experiment, status)) return fail_load(experiment, status);
    if (!check_classes(dataset, experiment, status) || !check_validation_size(dataset, experiment, status)) {
        dataset_free(dataset);
        return false;
    }
    dataset_split(dataset, experiment->data.validation_size, (uint64_t)experiment->experiment.seed);
    dataset_normalize(dataset, experiment->data.normalization);
    if (dataset_digest_compute(dataset, status)) return true;
    dataset_free(dataset);
    return false;
}
