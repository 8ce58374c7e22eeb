/* The table of data formats. A format is added here, in DATASET_CHOICES (experiment.h), and with a file of its own. */
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

/* The row of a format. */
#define FORMAT(enumerator) static const struct data_format format_##enumerator

FORMAT(DATASET_CIFAR10) = {.subject = "CIFAR-10",
                           .load = cifar10_load,
                           .fixed = {3, 32, 32, 10},
                           .keys = KEYS("path", "classes", "first_label", "transpose", "test_size")};

FORMAT(DATASET_CIFAR100) = {.subject = "CIFAR-100",
                            .load = cifar100_load,
                            .fixed = {3, 32, 32, 100},
                            .coarse_classes = 20,
                            .keys = KEYS("path", "classes", "first_label", "transpose", "test_size", "labels")};

FORMAT(DATASET_IDX) = {
    .subject = "IDX files", .load = idx_load, .keys = KEYS("path", "classes", "first_label", "transpose", "test_size")};

FORMAT(DATASET_FOLDER) = {.subject = "a folder of pictures",
                          .describe = picture_folder_describe,
                          .load = picture_folder_load,
                          .keys = KEYS("path", "classes", "image_size", "channels", "resize", "background",
                                       "max_skipped", "test_size", "cache")};

FORMAT(DATASET_CSV) = {.subject = "a table",
                       .describe = csv_describe,
                       .load = csv_load,
                       .keys = KEYS("path", "classes", "image_size", "channels", "resize", "background", "max_skipped",
                                    "test_size", "cache", "images", "image_column", "label_column")};

FORMAT(DATASET_NPZ) = {.subject = "an NPZ archive",
                       .load = npz_load,
                       .keys = KEYS("path", "classes", "first_label", "transpose", "test_size")};

FORMAT(DATASET_PACK) = {.subject = "a packed data set",
                        .describe = pack_describe,
                        .load = pack_load,
                        .keys = KEYS("path", "classes", "image_size", "channels", "resize", "background", "test_size")};

FORMAT(DATASET_SYNTHETIC) = {.subject = "the synthetic set",
                             .describe = synthetic_describe,
                             .load = synthetic_load,
                             .keys = KEYS("synthetic_train", "synthetic_test", "synthetic_classes",
                                          "synthetic_channels", "synthetic_size", "test_size")};

/* The rows in the order of the formats. A format without one does not compile. */
#define ROW(enumerator, name) &format_##enumerator,
static const struct data_format *const formats[] = {DATASET_CHOICES(ROW)};
static const char *const names[] = {DATASET_CHOICES(CHOICE_NAME)};

enum { FORMATS = DATASET_CHOICES(CHOICE_COUNT) };

const struct data_format *data_format_of(enum dataset_kind kind)
{
    return formats[kind];
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
        if (data_format_reads(formats[i], name)) return true;
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
    const struct data_format *format = formats[experiment->data.dataset];
    char *keys = NULL;
    if (!experiment->origins) return; /* no config was read */
    for (int i = 0; i < experiment_key_count; i++) {
        if (!is_idle(format, &experiment_keys[i], experiment)) continue;
        char *before = keys;
        keys = memory_format("%s%sdata.%s", before ? before : "", before ? ", " : "", experiment_keys[i].name);
        free(before);
    }
    if (keys) warning_print("%s: no effect, as data.dataset is %s", keys, names[experiment->data.dataset]);
    free(keys);
}
