/* The table of data formats. A format is added here, in DATASET_CHOICES (dataset.h), and with a file of its own. */
#include <string.h>

#include "data_private.h"

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

const struct data_format *data_format_of(enum dataset_kind kind)
{
    return formats[kind];
}

const char *dataset_kind_name(enum dataset_kind kind)
{
    return names[kind];
}

bool dataset_kind_reads(enum dataset_kind kind, const char *setting)
{
    const char *const *settings = formats[kind]->keys;
    for (int i = 0; settings[i]; i++)
        if (strcmp(settings[i], setting) == 0) return true;
    return false;
}
