/* Loads and describes the data set of an experiment. */
#include <stdlib.h>
#include <string.h>

#include "build/build.h"
#include "config/experiment_keys.h"
#include "config/experiment_value.h"
#include "util/memory.h"
#include "util/warning.h"

struct image_format image_format_from_experiment(const struct experiment *experiment, int64_t channels, int64_t height,
                                                 int64_t width)
{
    const struct int_list *background = &experiment->data.background;
    struct image_format format = {channels, height, width, experiment->data.resize, {0}};
    for (int c = 0; c < 3; c++) format.background[c] = (uint8_t)background->value[background->count == 1 ? 0 : c];
    return format;
}

static void set_picture_source(struct dataset_source *source, const struct experiment *experiment)
{
    struct image_format format = image_format_from_experiment(experiment, 0, 0, 0);
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

static struct dataset_source source_from_experiment(const struct experiment *experiment)
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

struct dataset_spec dataset_spec_from_experiment(const struct experiment *experiment)
{
    return (struct dataset_spec){.kind = experiment->data.dataset,
                                 .source = source_from_experiment(experiment),
                                 .validation_size = experiment->data.validation_size,
                                 .normalization = experiment->data.normalization};
}

/* --- keys without effect --- */

/* Tells whether predict reads the key, whatever the format is: it fits pictures to the network's images by it. */
static bool is_of_predict(const char *name)
{
    return strcmp(name, "resize") == 0 || strcmp(name, "background") == 0;
}

/* Tells whether some format reads the key and this one does not. */
static bool is_of_others(enum dataset_kind kind, const char *name)
{
    if (dataset_kind_reads(kind, name) || is_of_predict(name)) return false;
    for (int i = 0; i < DATASET_KINDS; i++)
        if (dataset_kind_reads((enum dataset_kind)i, name)) return true;
    return false;
}

/* Tells whether the config gives a value to a key that has no effect on its data set. */
static bool is_idle(const struct experiment_key *key, const struct experiment *experiment)
{
    char value[VALUE_TEXT_SIZE];
    if (strcmp(key->section, "data") != 0 || strcmp(key->name, "path") == 0) return false;
    if (!is_of_others(experiment->data.dataset, key->name)) return false;
    experiment_value_format(key, experiment, value, sizeof value);
    return strcmp(value, key->default_text) != 0;
}

/* Warns of the keys of [data] that have other values than their defaults and that only other formats read. */
static void warn_of_idle_keys(const struct experiment *experiment)
{
    char *names = NULL;
    if (!experiment->origins) return; /* no config was read */
    for (int i = 0; i < experiment_key_count; i++) {
        if (!is_idle(&experiment_keys[i], experiment)) continue;
        char *before = names;
        names = memory_format("%s%sdata.%s", before ? before : "", before ? ", " : "", experiment_keys[i].name);
        free(before);
    }
    if (names)
        warning_print("%s: no effect, as data.dataset is %s", names, dataset_kind_name(experiment->data.dataset));
    free(names);
}

/* --- loading and describing --- */

typedef bool load_function(struct dataset *dataset, const struct dataset_spec *spec, struct status *status);

static bool load_placed(load_function *load, struct dataset *dataset, const struct experiment *experiment,
                        const struct dataset_watch *watch, struct status *status)
{
    struct status problem;
    struct dataset_spec spec = dataset_spec_from_experiment(experiment);
    spec.source.watch = watch;
    if (!load(dataset, &spec, &problem)) return experiment_fail_placed(experiment, &problem, status);
    warn_of_idle_keys(experiment);
    return true;
}

bool dataset_from_experiment(struct dataset *dataset, const struct experiment *experiment,
                             const struct dataset_watch *watch, struct status *status)
{
    return load_placed(dataset_load, dataset, experiment, watch, status);
}

bool dataset_files_from_experiment(struct dataset *dataset, const struct experiment *experiment,
                                   const struct dataset_watch *watch, struct status *status)
{
    return load_placed(dataset_load_files, dataset, experiment, watch, status);
}

bool description_from_experiment(struct dataset_description *description, const struct experiment *experiment,
                                 struct status *missing, struct status *status)
{
    struct status problem, needed;
    const struct dataset_spec spec = dataset_spec_from_experiment(experiment);
    *missing = (struct status){0};
    if (dataset_describe(description, &spec, &problem)) return true;
    if (problem.code == STATUS_USAGE) return experiment_fail_placed(experiment, &problem, status);
    *missing = problem;
    if (dataset_assume(description, &spec, &problem)) return true;
    experiment_fail_placed(experiment, &problem, &needed);
    return status_fail(status, missing->code, "%s; to go on without the data: %s", missing->message, needed.message);
}
