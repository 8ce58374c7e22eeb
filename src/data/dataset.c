/* Loads and checks a data set, whatever its format. */
#include "data_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/check.h"
#include "util/mapped_file.h"
#include "util/memory.h"

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

/* Checks a number of training samples that are to become the set `own`, which the files must not have themselves. */
static bool check_held_out(const struct dataset *dataset, const struct image_set *own, const char *name,
                           const char *key, int64_t held_out, const char *path, struct status *status)
{
    int64_t count = dataset->train.count;
    if (held_out > 0 && own->count > 0)
        return status_fail(status, STATUS_USAGE, "%s: expected 0, as %s has a %s set of its own, found %lld", key, path,
                           name, (long long)held_out);
    if (held_out < count) return true;
    return status_fail(status, STATUS_USAGE, "%s: expected less than the %lld training samples, found %lld", key,
                       (long long)count, (long long)held_out);
}

static bool check_test_size(const struct dataset *dataset, const struct dataset_source *source, struct status *status)
{
    return check_held_out(dataset, &dataset->test, "test", "data.test_size", source->pictures.test_size, source->path,
                          status);
}

bool dataset_load_files(struct dataset *dataset, const struct dataset_spec *spec, struct status *status)
{
    const struct dataset_source *source = &spec->source;
    if (!data_format_of(spec->kind)->load(dataset, source, status)) return false;
    if (source->transpose) dataset_transpose(dataset);
    if (check_test_size(dataset, source, status)) {
        dataset_split(dataset, &dataset->test, SPLIT_TEST, source->pictures.test_size, source->seed);
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

bool dataset_describe(struct dataset_description *description, const struct dataset_spec *spec, struct status *status)
{
    const struct data_format *format = data_format_of(spec->kind);
    if (!(format->describe ? format->describe(description, &spec->source, status)
                           : describe_by_labels(description, spec->source, format, status)))
        return false;
    int64_t height = description->height;
    if (spec->source.transpose) description->height = description->width, description->width = height;
    return true;
}

/* Gives the number of classes that the settings themselves tell, by names or by a number; 0: they tell none. */
static bool find_classes_said(const struct dataset_source *source, int64_t *classes, struct status *status)
{
    struct class_names names;
    if (!class_names_read(&names, source->class_names, status)) return false;
    *classes = names.count > 0 ? names.count : source->classes;
    class_names_free(&names);
    return true;
}

bool dataset_assume(struct dataset_description *description, const struct dataset_spec *spec, struct status *status)
{
    int64_t classes;
    const struct dataset_source *source = &spec->source;
    const struct data_format *format = data_format_of(spec->kind);
    *description = format->fixed;
    if (source->coarse_labels && format->coarse_classes > 0) description->classes = format->coarse_classes;
    if (!find_classes_said(source, &classes, status)) return false;
    if (classes > 0) description->classes = classes;
    if (description->channels == 0) description->channels = source->pictures.channels;
    if (description->height == 0)
        description->height = source->pictures.height, description->width = source->pictures.width;
    const char *missing = description->height == 0     ? "data.image_size"
                          : description->channels == 0 ? "data.channels"
                          : description->classes == 0  ? "data.classes"
                                                       : NULL;
    return !missing || status_fail(status, STATUS_USAGE,
                                   "%s: expected a value, as the data that would tell it cannot be read", missing);
}

static bool check_classes(const struct dataset *dataset, const char *path, struct status *status)
{
    if (dataset->classes >= 2) return true;
    return status_fail(status, STATUS_RUNTIME, "%s: every label is 0, expected at least 2 classes", path);
}

static bool check_validation_size(const struct dataset *dataset, const struct dataset_spec *spec, struct status *status)
{
    return check_held_out(dataset, &dataset->validation, "validation", "data.validation_size", spec->validation_size,
                          spec->source.path, status);
}

/* Adds the current folder to a message on a relative path. A run may be evaluated from another folder than it was
 * trained from, where the path leads elsewhere. */
static bool fail_load(const struct dataset_spec *spec, struct status *status)
{
    struct stat info;
    char *here = getcwd(NULL, 0);
    const char *path = spec->source.path;
    /* The path may be no folder but the beginning of the files' paths. So the message's beginning shows its subject. */
    size_t length = strlen(path);
    bool about_path = strncmp(status->message, path, length) == 0 && status->message[length] == ':';
    if (here && *path != '/' && about_path && spec->kind != DATASET_SYNTHETIC && stat(path, &info) != 0) {
        char *problem = memory_copy_string(status->message);
        status_fail(status, status->code, "%s (data.path is relative, and was looked for in %s)", problem, here);
        free(problem);
    }
    free(here);
    return false;
}

bool dataset_load(struct dataset *dataset, const struct dataset_spec *spec, struct status *status)
{
    if (!dataset_load_files(dataset, spec, status)) return fail_load(spec, status);
    if (!check_classes(dataset, spec->source.path, status) || !check_validation_size(dataset, spec, status)) {
        dataset_free(dataset);
        return false;
    }
    dataset_split(dataset, &dataset->validation, SPLIT_VALIDATION, spec->validation_size, spec->source.seed);
    dataset_normalize(dataset, spec->normalization);
    dataset_measure_border(dataset);
    if (dataset_digest_compute(dataset, status)) return true;
    dataset_free(dataset);
    return false;
}
