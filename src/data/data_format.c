/* The table of data formats. A format is added here, in DATASET_FORMATS (experiment.h), and with a file of its own. */
#include <stdlib.h>
#include <string.h>

#include "config/experiment_keys.h"
#include "config/experiment_value.h"
#include "data_private.h"
#include "trainer/memory.h"
#include "util/warning.h"

#define KEYS(...)                                                                                                      \
    (const char *const[])                                                                                              \
    {                                                                                                                  \
        __VA_ARGS__, NULL                                                                                              \
    }

static const struct data_format formats[] = {
    [DATASET_CIFAR10] = {.name = "cifar10",
                         .subject = "CIFAR-10",
                         .load = cifar10_load,
                         .fixed = {3, 32, 32, 10},
                         .keys = KEYS("path", "classes", "first_label", "transpose", "test_size")},
    [DATASET_CIFAR100] = {.name = "cifar100",
                          .subject = "CIFAR-100",
                          .load = cifar100_load,
                          .fixed = {3, 32, 32, 100},
                          .coarse_classes = 20,
                          .keys = KEYS("path", "classes", "first_label", "transpose", "test_size", "labels")},
    [DATASET_IDX] = {.name = "idx",
                     .subject = "IDX files",
                     .load = idx_load,
                     .keys = KEYS("path", "classes", "first_label", "transpose", "test_size")},
    [DATASET_FOLDER] = {.name = "folder",
                        .subject = "a folder of pictures",
                        .describe = picture_folder_describe,
                        .load = picture_folder_load,
                        .keys = KEYS("path", "classes", "image_size", "channels", "resize", "background", "max_skipped",
                                     "test_size", "cache")},
    [DATASET_CSV] = {.name = "csv",
                     .subject = "a table",
                     .describe = csv_describe,
                     .load = csv_load,
                     .keys = KEYS("path", "classes", "image_size", "channels", "resize", "background", "max_skipped",
                                  "test_size", "cache", "images", "image_column", "label_column")},
    [DATASET_NPZ] = {.name = "npz",
                     .subject = "an NPZ archive",
                     .load = npz_load,
                     .keys = KEYS("path", "classes", "first_label", "transpose", "test_size")},
    [DATASET_PACK] = {.name = "pack",
                      .subject = "a packed data set",
                      .describe = pack_describe,
                      .load = pack_load,
                      .keys = KEYS("path", "classes", "image_size", "channels", "resize", "background", "test_size")},
    [DATASET_SYNTHETIC] = {.name = "synthetic",
                           .subject = "the synthetic set",
                           .describe = synthetic_describe,
                           .load = synthetic_load,
                           .keys = KEYS("synthetic_train", "synthetic_test", "synthetic_classes", "synthetic_channels",
                                        "synthetic_size", "test_size")},
};

enum { FORMATS = sizeof formats / sizeof *formats };

#define COUNT(enumerator, name) +1
_Static_assert(FORMATS == DATASET_FORMATS(COUNT), "a row for each format");

const struct data_format *data_format_of(enum dataset_kind kind)
{
    return &formats[kind];
}

bool data_format_reads(const struct data_format *format, const char *name)
{
    for (int i = 0; format->keys[i]; i++)
        if (strcmp(format->keys[i], name) == 0) return true;
    return false;
}

/* Tells whether predict reads the key, whatever the format is: it fits pictures to the network's images by it. */
static bool is_of_predict(const char *name)
{
    return strcmp(name, "resize") == 0 || strcmp(name, "background") == 0;
}

/* Tells whether some format reads the key and this one does not. */
static bool is_of_others(const struct data_format *format, const char *name)
{
    if (data_format_reads(format, name) || is_of_predict(name)) return false;
    for (int i = 0; i < FORMATS; i++)
        if (data_format_reads(&formats[i], name)) return true;
    return false;
}

/* Tells whether the config gives a value to a key that has no effect on its data set. */
static bool is_idle(const struct data_format *format, const struct experiment_key *key,
                    const struct experiment *experiment)
{
    char value[VALUE_TEXT_SIZE];
    if (strcmp(key->section, "data") != 0 || strcmp(key->name, "path") == 0) return false;
    if (!is_of_others(format, key->name)) return false;
    experiment_value_format(key, experiment, value, sizeof value);
    return strcmp(value, key->default_text) != 0;
}

void data_format_warn_of_keys(const struct experiment *experiment)
{
    const struct data_format *format = &formats[experiment->data.dataset];
    char *names = NULL;
    if (!experiment->origins) return; /* no config was read */
    for (int i = 0; i < experiment_key_count; i++) {
        if (!is_idle(format, &experiment_keys[i], experiment)) continue;
        char *before = names;
        names = memory_format("%s%sdata.%s", before ? before : "", before ? ", " : "", experiment_keys[i].name);
        free(before);
    }
    if (names) warning_print("%s: no effect, as data.dataset is %s", names, format->name);
    free(names);
}
