/* Tests the reader of CIFAR-100's binary version on records that are put together here, right and damaged. */
#include <criterion/criterion.h>

#include <sys/stat.h>
#include <unistd.h>

#include "config/experiment.h"
#include "data/dataset.h"
#include "dataset_support.h"
#include "support.h"
#include "util/memory.h"

enum { RECORD = 3074, PIXELS = 3072, TRAIN = 200, TEST = 40 };

static uint8_t pixel_of(int64_t record, int64_t i)
{
    return (uint8_t)(3 * record + 7 * i);
}

/* Record i has the coarse label i mod 20 and the fine one i mod 100. */
static void write_records(const char *folder, const char *name, int count)
{
    uint8_t *bytes = memory_alloc((size_t)count * RECORD, 1);
    char *path = support_path(folder, name);
    for (int n = 0; n < count; n++) {
        bytes[n * RECORD] = (uint8_t)(n % 20), bytes[n * RECORD + 1] = (uint8_t)(n % 100);
        for (int i = 0; i < PIXELS; i++) bytes[n * RECORD + 2 + i] = pixel_of(n, i);
    }
    support_file_write(path, bytes, (size_t)count * RECORD);
    free(bytes), free(path);
}

static void write_names(const char *folder, const char *name, const char *beginning, int count)
{
    char *path = support_path(folder, name), *text = memory_copy_string("");
    for (int i = 0; i < count; i++) {
        char *longer = memory_format("%s%s_%d\n", text, beginning, i);
        free(text);
        text = longer;
    }
    support_file_write(path, text, strlen(text));
    free(path), free(text);
}

static char *make_folder(void)
{
    char *folder = support_folder();
    write_records(folder, "train.bin", TRAIN);
    write_records(folder, "test.bin", TEST);
    write_names(folder, "fine_label_names.txt", "fine", 100);
    write_names(folder, "coarse_label_names.txt", "coarse", 20);
    return folder;
}

static bool try_load(struct dataset *dataset, const char *folder, bool coarse, struct status *status)
{
    const struct dataset_source source = {.path = folder, .coarse_labels = coarse};
    return cifar100_load(dataset, &source, status);
}

static void expect_set(const struct image_set *set, int64_t count, int classes)
{
    cr_assert_eq(set->count, count);
    for (int64_t n = 0; n < count; n++) {
        cr_assert_eq(set->labels[n], n % classes);
        for (int64_t i = 0; i < PIXELS; i++) cr_assert_eq(set->pixels[n * PIXELS + i], pixel_of(n, i));
    }
}

Test(cifar100, loads_fine_and_coarse_labels)
{
    char *folder = make_folder();
    for (int coarse = 0; coarse < 2; coarse++) {
        struct dataset dataset;
        struct status status = {0};
        int classes = coarse ? 20 : 100;
        cr_assert(try_load(&dataset, folder, coarse, &status), "%s", status.message);
        cr_expect(dataset.channels == 3 && dataset.height == 32 && dataset.width == 32);
        cr_expect_eq(dataset.classes, classes);
        cr_expect_str_eq(dataset.class_names[classes - 1], coarse ? "coarse_19" : "fine_99");
        expect_set(&dataset.train, TRAIN, classes);
        expect_set(&dataset.test, TEST, classes);
        dataset_free(&dataset);
    }
    support_folder_remove(folder);
}

Test(cifar100, finds_the_folder_below_and_needs_neither_names_nor_a_test_set)
{
    char *parent = support_folder(), *below = support_path(parent, "cifar-100-binary");
    struct dataset dataset;
    struct status status = {0};
    cr_assert_eq(mkdir(below, 0700), 0);
    write_records(below, "train.bin", TRAIN);
    cr_assert(try_load(&dataset, parent, true, &status), "%s", status.message);
    cr_expect(dataset.classes == 20 && dataset.class_names == NULL && dataset.test.count == 0);
    dataset_free(&dataset);
    free(below);
    support_folder_remove(parent);
}

/* Expects the message after the folder or the file of that name in it; frees the folder. */
static void expect_refused(char *folder, const char *name, bool coarse, const char *message)
{
    struct dataset dataset, empty = {0};
    struct status status = {0};
    char *where = name ? support_path(folder, name) : memory_copy_string(folder);
    char *expected = memory_format("%s: %s", where, message);
    cr_assert_not(try_load(&dataset, folder, coarse, &status));
    cr_expect_str_eq(status.message, expected);
    cr_expect_eq(status.code, STATUS_RUNTIME);
    cr_expect_eq(memcmp(&dataset, &empty, sizeof empty), 0);
    free(where), free(expected);
    support_folder_remove(folder);
}

static void change_byte(const char *folder, const char *name, int64_t place, uint8_t byte)
{
    size_t size;
    char *path = support_path(folder, name), *bytes = support_file_read(path, &size);
    bytes[place] = (char)byte;
    support_file_write(path, bytes, size);
    free(path), free(bytes);
}

Test(cifar100, damaged_labels_are_named_by_their_byte)
{
    char *folder = make_folder();
    change_byte(folder, "train.bin", 7 * RECORD + 1, 100);
    expect_refused(folder, "train.bin", false,
                   "byte 21519: label 100, expected 0 to 99, as many as there are class names");
    folder = make_folder();
    change_byte(folder, "test.bin", 3 * RECORD, 20);
    expect_refused(folder, "test.bin", true, "byte 9222: label 20, expected 0 to 19, as many as there are class names");
}

static char *make_resized(const char *name, int64_t size)
{
    char *folder = make_folder(), *path = support_path(folder, name);
    cr_assert_eq(truncate(path, size), 0);
    free(path);
    return folder;
}

Test(cifar100, files_of_other_sizes_are_refused)
{
    expect_refused(make_resized("train.bin", 2 * RECORD - 1), "train.bin", false,
                   "byte 3074: the last record has 3073 bytes, expected a whole number of records of 3074 bytes");
    expect_refused(make_resized("test.bin", 0), "test.bin", true,
                   "empty file, expected 1 to 100000 records of 3074 bytes");
    expect_refused(make_resized("train.bin", (int64_t)RECORD * 100001), "train.bin", false,
                   "307403074 bytes, expected at most 307400000: 100000 records of 3074 bytes");
}

static const char way_out[] = "point data.path (--set data.path=...) at an unpacked cifar-100-binary.tar.gz of "
                              "https://www.cs.toronto.edu/~kriz/cifar.html";

Test(cifar100, says_what_is_there_instead)
{
    char *folder = support_folder(), *below = support_path(folder, "cifar-100-python");
    char *message = memory_format("this is the Python version of CIFAR-100, expected the binary version: "
                                  "scripts/from-torchvision makes an NPZ archive of it; or %s",
                                  way_out);
    cr_assert_eq(mkdir(below, 0700), 0);
    free(below);
    expect_refused(folder, NULL, false, message);
    free(message);
    message = memory_format("no CIFAR-100 found, expected train.bin and test.bin: %s", way_out);
    expect_refused(support_folder(), NULL, false, message);
    free(message);
    folder = make_folder();
    char *path = support_path(folder, "train.bin");
    cr_assert_eq(unlink(path), 0);
    free(path);
    expect_refused(folder, "train.bin", false, "cannot open: No such file or directory");
}

Test(cifar100, data_labels_chooses)
{
    char *folder = make_folder(),
         *text = memory_format("[data]\ndataset = cifar100\npath = %s\nlabels = coarse\n", folder);
    struct experiment experiment;
    struct dataset dataset;
    struct dataset_description description;
    struct status status = {0};
    cr_assert(experiment_load_text(&experiment, "test.ini", text, NULL, 0, &status), "%s", status.message);
    cr_assert(dataset_from_experiment(&dataset, &experiment, NULL, &status), "%s", status.message);
    cr_expect_eq(dataset.classes, 20);
    cr_assert(assume_data(&description, &experiment, &status), "%s", status.message);
    cr_expect(description.classes == 20 && description.channels == 3 && description.height == 32);
    dataset_free(&dataset);
    experiment_free(&experiment);
    free(text);
    support_folder_remove(folder);
}
