/* Tests the reader of NPZ archives on files of NumPy (fixtures/npz) and on archives that are put together here, right
 * and wrong. */
#include <criterion/criterion.h>

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/experiment.h"
#include "data/dataset.h"
#include "dataset_support.h"
#include "npz_support.h"
#include "support.h"
#include "util/warning.h"

static const char fixtures[] = TEST_FOLDER "/fixtures/npz";

/* --- right archives --- */

/* The pixel of an image in the fixtures. */
static uint8_t pixel_of(int64_t n, int64_t c, int64_t h, int64_t w)
{
    return (uint8_t)(7 * n + 31 * h + 13 * w + 101 * c);
}

static void expect_set(const struct image_set *set, int64_t first, int64_t count)
{
    cr_assert_eq(set->count, count);
    for (int64_t n = 0; n < count; n++) {
        cr_expect_eq(set->labels[n], (first + n) % 3);
        for (int64_t i = 0; i < 60; i++)
            cr_assert_eq(set->pixels[n * 60 + i], pixel_of(first + n, i / 20, i / 5 % 4, i % 5), "pixel %d of image %d",
                         (int)i, (int)(first + n));
    }
}

static struct dataset load(const char *path, const char *settings)
{
    char *text = memory_format("[data]\ndataset = npz\npath = %s\n%s", path, settings);
    struct experiment experiment;
    struct dataset dataset;
    struct dataset_description description;
    struct status status = {0};
    cr_assert(experiment_load_text(&experiment, "test.ini", text, NULL, 0, &status), "%s", status.message);
    cr_assert(dataset_from_experiment(&dataset, &experiment, NULL, &status), "%s", status.message);
    cr_assert(describe_data(&description, &experiment, &status), "%s", status.message);
    cr_expect(description.channels == dataset.channels && description.height == dataset.height);
    cr_expect(description.width == dataset.width && description.classes == dataset.classes);
    experiment_free(&experiment);
    free(text);
    return dataset;
}

static struct dataset load_fixture(const char *name, const char *settings)
{
    char *path = support_path(fixtures, name);
    struct dataset dataset = load(path, settings);
    free(path);
    cr_expect(dataset.channels == 3 && dataset.height == 4 && dataset.width == 5 && dataset.classes == 3);
    return dataset;
}

Test(npz_data, reads_medmnist)
{
    struct dataset dataset = load_fixture("medmnist.npz", "");
    expect_set(&dataset.train, 0, 12);
    expect_set(&dataset.validation, 12, 4);
    expect_set(&dataset.test, 16, 5);
    dataset_free(&dataset);
}

Test(npz_data, reads_floats_of_every_order)
{
    struct dataset dataset = load_fixture("floats.npz", "");
    expect_set(&dataset.train, 0, 12);
    expect_set(&dataset.validation, 12, 4);
    expect_set(&dataset.test, 16, 5);
    dataset_free(&dataset);
}

Test(npz_data, reads_images_numbered_by_the_last_axis)
{
    struct dataset dataset = load_fixture("svhn.npz", "first_label = 1\n");
    expect_set(&dataset.train, 0, 12);
    cr_expect_eq(dataset.validation.count, 0);
    expect_set(&dataset.test, 16, 5);
    dataset_free(&dataset);
}

Test(npz_data, transposes_the_validation_set_too)
{
    char *path = support_path(fixtures, "medmnist.npz");
    struct dataset dataset = load(path, "transpose = true\n");
    cr_expect(dataset.height == 5 && dataset.width == 4);
    cr_expect_eq(dataset.validation.pixels[1], pixel_of(12, 0, 1, 0));
    cr_expect_eq(dataset.validation.pixels[4], pixel_of(12, 0, 0, 1));
    dataset_free(&dataset);
    free(path);
}

Test(npz_data, holds_out_test_and_validation_samples)
{
    char *path = support_path(fixtures, "svhn.npz"), *folder = support_folder();
    struct archive archive = {0};
    uint8_t pixels[20 * 2], labels[20];
    for (int i = 0; i < 40; i++) pixels[i] = (uint8_t)(i / 2);
    for (int i = 0; i < 20; i++) labels[i] = (uint8_t)(i % 2);
    archive_add_array(&archive, "X.npy", "|u1", "(20, 1, 2)", pixels, sizeof pixels);
    archive_add_array(&archive, "y.npy", "|u1", "(20,)", labels, sizeof labels);
    archive_end(&archive);
    char *file = support_path(folder, "x.npz");
    support_file_write(file, archive.bytes, archive.size);
    struct dataset dataset = load(file, "test_size = 6\nvalidation_size = 4\n");
    cr_expect(dataset.train.count == 10 && dataset.validation.count == 4 && dataset.test.count == 6);
    bool seen[20] = {false};
    const struct image_set *const sets[] = {&dataset.train, &dataset.validation, &dataset.test};
    for (int s = 0; s < 3; s++)
        for (int64_t i = 0; i < sets[s]->count; i++) {
            uint8_t number = *image_set_pixels(sets[s], i, 2);
            cr_expect(!seen[number] && sets[s]->labels[i] == number % 2);
            seen[number] = true;
        }
    dataset_free(&dataset);
    archive_free(&archive);
    free(path), free(file);
    support_folder_remove(folder);
}

/* --- archives of one training set, and what becomes of them --- */

struct content {
    const char *dtype, *shape;
    bool fortran_order;
    const void *data;
    size_t bytes;
};

/* Four images of 1x2, and their labels. */
static const uint8_t four_labels[4] = {0, 1, 0, 1};
static const struct content plain_labels = {"|u1", "(4,)", false, four_labels, 4};

static void add_content(struct archive *archive, const char *name, const struct content *content)
{
    size_t size;
    uint8_t *file =
        npy_make(content->dtype, content->fortran_order, content->shape, content->data, content->bytes, &size);
    archive_add_deflated(archive, name, file, size);
    free(file);
}

/* Writes an archive into a new folder, and returns its path. */
static char *write_archive(char *folder, struct archive *archive)
{
    char *path = support_path(folder, "a.npz");
    archive_end(archive);
    support_file_write(path, archive->bytes, archive->size);
    archive_free(archive);
    return path;
}

static bool load_path(struct dataset *dataset, const char *path, struct status *status)
{
    const struct dataset_source source = {.path = path};
    return npz_load(dataset, &source, status);
}

/* Checks the message after the path of the archive, which `message` begins with as "%s". */
static void expect_refused(struct archive *archive, const char *message)
{
    char *folder = support_folder(), *path = write_archive(folder, archive);
    struct dataset dataset, empty = {0};
    struct status status = {0};
    cr_assert_not(load_path(&dataset, path, &status), "expected: %s", message);
    cr_expect_eq(strncmp(status.message, path, strlen(path)), 0);
    cr_expect_str_eq(status.message + strlen(path), message);
    cr_expect_eq(status.code, STATUS_RUNTIME);
    cr_expect_eq(memcmp(&dataset, &empty, sizeof empty), 0);
    free(path);
    support_folder_remove(folder);
}

static void expect_images_refused(const struct content *images, const struct content *labels, const char *message)
{
    struct archive archive = {0};
    add_content(&archive, "x_train.npy", images);
    add_content(&archive, "y_train.npy", labels);
    expect_refused(&archive, message);
}

static void expect_pixels(const struct content *images, const uint8_t pixels[8])
{
    struct archive archive = {0};
    add_content(&archive, "x_train.npy", images);
    add_content(&archive, "y_train.npy", &plain_labels);
    char *folder = support_folder(), *path = write_archive(folder, &archive);
    struct dataset dataset;
    struct status status = {0};
    cr_assert(load_path(&dataset, path, &status), "%s", status.message);
    cr_expect(dataset.channels == 1 && dataset.height == 1 && dataset.width == 2 && dataset.classes == 2);
    for (int i = 0; i < 8; i++) cr_expect_eq(dataset.train.pixels[i], pixels[i], "pixel %d", i);
    dataset_free(&dataset);
    free(path);
    support_folder_remove(folder);
}

#define CONTENT(dtype, shape, array) (&(const struct content){dtype, shape, false, array, sizeof(array)})

Test(npz_data, takes_whole_numbers_of_every_dtype)
{
    static const uint8_t pixels[8] = {0, 1, 2, 3, 127, 128, 254, 255}, truth[8] = {0, 255, 0, 0, 255, 0, 0, 255};
    static const int16_t shorts[8] = {0, 1, 2, 3, 127, 128, 254, 255};
    static const int64_t longs[8] = {0, 1, 2, 3, 127, 128, 254, 255};
    static const uint8_t big[32] = {[7] = 1, [11] = 2, [15] = 3, [19] = 127, [23] = 128, [27] = 254, [31] = 255};
    static const uint8_t bools[8] = {0, 1, 0, 0, 1, 0, 0, 1};
    static const float floats[8] = {0, 1, 2, 3, 127, 128, 254, 255};
    expect_pixels(CONTENT("|u1", "(4, 1, 2)", pixels), pixels);
    expect_pixels(CONTENT("<i2", "(4, 1, 2)", shorts), pixels);
    expect_pixels(CONTENT("<i8", "(4, 1, 2)", longs), pixels);
    expect_pixels(CONTENT(">u4", "(4, 1, 2)", big), pixels);
    expect_pixels(CONTENT("<f4", "(4, 1, 2)", floats), pixels);
    expect_pixels(CONTENT("|b1", "(4, 1, 2)", bools), truth);
}

Test(npz_data, finds_the_scale_of_floats)
{
    static const uint8_t pixels[8] = {0, 255, 0, 1, 100, 0, 255, 0}, small[8] = {0, 0, 0, 1, 100, 0, 255, 7};
    static const uint8_t binary[8] = {0, 255, 0, 255, 255, 0, 0, 0};
    static const float by_255[8] = {0, 1, 0, 1 / 255.f, 100 / 255.f, 0, 1, 0};
    static const double by_256[8] = {0, 0, 0, 1 / 256., 100 / 256., 0, 255 / 256., 7 / 256.};
    static const double ones[8] = {0, 1, 0, 1, 1, 0, 0, 0};
    float by_product[8];
    for (int i = 0; i < 8; i++) by_product[i] = (float)small[i] * (1 / 255.f);
    expect_pixels(CONTENT("<f4", "(4, 1, 2)", by_255), pixels);
    expect_pixels(CONTENT("<f8", "(4, 1, 2)", by_256), small);
    expect_pixels(CONTENT("<f4", "(4, 1, 2)", by_product), small);
    expect_pixels(CONTENT("<f8", "(4, 1, 2)", ones), binary);
}

/* The scale shows in the last piece of an array: what was taken before must be made right. */
Test(npz_data, corrects_ones_before_the_scale_is_known)
{
    enum { COUNT = 50000 };
    float *values = memory_alloc(COUNT * 2, sizeof *values);
    uint8_t *labels = memory_alloc(COUNT, 1);
    for (int i = 0; i < COUNT; i++) labels[i] = (uint8_t)(i % 2), values[2 * i] = 1;
    values[2 * COUNT - 1] = 200;
    struct archive archive = {0};
    archive_add_array(&archive, "images.npy", "<f4", "(50000, 2, 1)", values, COUNT * 2 * sizeof *values);
    archive_add_array(&archive, "labels.npy", "|u1", "(50000, 1)", labels, COUNT);
    char *folder = support_folder(), *path = write_archive(folder, &archive);
    struct dataset dataset;
    struct status status = {0};
    cr_assert(load_path(&dataset, path, &status), "%s", status.message);
    for (int i = 0; i < COUNT; i++) cr_assert_eq(dataset.train.pixels[2 * i], 1);
    cr_expect_eq(dataset.train.pixels[2 * COUNT - 1], 200);
    dataset_free(&dataset);
    free(values), free(labels), free(path);
    support_folder_remove(folder);
}

Test(npz_data, refuses_values_that_are_no_pixels)
{
    static const int16_t shorts[8] = {0, 1, 2, 3, 4, 256, 6, 7}, below[8] = {0, 1, -1};
    static const float mixed[8] = {0, 3, 0.5f}, above[8] = {0, 1, 300};
    static const float normal[8] = {0, -0.4f}, not_finite[8] = {0, NAN}, of_256[8] = {0, 1, 3 / 256.f};
    expect_images_refused(CONTENT("<i2", "(4, 1, 2)", shorts), &plain_labels,
                          ": x_train.flat[5]: value 256, expected 0 to 255");
    expect_images_refused(CONTENT("<i2", "(4, 1, 2)", below), &plain_labels,
                          ": x_train.flat[2]: value -1, expected 0 to 255");
    expect_images_refused(CONTENT("<f4", "(4, 1, 2)", of_256), &plain_labels,
                          ": x_train.flat[2]: value 1, expected k/256 with a whole k of 0 to 255, as other values are");
    expect_images_refused(CONTENT("<f4", "(4, 1, 2)", mixed), &plain_labels,
                          ": x_train.flat[2]: value 0.5, expected whole numbers of 0 to 255, as the values before are");
    const char *any = "expected 0 to 255, or k/255 or k/256 with whole k: pictures before any normalization";
    char *message = memory_format(": x_train.flat[2]: value 300, %s", any);
    expect_images_refused(CONTENT("<f4", "(4, 1, 2)", above), &plain_labels, message);
    free(message);
    message = memory_format(": x_train.flat[1]: value -0.400000006, %s", any);
    expect_images_refused(CONTENT("<f4", "(4, 1, 2)", normal), &plain_labels, message);
    free(message);
    message = memory_format(": x_train.flat[1]: value nan, %s", any);
    expect_images_refused(CONTENT("<f4", "(4, 1, 2)", not_finite), &plain_labels, message);
    free(message);
}

/* --- shapes --- */

static void expect_shape_refused(const char *shape, bool ambiguous)
{
    static const uint8_t zeros[256];
    int64_t count = 1;
    for (const char *c = shape; *c; c++)
        if (*c >= '0' && *c <= '9') count *= strtol(c, (char **)&c, 10), c--;
    char *message =
        memory_format(": x_train: shape %s%s, expected (N, H, W), (N, H, W, C), (N, C, H, W) or one of them with "
                      "N last, with N = 4 as y_train has so many labels, and C = 1 or 3",
                      shape, ambiguous ? " can be read in more than one way" : "");
    const struct content images = {"|u1", shape, false, zeros, (size_t)count};
    expect_images_refused(&images, &plain_labels, message);
    free(message);
}

Test(npz_data, refuses_shapes_of_no_or_two_meanings)
{
    expect_shape_refused("(4, 2, 2, 2)", false);
    expect_shape_refused("(3, 2, 2)", false);
    expect_shape_refused("(4, 6)", false);
    expect_shape_refused("(4, 1, 2, 1, 1)", false);
    expect_shape_refused("(4, 3, 2, 3)", true);
    expect_shape_refused("(4, 1, 2, 1)", true);
    expect_shape_refused("(4, 2, 4)", true);
    expect_shape_refused("(4, 3, 3, 4)", true);
}

Test(npz_data, refuses_sets_that_differ)
{
    static const uint8_t pixels[16] = {0};
    static const float floats[8] = {0};
    struct archive archive = {0};
    add_content(&archive, "x_train.npy", CONTENT("|u1", "(4, 2, 2)", pixels));
    add_content(&archive, "y_train.npy", &plain_labels);
    add_content(&archive, "x_test.npy", &(const struct content){"|u1", "(4, 1, 2)", false, pixels, 8});
    add_content(&archive, "y_test.npy", &plain_labels);
    expect_refused(&archive, ": x_test: images of 1x1x2 (CxHxW), expected 1x2x2 as in x_train");
    add_content(&archive, "x_train.npy", &(const struct content){"|u1", "(4, 1, 2)", false, pixels, 8});
    add_content(&archive, "y_train.npy", &plain_labels);
    add_content(&archive, "x_test.npy", CONTENT("<f4", "(4, 1, 2)", floats));
    add_content(&archive, "y_test.npy", &plain_labels);
    expect_refused(&archive, ": x_test: floats, expected whole numbers as in x_train");
}

/* --- labels --- */

static const uint8_t eight_pixels[8] = {0, 1, 2, 3, 4, 5, 6, 7};
static const struct content plain_images = {"|u1", "(4, 1, 2)", false, eight_pixels, 8};

Test(npz_data, refuses_labels_that_are_none)
{
    static const int32_t below[4] = {0, 1, -1, 1}, above[4] = {0, 65536};
    static const double part[4] = {0, 1.5};
    static const uint8_t pairs[8] = {1, 0, 0, 1, 1, 1, 0, 1}, none[8] = {1, 0, 0, 1, 0, 0, 0, 1}, two[8] = {1, 0, 0, 2};
    static const uint8_t gap[4] = {0, 2, 0, 2}, from_one[4] = {1, 2, 1, 2};
    expect_images_refused(&plain_images, CONTENT("<i4", "(4,)", below),
                          ": y_train[2]: label -1, expected a whole number of 0 to 65535");
    expect_images_refused(&plain_images, CONTENT("<i4", "(4, 1)", above),
                          ": y_train.flat[1]: label 65536, expected a whole number of 0 to 65535");
    expect_images_refused(&plain_images, CONTENT("<f8", "(4,)", part),
                          ": y_train[1]: label 1.5, expected a whole number of 0 to 65535");
    expect_images_refused(&plain_images, CONTENT("|u1", "(4, 2)", pairs),
                          ": y_train[2]: a second 1 in the row, expected one class for each image");
    expect_images_refused(&plain_images, CONTENT("|u1", "(4, 2)", none),
                          ": y_train[2]: no 1 in the row, expected one class");
    expect_images_refused(&plain_images, CONTENT("|u1", "(4, 2)", two),
                          ": y_train.flat[3]: label 2, expected 0 or 1, as there is a column for each class");
    expect_images_refused(
        &plain_images, CONTENT("|u1", "(4,)", gap),
        ": y_train[1]: label 2, but no training image has label 1: expected labels without a gap; the "
        "label may be damaged; set data.classes (or data.class_names) if some classes have no image");
    expect_images_refused(&plain_images, CONTENT("|u1", "(4,)", from_one),
                          ": y_train[0]: label 1 is the smallest of the training set, expected 0: set data.first_label "
                          "= 1 if labels begin there, or data.classes (or data.class_names) if some classes have no "
                          "image");
    expect_images_refused(
        &plain_images, CONTENT("|u1", "(2, 2, 1)", four_labels),
        ": y_train: shape (2, 2, 1), expected (N), (N, 1) or (N, classes) with N of 1 to 10000000 and "
        "at most 65536 classes");
}

Test(npz_data, checks_labels_of_the_other_sets)
{
    static const uint8_t beyond[4] = {0, 1, 2, 1};
    struct archive archive = {0};
    add_content(&archive, "x_train.npy", &plain_images);
    add_content(&archive, "y_train.npy", &plain_labels);
    add_content(&archive, "x_valid.npy", &plain_images);
    add_content(&archive, "y_valid.npy", CONTENT("|u1", "(4,)", beyond));
    expect_refused(&archive, ": y_valid[2]: label 2, expected 0 to 1 as in the train set");
}

Test(npz_data, columns_tell_the_number_of_classes)
{
    static const uint8_t columns[12] = {1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0};
    struct archive archive = {0};
    add_content(&archive, "TRAIN_IMAGES.npy", &plain_images);
    add_content(&archive, "train_labels.npy", CONTENT("|u1", "(4, 3)", columns));
    char *folder = support_folder(), *path = write_archive(folder, &archive);
    struct dataset dataset = load(path, "");
    cr_expect_eq(dataset.classes, 3);
    cr_expect_eq(memcmp(dataset.train.labels, (uint16_t[]){0, 1, 0, 1}, 8), 0);
    dataset_free(&dataset);
    free(path);
    support_folder_remove(folder);
}

/* --- names --- */

Test(npz_data, refuses_names_that_do_not_make_a_set)
{
    struct archive archive = {0};
    add_content(&archive, "x_test.npy", &plain_images);
    expect_refused(&archive, ": no training set, expected arrays named train_images and train_labels (or x_train and "
                             "y_train, or X and y); found none");
    add_content(&archive, "a\nb.npy", &plain_images);
    add_content(&archive, "x_train2.npy", &plain_images);
    expect_refused(&archive, ": no training set, expected arrays named train_images and train_labels (or x_train and "
                             "y_train, or X and y); found a?b, x_train2");
    add_content(&archive, "x_train.npy", &plain_images);
    expect_refused(&archive,
                   ": found x_train alone, expected arrays named train_images and train_labels (or x_train and "
                   "y_train, or X and y)");
    add_content(&archive, "x_train.npy", &plain_images);
    add_content(&archive, "y_train.npy", &plain_labels);
    add_content(&archive, "y_test.npy", &plain_labels);
    expect_refused(&archive, ": found y_test alone, expected arrays named test_images and test_labels (or x_test and "
                             "y_test)");
    add_content(&archive, "x_train.npy", &plain_images);
    add_content(&archive, "X.npy", &plain_images);
    add_content(&archive, "y_train.npy", &plain_labels);
    expect_refused(&archive, ": the arrays x_train and X are both train images, expected one");
}

Test(npz_data, says_which_arrays_are_not_used)
{
    struct archive archive = {0};
    add_content(&archive, "x_train.npy", &plain_images);
    add_content(&archive, "y_train.npy", &plain_labels);
    add_content(&archive, "x_tset.npy", &plain_images);
    add_content(&archive, "notes.txt", &plain_images);
    char *folder = support_folder(), *path = write_archive(folder, &archive);
    struct dataset dataset;
    struct status status = {0};
    warning_collect();
    cr_assert(load_path(&dataset, path, &status), "%s", status.message);
    char *warning = warning_take(), *expected = memory_format("%s: arrays not used: x_tset, notes.txt", path);
    cr_assert(warning != NULL);
    cr_expect_str_eq(warning, expected);
    dataset_free(&dataset);
    free(warning), free(expected), free(path);
    support_folder_remove(folder);
}

/* --- damaged arrays --- */

/* Puts `header` before the pixels of plain_images, and expects the message about x_train. */
static void expect_header_refused(const char *header, const char *message)
{
    size_t size;
    struct archive archive = {0};
    uint8_t *file = npy_make_raw(header, eight_pixels, sizeof eight_pixels, &size);
    archive_add(&archive, "x_train.npy", file, size);
    add_content(&archive, "y_train.npy", &plain_labels);
    expect_refused(&archive, message);
    free(file);
}

Test(npz_data, refuses_headers_that_are_damaged)
{
    expect_header_refused("{'descr': '|O', 'fortran_order': False, 'shape': (4, 1, 2), }",
                          ": x_train: holds pickled Python objects, which are programs and are never run ('|O'), "
                          "expected numbers");
    expect_header_refused("{'descr': '<U3', 'fortran_order': False, 'shape': (4, 1, 2), }",
                          ": x_train: holds texts ('<U3'), expected numbers");
    expect_header_refused("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }",
                          ": x_train: holds complex numbers ('<c8'), expected numbers");
    expect_header_refused("{'descr': '<M8', 'fortran_order': False, 'shape': (1,), }",
                          ": x_train: holds dates ('<M8'), expected numbers");
    expect_header_refused("{'descr': '<f16', 'fortran_order': False, 'shape': (1,), }",
                          ": x_train: holds elements of an unknown dtype ('<f16'), expected numbers");
    expect_header_refused("{'descr': [('a', '<i4'), ('b', '<i4')], 'fortran_order': False, 'shape': (1,), }",
                          ": x_train: holds records of several fields, expected numbers");
    expect_header_refused("{'descr': '|u1', 'fortran_order': 0, 'shape': (4, 1, 2), }",
                          ": x_train: a damaged .npy header: expected True or False as fortran_order");
    expect_header_refused("{'descr': '|u1', 'fortran_order': False, 'shape': (4, -1, 2), }",
                          ": x_train: a damaged .npy header: expected a shape such as (2, 3)");
    expect_header_refused("{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999, 99999999999, 2), }",
                          ": x_train: a damaged .npy header: expected a shape whose product fits 63 bits");
    expect_header_refused("{'descr': '|u1', 'fortran_order': False, 'shape': (1234567890123456789, 2), }",
                          ": x_train: a damaged .npy header: expected a shape such as (2, 3)");
    expect_header_refused("{'descr': '|u1', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,8), }",
                          ": x_train: a damaged .npy header: expected a shape of at most 8 numbers");
    expect_header_refused("{'descr': '|u1', 'shape': (4, 1, 2), }",
                          ": x_train: a damaged .npy header: expected the keys descr, fortran_order and shape");
    expect_header_refused(
        "{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (4, 1, 2), }",
        ": x_train: a damaged .npy header: expected the keys descr, fortran_order and shape, each once");
    expect_header_refused("{'descr': '|u1', 'fortran_order': False, 'shape': (4, 1, 2), } x",
                          ": x_train: a damaged .npy header: expected nothing behind the dictionary");
    expect_header_refused("", ": x_train: a damaged .npy header: expected a dictionary");
    expect_header_refused("{'descr", ": x_train: a damaged .npy header: expected a key in quotes, and a colon");
    expect_header_refused("{'descr': '|u1', 'fortran_order': False, 'shape': (4, 1, 3), }",
                          ": x_train: damaged array: 80 bytes, expected 72 of header and 12 of elements");
}

Test(npz_data, takes_headers_that_numpy_never_wrote_but_reads)
{
    size_t size;
    struct archive archive = {0};
    uint8_t *file = npy_make_raw("{\"shape\":(4L,1L,2L) ,'fortran_order':True,'descr':'=u1'}", eight_pixels,
                                 sizeof eight_pixels, &size);
    archive_add(&archive, "x_train.npy", file, size);
    add_content(&archive, "y_train.npy", &plain_labels);
    char *folder = support_folder(), *path = write_archive(folder, &archive);
    struct dataset dataset = load(path, "");
    cr_expect_eq(memcmp(dataset.train.pixels, (uint8_t[]){0, 4, 1, 5, 2, 6, 3, 7}, 8), 0);
    dataset_free(&dataset);
    free(path), free(file);
    support_folder_remove(folder);
}

/* Adds x_train's entry with a field that is wrong. */
static void expect_entry_refused(struct archive_entry entry, const char *message)
{
    size_t size;
    struct archive archive = {0};
    uint8_t *file = npy_make("|u1", false, "(4, 1, 2)", eight_pixels, sizeof eight_pixels, &size);
    entry.name = "x_train.npy";
    entry.crc ^= (uint32_t)crc32(0, file, (uInt)size);
    if (entry.packed == 0) entry.packed = (uint32_t)size;
    if (entry.unpacked == 0) entry.unpacked = (uint32_t)size;
    archive_add_raw(&archive, &entry, file, size);
    add_content(&archive, "y_train.npy", &plain_labels);
    expect_refused(&archive, message);
    free(file);
}

Test(npz_data, refuses_entries_that_are_damaged)
{
    expect_entry_refused((struct archive_entry){.method = 12},
                         ": x_train: packed by method 12, expected stored (0) or deflated (8)");
    expect_entry_refused((struct archive_entry){.flags = 1}, ": x_train: is encrypted, expected a plain array");
    expect_entry_refused((struct archive_entry){.crc = 1}, ": x_train: damaged array: CRC error");
    expect_entry_refused((struct archive_entry){.method = 8, .unpacked = 1u << 30},
                         ": x_train: damaged array: 1073741824 bytes in 81 packed ones");
}

Test(npz_data, refuses_what_is_no_archive)
{
    char *folder = support_folder(), *path = support_path(folder, "a.npz");
    struct dataset dataset;
    struct status status = {0};
    const struct {
        const char *bytes, *words;
    } cases[] = {
        {"", ": this is an empty file, expected an NPZ archive, as numpy.savez_compressed writes it"},
        {"\x93NUMPY\x01", ": this is a NumPy array, expected an NPZ archive, as numpy.savez_compressed writes it"},
        {"<html>", ": this is an HTML or XML page, expected an NPZ archive, as numpy.savez_compressed writes it"},
        {"PK\x03\x04zzzz", ": not a good NPZ archive: Not a zip archive"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        support_file_write(path, cases[i].bytes, strlen(cases[i].bytes));
        cr_assert_not(load_path(&dataset, path, &status));
        cr_expect_str_eq(status.message + strlen(path), cases[i].words);
    }
    cr_assert_not(load_path(&dataset, folder, &status));
    cr_expect(strstr(status.message, "folder"), "%s", status.message);
    cr_assert(unlink(path) == 0 && mkfifo(path, 0600) == 0);
    cr_assert_not(load_path(&dataset, path, &status)); /* and does not wait */
    free(path);
    support_folder_remove(folder);
}

/* An archive that lacks its end, or has a byte changed, is refused or gives the same pixels as before. */
Test(npz_data, comes_back_from_every_damaged_byte)
{
    size_t size;
    char *whole = support_path(fixtures, "medmnist.npz"), *bytes = support_file_read(whole, &size);
    char *folder = support_folder(), *path = support_path(folder, "a.npz");
    struct dataset dataset;
    struct status status = {0};
    warning_collect();
    for (size_t i = 0; i < size; i += 3) {
        bytes[i] = (char)(bytes[i] ^ 0x41);
        support_file_write(path, bytes, size);
        bytes[i] = (char)(bytes[i] ^ 0x41);
        if (load_path(&dataset, path, &status)) {
            expect_set(&dataset.train, 0, 12);
            dataset_free(&dataset);
        }
        support_file_write(path, bytes, i);
        cr_assert_not(load_path(&dataset, path, &status), "%d bytes", (int)i);
    }
    free(warning_take());
    free(whole), free(bytes), free(path);
    support_folder_remove(folder);
}

/* --- keys --- */

static void expect_key_refused(const char *settings, const char *key, const char *words)
{
    char *message = memory_format("test.ini:4: data.%s: expected 0, as %s/medmnist.npz has %s", key, fixtures, words);
    char *text = memory_format("[data]\ndataset = npz\npath = %s/medmnist.npz\n%s", fixtures, settings);
    struct experiment experiment;
    struct dataset dataset;
    struct status status = {0};
    cr_assert(experiment_load_text(&experiment, "test.ini", text, NULL, 0, &status), "%s", status.message);
    cr_assert_not(dataset_from_experiment(&dataset, &experiment, NULL, &status));
    cr_expect_str_eq(status.message, message);
    cr_expect_eq(status.code, STATUS_USAGE);
    experiment_free(&experiment);
    free(text), free(message);
}

Test(npz_data, refuses_to_hold_out_a_set_that_is_there)
{
    expect_key_refused("validation_size = 2\n", "validation_size", "a validation set of its own, found 2");
    expect_key_refused("test_size = 3\n", "test_size", "a test set of its own, found 3");
}
